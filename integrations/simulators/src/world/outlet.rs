//! One outlet of a PDU: its relay, its name, what it is waiting to do.

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::clock::is_due;
use super::effect::{PduEffect, PduEffectKind};
use super::faults::OutletFault;
use super::machine::{Machine, MachineCore};

/// Names one outlet of one PDU, shown as `pdu-a/7`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OutletId {
    pdu: Arc<str>,
    number: u16,
}

impl OutletId {
    /// Names outlet `number` (counted from 1) of the PDU called `pdu`.
    #[must_use]
    pub fn new(pdu: &str, number: u16) -> OutletId {
        OutletId { pdu: Arc::from(pdu), number }
    }

    /// Returns the PDU's name.
    #[must_use]
    pub fn pdu(&self) -> &str {
        &self.pdu
    }

    /// Returns the outlet's number, counted from 1.
    #[must_use]
    pub fn number(&self) -> u16 {
        self.number
    }
}

impl fmt::Display for OutletId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.pdu, self.number)
    }
}

/// What an outlet can be told to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutletCommand {
    /// Switch on, now or after the delay.
    On(Duration),
    /// Switch off, now or after the delay.
    Off(Duration),
    /// Switch off after the delay, then on again after the reboot time.
    Reboot(Duration),
    /// Forget what is pending.
    Cancel,
}

/// What a PDU reports of one outlet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutletView {
    /// The number, counted from 1.
    pub number: u16,
    /// The name given to it.
    pub name: String,
    /// Whether the PDU believes it is on.
    pub is_on: bool,
    /// Whether a command waits for its time.
    pub is_pending: bool,
    /// How it misbehaves.
    pub fault: Option<OutletFault>,
}

/// What flows through an outlet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reading {
    /// Active power in watts.
    pub watts: u32,
    /// Current in milliamperes, at 230 V.
    pub milliamps: u32,
}

impl Reading {
    /// Returns the reading for a load of `watts` at 230 V.
    pub(super) fn of_watts(watts: u32) -> Reading {
        Reading { watts, milliamps: watts.saturating_mul(1000) / 230 }
    }
}

/// What an outlet does when its time has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    On,
    Off,
    OffThenOn,
}

/// The state of one outlet.
#[derive(Debug)]
pub(super) struct Outlet {
    id: OutletId,
    name: String,
    believed_on: bool,
    is_live: bool,
    fault: Option<OutletFault>,
    pending: Option<(Instant, Then)>,
    reboot_time: Duration,
    plugs: Vec<Weak<MachineCore>>,
}

impl Outlet {
    pub(super) fn new(id: OutletId, reboot_time: Duration) -> Outlet {
        let name = format!("Outlet {}", id.number);
        let plugs = Vec::new();
        Outlet { id, name, believed_on: true, is_live: true, fault: None, pending: None, reboot_time, plugs }
    }

    pub(super) fn view(&self) -> OutletView {
        OutletView {
            number: self.id.number,
            name: self.name.clone(),
            is_on: self.believed_on,
            is_pending: self.pending.is_some(),
            fault: self.fault,
        }
    }

    pub(super) fn rename(&mut self, name: &str) {
        name.clone_into(&mut self.name);
    }

    pub(super) fn set_fault(&mut self, fault: Option<OutletFault>) {
        self.fault = fault;
    }

    pub(super) fn plug_in(&mut self, machine: &Machine) {
        self.plugs.push(Arc::downgrade(machine.core()));
    }

    /// Returns what flows through this outlet now.
    pub(super) fn reading(&self, now: Instant) -> Reading {
        if !self.is_live {
            return Reading::default();
        }
        let loads = self.plugs.iter().filter_map(Weak::upgrade);
        Reading::of_watts(loads.map(|machine| machine.watts_through(&self.id, now)).sum())
    }

    /// Takes a command at `now`.
    pub(super) fn command(&mut self, command: OutletCommand, now: Instant, log: &mut Vec<PduEffect>) {
        log.push(PduEffect { at: now, outlet: self.id.number, what: PduEffectKind::Commanded });
        self.pending = match command {
            OutletCommand::On(delay) => Some((now + delay, Then::On)),
            OutletCommand::Off(delay) => Some((now + delay, Then::Off)),
            OutletCommand::Reboot(delay) => Some((now + delay, Then::OffThenOn)),
            OutletCommand::Cancel => None,
        };
        self.settle(now, log);
    }

    /// Does what has become due by `now`.
    pub(super) fn settle(&mut self, now: Instant, log: &mut Vec<PduEffect>) {
        while let Some((due, then)) = self.pending.filter(|(due, _)| is_due(Some(*due), now)) {
            self.pending = match then {
                Then::On | Then::Off => None,
                Then::OffThenOn => Some((due + self.reboot_time, Then::On)),
            };
            match then {
                Then::On => self.close_relay(due, log),
                Then::Off | Then::OffThenOn => self.open_relay(due, log),
            }
        }
    }

    fn close_relay(&mut self, at: Instant, log: &mut Vec<PduEffect>) {
        let is_blocked = match self.fault {
            Some(OutletFault::Stuck | OutletFault::IgnoresOn | OutletFault::Locked) => true,
            Some(OutletFault::IgnoresOff | OutletFault::Welded) | None => false,
        };
        if is_blocked {
            return;
        }
        self.believed_on = true;
        self.carry(Feed::Live, at, log);
    }

    fn open_relay(&mut self, at: Instant, log: &mut Vec<PduEffect>) {
        match self.fault {
            Some(OutletFault::Stuck | OutletFault::IgnoresOff | OutletFault::Locked) => {}
            Some(OutletFault::Welded) => self.believed_on = false,
            Some(OutletFault::IgnoresOn) | None => {
                self.believed_on = false;
                self.carry(Feed::Dead, at, log);
            }
        }
    }

    /// Makes the contacts live or dead and tells every machine that hangs on them.
    fn carry(&mut self, feed: Feed, at: Instant, log: &mut Vec<PduEffect>) {
        let is_live = feed == Feed::Live;
        if self.is_live == is_live {
            return;
        }
        self.is_live = is_live;
        let what = if is_live { PduEffectKind::SwitchedOn } else { PduEffectKind::SwitchedOff };
        log.push(PduEffect { at, outlet: self.id.number, what });
        for machine in self.plugs.iter().filter_map(Weak::upgrade) {
            machine.feed_changed(&self.id, feed, at);
        }
    }
}

/// Whether a feed carries power.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Feed {
    Live,
    Dead,
}
