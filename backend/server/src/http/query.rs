//! Query strings, with the wrong parameter named.

use actix_web::{FromRequest, HttpRequest, dev::Payload, web};
use serde::de::DeserializeOwned;
use std::future::{Ready, ready};

use super::problem::Refused;

/// Parameters of a query string.
pub struct Query<T>(pub T);

impl<T: DeserializeOwned> FromRequest for Query<T> {
    type Error = Refused;
    type Future = Ready<Result<Self, Refused>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let parsed = web::Query::<T>::from_query(request.query_string());
        ready(parsed.map(|query| Self(query.into_inner())).map_err(|error| {
            let text = error.to_string();
            let text = text.strip_prefix("Query deserialize error: ").unwrap_or(&text);
            let (field, code) =
                match text.strip_prefix("unknown field `").and_then(|rest| rest.split('`').next()) {
                    Some(name) => (name.to_owned(), "unknown_field"),
                    None => (String::new(), "wrong_type"),
                };
            Refused::field(&field, code, format!("The query string is not right: {text}."))
        }))
    }
}
