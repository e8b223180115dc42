//! One fact, as it is written.

use rackhand_wire::{Answer, Fault, id::CommandId};
use serde::{Deserialize, Serialize};

use super::Cut;
use crate::clock::Age;

/// One line of the file.
#[derive(Serialize, Deserialize)]
#[serde(tag = "fact", rename_all = "snake_case")]
pub enum Line {
    /// A command has come and waits for its device.
    Received {
        /// The command.
        id: CommandId,
        /// How old that is.
        #[serde(default)]
        age: Option<Age>,
    },
    /// A command begins.
    Started {
        /// The command.
        id: CommandId,
        /// What it cuts.
        cut: Option<Cut>,
        /// How old that is.
        #[serde(default)]
        age: Option<Age>,
    },
    /// A command ended.
    Done {
        /// The command.
        id: CommandId,
        /// How.
        result: Result<Answer, Fault>,
        /// How old that is.
        #[serde(default)]
        age: Option<Age>,
    },
    /// The agent is about to undo the cut.
    Restoring { id: CommandId },
    /// The cut was undone.
    Restored { id: CommandId },
    /// The agent undid the cut by itself, which the backend must hear.
    Acted { id: CommandId },
    /// The backend has heard it.
    Told { id: CommandId },
    /// The cut needs no restoring any more.
    Settled { id: CommandId },
    /// The backend has stored the outcome.
    Forgotten {
        /// The command.
        id: CommandId,
        /// How old its last line before is, where there is none of it in the file.
        #[serde(default)]
        age: Option<Age>,
    },
}

impl Line {
    /// Finds what it says of its age.
    pub fn age(&self) -> Option<&Age> {
        match self {
            Self::Received { age, .. }
            | Self::Started { age, .. }
            | Self::Done { age, .. }
            | Self::Forgotten { age, .. } => age.as_ref(),
            Self::Restoring { .. }
            | Self::Restored { .. }
            | Self::Acted { .. }
            | Self::Told { .. }
            | Self::Settled { .. } => None,
        }
    }
}
