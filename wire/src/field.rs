//! Form fields: what an integration needs to know, drawn by the browser without knowing why.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One field of a form.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Field {
    /// Key in the stored parameters.
    pub name: String,
    /// Caption.
    pub label: String,
    /// One sentence below the field; may be empty.
    pub help: String,
    /// Example inside the empty field; may be empty.
    pub placeholder: String,
    /// How it is entered.
    pub input: Input,
    /// Must be filled in.
    pub required: bool,
    /// Folded away under "More settings".
    pub advanced: bool,
    /// Used when left empty.
    #[cfg_attr(feature = "openapi", schema(value_type = Value))]
    pub default: Option<Value>,
    /// Shown only while another field has one of these values.
    pub shown_when: Option<Condition>,
}

impl Field {
    /// Makes a required text-like field; the other settings are chained.
    #[must_use]
    pub fn new(name: &str, label: &str, input: Input) -> Self {
        Self {
            name: name.into(),
            label: label.into(),
            help: String::new(),
            placeholder: String::new(),
            input,
            required: true,
            advanced: false,
            default: None,
            shown_when: None,
        }
    }

    /// Adds the sentence below.
    #[must_use]
    pub fn help(mut self, text: &str) -> Self {
        self.help = text.into();
        self
    }

    /// Adds the example.
    #[must_use]
    pub fn placeholder(mut self, text: &str) -> Self {
        self.placeholder = text.into();
        self
    }

    /// Lets it be empty.
    #[must_use]
    pub fn optional(mut self) -> Self {
        self.required = false;
        self
    }

    /// Folds it away.
    #[must_use]
    pub fn advanced(mut self) -> Self {
        self.advanced = true;
        self
    }

    /// Gives a value for an empty field, which is then no longer required.
    #[must_use]
    pub fn default(mut self, value: impl Into<Value>) -> Self {
        self.default = Some(value.into());
        self.required = false;
        self
    }

    /// Shows it only while `field` has one of `values`.
    #[must_use]
    pub fn shown_when(mut self, field: &str, values: &[&str]) -> Self {
        self.shown_when =
            Some(Condition { field: field.into(), values: values.iter().map(|v| (*v).into()).collect() });
        self
    }

    /// Says whether its value is a secret.
    #[must_use]
    pub fn is_secret(&self) -> bool {
        matches!(self.input, Input::Secret { .. })
    }
}

/// How a field is entered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "type", rename_all = "snake_case", try_from = "Loose")]
pub enum Input {
    /// Plain text of at most so many bytes.
    Text {
        /// Bytes.
        max: usize,
    },
    /// Host name or IP address.
    Host,
    /// Whole number.
    Number {
        /// Least.
        min: i64,
        /// Greatest.
        max: i64,
    },
    /// Sealed at rest, masked in answers, absent from logs: this is the one fact that makes it so.
    Secret {
        /// Bytes, at least.
        min: usize,
        /// Bytes, at most.
        max: usize,
    },
    /// One of several.
    Choice {
        /// In order.
        options: Vec<Choice>,
    },
    /// Yes or no.
    Check,
    /// An outlet of the endpoint: picked from the outlets that the device listed, or typed.
    Outlet,
}

/// An input with whatever belongs to any of them: read in one go, where reading each kind for itself would
/// cost the browser 12 kB.
#[derive(Deserialize)]
struct Loose {
    r#type: String,
    #[serde(default)]
    min: i64,
    #[serde(default)]
    max: i64,
    #[serde(default)]
    options: Vec<Choice>,
}

impl TryFrom<Loose> for Input {
    type Error = &'static str;

    fn try_from(loose: Loose) -> Result<Self, Self::Error> {
        let size = |number: i64| usize::try_from(number).map_err(|_| "not a size");
        Ok(match loose.r#type.as_str() {
            "text" => Self::Text { max: size(loose.max)? },
            "host" => Self::Host,
            "number" => Self::Number { min: loose.min, max: loose.max },
            "secret" => Self::Secret { min: size(loose.min)?, max: size(loose.max)? },
            "choice" => Self::Choice { options: loose.options },
            "check" => Self::Check,
            "outlet" => Self::Outlet,
            _ => return Err("an unknown input"),
        })
    }
}

/// One option.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Choice {
    /// Stored.
    pub value: String,
    /// Shown.
    pub label: String,
}

impl Choice {
    /// Makes an option.
    #[must_use]
    pub fn new(value: &str, label: &str) -> Self {
        Self { value: value.into(), label: label.into() }
    }
}

/// When a field is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Condition {
    /// The other field.
    pub field: String,
    /// Its values.
    pub values: Vec<String>,
}

/// What is wrong with one field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FieldError {
    /// Path of the field: `name`, `params.host`, `target.outlet`.
    pub field: String,
    /// Stable word: `required`, `too_long`, `not_a_number`, `duplicate` …
    pub code: String,
    /// One sentence.
    pub message: String,
}

impl FieldError {
    /// Makes one.
    #[must_use]
    pub fn new(field: impl Into<String>, code: &str, message: impl Into<String>) -> Self {
        Self { field: field.into(), code: code.into(), message: message.into() }
    }

    /// Puts the field under a parent: `host` becomes `params.host`.
    #[must_use]
    pub fn under(mut self, parent: &str) -> Self {
        self.field = format!("{parent}.{}", self.field);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_input_is_read_as_it_was_written() {
        for input in [
            Input::Text { max: 60 },
            Input::Host,
            Input::Number { min: -1, max: 65535 },
            Input::Secret { min: 8, max: 20 },
            Input::Choice { options: vec![Choice::new("2c", "Version 2c")] },
            Input::Check,
            Input::Outlet,
        ] {
            let text = serde_json::to_string(&input).unwrap();
            assert_eq!(serde_json::from_str::<Input>(&text).unwrap(), input, "{text}");
        }
        for text in [r#"{"type":"wheel"}"#, r#"{"type":"text","max":-1}"#, "{}"] {
            assert!(serde_json::from_str::<Input>(text).is_err(), "{text}");
        }
    }
}
