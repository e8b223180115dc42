//! Chassis power, restore policy, restart cause and identify lamp.

use super::super::{NetFn, Request};

/// Get Chassis Status.
pub const STATUS: u8 = 0x01;
/// Chassis Control.
pub const CONTROL: u8 = 0x02;
/// Chassis Identify.
pub const IDENTIFY: u8 = 0x04;
/// Set Power Restore Policy.
pub const SET_RESTORE_POLICY: u8 = 0x06;
/// Get System Restart Cause.
pub const RESTART_CAUSE: u8 = 0x07;

/// What Chassis Control can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// Power down at once.
    Down,
    /// Power up.
    Up,
    /// Power down, then up again.
    Cycle,
    /// Hard reset.
    Reset,
    /// Diagnostic interrupt.
    Diag,
    /// Press the soft power button.
    Soft,
}

impl Control {
    /// In the order of their codes.
    pub const ALL: [Self; 6] = [Self::Down, Self::Up, Self::Cycle, Self::Reset, Self::Diag, Self::Soft];

    fn code(self) -> u8 {
        match self {
            Self::Down => 0,
            Self::Up => 1,
            Self::Cycle => 2,
            Self::Reset => 3,
            Self::Diag => 4,
            Self::Soft => 5,
        }
    }

    /// Reads the request data of Chassis Control.
    #[must_use]
    pub fn parse(data: &[u8]) -> Option<Self> {
        let [code] = data else { return None };
        Self::ALL.into_iter().find(|control| control.code() == code & 0x0f)
    }
}

/// Commands the chassis. Sent once: a lost answer says nothing about the command.
#[must_use]
pub fn control(control: Control) -> Request {
    Request::once(NetFn::Chassis, CONTROL, vec![control.code()])
}

/// What the machine does when mains power returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestorePolicy {
    /// Stays off.
    AlwaysOff,
    /// Returns to what it was.
    Previous,
    /// Powers up.
    AlwaysOn,
}

impl RestorePolicy {
    fn code(self) -> u8 {
        match self {
            Self::AlwaysOff => 0,
            Self::Previous => 1,
            Self::AlwaysOn => 2,
        }
    }

    fn from_code(code: u8) -> Option<Self> {
        [Self::AlwaysOff, Self::Previous, Self::AlwaysOn].into_iter().find(|policy| policy.code() == code)
    }
}

/// Sets the restore policy.
#[must_use]
pub fn set_restore_policy(policy: RestorePolicy) -> Request {
    Request::repeatable(NetFn::Chassis, SET_RESTORE_POLICY, vec![policy.code()])
}

/// What Set Power Restore Policy was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PolicyChange {
    /// Change it.
    To(RestorePolicy),
    /// Only say what is possible.
    AskOnly,
}

impl PolicyChange {
    /// Reads the request data.
    #[must_use]
    pub fn parse(data: &[u8]) -> Option<Self> {
        let [code] = data else { return None };
        match code & 7 {
            3 => Some(Self::AskOnly),
            code => RestorePolicy::from_code(code).map(Self::To),
        }
    }
}

/// Answer data of a BMC on which every restore policy is possible.
pub const EVERY_POLICY: u8 = 0x07;

/// Asks for the chassis' status.
#[must_use]
pub fn status() -> Request {
    Request::repeatable(NetFn::Chassis, STATUS, Vec::new())
}

/// Answer to Get Chassis Status, as far as it is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// On or off.
    pub power: Power,
    /// `None` when the BMC does not know.
    pub restore_policy: Option<RestorePolicy>,
    /// Whether the identify lamp is lit.
    pub identify: Lamp,
}

/// Whether the host runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Power {
    /// It runs.
    On,
    /// It does not.
    Off,
}

/// The identify lamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lamp {
    /// Lit, for a while or for ever.
    Lit,
    /// Dark, or the BMC does not say.
    Dark,
}

impl Status {
    /// Reads the answer's data.
    #[must_use]
    pub fn parse(data: &[u8]) -> Option<Self> {
        let [current, _last_event, misc, ..] = *data else { return None };
        // Bit 6 says that bits 5:4 are meaningful.
        let lit = misc & 0x40 != 0 && misc & 0x30 != 0;
        Some(Self {
            power: if current & 0x01 == 0 { Power::Off } else { Power::On },
            restore_policy: RestorePolicy::from_code(current >> 5 & 3),
            identify: if lit { Lamp::Lit } else { Lamp::Dark },
        })
    }

    /// Writes the answer's data.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let policy = self.restore_policy.map_or(3, RestorePolicy::code);
        let power = u8::from(self.power == Power::On);
        let lamp = u8::from(self.identify == Lamp::Lit);
        vec![power | policy << 5, 0, 0x40 | lamp << 4]
    }
}

/// Asks why the machine last started.
#[must_use]
pub fn restart_cause() -> Request {
    Request::repeatable(NetFn::Chassis, RESTART_CAUSE, Vec::new())
}

/// Says in words what Get System Restart Cause answered.
#[must_use]
pub fn restart_cause_words(data: &[u8]) -> Option<&'static str> {
    Some(match data.first()? & 0x0f {
        0x1 => "chassis control command",
        0x2 => "reset by push button",
        0x3 => "power-up by push button",
        0x4 => "watchdog",
        0x5 => "OEM",
        0x6 => "restore policy always-on",
        0x7 => "restore policy previous",
        0x8 => "reset by platform event filter",
        0x9 => "power cycle by platform event filter",
        0xa => "soft reset",
        0xb => "real-time clock",
        _ => "unknown",
    })
}

/// What Chassis Identify can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identify {
    /// Lit for so many seconds; zero puts it out.
    Seconds(u8),
    /// Lit until told otherwise.
    Forever,
}

/// Lights the identify lamp or puts it out.
#[must_use]
pub fn identify(identify: Identify) -> Request {
    let data = match identify {
        Identify::Seconds(seconds) => vec![seconds],
        Identify::Forever => vec![0, 1],
    };
    Request::repeatable(NetFn::Chassis, IDENTIFY, data)
}

impl Identify {
    /// Reads the request data; empty means 15 seconds.
    #[must_use]
    pub fn parse(data: &[u8]) -> Self {
        match data {
            [_, force, ..] if force & 1 == 1 => Self::Forever,
            [seconds, ..] => Self::Seconds(*seconds),
            [] => Self::Seconds(15),
        }
    }
}
