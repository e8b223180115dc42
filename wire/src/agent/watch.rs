use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Answer, Fault, Operation, command::EndpointSpec, id::EndpointId, operation::Identity};

/// A device that an agent looks at by itself, again and again. Credentials travel beside it, never in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Look {
    /// The device.
    pub endpoint: EndpointId,
    /// Its integration.
    pub kind: String,
    /// Its parameters, without secrets.
    pub params: Value,
    /// The identity pinned when it was added.
    pub pinned: Option<String>,
    /// It is asked what it is before anything is read.
    pub identify: bool,
    /// What is read.
    pub reads: Vec<Read>,
    /// Between two looks.
    pub every_ms: u64,
    /// Names what the parameters lead to: it comes back with every sample, and one of another generation says
    /// nothing of this device.
    pub generation: String,
    /// Is another one whenever anything here has changed, or the credentials.
    pub mark: String,
    /// It cannot be asked without credentials.
    pub needs_secrets: bool,
}

impl Look {
    /// How to reach the device.
    #[must_use]
    pub fn spec(&self) -> EndpointSpec {
        EndpointSpec {
            id: Some(self.endpoint),
            kind: self.kind.clone(),
            params: self.params.clone(),
            pinned: self.pinned.clone(),
        }
    }
}

/// One thing to read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Read {
    /// The server's place on the device.
    pub target: Value,
    /// What is asked.
    pub operation: Operation,
}

/// One line of what an agent kept for its backend.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "snake_case")]
#[cfg_attr(
    not(target_arch = "wasm32"),
    expect(clippy::large_enum_variant, reason = "nearly every entry is a sample")
)]
pub enum Entry {
    /// What a look found.
    Sample(Sample),
    /// The agent was restarted while it had no backend: devices that need credentials were not asked.
    RestartedAlone {
        /// How many.
        devices: u64,
        /// For how long.
        lasted_ms: u64,
        /// How long ago that ended.
        age_ms: u64,
    },
}

/// What a look found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// The device.
    pub endpoint: EndpointId,
    /// The [`Look::generation`] that was looked at.
    pub generation: String,
    /// How long before this was sent the device was asked.
    pub age_ms: u64,
    /// What it said.
    pub found: Found,
}

/// What a device said to a look.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "found", rename_all = "snake_case")]
pub enum Found {
    /// It was asked everything.
    Answers {
        /// What it is, when that was asked.
        identity: Option<Identity>,
        /// What was read of each target.
        answers: Vec<Answered>,
    },
    /// It did not even say what it is.
    Nothing {
        /// Why not.
        fault: Fault,
    },
}

/// What was read of one target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answered {
    /// The server's place on the device.
    pub target: Value,
    /// The answer or the failure.
    pub result: Result<Answer, Fault>,
}
