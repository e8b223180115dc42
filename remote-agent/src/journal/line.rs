//! One fact, as it is written.

use rackhand_wire::{Answer, Fault, id::CommandId};
use serde::{Deserialize, Serialize};

use super::Cut;

/// One line of the file.
#[derive(Serialize, Deserialize)]
#[serde(tag = "fact", rename_all = "snake_case")]
pub enum Line {
    /// A command begins.
    Started {
        /// The command.
        id: CommandId,
        /// What it cuts.
        cut: Option<Cut>,
        /// Time of day in milliseconds since 1970.
        #[serde(default)]
        at: Option<i64>,
    },
    /// A command ended.
    Done {
        /// The command.
        id: CommandId,
        /// How.
        result: Result<Answer, Fault>,
        /// Time of day in milliseconds since 1970.
        #[serde(default)]
        at: Option<i64>,
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
        /// Time of day of its last line before, in milliseconds since 1970.
        #[serde(default)]
        at: Option<i64>,
    },
}
