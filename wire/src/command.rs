//! An operation on its way to an agent.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Operation,
    id::{CommandId, EndpointId},
};

/// One operation for one device, executed at most once. Credentials travel beside it, never in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Command {
    /// Known ids are answered from the journal, not repeated.
    pub id: CommandId,
    /// The device.
    pub endpoint: EndpointSpec,
    /// The server's place on the device: `{"outlet": "7"}`.
    pub target: Value,
    /// What to do.
    pub operation: Operation,
    /// How long it may wait before it starts; `None` for what finishes to a safe state, which never
    /// expires. Counted by the agent's own clock from receipt.
    pub expires_in_ms: Option<u64>,
    /// The agent switches on again by itself what this command cuts, after so long, unless told
    /// otherwise by a later command on the same outlet or by [`crate::agent::ToAgent::KeepOff`].
    pub restore_after_ms: Option<u64>,
    /// A command of an older epoch for the same device is refused.
    pub fence: u64,
    /// Other agents may reach the device too: it is written only while this one holds its lease.
    #[serde(default)]
    pub leased: bool,
    /// Whether somebody waits for it.
    #[serde(default)]
    pub urgency: Urgency,
}

/// Whether somebody waits for a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Urgency {
    /// A person or a job does.
    #[default]
    Awaited,
    /// A look that can be had later: a read that gives way to whatever is awaited of the same device.
    Background,
}

/// An outlet of a device, however the device is reached.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outlet {
    /// The device.
    pub endpoint: EndpointId,
    /// The place on it, as in [`Command::target`].
    pub target: Value,
}

/// How to reach a device, without its credentials.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EndpointSpec {
    /// Which one; absent while it is only being tried.
    pub id: Option<EndpointId>,
    /// Its integration.
    pub kind: String,
    /// Its parameters, without secrets.
    pub params: Value,
    /// The identity pinned when it was added; another one is refused before any write.
    pub pinned: Option<String>,
}
