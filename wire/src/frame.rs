//! What the backend and an agent say to each other.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use crate::{
    Answer, Command, Fault,
    command::Outlet,
    id::{AgentId, CommandId},
};

/// From the backend.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "frame", rename_all = "snake_case")]
pub enum ToAgent {
    /// Do this.
    Execute(Command),
    /// These outlets stay off: off was proven on all of them. Answered as a command is; it fails, and
    /// nothing is kept off, when one of the cuts was undone meanwhile.
    KeepOff {
        /// Id of the answer.
        id: CommandId,
        /// The commands that the caller cut with.
        cuts: Vec<CommandId>,
        /// The outlets; cuts of earlier callers are kept off too.
        outlets: Vec<Outlet>,
    },
    /// The backend has stored these outcomes; the journal may forget them.
    Acknowledge {
        /// The commands.
        commands: Vec<CommandId>,
    },
}

/// From an agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "frame", rename_all = "snake_case")]
pub enum ToBackend {
    /// First frame of a session.
    Hello(Hello),
    /// The device was asked: the line sent, for the job's timeline.
    Started {
        /// The command.
        command: CommandId,
    },
    /// How it ended.
    Finished {
        /// The command.
        command: CommandId,
        /// The answer or the failure.
        result: Result<Answer, Fault>,
        /// How long the device took, by the agent's clock.
        took_ms: u64,
    },
    /// The agent restored by itself what a command had cut, or failed to: it tells the first failure and,
    /// while it tries on, at last the success.
    Restored {
        /// The cutting command.
        cut: CommandId,
        /// Whether the outlet was read on afterwards.
        result: Result<(), Fault>,
    },
}

/// Who an agent is and what it knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The agent.
    pub agent: AgentId,
    /// Its software.
    pub version: String,
    /// Kind → hash of the descriptor it was built with.
    pub kinds: BTreeMap<String, String>,
}
