//! A simulated BMC that listens, with the machine behind it.

use rackhand_simulators::bmc::{Account, BmcHandle, serve};
use rackhand_simulators::world::{EffectKind, Machine, World, WorldTimings};

use super::console::ADMIN;

/// A machine whose BMC listens.
pub struct Served {
    pub machine: Machine,
    pub bmc: BmcHandle,
}

/// Starts a BMC as they are delivered.
pub async fn usual() -> Served {
    with(|_| ()).await
}

/// Starts a BMC that differs from the usual one.
pub async fn with(change: impl FnOnce(&mut Account)) -> Served {
    let mut account = Account::administrator(ADMIN.user, ADMIN.password);
    change(&mut account);
    let machine = World::new(WorldTimings::quick()).add_machine("peer-01", &[]);
    let bmc = serve(machine.clone(), "127.0.0.1:0".parse().unwrap(), account).await.unwrap();
    Served { machine, bmc }
}

impl Served {
    /// Counts what happened to the machine.
    pub fn count(&self, what: &EffectKind) -> usize {
        self.machine.count(what)
    }
}
