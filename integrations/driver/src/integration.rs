use async_trait::async_trait;
use rackhand_wire::{Descriptor, Fault, FieldError, Secrets, Timings, api::agent::Transport};
use serde_json::Value;
use std::sync::Arc;

use crate::{Endpoint, Guard};

/// One integration: the value that the list of drivers holds.
#[async_trait]
pub trait Integration: Send + Sync {
    /// Tells the static facts.
    fn descriptor(&self) -> &'static Descriptor;

    /// Finds what only this integration can say against its parameters; [`crate::check::endpoint`] has
    /// already compared them with the descriptor.
    fn check(&self, _params: &Value, _secrets: &Secrets) -> Vec<FieldError> {
        Vec::new()
    }

    /// Parses a target in the integration's own words (`7`, `AA3`); pure, used by the backend.
    ///
    /// # Errors
    /// What is wrong with which field.
    fn parse_target(&self, target: &Value) -> Result<Value, FieldError> {
        Ok(target.clone())
    }

    /// The label of a target for people: `Outlet 7`. Empty when the endpoint alone says it all.
    fn target_label(&self, _target: &Value) -> String {
        String::new()
    }

    /// Recognises a pasted address or URL and fills in what it can.
    fn suggest(&self, _pasted: &str) -> Option<Suggestion> {
        None
    }

    /// The address that must be unique per agent, so that one device is not added twice.
    fn address(&self, params: &Value) -> Option<String>;

    /// The packets that an agent exchanges with the device, for whoever keeps the firewall between them.
    fn flow(&self, params: &Value) -> Option<Flow>;

    /// Opens the device. Must not block on the network where it can be put off to the first request.
    ///
    /// # Errors
    /// Any [`Fault`].
    async fn open(&self, opening: Opening<'_>) -> Result<Arc<dyn Endpoint>, Fault>;
}

/// What an integration gets to open a device.
#[derive(Clone, Copy)]
pub struct Opening<'a> {
    /// Parameters, checked.
    pub params: &'a Value,
    /// Credentials.
    pub secrets: &'a Secrets,
    /// Identity pinned when the endpoint was added.
    pub pinned: Option<&'a str>,
    /// All durations.
    pub timings: &'a Timings,
    /// Which addresses may be spoken to; [`crate::Place`] asks it.
    pub guard: &'a Arc<Guard>,
}

/// Where an agent sends its packets.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Flow {
    /// Address or name of the device.
    pub host: String,
    /// What carries them.
    pub transport: Transport,
    /// The device's port.
    pub port: u16,
}

/// What a pasted text means.
#[derive(Debug, Clone, PartialEq)]
pub struct Suggestion {
    /// Parameters that the text tells.
    pub params: Value,
    /// Target that the text tells.
    pub target: Value,
    /// 0–100: how sure the integration is that the text is its own.
    pub certainty: u8,
}
