//! One line of a segment.

use rackhand_wire::{
    agent::{Entry, Found, Sample},
    id::EndpointId,
};
use serde::{Deserialize, Serialize};

/// What is kept, and when it was by the steady clock.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Line {
    /// Its number; they have no end and no gap but where something was dropped.
    pub n: u64,
    /// When it was.
    pub t: u64,
    /// What it says.
    #[serde(flatten)]
    pub what: What,
}

/// A line as it is written.
#[derive(Serialize)]
pub struct Written<'a> {
    /// Its number.
    pub n: u64,
    /// When it was.
    pub t: u64,
    /// What it says.
    #[serde(flatten)]
    pub what: &'a What,
}

/// What a line says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::large_enum_variant, reason = "a line lives for a moment")]
pub enum What {
    /// What a look found.
    Sample(Kept),
    /// The same as on that line of the same segment.
    As(u64),
    /// The agent was restarted alone.
    Alone {
        /// Devices that were not asked.
        devices: u64,
        /// For how long.
        lasted_ms: u64,
    },
}

impl What {
    /// As it is told; what only refers to another line is not.
    #[must_use]
    pub fn entry(self, age_ms: u64) -> Option<Entry> {
        match self {
            Self::Sample(kept) => Some(kept.entry(age_ms)),
            Self::Alone { devices, lasted_ms } => Some(Entry::RestartedAlone { devices, lasted_ms, age_ms }),
            Self::As(_) => None,
        }
    }
}

/// A sample without its time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    /// The device.
    pub endpoint: EndpointId,
    /// What was looked at.
    pub generation: String,
    /// What it said.
    pub found: Found,
}

impl Kept {
    fn entry(self, age_ms: u64) -> Entry {
        let Self { endpoint, generation, found } = self;
        Entry::Sample(Sample { endpoint, generation, age_ms, found })
    }
}
