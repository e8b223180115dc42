//! What a running farm answers.

use serde::{Deserialize, Serialize};

use super::request::OutletWord;
use crate::farm::Inventory;

/// The answer to one request, in one line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// It was done; this is what was asked for.
    Ok(Seen),
    /// It was not done, and why.
    Error(String),
}

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Seen {
    /// What runs where.
    Inventory(Inventory),
    /// A server.
    Server(MachineView),
    /// A PDU.
    Pdu(PduView),
    /// What happened.
    Effects(Vec<EffectView>),
}

/// How a server is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MachineView {
    /// Name.
    pub name: String,
    /// Whether the host is on.
    pub is_on: bool,
    /// Whether the BMC has power and has booted.
    pub bmc_answers: bool,
    /// How often the BMC died or was restarted.
    pub bmc_boots: u64,
    /// What happens when mains power returns.
    pub restore_policy: String,
    /// The outlets that feed it.
    pub feeds: Vec<OutletLine>,
    /// How it misbehaves, in words.
    pub faults: Vec<String>,
}

/// How a PDU is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PduView {
    /// Name.
    pub name: String,
    /// Its outlets.
    pub outlets: Vec<OutletLine>,
    /// How it misbehaves, in words.
    pub faults: Vec<String>,
}

/// How an outlet is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OutletLine {
    /// The PDU's name.
    pub pdu: String,
    /// The outlet's number.
    pub number: u16,
    /// The name given to it.
    pub name: String,
    /// Whether the PDU believes it is on.
    pub is_on: bool,
    /// Whether a command waits.
    pub is_pending: bool,
    /// Watts that flow.
    pub watts: u32,
    /// Amperes that flow.
    pub amps: f64,
    /// How it misbehaves.
    pub fault: OutletWord,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EffectView {
    /// Milliseconds after the farm started.
    pub at_ms: u64,
    /// The server or PDU.
    pub device: String,
    /// What happened.
    pub what: String,
}
