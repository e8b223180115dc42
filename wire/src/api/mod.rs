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

/// Tells "absent" from "null" in a change request: absent leaves the value, null clears it.
#[expect(clippy::option_option, reason = "absent, null and a value are three different requests")]
pub(crate) fn present<'de, D, T>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::<T>::deserialize(deserializer).map(Some)
}
