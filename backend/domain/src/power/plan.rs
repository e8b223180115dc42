//! What a run knows before it begins.

use rackhand_wire::{
    PowerAction, Timings,
    api::power::Via,
    id::{ConnectionId, EndpointId},
    power::RestorePolicy,
};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// One connection with power ticked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Path {
    /// The connection.
    pub connection: ConnectionId,
    /// The device behind it.
    pub endpoint: EndpointId,
    /// `IPMI 10.0.0.7`, `outlet 7 on pdu-a`.
    pub label: String,
}

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    /// The action.
    pub what: PowerAction,
    /// Which paths may be used.
    pub via: Via,
    /// Reset of a server that is off becomes `on`.
    pub on_if_off: bool,
    /// A soft shutdown past its deadline becomes `off`.
    pub escalate: bool,
}

impl Action {
    /// Says whether it switches a server on that is off: then it is `on`.
    #[must_use]
    pub fn is_on_when_off(&self) -> bool {
        match self.what {
            PowerAction::Cycle => true,
            PowerAction::Reset => self.on_if_off,
            PowerAction::On | PowerAction::Off | PowerAction::Shutdown | PowerAction::Nmi => false,
        }
    }
}

/// Everything that a run decides by. Stored with the job, so that a restart decides the same way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// What was asked for.
    pub action: Action,
    /// Paths that control the machine itself, best first.
    pub controllers: Vec<Path>,
    /// Outlets that feed it, sorted by PDU and outlet; all together are one path.
    pub outlets: Vec<Path>,
    /// Why automatic fallback is out of the question, known beforehand (policy, mapping, sharing).
    pub fallback_refusal: Option<Refusal>,
    /// Why the outlets must not be switched either way, even by force: maintenance, or they feed something else,
    /// or also a server that was not named.
    pub switch_refusal: Option<Refusal>,
    /// Why the outlets must not be cut, even by force (firmware update, mapping not complete).
    pub cut_refusal: Option<Refusal>,
    /// At least one outlet was read off at the last look: `on` restores the feeds first.
    pub feeds_missing: bool,
    /// All outlets were read off at the last look: they are asked before a BMC that has no power.
    pub feeds_dark: bool,
    /// What the server does when its feeds return, where its controller has said so.
    #[serde(default)]
    pub restore_policy: Option<RestorePolicy>,
    /// Its outlets are metered and what it draws while it runs is known.
    #[serde(default)]
    pub draw_known: bool,
    /// Durations.
    pub rhythm: Rhythm,
}

/// Why something is not done, for programs and for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Stable word: `feeds_incomplete`, `fallback_disabled`, `shared_outlet` …
    pub code: String,
    /// One sentence.
    pub sentence: String,
}

impl Plan {
    /// Says why the outlets must not be brought to that state.
    #[must_use]
    pub fn outlet_refusal(&self, cuts: Cuts) -> Option<&Refusal> {
        let cut = self.cut_refusal.as_ref().filter(|_| cuts == Cuts::Yes);
        self.switch_refusal.as_ref().or(cut)
    }

    /// Says whether outlets are the path of choice, not the fallback.
    #[must_use]
    pub fn is_by_outlets(&self) -> bool {
        self.action.via == Via::Outlets || self.controllers.is_empty()
    }

    /// Says whether dark outlets are switched on before the controller is asked, as things stood at the last look.
    #[must_use]
    pub fn feeds_come_first(&self) -> bool {
        let (dark, cuts) = if self.action.what == PowerAction::On {
            (self.feeds_missing, Cuts::No)
        } else {
            (self.feeds_dark && self.action.is_on_when_off(), Cuts::Yes)
        };
        let may = self.outlet_refusal(cuts).is_none();
        dark && may && !self.outlets.is_empty() && !self.is_by_outlets()
    }
}

/// Whether outlets are switched off on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cuts {
    /// They are.
    Yes,
    /// They are only switched on.
    No,
}

impl From<PowerAction> for Cuts {
    fn from(action: PowerAction) -> Self {
        match action {
            PowerAction::Off | PowerAction::Cycle => Self::Yes,
            PowerAction::On | PowerAction::Shutdown | PowerAction::Reset | PowerAction::Nmi => Self::No,
        }
    }
}

impl Refusal {
    /// Makes a refusal.
    #[must_use]
    pub fn new(code: &str, sentence: impl Into<String>) -> Self {
        Self { code: code.into(), sentence: sentence.into() }
    }

    /// Whoever cuts the power of a board that writes its firmware may have killed it.
    #[must_use]
    pub fn firmware_update() -> Self {
        Self::new(
            "firmware_update",
            "The firmware of the BMC is being written; wait until it answers again, or for an hour of silence.",
        )
    }
}

/// The machine's durations in milliseconds, taken from [`Timings`] when the job begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rhythm {
    /// See [`Timings::outlet_read_back`].
    pub outlet_read_back: u64,
    /// See [`Timings::outlet_poll`].
    pub outlet_poll: u64,
    /// See [`Timings::read_back`].
    pub read_back: u64,
    /// See [`Timings::read_back_first`].
    pub read_back_first: u64,
    /// See [`Timings::hold`].
    pub hold: u64,
    /// See [`Timings::discharge`].
    pub discharge: u64,
    /// See [`Timings::feed_spacing`].
    pub feed_spacing: u64,
    /// See [`Timings::bmc_warm_up`].
    pub warm_up: u64,
    /// See [`Timings::bmc_warm_up_poll`].
    pub warm_up_poll: u64,
    /// See [`Timings::soft_deadline`].
    pub soft_deadline: u64,
    /// See [`Timings::soft_poll`].
    pub soft_poll: u64,
    /// See [`Timings::soft_repress`].
    pub soft_repress: u64,
    /// See [`Timings::restore_slack`].
    pub restore_slack: u64,
    /// See [`Timings::busy_back_off`].
    pub busy_back_off: u64,
    /// See [`Timings::busy_budget`].
    pub busy_budget: u64,
    /// See [`Timings::state_retry`].
    pub state_retry: u64,
}

impl From<&Timings> for Rhythm {
    fn from(t: &Timings) -> Self {
        Self {
            outlet_read_back: ms(t.outlet_read_back),
            outlet_poll: ms(t.outlet_poll),
            read_back: ms(t.read_back),
            read_back_first: ms(t.read_back_first),
            hold: ms(t.hold),
            discharge: ms(t.discharge),
            feed_spacing: ms(t.feed_spacing),
            warm_up: ms(t.bmc_warm_up),
            warm_up_poll: ms(t.bmc_warm_up_poll),
            soft_deadline: ms(t.soft_deadline),
            soft_poll: ms(t.soft_poll),
            soft_repress: ms(t.soft_repress),
            restore_slack: ms(t.restore_slack),
            busy_back_off: ms(t.busy_back_off),
            busy_budget: ms(t.busy_budget),
            state_retry: ms(t.state_retry),
        }
    }
}

fn ms(d: Duration) -> u64 {
    u64::try_from(d.as_millis()).unwrap_or(u64::MAX).max(1)
}
