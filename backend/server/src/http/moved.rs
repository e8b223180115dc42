//! Saved secrets stay with the address that they were saved for.

use rackhand_driver::Integration;
use rackhand_store::endpoints::Reach;
use rackhand_wire::{Field, FieldError, Secrets};
use serde_json::Value;

use super::problem::Refused;

/// Refuses to send saved secrets to another device than before: whoever may name an address could read them
/// there. Those that the new parameters ask for must be entered again, the others are forgotten.
///
/// # Errors
/// A field error for every secret that was not entered.
pub fn entered_again(
    integration: &dyn Integration,
    saved: &Reach,
    params: &Value,
    secrets: &mut Secrets,
    entered: impl Fn(&str) -> bool,
) -> Result<(), Refused> {
    let descriptor = integration.descriptor();
    let same_kind = descriptor.kind == saved.endpoint.kind;
    if same_kind && integration.address(params) == integration.address(&saved.endpoint.params) {
        return Ok(());
    }
    let mut errors = Vec::new();
    for name in saved.secrets.names().filter(|name| !entered(name)) {
        secrets.remove(name);
        if let Some(field) = descriptor.endpoint_field(name).filter(|field| is_shown(field, params)) {
            errors.push(FieldError::new(name, "required", sentence(&field.label)).under("secrets"));
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(Refused::Invalid(errors)) }
}

fn is_shown(field: &Field, params: &Value) -> bool {
    let Some(condition) = &field.shown_when else { return true };
    let value = params.get(&condition.field);
    let text = value.map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
    text.is_some_and(|text| condition.values.contains(&text))
}

/// A label begins with a capital letter; within a sentence only an abbreviation does.
fn sentence(label: &str) -> String {
    let word = label.split(' ').next().unwrap_or_default();
    let abbreviation = word.chars().filter(|c| c.is_uppercase()).count() > 1;
    let label = if abbreviation { label.to_owned() } else { label.to_lowercase() };
    format!("The address changed, so enter the {label} again.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_reads_well_within_the_sentence() {
        assert_eq!(sentence("Password"), "The address changed, so enter the password again.");
        assert_eq!(sentence("BMC key (Kg)"), "The address changed, so enter the BMC key (Kg) again.");
    }
}
