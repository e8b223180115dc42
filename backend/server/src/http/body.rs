//! Request bodies, with the wrong field named.

use actix_web::{FromRequest, HttpRequest, dev::Payload, web::Bytes};
use futures::future::LocalBoxFuture;
use rackhand_wire::{FieldError, api::object};
use serde::{Deserialize, Deserializer, de::DeserializeOwned};

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
    let object: Object<T> = serde_path_to_error::deserialize(&mut reader).map_err(|error| explain(&error))?;
    reader.end().map_err(|error| Refused::Malformed(format!("The body goes on after its end: {error}.")))?;
    Ok(object.0)
}

struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        object::read(from).map(Self)
    }
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
    let mut sentence = without_value(text).unwrap_or_else(|| text.to_owned());
    if let Some(first) = sentence.get(..1) {
        sentence = format!("{}{}.", first.to_uppercase(), sentence.get(1..).unwrap_or_default());
    }
    Refused::Invalid(vec![FieldError::new(field, code, sentence)])
}

/// Says what was expected without what was sent, which may be a password in the wrong place, and without names of Rust.
fn without_value(text: &str) -> Option<String> {
    let text = text.strip_prefix("invalid type: ").or_else(|| text.strip_prefix("invalid value: "))?;
    let (found, expected) = text.rsplit_once(", expected ")?;
    let found = match found.split([' ', '`', '"']).next()? {
        "map" => "an object",
        "sequence" => "a list",
        "string" => "a text",
        "integer" | "floating" => "this number",
        "boolean" => "true or false",
        "null" => "null",
        _ => "something else",
    };
    let is_number = |name: &str| matches!(name.as_bytes(), [b'u' | b'i', digits @ ..] if digits.iter().all(u8::is_ascii_digit));
    let expected = match expected {
        "f64" | "f32" => "a number",
        "a string" | "str" => "a text",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "a map" => "an object",
        name if is_number(name) || name == "usize" => "a whole number in range",
        other => other,
    };
    Some(format!("expected {expected}, not {found}"))
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
    fn a_list_is_no_object_although_its_values_would_fit() {
        let told = |field: &str, code: &str| (field.to_owned(), code.to_owned());
        assert_eq!(field::<StartPower>(r#"["off"]"#), told("", "wrong_type"));
        assert_eq!(field::<AddConnection>(r#"{"endpoint":["ipmi",{}]}"#), told("endpoint", "wrong_type"));
        assert_eq!(field::<AddConnection>(r#"{"endpoint":null}"#).1, "accepted");
        assert_eq!(
            field::<AddConnection>(r#"{"endpoint":{"kind":"ipmi","params":{},"name":[]}}"#),
            told("endpoint.name", "wrong_type")
        );
    }

    #[test]
    fn what_was_sent_is_not_said_again() {
        let told = |json: &str| match parse::<AddServer>(json.as_bytes()) {
            Err(Refused::Invalid(errors)) => errors[0].message.clone(),
            _ => String::new(),
        };
        assert_eq!(told(r#"{"name":"a","tags":"se, expected cret"}"#), "Expected a list, not a text.");
        assert_eq!(told(r#"{"name":7}"#), "Expected a text, not this number.");
        assert_eq!(told(r#""secret""#), "Expected an object with a value per field, not a text.");
    }

    #[test]
    fn what_is_not_json_is_malformed() {
        assert!(matches!(parse::<AddServer>(b"{"), Err(Refused::Malformed(_))));
        assert!(matches!(parse::<AddServer>(b"{\"name\":\"a\"} x"), Err(Refused::Malformed(_))));
    }
}
