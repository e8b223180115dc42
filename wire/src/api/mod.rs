//! Bodies of the REST API, one file per resource.
//!
//! Requests refuse unknown fields; responses may grow. Times are RFC 3339 in UTC.

pub mod agent;
pub mod audit;
pub mod connection;
pub mod endpoint;
pub mod event;
pub mod job;
pub mod kind;
pub mod live;
pub mod object;
pub mod page;
pub mod power;
pub mod problem;
pub mod search;
pub mod server;
pub mod session;
pub mod settings;
pub mod site;
pub mod token;
pub mod user;

use serde::{Deserialize, Deserializer};

/// Tells "absent" from "null" in a change request: absent leaves the value, null clears it. What is absent must not be
/// written as null either: `skip_serializing_if` belongs beside it.
#[expect(clippy::option_option, reason = "absent, null and a value are three different requests")]
pub(crate) fn present<'de, D, T>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::<T>::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use serde::{Serialize, de::DeserializeOwned};
    use serde_json::{Value, json};

    use super::{connection::ChangeConnection, endpoint::ChangeEndpoint, server::ChangeServer};

    fn again<T: Serialize + DeserializeOwned>(change: &Value) -> Value {
        let change: T = serde_json::from_value(change.clone()).unwrap();
        serde_json::to_value(change).unwrap()
    }

    #[test]
    fn a_change_says_nothing_of_what_it_leaves_and_null_of_what_it_clears() {
        let told = [again::<ChangeServer>, again::<ChangeEndpoint>, again::<ChangeConnection>];
        for (again, fields) in told.into_iter().zip([
            &["site_id"][..],
            &["agent_id", "agent_group"][..],
            &["agent_id", "agent_group"][..],
        ]) {
            for field in fields {
                assert!(again(&json!({})).get(field).is_none(), "{field} would be cleared");
                assert_eq!(again(&json!({ *field: null })).get(field), Some(&Value::Null), "{field}");
            }
        }
    }
}
