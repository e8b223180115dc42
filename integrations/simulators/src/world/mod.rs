//! The physical world that the simulated devices share: machines, the PDU outlets that feed them, and time.
//!
//! Nothing here knows a protocol. A BMC simulator turns IPMI into [`Machine::chassis`], a PDU simulator turns an
//! SNMP SET into [`Pdu::switch`]; what follows (the machine dies, its BMC needs time to boot, the restore policy
//! decides) happens here, is counted and carries its time. Things that take time are settled when somebody looks,
//! at the instant they were due, so no task or thread runs in the background.

mod clock;
mod effect;
mod faults;
mod machine;
mod machine_state;
mod outlet;
mod pdu;
mod timings;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Instant;

pub use effect::{Effect, EffectKind, NamedEffect, PduEffect, PduEffectKind};
pub use faults::{BmcFaults, Fate, LinkFaults, OutletFault, PduFaults, ReplyKind, RequestKind, Which};
pub use machine::Machine;
pub use machine_state::{ChassisCommand, Refused, RestorePolicy};
pub use outlet::{OutletCommand, OutletId, OutletView, Reading};
pub use pdu::{NoSuchOutlet, Pdu};
pub use timings::WorldTimings;

use clock::lock;

/// All machines and PDUs of one simulated data centre; a clone is another handle to the same world.
#[derive(Clone)]
pub struct World {
    core: Arc<WorldCore>,
}

struct WorldCore {
    timings: WorldTimings,
    began: Instant,
    places: Mutex<Places>,
}

#[derive(Default)]
struct Places {
    machines: BTreeMap<String, Machine>,
    pdus: BTreeMap<String, Pdu>,
}

impl World {
    /// Makes an empty world in which things take as long as `timings` says.
    #[must_use]
    pub fn new(timings: WorldTimings) -> World {
        let core = WorldCore { timings, began: Instant::now(), places: Mutex::default() };
        World { core: Arc::new(core) }
    }

    /// Returns how long things take here.
    #[must_use]
    pub fn timings(&self) -> WorldTimings {
        self.core.timings
    }

    /// Returns the instant at which this world was made; effects are shown relative to it.
    #[must_use]
    pub fn began(&self) -> Instant {
        self.core.began
    }

    /// Adds a PDU whose outlets 1..=`outlets` are all on, replacing one of the same name.
    #[allow(clippy::must_use_candidate, reason = "the world keeps what it is given")]
    pub fn add_pdu(&self, name: &str, outlets: u16) -> Pdu {
        let pdu = Pdu::new(name, outlets, self.core.timings);
        lock(&self.core.places).pdus.insert(name.to_owned(), pdu.clone());
        pdu
    }

    /// Adds a machine, switched on and booted, fed by `feeds`.
    ///
    /// Without feeds it hangs on the wall and never loses power. A feed that names an outlet which does not exist
    /// is a wall socket too: always live.
    #[allow(clippy::must_use_candidate, reason = "the world keeps what it is given")]
    pub fn add_machine(&self, name: &str, feeds: &[OutletId]) -> Machine {
        let mut places = lock(&self.core.places);
        let mut pdus: Vec<Pdu> = Vec::new();
        for feed in feeds {
            let Some(pdu) = places.pdus.get(feed.pdu()) else { continue };
            if !pdus.iter().any(|known| known.name() == pdu.name()) {
                pdus.push(pdu.clone());
            }
        }
        let machine = Machine::new(name, feeds, pdus, self.core.timings);
        for feed in feeds {
            if let Some(pdu) = places.pdus.get(feed.pdu()) {
                pdu.plug_in(feed.number(), &machine);
            }
        }
        places.machines.insert(name.to_owned(), machine.clone());
        machine
    }

    /// Finds a machine by its name.
    #[must_use]
    pub fn machine(&self, name: &str) -> Option<Machine> {
        lock(&self.core.places).machines.get(name).cloned()
    }

    /// Finds a PDU by its name.
    #[must_use]
    pub fn pdu(&self, name: &str) -> Option<Pdu> {
        lock(&self.core.places).pdus.get(name).cloned()
    }

    /// Lists the machines in order of their names.
    #[must_use]
    pub fn machines(&self) -> Vec<Machine> {
        lock(&self.core.places).machines.values().cloned().collect()
    }

    /// Lists the PDUs in order of their names.
    #[must_use]
    pub fn pdus(&self) -> Vec<Pdu> {
        lock(&self.core.places).pdus.values().cloned().collect()
    }

    /// Lists what happened to every machine, oldest first.
    #[must_use]
    pub fn effects(&self) -> Vec<NamedEffect> {
        let mut all: Vec<NamedEffect> = Vec::new();
        for machine in self.machines() {
            let name: Arc<str> = Arc::from(machine.name());
            let named =
                machine.effects().into_iter().map(|e| NamedEffect { machine: name.clone(), effect: e });
            all.extend(named);
        }
        all.sort_by_key(|named| named.effect.at);
        all
    }
}
