//! What a run asks for, hears, and ends with.

use rackhand_wire::{
    Fault, FaultCode, OutletState, PowerValue,
    api::job::{JobState, Proof},
    power::{Native, PowerReading, Switch},
};
use serde::{Deserialize, Serialize};

use super::plan::Refusal;

/// One thing to do, with why. The worker stores it before it does it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Part of the run: `Controller`, `Check feeds`, `Cut feeds`, `Wait`, `Restore feeds`, `Verify`.
    pub phase: Phase,
    /// Why, in one clause.
    pub reason: String,
    /// What.
    pub effect: Effect,
}

pub(super) fn step(phase: Phase, reason: &str, effect: Effect) -> Step {
    Step { phase, reason: reason.into(), effect }
}

/// Part of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// The machine's own controller is asked.
    Controller,
    /// Gates of the fallback.
    Gates,
    /// Outlets are read: before any is switched, and all together to prove that they are off.
    CheckFeeds,
    /// Outlets are switched off.
    CutFeeds,
    /// Supplies discharge, or the controller's off phase.
    Hold,
    /// Outlets are switched on.
    RestoreFeeds,
    /// The state is read after the last write.
    Verify,
}

impl Phase {
    /// The heading in the timeline.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Controller => "Controller",
            Self::Gates => "Fallback",
            Self::CheckFeeds => "Check feeds",
            Self::CutFeeds => "Cut feeds",
            Self::Hold => "Hold",
            Self::RestoreFeeds => "Restore feeds",
            Self::Verify => "Verify",
        }
    }
}

/// What the worker must do next. Paths are indices into the plan's lists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Effect {
    /// Ask a controller for the state.
    Read {
        /// Which.
        controller: usize,
    },
    /// Send a controller one command.
    Command {
        /// Which.
        controller: usize,
        /// What.
        command: Native,
    },
    /// Read an outlet.
    ReadOutlet {
        /// Which.
        outlet: usize,
    },
    /// Switch an outlet.
    SwitchOutlet {
        /// Which.
        outlet: usize,
        /// To what.
        to: Switch,
        /// The agent restores it by itself after so long.
        restore_after_ms: Option<u64>,
    },
    /// Tell the agents that what was cut stays off.
    KeepOff,
    /// Find out whether an automatic fallback may go on.
    CheckGates,
    /// Come back later.
    Wait {
        /// Milliseconds.
        ms: u64,
    },
    /// The run is over.
    Finish(Verdict),
}

/// What came of an effect.
#[derive(Debug, Clone, PartialEq)]
pub enum Signal {
    /// Answer to [`Effect::Read`].
    Read(Result<PowerReading, Fault>),
    /// Answer to [`Effect::Command`].
    Commanded(Result<(), Fault>),
    /// Answer to [`Effect::ReadOutlet`]: the state, or why it cannot be switched.
    Outlet(Result<OutletSeen, Fault>),
    /// Answer to [`Effect::SwitchOutlet`].
    Switched(Result<(), Fault>),
    /// Answer to [`Effect::KeepOff`].
    Kept(Result<(), Fault>),
    /// Answer to [`Effect::CheckGates`].
    Gates(Result<(), Refusal>),
    /// Answer to [`Effect::Wait`].
    Waited,
}

/// What matters of an outlet's reading.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutletSeen {
    /// Its state.
    pub state: OutletState,
    /// Why it cannot be switched now.
    pub locked: Option<String>,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// How the job stands.
    pub state: JobState,
    /// Stable word for the cause.
    pub reason: String,
    /// One sentence.
    pub summary: String,
    /// What a success rests on.
    pub proof: Option<Proof>,
    /// State that was read after the last write; what is shown from now on.
    pub value: Option<PowerValue>,
    /// A person must be told now.
    pub alarm: bool,
    /// The failure behind it.
    pub fault: Option<FaultCode>,
}

impl Verdict {
    pub(super) fn new(state: JobState, reason: &str, summary: impl Into<String>) -> Self {
        Self {
            state,
            reason: reason.into(),
            summary: summary.into(),
            proof: None,
            value: None,
            alarm: false,
            fault: None,
        }
    }

    pub(super) fn proof(mut self, proof: Proof, value: PowerValue) -> Self {
        self.proof = Some(proof);
        self.value = Some(value);
        self
    }

    pub(super) fn fault(mut self, fault: &Fault) -> Self {
        self.fault = Some(fault.code);
        // A device that makes no sense, twice, is broken or not what it is taken for.
        self.alarm |= fault.code == FaultCode::Proto;
        self
    }

    /// The softer way did not come to an end before.
    pub(super) fn forced(mut self) -> Self {
        self.summary = format!("The system did not shut down in time and was switched off. {}", self.summary);
        self
    }

    pub(super) fn alarm(mut self) -> Self {
        self.alarm = true;
        self
    }
}
