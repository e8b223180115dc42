//! How a device fails, sorted by what a caller may do next.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A failed operation. `code` decides what happens next, `reason` names the cause for people and
/// tests, `detail` adds what only this device could say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[error("{}{}{detail}", reason.sentence(), if detail.is_empty() { "" } else { ": " })]
pub struct Fault {
    /// What a caller may do next.
    pub code: FaultCode,
    /// The cause.
    pub reason: Reason,
    /// More, in plain words; may be empty.
    pub detail: String,
    /// Settings any one of which would settle it: a person chooses, nobody guesses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<Setting>,
}

/// One setting of a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Setting {
    /// Name of the field, as the kind of device describes it.
    pub field: String,
    /// Its value.
    pub value: String,
}

impl Fault {
    /// Makes a fault.
    #[must_use]
    pub fn new(code: FaultCode, reason: Reason, detail: impl Into<String>) -> Self {
        Self { code, reason, detail: detail.into(), choices: Vec::new() }
    }

    /// Offers values of one field, any one of which would settle it.
    #[must_use]
    pub fn settled_by<'a>(mut self, field: &str, values: impl IntoIterator<Item = &'a str>) -> Self {
        let setting = |value: &str| Setting { field: field.to_owned(), value: value.to_owned() };
        self.choices = values.into_iter().map(setting).collect();
        self
    }

    /// Nothing was delivered.
    #[must_use]
    pub fn unreachable(detail: impl Into<String>) -> Self {
        Self::new(FaultCode::Unreach, Reason::NoAnswer, detail)
    }

    /// Delivered, or perhaps delivered, but never answered.
    #[must_use]
    pub fn lost(detail: impl Into<String>) -> Self {
        Self::new(FaultCode::Lost, Reason::AnswerLost, detail)
    }

    /// The device has no such function.
    #[must_use]
    pub fn unsupported(detail: impl Into<String>) -> Self {
        Self::new(FaultCode::Unsupported, Reason::NotSupported, detail)
    }

    /// A parameter is wrong.
    #[must_use]
    pub fn config(reason: Reason, detail: impl Into<String>) -> Self {
        Self::new(FaultCode::Config, reason, detail)
    }

    /// Says whether no agent began it, so that nothing reached the device.
    #[must_use]
    pub fn never_begun(&self) -> bool {
        self.code == FaultCode::Exec
            && matches!(self.reason, Reason::AgentOffline | Reason::NotWanted | Reason::Expired)
    }

    /// The identity was refused.
    #[must_use]
    pub fn auth(reason: Reason, detail: impl Into<String>) -> Self {
        Self::new(FaultCode::Auth, reason, detail)
    }
}

/// What a caller may do next. There is no "other": a driver must decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum FaultCode {
    /// Reached, identity refused: a person must act; never retried (lock-out).
    Auth,
    /// Reached but cannot agree, or a parameter is wrong: a person must act.
    Config,
    /// Refused in the present state: read the state.
    State,
    /// Not offered: use the next native method.
    Unsupported,
    /// Reached, later: back off inside the deadline.
    Busy,
    /// Firmware update in progress: hands off.
    Updating,
    /// No valid packet since the attempt began, the command was never sent: another path may be tried.
    Unreach,
    /// The command left, no answer came: verify before anything else.
    Lost,
    /// The first copy of the request had arrived: verify.
    Dup,
    /// A malformed reply.
    Proto,
    /// The agent could not execute it: offline, expired, or its lease is gone.
    Exec,
}

impl FaultCode {
    /// The word of the API.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Config => "config",
            Self::State => "state",
            Self::Unsupported => "unsupported",
            Self::Busy => "busy",
            Self::Updating => "updating",
            Self::Unreach => "unreach",
            Self::Lost => "lost",
            Self::Dup => "dup",
            Self::Proto => "proto",
            Self::Exec => "exec",
        }
    }
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident => $sentence:literal),+ $(,)?) => {
        /// The cause of a fault.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        #[serde(rename_all = "snake_case")]
        pub enum Reason { $($(#[$doc])* $name),+ }

        impl Reason {
            /// The cause in one clause.
            #[must_use]
            pub fn sentence(self) -> &'static str {
                match self { $(Self::$name => $sentence),+ }
            }
        }
    };
}

reasons! {
    /// Silence.
    NoAnswer => "The device does not answer",
    /// Silence of a controller whose server is known to be without power.
    WithoutPower => "All feeds of its server are off",
    /// The host says that nobody listens there.
    PortClosed => "Nothing listens on this port of the device",
    /// The command was sent and its answer never came.
    AnswerLost => "The command was sent but its answer was lost",
    /// No such account.
    WrongUser => "The device does not know this user",
    /// The password does not match.
    WrongPassword => "The password is wrong",
    /// The key Kg does not match.
    WrongKg => "The BMC key (Kg) is wrong",
    /// Refused for a reason that says nothing of user or password.
    SignInRefused => "The device refused the sign-in",
    /// The account may not do this.
    InsufficientPrivilege => "The account lacks the privilege",
    /// Neither side's cipher suites meet.
    NoMatchingCipher => "No cipher suite in common",
    /// SNMP community or view refuses.
    WriteRefused => "The device refuses writes with these credentials",
    /// SNMP version 3 silence that may be either.
    TimeoutOrCredentials => "No answer: unreachable, or the credentials are wrong",
    /// The device is another one than the one pinned.
    IdentityMismatch => "Another device answers at this address",
    /// Whoever runs the agent does not let it speak to this address.
    NotAllowed => "The agent's allow list does not permit this address",
    /// The agent's disk is full or broken: nothing was begun.
    NoJournal => "The agent cannot write its journal, so it switches nothing",
    /// The name does not resolve.
    HostNotFound => "The host name does not resolve",
    /// A parameter is missing or wrong.
    BadParameter => "A setting is wrong",
    /// Such a target does not exist on the device.
    NoSuchTarget => "The device has no such target",
    /// Several device models fit.
    ModelAmbiguous => "The model could not be told",
    /// Refused in this state.
    WrongState => "The device refuses this in its present state",
    /// The outlet is locked or not switchable.
    Locked => "The outlet is locked",
    /// No such function.
    NotSupported => "The device does not support this",
    /// No free session or still starting.
    Busy => "The device is busy",
    /// Firmware update.
    FirmwareUpdate => "The device is updating its firmware",
    /// A repeated request was recognised.
    Duplicate => "The device had received the request before",
    /// Nonsense on the wire.
    Malformed => "The device sent something that cannot be understood",
    /// The write was acknowledged, the state did not follow.
    NoEffect => "The device acknowledged, but nothing changed",
    /// The agent is not connected.
    AgentOffline => "The agent is offline",
    /// A person stopped its job before it was sent.
    NotWanted => "It was stopped before it was sent",
    /// The command grew too old before it could run.
    Expired => "The command expired before it could run",
    /// What was cut with a time limit came on again before the rest was done.
    Undone => "The time limit of a cut had passed and the agent switched its outlet on again",
    /// Another agent of the group may have the device by now.
    LeaseLost => "The agent does not hold the device any more",
    /// A look gave way to what somebody waits for.
    GaveWay => "It gave way to a command that somebody waits for",
    /// The agent stopped while it ran.
    Interrupted => "The agent was interrupted while it ran",
    /// The agent does not know this kind of device.
    UnknownKind => "The agent does not know this kind of device",
    /// The agent could not reach its own journal.
    Internal => "The agent failed by itself",
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.sentence())
    }
}
