//! BMCs over IPMI: 2.0 with cipher suites 3 and 17, and 1.5 where a person allows it.
//!
//! The protocol itself is [`rackhand_protocols::ipmi`]; here are the form ([`descriptor`]), the socket and
//! its one session per BMC ([`session`]), and what the commands mean for a server ([`device`]).

mod descriptor;
mod device;
mod fault;
mod guid;
mod session;
mod settings;
mod vendor;

#[cfg(test)]
mod tests;

use std::{net::IpAddr, sync::Arc};

use async_trait::async_trait;
use rackhand_driver::{Endpoint, Flow, Integration, Opening, Suggestion};
use rackhand_wire::{Descriptor, Fault, FieldError, Secrets, api::agent::Transport};
use serde_json::{Value, json};

/// The port of IPMI over LAN.
const PORT: u16 = 623;

/// The integration of BMCs over IPMI.
pub struct Ipmi;

#[async_trait]
impl Integration for Ipmi {
    fn descriptor(&self) -> &'static Descriptor {
        &descriptor::DESCRIPTOR
    }

    fn check(&self, params: &Value, secrets: &Secrets) -> Vec<FieldError> {
        settings::check(params, secrets)
    }

    fn suggest(&self, pasted: &str) -> Option<Suggestion> {
        let pasted = pasted.trim();
        let (scheme, rest) = pasted.split_once("://").unwrap_or(("", pasted));
        let authority = rest.split(['/', '?', '#']).next().filter(|text| !text.is_empty())?;
        let certainty = match scheme {
            "ipmi" => 95,
            // A BMC's web page lives at the same address.
            "" | "http" | "https" => likelihood(authority)?,
            _ => return None,
        };
        let (host, port) = host_and_port(authority)?;
        let params = match (scheme, port) {
            // The port of a web page is not that of IPMI.
            ("" | "ipmi", Some(port)) => json!({ "host": host, "port": port }),
            (_, Some(_) | None) => json!({ "host": host }),
        };
        Some(Suggestion { params, target: Value::Null, certainty })
    }

    fn address(&self, params: &Value) -> Option<String> {
        let host = params.get("host")?.as_str()?.to_ascii_lowercase();
        let port = params.get("port").and_then(Value::as_u64).unwrap_or(PORT.into());
        Some(format!("{host}:{port}"))
    }

    fn flow(&self, params: &Value) -> Option<Flow> {
        let host = params.get("host")?.as_str()?.to_owned();
        let port = params.get("port").and_then(Value::as_u64).and_then(|port| u16::try_from(port).ok());
        Some(Flow { host, transport: Transport::Udp, port: port.unwrap_or(PORT) })
    }

    async fn open(&self, opening: Opening<'_>) -> Result<Arc<dyn Endpoint>, Fault> {
        let place = settings::place(&opening)?;
        let settings = settings::parse(&opening)?;
        let session = session::Session::new(place, settings, opening.timings.ipmi_session_idle)?;
        Ok(Arc::new(device::Bmc::new(session)))
    }
}

/// How sure it is that a plain address is a BMC's.
fn likelihood(authority: &str) -> Option<u8> {
    let (host, _) = host_and_port(authority)?;
    if host.parse::<IpAddr>().is_ok() {
        return Some(50);
    }
    let named = ["bmc", "ipmi", "idrac", "ilo", "ipkvm"].iter().any(|word| host.contains(word));
    named.then_some(70)
}

fn host_and_port(authority: &str) -> Option<(&str, Option<u16>)> {
    if authority.parse::<IpAddr>().is_ok() {
        return Some((authority, None));
    }
    if let Some((host, port)) = authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return Some((host, port.strip_prefix(':').and_then(|port| port.parse().ok())));
    }
    match authority.split_once(':') {
        None => Some((authority, None)),
        Some((host, port)) => Some((host, Some(port.parse().ok()?))),
    }
}
