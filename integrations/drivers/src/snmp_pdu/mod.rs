//! Switched PDUs over SNMP.
//!
//! One driver for all models: what differs between them is data in `models/`. An outlet is addressed as people
//! call it (`7`, `AA3`); [`detect`] finds out the model, [`endpoint`] talks to the device. Nothing here decides
//! about servers, it only knows outlets.

mod descriptor;
mod detect;
mod endpoint;
mod fault;
mod line;
mod model;
mod outlet;
mod settings;
mod socket;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_trait::async_trait;
use rackhand_driver::{Endpoint, Flow, Integration, Opening, Suggestion};
use rackhand_wire::{Descriptor, Fault, FieldError, api::agent::Transport};
use serde_json::{Value, json};

/// The integration of switched PDUs.
pub struct SnmpPdu;

#[async_trait]
impl Integration for SnmpPdu {
    fn descriptor(&self) -> &'static Descriptor {
        &descriptor::DESCRIPTOR
    }

    fn parse_target(&self, target: &Value) -> Result<Value, FieldError> {
        Ok(json!({ "outlet": label(target)? }))
    }

    fn target_label(&self, target: &Value) -> String {
        label(target).map(|outlet| format!("Outlet {outlet}")).unwrap_or_default()
    }

    fn suggest(&self, pasted: &str) -> Option<Suggestion> {
        let rest = pasted.trim().strip_prefix("snmp://")?;
        let authority = rest.split(['/', '?']).next().filter(|text| !text.is_empty())?;
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) => (host, port.parse::<u16>().ok()?),
            None => (authority, 161),
        };
        let params = json!({ "host": host, "port": port });
        Some(Suggestion { params, target: Value::Null, certainty: 95 })
    }

    fn address(&self, params: &Value) -> Option<String> {
        let host = params.get("host")?.as_str()?.to_ascii_lowercase();
        let port = params.get("port").and_then(Value::as_u64).unwrap_or(161);
        Some(format!("{host}:{port}"))
    }

    fn flow(&self, params: &Value) -> Option<Flow> {
        let host = params.get("host")?.as_str()?.to_owned();
        let port = params.get("port").and_then(Value::as_u64).and_then(|port| u16::try_from(port).ok());
        Some(Flow { host, transport: Transport::Udp, port: port.unwrap_or(161) })
    }

    async fn open(&self, opening: Opening<'_>) -> Result<Arc<dyn Endpoint>, Fault> {
        let settings = settings::parse(opening.params, opening.secrets)?;
        Ok(Arc::new(endpoint::Pdu::new(settings, &opening)))
    }
}

/// Reads the outlet out of a target.
fn label(target: &Value) -> Result<String, FieldError> {
    match target.get("outlet") {
        Some(Value::String(text)) => outlet::parse(text),
        Some(Value::Number(number)) => outlet::parse(&number.to_string()),
        Some(Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_)) | None => {
            Err(FieldError::new("outlet", "required", "Outlet is needed."))
        }
    }
}
