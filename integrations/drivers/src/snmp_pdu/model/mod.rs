//! What the driver knows of a PDU model: pure data, read from the TOML files beside this folder.

mod catalogue;
mod file;

use std::collections::BTreeMap;

use async_snmp::Oid;
use rackhand_wire::OutletState;
use serde::Deserialize;

pub(super) use catalogue::{all, find};

/// One model, checked.
#[derive(Debug, Clone)]
pub(super) struct Model {
    /// Stable key, the file's name: `apc_rpdu2`.
    pub key: &'static str,
    /// Name for people.
    pub title: String,
    /// Maker.
    pub vendor: String,
    /// Prefixes of the sysObjectID that make it a candidate.
    pub sys_object_id: Vec<Oid>,
    /// Models whose tables this one answers too, for compatibility.
    pub supersedes: Vec<String>,
    /// How well reading is known to work.
    pub reading: Reading,
    /// How well switching is known to work.
    pub switching: Switching,
    /// What a person should know.
    pub note: Option<String>,
    /// Where the device names itself.
    pub identity: Identity,
    /// Columns with the outlets' names, the best first.
    pub names: Vec<Oid>,
    /// Column with the outlets' labels (`AA1`), where there is one.
    pub label: Option<Oid>,
    /// How the state and command of an outlet are addressed.
    pub cells: Cells,
    /// State of an outlet.
    pub state: State,
    /// A command waits for its time.
    pub pending: Option<Pending>,
    /// Why an outlet cannot be switched.
    pub locks: Vec<Lock>,
    /// Switches on at once.
    pub on: Write,
    /// Switches off at once.
    pub off: Write,
    /// Active power in watts.
    pub watts: Option<Meter>,
    /// Current in amperes.
    pub amps: Option<Meter>,
}

/// How well reading is known to work on a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Reading {
    /// Done on the real device.
    Verified,
    /// Done on a recording of the real device.
    Recorded,
    /// Done on a recording that has names and meters but no states.
    PartlyRecorded,
    /// Written from the vendor's MIB alone.
    Unverified,
}

impl Reading {
    /// What it was checked with, as the form and `docs/pdus.md` say it.
    pub(super) fn words(self) -> &'static str {
        match self {
            Reading::Verified => "read on the device",
            Reading::Recorded => "read on a recording",
            Reading::PartlyRecorded => "partly read on a recording",
            Reading::Unverified => "never seen reading",
        }
    }
}

/// How well switching is known to work on a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Switching {
    /// Done on the real device.
    Verified,
    /// Done on a recording of the real device.
    Recorded,
    /// Written from the vendor's MIB alone.
    Unverified,
}

impl Switching {
    /// What it was checked with, as the form and `docs/pdus.md` say it.
    pub(super) fn words(self) -> &'static str {
        match self {
            Switching::Verified => "switched on the device",
            Switching::Recorded => "switched on a recording",
            Switching::Unverified => "never seen switching",
        }
    }

    /// What a person should know before relying on it; `None` when there is nothing to fear.
    pub(super) fn caution(self) -> Option<&'static str> {
        match self {
            Switching::Verified => None,
            Switching::Recorded => {
                Some("Switching was tested on a recording of this model, not on the device.")
            }
            Switching::Unverified => Some(
                "Switching follows the vendor's MIB and was never seen on this model: try one outlet first.",
            ),
        }
    }
}

/// Where a device names itself.
#[derive(Debug, Clone, Default)]
pub(super) struct Identity {
    pub model: Option<Oid>,
    pub serial: Option<Oid>,
    pub firmware: Option<Oid>,
}

/// How the state and command of an outlet are addressed.
#[derive(Debug, Clone)]
pub(super) enum Cells {
    /// Table rows: the column, then the outlet's index.
    Rows,
    /// One scalar per outlet: from each `from` on, outlet n is arc n + `add`, then 0.
    Scalars(Vec<Shift>),
}

/// A stretch of outlets whose scalars are shifted alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Shift {
    pub from: u32,
    pub add: u32,
}

/// Where an outlet's state is read.
#[derive(Debug, Clone)]
pub(super) struct State {
    pub column: Oid,
    pub values: BTreeMap<i32, Shown>,
}

/// What a value of the state column means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Shown {
    On,
    Off,
    PendingOn,
    PendingOff,
    Unknown,
    /// The row exists in the table but not on this device.
    Absent,
}

impl Shown {
    /// Returns the state for people; an absent outlet has none.
    pub(super) fn state(self) -> Option<OutletState> {
        match self {
            Shown::On => Some(OutletState::On),
            Shown::Off => Some(OutletState::Off),
            Shown::PendingOn => Some(OutletState::PendingOn),
            Shown::PendingOff => Some(OutletState::PendingOff),
            Shown::Unknown => Some(OutletState::Unknown),
            Shown::Absent => None,
        }
    }
}

/// Where a waiting command is seen.
#[derive(Debug, Clone)]
pub(super) struct Pending {
    pub column: Oid,
    pub value: i32,
}

/// Where a lock is seen, and what each value means.
#[derive(Debug, Clone)]
pub(super) struct Lock {
    pub column: Oid,
    pub values: BTreeMap<i32, String>,
}

/// What is written to switch.
#[derive(Debug, Clone)]
pub(super) struct Write {
    pub column: Oid,
    pub value: i32,
}

/// Where a measured value is read.
#[derive(Debug, Clone)]
pub(super) struct Meter {
    pub column: Oid,
    /// Appended after the outlet's index.
    pub suffix: Vec<u32>,
    pub scale: Scale,
}

/// How a raw number becomes watts or amperes.
#[derive(Debug, Clone)]
pub(super) enum Scale {
    /// Multiplied by this.
    Factor(f64),
    /// Divided by ten to the power of what this column says for the same index and suffix.
    Digits(Oid),
}

impl Model {
    /// Returns the OID of a state, lock or command column for the outlet at `index`.
    pub(super) fn cell(&self, column: &Oid, index: &[u32]) -> Oid {
        match &self.cells {
            Cells::Rows => below(column, index),
            Cells::Scalars(shifts) => {
                let number = index.last().copied().unwrap_or(0);
                let shift = shifts.iter().rev().find(|shift| shift.from <= number);
                let arc = number.saturating_add(shift.map_or(0, |shift| shift.add));
                below(column, &[arc, 0])
            }
        }
    }

    /// Returns the columns that list the outlets' indices, the best first.
    pub(super) fn row_columns(&self) -> Vec<&Oid> {
        match self.cells {
            Cells::Rows => std::iter::once(&self.state.column).chain(&self.names).collect(),
            Cells::Scalars(_) => self.names.iter().collect(),
        }
    }

    /// Tells whether a device with this sysObjectID may be of this model.
    pub(super) fn fits(&self, sys_object_id: &Oid) -> bool {
        self.sys_object_id.iter().any(|prefix| sys_object_id.starts_with(prefix))
    }
}

impl Meter {
    /// Returns the OID of the value for the outlet at `index`.
    pub(super) fn cell(&self, index: &[u32]) -> Oid {
        below(&below(&self.column, index), &self.suffix)
    }

    /// Returns the OID of the decimal digits, where they are read from the device.
    pub(super) fn digits_cell(&self, index: &[u32]) -> Option<Oid> {
        match &self.scale {
            Scale::Factor(_) => None,
            Scale::Digits(column) => Some(below(&below(column, index), &self.suffix)),
        }
    }
}

/// Returns `column` followed by `arcs`.
pub(super) fn below(column: &Oid, arcs: &[u32]) -> Oid {
    Oid::new(column.arcs().iter().chain(arcs).copied())
}
