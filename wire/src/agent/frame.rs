use serde::{Deserialize, Serialize};
use std::time::Duration;
use uuid::Uuid;

use super::watch::{Entry, Look};
use crate::{
    Answer, Command, Fault,
    command::Outlet,
    id::{CommandId, EndpointId},
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
    /// The backend has stored that the agent restored these cuts; it need not tell it again.
    Noted {
        /// The cutting commands.
        cuts: Vec<CommandId>,
    },
    /// Credentials of a device, sealed beside this: the answer to [`ToBackend::NeedSecrets`].
    Secrets {
        /// The device.
        endpoint: EndpointId,
    },
    /// A renewed certificate, the answer to [`ToBackend::Renew`].
    Certificate {
        /// PEM.
        certificate: String,
        /// It shall be renewed after so long.
        renew_in_ms: u64,
    },
    /// Answers [`ToBackend::Hold`]: what was asked when that was sent holds for the lease's length from then.
    Held {
        /// Number of the question.
        number: u64,
    },
    /// The backend stops soon: connect anew, elsewhere if the name leads elsewhere.
    GoAway {
        /// How long the backend still serves this session.
        within_ms: u64,
    },
    /// All looks of the agent follow, up to [`ToAgent::WatchEnd`].
    WatchBegin {},
    /// Look at this device by yourself from now on, as said here; its credentials are sealed beside this.
    Watch(Look),
    /// These were all looks since [`ToAgent::WatchBegin`]: whatever else the agent looks at ends.
    WatchEnd {},
    /// Look at these devices no more.
    Unwatch {
        /// The devices.
        endpoints: Vec<EndpointId>,
    },
    /// Look at these devices now, whenever they would be due.
    LookNow {
        /// The devices.
        endpoints: Vec<EndpointId>,
    },
    /// The backend has stored what the agent kept for it; it may forget that.
    Stored {
        /// Where the numbers count.
        spool: Uuid,
        /// Up to this number.
        through: u64,
    },
}

impl ToAgent {
    /// Every `frame` of this build.
    pub const KNOWN: [&str; 14] = [
        "execute",
        "keep_off",
        "acknowledge",
        "noted",
        "secrets",
        "certificate",
        "held",
        "go_away",
        "watch_begin",
        "watch",
        "watch_end",
        "unwatch",
        "look_now",
        "stored",
    ];
}

impl ToAgent {
    /// Takes what an order has waited off the time within which it must begin.
    pub fn spend(&mut self, waited: Duration) {
        if let Self::Execute(Command { expires_in_ms: Some(left), .. }) = self {
            *left = left.saturating_sub(u64::try_from(waited.as_millis()).unwrap_or(u64::MAX));
        }
    }
}

/// From an agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "frame", rename_all = "snake_case")]
pub enum ToBackend {
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
    /// Renews the agent's lease on the devices that it shares with others of its group.
    Hold {
        /// Number of the question.
        number: u64,
    },
    /// Cuts that the agent means to undo by itself, told first in a session: those of which off was proven
    /// meanwhile are answered with [`ToAgent::KeepOff`].
    Dark {
        /// The cutting commands.
        cuts: Vec<CommandId>,
    },
    /// Asks for the credentials of a device that it must switch on again: they were lost with a restart.
    NeedSecrets {
        /// The device.
        endpoint: EndpointId,
    },
    /// Asks for a certificate for a fresh key. The agent has saved the key already.
    Renew {
        /// Certificate request, PEM.
        request: String,
    },
    /// What was found by looks, in order; kept until [`ToAgent::Stored`]. A number that is left out was dropped
    /// to make room.
    Samples {
        /// Where the numbers count.
        spool: Uuid,
        /// Number of the first entry; each has the next one.
        first: u64,
        /// The entries.
        entries: Vec<Entry>,
    },
    /// The agent's disk takes nothing, or takes something again. What looks find waits in memory meanwhile, and no
    /// command that changes something is begun.
    Disk {
        /// Why not; absent when all is well again.
        fault: Option<String>,
    },
}

impl ToBackend {
    /// Every `frame` of this build.
    pub const KNOWN: [&str; 9] =
        ["started", "finished", "restored", "hold", "dark", "need_secrets", "renew", "samples", "disk"];
}
