//! Power: what can be asked for, what devices answer, and what is shown.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{Fault, Role, id::ConnectionId};

/// What a person asks for. Order is the order of the buttons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum PowerAction {
    /// Runs afterwards; nothing is done when it already runs.
    On,
    /// Asks the operating system to shut down; never cuts power.
    Shutdown,
    /// Off at once, unsaved data is lost.
    Off,
    /// Off (proven), a pause, then on.
    Cycle,
    /// Restarts without cutting power; sent once, never by outlets.
    Reset,
    /// Sends a diagnostic interrupt.
    Nmi,
}

impl PowerAction {
    /// Every action, in the order of the buttons.
    pub const ALL: [Self; 6] = [Self::On, Self::Shutdown, Self::Off, Self::Cycle, Self::Reset, Self::Nmi];

    /// The word of the API.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Shutdown => "shutdown",
            Self::Off => "off",
            Self::Cycle => "cycle",
            Self::Reset => "reset",
            Self::Nmi => "nmi",
        }
    }

    /// The word on the button.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::On => "On",
            Self::Shutdown => "Shut down",
            Self::Off => "Force off",
            Self::Cycle => "Power cycle",
            Self::Reset => "Reset",
            Self::Nmi => "NMI",
        }
    }
}

/// One command to a controller (a BMC, a hypervisor …). `Cycle` is a raw driver call that the power
/// machine never uses: it builds a cycle from a proven off and a proven on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Native {
    /// Power up.
    On,
    /// Hard off.
    Off,
    /// ACPI soft off.
    Shutdown,
    /// Hard reset.
    Reset,
    /// Diagnostic interrupt.
    Nmi,
    /// The controller's own power cycle.
    Cycle,
}

impl Native {
    /// Says whether sending it twice does the same as sending it once.
    #[must_use]
    pub fn is_idempotent(self) -> bool {
        match self {
            Self::On | Self::Off => true,
            Self::Shutdown | Self::Reset | Self::Nmi | Self::Cycle => false,
        }
    }
}

/// On or off, as a controller that knows the machine reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Switch {
    /// Runs, or feeds.
    On,
    /// Does not.
    Off,
}

/// State of one outlet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum OutletState {
    /// Feeds.
    On,
    /// Does not feed.
    Off,
    /// On its way to on.
    PendingOn,
    /// On its way to off.
    PendingOff,
    /// The PDU answers but does not say.
    Unknown,
}

/// What a BMC does when mains power returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum RestorePolicy {
    /// Stays off.
    AlwaysOff,
    /// Goes back to what it was.
    Previous,
    /// Starts.
    AlwaysOn,
}

/// What a controller says of a machine's power.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PowerReading {
    /// On or off.
    pub power: Switch,
    /// What happens when mains power returns, where the device says.
    pub restore_policy: Option<RestorePolicy>,
    /// Why the machine last started, in the device's words, where it says.
    pub restart_cause: Option<String>,
}

/// What a PDU says of one outlet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OutletReading {
    /// Outlet as the device counts it: `7`, or `1.7` where units or towers come first.
    pub outlet: String,
    /// Name given on the device.
    pub name: String,
    /// State.
    pub state: OutletState,
    /// Active power in watts, where measured.
    pub watts: Option<f64>,
    /// Current in amperes, where measured.
    pub amps: Option<f64>,
    /// Why it cannot be switched now ("locked on", "not switchable"), when so.
    pub locked: Option<String>,
}

/// State of a server as shown: the result of weighing all paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum PowerValue {
    /// A controller said it runs.
    On,
    /// Proven off.
    Off,
    /// Outlets feed it; whether it runs is not known.
    Fed,
    /// No path could tell.
    #[default]
    Unknown,
}

impl PowerValue {
    /// The word of the API.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Off => "off",
            Self::Fed => "fed",
            Self::Unknown => "unknown",
        }
    }
}

/// How sure the state is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    /// Every path that could tell agrees and is fresh.
    High,
    /// Told by some paths while others are silent.
    Medium,
    /// Stale, contradicted or only inferred.
    #[default]
    Low,
}

/// Something about the state that needs a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum PowerFlag {
    /// One feed is missing: the server runs without redundancy.
    Degraded,
    /// The BMC answered after its outlets were read off: the mapping is wrong, and fallback is off
    /// until a person confirms it.
    WiringMismatch,
    /// The BMC answers with another identity than the one pinned when it was added.
    IdentityMismatch,
    /// Its BMC said that its firmware is being written, and has not said otherwise since: no power action
    /// is sent, and the outlets are not cut. After an hour of silence the BMC counts as broken instead.
    FirmwareUpdate,
    /// The restore policy keeps the server off after its feeds return.
    StaysOffAfterFeed,
}

/// What one path last said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PathEvidence {
    /// Connection that was asked.
    pub connection_id: ConnectionId,
    /// `IPMI 10.0.0.7`, `Outlet 7 on pdu-a`.
    pub label: String,
    /// Controller or feed.
    pub role: Role,
    /// What it said, when it did.
    pub state: Option<PathState>,
    /// Why it did not, when it did not.
    pub fault: Option<Fault>,
    /// When it was asked last.
    pub checked_at: Option<DateTime<Utc>>,
    /// Power drawn, where measured.
    pub watts: Option<f64>,
    /// Restore policy, where the device says.
    pub restore_policy: Option<RestorePolicy>,
    /// Nobody asks it at the moment: whoever reaches it is away.
    pub agent_away: bool,
    /// A controller that said “on” before all outlets were read off, and nothing since.
    pub outdated: bool,
}

/// What a path said, whichever kind it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum PathState {
    /// The machine runs.
    On,
    /// The machine does not run.
    Off,
    /// The outlet feeds.
    FeedOn,
    /// The outlet does not feed.
    FeedOff,
    /// The device answers without telling.
    Unclear,
}

/// State of a server with everything it rests on.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ServerPower {
    /// What is shown.
    pub value: PowerValue,
    /// How sure.
    pub confidence: Confidence,
    /// What needs a person.
    pub flags: Vec<PowerFlag>,
    /// Since when the value holds.
    pub since: Option<DateTime<Utc>>,
    /// When the path that the value rests on last answered.
    pub checked_at: Option<DateTime<Utc>>,
    /// Watts that it draws at least while it runs, learnt while a controller said so and all feeds were
    /// metered; absent until learnt.
    pub idle_watts: Option<f64>,
    /// Since when all its outlets read off; absent while one may feed.
    pub dark_since: Option<DateTime<Utc>>,
    /// When its BMC last said that its firmware is being written; absent once it says something else.
    pub updating_at: Option<DateTime<Utc>>,
    /// One entry per connection with power ticked.
    pub paths: Vec<PathEvidence>,
}

impl ServerPower {
    /// Doubts a state while nobody asks one of its paths. A controller without power has nothing to say anyway.
    pub fn doubt_unasked(&mut self) {
        let is_dark = self.value == PowerValue::Off && self.dark_since.is_some();
        let is_missed = |path: &PathEvidence| path.agent_away && !(is_dark && path.role == Role::Controller);
        if self.confidence == Confidence::High && self.paths.iter().any(is_missed) {
            self.confidence = Confidence::Medium;
        }
    }

    /// Marks what a controller said before the outlets were read off: it is no word against them.
    pub fn mark_outdated(&mut self) {
        let dark = self.dark_since.filter(|_| self.value == PowerValue::Off);
        for path in &mut self.paths {
            path.outdated = path.state == Some(PathState::On) && path.checked_at < dark;
        }
    }
}
