//! Whether the names that were entered exist.
//!
//! A name is looked up where it will be used: by the embedded agent, which shares this machine's resolver.
//! Only a resolver that says "there is no such name" refuses; one that is silent may answer tomorrow.

use rackhand_driver::{Integration, look_up};
use rackhand_wire::{FaultCode, FieldError, field::Input};
use serde_json::Value;
use std::time::Duration;

use super::problem::Refused;
use crate::{agents::Via, app::App};

/// Longest wait for the resolver while a person waits for the form.
const PATIENCE: Duration = Duration::from_secs(3);

/// Refuses a name that does not exist, at its field.
///
/// # Errors
/// A field error for every such name.
pub async fn known(
    app: &App,
    integration: &dyn Integration,
    params: &Value,
    via: &Via,
) -> Result<(), Refused> {
    let is_here = match (via.agent, via.group.as_deref()) {
        (Some(agent), _) => app.embedded == Some(agent),
        (None, group) => {
            app.embedded.is_some() && group.is_none_or(|group| group == rackhand_store::agents::LOCAL)
        }
    };
    if !is_here {
        return Ok(());
    }
    let mut errors = Vec::new();
    for field in integration.descriptor().endpoint_fields.iter().filter(|field| field.input == Input::Host) {
        let Some(host) = params.get(&field.name).and_then(Value::as_str) else { continue };
        let found = look_up(host, PATIENCE).await;
        if found.is_err_and(|fault| fault.code == FaultCode::Config) {
            let why = format!("There is no host named “{host}”.");
            errors.push(FieldError::new(&field.name, "host_not_found", why).under("params"));
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(Refused::Invalid(errors)) }
}
