//! A PDU as metal: outlets with relays, and a management card that can fail.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use super::clock::{lock, mixed};
use super::effect::PduEffect;
use super::faults::{Dice, Fate, OutletFault, PduFaults, RequestKind};
use super::machine::Machine;
use super::outlet::{Outlet, OutletCommand, OutletId, OutletView, Reading};
use super::timings::WorldTimings;

/// A handle to one PDU; a clone is another handle to the same one.
#[derive(Clone)]
pub struct Pdu {
    core: Arc<PduCore>,
}

struct PduCore {
    name: String,
    timings: WorldTimings,
    state: Mutex<PduState>,
}

struct PduState {
    outlets: Vec<Outlet>,
    faults: PduFaults,
    dice: Dice,
    log: Vec<PduEffect>,
}

/// A number that is not an outlet of this PDU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoSuchOutlet {
    outlet: OutletId,
}

impl fmt::Display for NoSuchOutlet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "there is no outlet {}", self.outlet)
    }
}

impl std::error::Error for NoSuchOutlet {}

impl Pdu {
    pub(super) fn new(name: &str, outlets: u16, timings: WorldTimings) -> Pdu {
        let outlet = |number| Outlet::new(OutletId::new(name, number), timings.outlet_reboot);
        let state = PduState {
            outlets: (1..=outlets).map(outlet).collect(),
            faults: PduFaults::default(),
            dice: Dice::new(mixed(name, 7)),
            log: Vec::new(),
        };
        Pdu { core: Arc::new(PduCore { name: name.to_owned(), timings, state: Mutex::new(state) }) }
    }

    /// Returns the PDU's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.core.name
    }

    /// Returns how long things take in this PDU's world.
    #[must_use]
    pub fn timings(&self) -> WorldTimings {
        self.core.timings
    }

    /// Lists what the PDU reports of its outlets.
    #[must_use]
    pub fn outlets(&self) -> Vec<OutletView> {
        self.with(|state, _| state.outlets.iter().map(Outlet::view).collect())
    }

    /// Finds what the PDU reports of one outlet.
    #[must_use]
    pub fn outlet(&self, number: u16) -> Option<OutletView> {
        self.with(|state, _| state.outlet(number).map(|outlet| outlet.view()))
    }

    /// Returns what flows through an outlet.
    #[must_use]
    pub fn reading(&self, number: u16) -> Option<Reading> {
        self.with(|state, now| state.outlet(number).map(|outlet| outlet.reading(now)))
    }

    /// Gives an outlet a command.
    ///
    /// # Errors
    /// When there is no such outlet.
    pub fn switch(&self, number: u16, command: OutletCommand) -> Result<(), NoSuchOutlet> {
        self.change(number, |outlet, now, log| outlet.command(command, now, log))
    }

    /// Renames an outlet.
    ///
    /// # Errors
    /// When there is no such outlet.
    pub fn rename(&self, number: u16, name: &str) -> Result<(), NoSuchOutlet> {
        self.change(number, |outlet, _, _| outlet.rename(name))
    }

    /// Makes an outlet misbehave, or behave again with `None`.
    ///
    /// # Errors
    /// When there is no such outlet.
    pub fn set_outlet_fault(&self, number: u16, fault: Option<OutletFault>) -> Result<(), NoSuchOutlet> {
        self.change(number, |outlet, _, _| outlet.set_fault(fault))
    }

    /// Returns how the PDU misbehaves.
    #[must_use]
    pub fn faults(&self) -> PduFaults {
        self.with(|state, _| state.faults.clone())
    }

    /// Changes how the PDU misbehaves.
    pub fn change_faults(&self, change: impl FnOnce(&mut PduFaults)) {
        self.with(|state, _| change(&mut state.faults));
    }

    /// Decides whether a request reaches the management card.
    #[must_use]
    pub fn request_arrives(&self) -> bool {
        self.with(|state, _| state.faults.link.request_arrives(&mut state.dice))
    }

    /// Decides what becomes of the next reply; an answered write counts towards `die_after_writes`.
    #[must_use]
    pub fn next_reply_fate(&self, kind: RequestKind) -> Fate {
        self.with(|state, _| {
            let fate = state.faults.link.next_reply_fate(kind, &mut state.dice);
            if kind == RequestKind::Write {
                state.count_write();
            }
            fate
        })
    }

    /// Lists what happened at the outlets, oldest first.
    #[must_use]
    pub fn effects(&self) -> Vec<PduEffect> {
        self.with(|state, _| state.log.clone())
    }

    pub(super) fn plug_in(&self, number: u16, machine: &Machine) {
        self.with(|state, _| {
            if let Some(outlet) = state.outlet(number) {
                outlet.plug_in(machine);
            }
        });
    }

    /// Does what has become due by `now`, so that machines hear of it in time.
    pub(super) fn settle(&self, now: Instant) {
        lock(&self.core.state).settle(now);
    }

    fn with<T>(&self, act: impl FnOnce(&mut PduState, Instant) -> T) -> T {
        let mut state = lock(&self.core.state);
        let now = Instant::now();
        state.settle(now);
        act(&mut state, now)
    }

    fn change(
        &self,
        number: u16,
        act: impl FnOnce(&mut Outlet, Instant, &mut Vec<PduEffect>),
    ) -> Result<(), NoSuchOutlet> {
        self.with(|state, now| {
            let mut log = std::mem::take(&mut state.log);
            let found = state.outlet(number).map(|outlet| act(outlet, now, &mut log));
            state.log = log;
            found.ok_or_else(|| NoSuchOutlet { outlet: OutletId::new(&self.core.name, number) })
        })
    }
}

impl PduState {
    fn outlet(&mut self, number: u16) -> Option<&mut Outlet> {
        let index = usize::from(number).checked_sub(1)?;
        self.outlets.get_mut(index)
    }

    fn settle(&mut self, now: Instant) {
        for outlet in &mut self.outlets {
            outlet.settle(now, &mut self.log);
        }
    }

    fn count_write(&mut self) {
        let Some(left) = self.faults.die_after_writes else { return };
        let left = left.saturating_sub(1);
        self.faults.die_after_writes = (left > 0).then_some(left);
        if left == 0 {
            self.faults.link.mute = true;
        }
    }
}
