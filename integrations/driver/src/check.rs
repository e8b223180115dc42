//! Compares entered values with the fields that a descriptor asks for.

use rackhand_wire::{Descriptor, Field, FieldError, Input, Secrets, field::Condition};
use serde_json::{Map, Value};

/// Checks the parameters and secrets of an endpoint and fills in defaults. Fields that are hidden by
/// their condition are dropped.
///
/// # Errors
/// Every field that is wrong, in the order of the form.
pub fn endpoint(
    descriptor: &Descriptor,
    params: &Value,
    secrets: &Secrets,
) -> Result<Value, Vec<FieldError>> {
    let mut errors = Vec::new();
    let clean = values(&descriptor.endpoint_fields, params, &mut errors);
    for field in descriptor.endpoint_fields.iter().filter(|field| field.is_secret()) {
        if shown(field.shown_when.as_ref(), &clean) {
            errors.extend(secret(field, secrets.find(&field.name)));
        }
    }
    for name in secrets.names() {
        if !descriptor.endpoint_fields.iter().any(|field| field.is_secret() && field.name == name) {
            errors.push(FieldError::new(name, "unknown_field", format!("There is no secret “{name}” here.")));
        }
    }
    if errors.is_empty() { Ok(Value::Object(clean)) } else { Err(errors) }
}

/// Checks the target of a connection and fills in defaults.
///
/// # Errors
/// Every field that is wrong.
pub fn target(descriptor: &Descriptor, target: &Value) -> Result<Value, Vec<FieldError>> {
    let mut errors = Vec::new();
    let clean = values(&descriptor.target_fields, target, &mut errors);
    if errors.is_empty() { Ok(Value::Object(clean)) } else { Err(errors) }
}

fn values(fields: &[Field], given: &Value, errors: &mut Vec<FieldError>) -> Map<String, Value> {
    let empty = Map::new();
    let given = match given {
        Value::Object(map) => map,
        Value::Null => &empty,
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            errors.push(FieldError::new("", "wrong_type", "Expected an object with one value per field."));
            &empty
        }
    };
    for name in given.keys() {
        if !fields.iter().any(|field| &field.name == name) {
            errors.push(FieldError::new(name, "unknown_field", format!("There is no field “{name}” here.")));
        }
    }
    let mut clean = Map::new();
    for field in fields {
        match given.get(&field.name) {
            Some(_) if field.is_secret() => errors.push(FieldError::new(
                &field.name,
                "secret_in_params",
                "Send this value under “secrets”, not under “params”.",
            )),
            _ if !field.is_secret() && shown(field.shown_when.as_ref(), &clean) => {
                match one(field, given.get(&field.name)) {
                    Ok(Some(value)) => {
                        clean.insert(field.name.clone(), value);
                    }
                    Ok(None) => {}
                    Err(error) => errors.push(error),
                }
            }
            Some(_) | None => {}
        }
    }
    clean
}

fn shown(condition: Option<&Condition>, so_far: &Map<String, Value>) -> bool {
    let Some(condition) = condition else { return true };
    let value = match so_far.get(&condition.field) {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => return false,
    };
    condition.values.contains(&value)
}

fn one(field: &Field, given: Option<&Value>) -> Result<Option<Value>, FieldError> {
    let given = match given {
        Some(Value::String(text)) if text.trim().is_empty() => None,
        Some(Value::Null) | None => None,
        Some(value) => Some(value),
    };
    let Some(value) = given else {
        return match (&field.default, field.required) {
            (Some(default), _) => Ok(Some(default.clone())),
            (None, true) => Err(required(field)),
            (None, false) => Ok(None),
        };
    };
    typed(field, value).map(Some)
}

fn typed(field: &Field, value: &Value) -> Result<Value, FieldError> {
    let wrong =
        |what: &str| FieldError::new(&field.name, "wrong_type", format!("{} must be {what}.", field.label));
    match &field.input {
        Input::Text { max } => {
            let text = value.as_str().ok_or_else(|| wrong("text"))?.trim();
            too_long(field, text, *max)?;
            printable(field, text)?;
            Ok(Value::from(text))
        }
        Input::Host => host(field, value.as_str().ok_or_else(|| wrong("a host name or address"))?.trim()),
        Input::Number { min, max } => {
            let number = value
                .as_i64()
                .or_else(|| value.as_str().and_then(|text| text.trim().parse().ok()))
                .ok_or_else(|| wrong("a whole number"))?;
            if number < *min || number > *max {
                let message = format!("{} must be between {min} and {max}.", field.label);
                return Err(FieldError::new(&field.name, "out_of_range", message));
            }
            Ok(Value::from(number))
        }
        Input::Choice { options } => {
            let text = value.as_str().ok_or_else(|| wrong("one of the choices"))?;
            if options.iter().any(|option| option.value == text) {
                return Ok(Value::from(text));
            }
            let known: Vec<&str> = options.iter().map(|option| option.value.as_str()).collect();
            let message = format!("{} must be one of {}.", field.label, known.join(", "));
            Err(FieldError::new(&field.name, "unknown_choice", message))
        }
        Input::Check => value.as_bool().map(Value::from).ok_or_else(|| wrong("true or false")),
        Input::Outlet => {
            let text = match value {
                Value::String(text) => text.trim().to_owned(),
                Value::Number(number) => number.to_string(),
                Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
                    return Err(wrong("an outlet"));
                }
            };
            too_long(field, &text, 32)?;
            printable(field, &text)?;
            Ok(Value::from(text))
        }
        Input::Secret { .. } => Err(wrong("sent under “secrets”")),
    }
}

fn host(field: &Field, text: &str) -> Result<Value, FieldError> {
    too_long(field, text, 253)?;
    let plausible = text.parse::<std::net::IpAddr>().is_ok()
        || (!text.starts_with(['-', '.'])
            && !text.contains("..")
            && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_')));
    if plausible {
        return Ok(Value::from(text));
    }
    let message =
        format!("{} must be a host name or an IP address, without scheme, port or path.", field.label);
    Err(FieldError::new(&field.name, "not_a_host", message))
}

fn secret(field: &Field, value: Option<&str>) -> Option<FieldError> {
    let Input::Secret { min, max } = field.input else { return None };
    match value {
        None | Some("") => field.required.then(|| required(field)),
        Some(text) if text.len() > max => Some(FieldError::new(
            &field.name,
            "too_long",
            format!("{} has {} bytes; at most {max} are possible.", field.label, text.len()),
        )),
        Some(text) if text.len() < min => Some(FieldError::new(
            &field.name,
            "too_short",
            format!("{} needs at least {min} characters.", field.label),
        )),
        Some(_) => None,
    }
}

fn required(field: &Field) -> FieldError {
    FieldError::new(&field.name, "required", format!("{} is needed.", field.label))
}

fn too_long(field: &Field, text: &str, max: usize) -> Result<(), FieldError> {
    if text.len() <= max {
        return Ok(());
    }
    let message = format!("{} has {} bytes; at most {max} are possible.", field.label, text.len());
    Err(FieldError::new(&field.name, "too_long", message))
}

fn printable(field: &Field, text: &str) -> Result<(), FieldError> {
    if text.chars().all(|c| !c.is_control()) {
        return Ok(());
    }
    let message = format!("{} contains a control character.", field.label);
    Err(FieldError::new(&field.name, "not_printable", message))
}
