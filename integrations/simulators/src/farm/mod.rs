//! A whole data centre in one process: racks of servers, each with a BMC and two feeds.
//!
//! [`Farm::start`] is what the binary and tests call; [`Farm::world`] is where tests misbehave and count, and
//! [`Farm::inventory`] says where everything listens. The farm stops when it is dropped.

mod config;
mod inventory;
mod layout;

#[cfg(test)]
mod tests;

pub use config::{Addresses, FarmConfig, FarmError};
pub use inventory::{BmcEntry, Inventory, OutletEntry, PduEntry, ServerEntry, V3Entry};

use std::collections::BTreeMap;

use config::Kind;
use layout::{PduPlace, Place};

use crate::bmc::{self, Account, BmcHandle};
use crate::pdu::{PduAccess, PduAgent, PduModel, V3Auth, V3Privacy};
use crate::world::{Machine, OutletId, World};

/// A running farm; it stops when dropped.
pub struct Farm {
    world: World,
    inventory: Inventory,
    bmcs: BTreeMap<String, BmcHandle>,
    _agents: Vec<PduAgent>,
}

impl Farm {
    /// Starts every device and returns when all listen.
    ///
    /// # Errors
    /// When the numbers do not fit together or a device cannot listen.
    pub async fn start(config: FarmConfig) -> Result<Farm, FarmError> {
        let layout = layout::place(&config)?;
        let world = World::new(config.timings);
        let mut agents = Vec::new();
        let mut pdus = Vec::new();
        let models = config.models.iter().cycle();
        for ((index, place), model) in (0..).zip(&layout.pdus).zip(models) {
            let agent = start_pdu(&world, &config, index, place, *model).await?;
            pdus.push(pdu_entry(&agent, place, &config));
            agents.push(agent);
        }
        let mut bmcs = BTreeMap::new();
        let mut servers = Vec::new();
        for (index, place) in (0..).zip(&layout.servers) {
            let machine = add_server(&world, place);
            let bmc = start_bmc(machine, &config, index).await?;
            servers.push(server_entry(&bmc, place, &config));
            bmcs.insert(place.name.clone(), bmc);
        }
        Ok(Farm { world, inventory: Inventory { servers, pdus }, bmcs, _agents: agents })
    }

    /// Returns the physics behind the devices.
    #[must_use]
    pub fn world(&self) -> &World {
        &self.world
    }

    /// Says where everything listens.
    #[must_use]
    pub fn inventory(&self) -> &Inventory {
        &self.inventory
    }

    /// Ends the BMC of a server for good: its port is closed, and the operating system says so to whoever asks.
    pub async fn close_bmc(&mut self, server: &str) {
        if let Some(bmc) = self.bmcs.remove(server) {
            bmc.close().await;
        }
    }

    /// Finds the BMC of a server, which counts its sessions.
    #[must_use]
    pub fn bmc(&self, server: &str) -> Option<&BmcHandle> {
        self.bmcs.get(server)
    }
}

async fn start_pdu(
    world: &World,
    config: &FarmConfig,
    index: u16,
    place: &PduPlace,
    model: PduModel,
) -> Result<PduAgent, FarmError> {
    let addr = config.addresses.of(Kind::Pdu, index).ok_or_else(out_of_ports)?;
    let pdu = world.add_pdu(&place.name, config.outlets);
    PduAgent::start(pdu, model, addr, &config.pdu_access).await.map_err(|source| FarmError::Listen {
        device: place.name.clone(),
        addr,
        source,
    })
}

fn out_of_ports() -> FarmError {
    FarmError::Shape("there are not enough ports for so many devices".to_owned())
}

async fn start_bmc(machine: Machine, config: &FarmConfig, index: u16) -> Result<BmcHandle, FarmError> {
    let addr = config.addresses.of(Kind::Bmc, index).ok_or_else(out_of_ports)?;
    let device = format!("the BMC of {}", machine.name());
    let started = bmc::serve(machine, addr, config.bmc_account.clone()).await;
    started.map_err(|source| FarmError::Listen { device, addr, source })
}

/// Plugs a server in; its outlets are named after it, as people do.
fn add_server(world: &World, place: &Place) -> Machine {
    let machine = world.add_machine(&place.name, &place.feeds);
    for feed in &place.feeds {
        let renamed = world.pdu(feed.pdu()).map(|pdu| pdu.rename(feed.number(), &place.name));
        if let Some(Err(error)) = renamed {
            tracing::error!(%error, server = place.name, "a server hangs on an outlet that does not exist");
        }
    }
    machine
}

fn server_entry(bmc: &BmcHandle, place: &Place, config: &FarmConfig) -> ServerEntry {
    let outlet = |feed: &OutletId| OutletEntry { pdu: feed.pdu().to_owned(), outlet: feed.number() };
    let Account { user, password, .. } = config.bmc_account.clone();
    ServerEntry {
        name: place.name.clone(),
        rack: place.rack.clone(),
        bmc: BmcEntry { addr: bmc.addr(), user, password },
        outlets: place.feeds.iter().map(outlet).collect(),
    }
}

fn pdu_entry(agent: &PduAgent, place: &PduPlace, config: &FarmConfig) -> PduEntry {
    let access = &config.pdu_access;
    PduEntry {
        name: place.name.clone(),
        rack: place.rack.clone(),
        model: agent.model().key().to_owned(),
        addr: agent.addr(),
        outlets: config.outlets,
        community: access.read_community.clone(),
        write_community: access.write_community.clone(),
        v3: v3_entry(access),
    }
}

/// Describes the first user of version 3.
fn v3_entry(access: &PduAccess) -> Option<V3Entry> {
    let user = access.v3.first()?;
    let auth = match user.auth {
        V3Auth::Sha1 => "sha1",
        V3Auth::Sha256 => "sha256",
        V3Auth::Sha512 => "sha512",
    };
    let privacy = match user.privacy {
        V3Privacy::Aes128 => "aes128",
        V3Privacy::Aes256 => "aes256",
    };
    Some(V3Entry {
        user: user.name.clone(),
        auth_protocol: auth.to_owned(),
        auth_password: user.auth_password.clone(),
        priv_protocol: privacy.to_owned(),
        priv_password: user.privacy_password.clone(),
    })
}
