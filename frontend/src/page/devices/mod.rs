//! Network devices: what is added once and feeds or links servers.

mod device;
mod dialogs;
mod form;
mod list;
mod row;

use leptos::prelude::*;
use rackhand_wire::api::{agent::Agent, endpoint::Endpoint, live::Object, page::Page};

use crate::{load::load, page::endpoint::OWN};

pub use device::DevicePage;
pub use list::DevicesPage;

/// Which dialog is open, and about which device.
#[derive(Debug, Clone, PartialEq)]
enum Task {
    Change(Endpoint),
    Test(Endpoint),
    Remove(Endpoint),
}

/// Names agents by their ids.
fn agent_names() -> Signal<Vec<Agent>> {
    let agents =
        load::<Page<Agent>>(|| Some("agents?limit=500".to_owned()), |change| change.object == Object::Agent);
    Signal::derive(move || agents.value.get().map(|page| page.items).unwrap_or_default())
}

/// The name of the agent that reaches a device, or of the group.
fn agent_of(endpoint: &Endpoint, agents: &[Agent]) -> String {
    let Some(id) = endpoint.agent_id else {
        let group = endpoint.agent_group.as_deref().filter(|group| *group != "local");
        return group.map_or_else(|| OWN.to_owned(), |group| format!("any of {group}"));
    };
    let known = agents.iter().find(|agent| agent.id == id);
    known.map_or_else(|| "gone".to_owned(), |agent| agent.name.clone())
}
