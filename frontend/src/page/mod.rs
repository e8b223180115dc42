//! Pages load and arrange; parts draw. One folder per area.

pub mod activity;
pub mod agents;
mod confirm;
pub mod devices;
pub mod endpoint;
pub mod gate;
pub mod job;
pub mod search;
pub mod server;
pub mod servers;
pub mod settings;
mod sites;
