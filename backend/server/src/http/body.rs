//! Request bodies, with the wrong field named.

use actix_web::{FromRequest, HttpRequest, dev::Payload, web::Bytes};
use futures::future::LocalBoxFuture;
use rackhand_wire::FieldError;
use serde::de::DeserializeOwned;

use super::problem::Refused;

/// A JSON body. Errors name the field and say what was expected.
pub struct Body<T>(pub T);

impl<T: DeserializeOwned + 'static> FromRequest for Body<T> {
    type Error = Refused;
    type Future = LocalBoxFuture<'static, Result<Self, Refused>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let json =
            request.headers().get("content-type").and_then(|value| value.to_str().ok()).is_some_and(|t| {
                let kind = t.split(';').next().unwrap_or(t).trim();
                kind.eq_ignore_ascii_case("application/json")
            });
        let bytes = Bytes::from_request(request, payload);
        Box::pin(async move {
            let bytes = bytes.await.map_err(|error| {
                if error.as_response_error().status_code().as_u16() == 413 {
                    Refused::TooLarge
                } else {
                    Refused::Malformed("The body could not be read.".into())
                }
            })?;
            if !json {
                return Err(Refused::Malformed("Send JSON with Content-Type: application/json.".into()));
            }
            parse(&bytes).map(Self)
        })
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refused> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| explain(&error))?;
    reader.end().map_err(|error| Refused::Malformed(format!("The body goes on after its end: {error}.")))?;
    Ok(value)
}

fn explain(error: &serde_path_to_error::Error<serde_json::Error>) -> Refused {
    let cause = error.inner();
    if !cause.is_data() {
        return Refused::Malformed(format!("The body is not JSON: {cause}."));
    }
    let text = cause.to_string();
    let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(sentence, _)| sentence);
    let path = error.path().to_string();
    let path = if path == "." { "" } else { path.as_str() };
    let named = |prefix: &str| {
        let name = text.strip_prefix(prefix)?.split('`').next()?;
        // An unknown field is already part of the path, a missing one is not.
        let known = path == name || path.ends_with(&format!(".{name}"));
        Some(if path.is_empty() || known {
            if known { path.to_owned() } else { name.to_owned() }
        } else {
            format!("{path}.{name}")
        })
    };
    let (field, code) = if let Some(field) = named("unknown field `") {
        (field, "unknown_field")
    } else if let Some(field) = named("missing field `") {
        (field, "required")
    } else if text.starts_with("unknown variant") {
        (path.to_owned(), "unknown_choice")
    } else {
        (path.to_owned(), "wrong_type")
    };
    let mut sentence = text.to_owned();
    if let Some(first) = sentence.get(..1) {
        sentence = format!("{}{}.", first.to_uppercase(), sentence.get(1..).unwrap_or_default());
    }
    Refused::Invalid(vec![FieldError::new(field, code, sentence)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use rackhand_wire::api::{connection::AddConnection, power::StartPower, server::AddServer};

    fn field<T: DeserializeOwned>(json: &str) -> (String, String) {
        match parse::<T>(json.as_bytes()) {
            Err(Refused::Invalid(errors)) => (errors[0].field.clone(), errors[0].code.clone()),
            Err(other) => (String::new(), format!("{other:?}")),
            Ok(_) => (String::new(), "accepted".into()),
        }
    }

    #[test]
    fn the_wrong_field_is_named() {
        let told = |field: &str, code: &str| (field.to_owned(), code.to_owned());
        assert_eq!(field::<AddServer>(r#"{"name":"a","size":3}"#), told("size", "unknown_field"));
        assert_eq!(field::<AddServer>(r#"{"rack":"a"}"#), told("name", "required"));
        assert_eq!(field::<AddServer>(r#"{"name":7}"#), told("name", "wrong_type"));
        assert_eq!(field::<AddServer>(r#"{"name":"a","tags":[1]}"#), told("tags[0]", "wrong_type"));
        assert_eq!(field::<StartPower>(r#"{"action":"explode"}"#), told("action", "unknown_choice"));
        assert_eq!(
            field::<AddConnection>(r#"{"endpoint":{"kind":"ipmi","params":{},"oops":1}}"#),
            told("endpoint.oops", "unknown_field")
        );
        assert_eq!(
            field::<AddConnection>(r#"{"endpoint":{"kind":"ipmi"}}"#),
            told("endpoint.params", "required")
        );
    }

    #[test]
    fn what_is_not_json_is_malformed() {
        assert!(matches!(parse::<AddServer>(b"{"), Err(Refused::Malformed(_))));
        assert!(matches!(parse::<AddServer>(b"{\"name\":\"a\"} x"), Err(Refused::Malformed(_))));
    }
}
