//! How the servers on one database tell one another what happened.
//!
//! Notices carry ids and may be lost; what they speak of is in the database, where a sweep finds it.

mod alone;
mod postgres;

pub use alone::Alone;
pub use postgres::Postgres;

use async_trait::async_trait;
use rackhand_wire::{
    api::live::Change,
    id::{AgentId, EndpointId, JobId, NodeId},
};
use serde::{Deserialize, Serialize};

/// What is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Notice {
    /// Something that open pages show has changed.
    Live(Change),
    /// A job shall stop.
    Cancel(JobId),
    /// There are jobs that nobody performs.
    Due,
    /// An agent came or went.
    Session(AgentId),
    /// An agent was revoked or removed.
    Denied(AgentId),
    /// There are letters for a server.
    Letter(NodeId),
    /// The settings were changed.
    Settings,
    /// A device shall be looked at now.
    Look(EndpointId),
}

/// What was heard.
#[derive(Debug, Clone, PartialEq)]
pub enum Heard {
    /// A notice of another server.
    Notice(Notice),
    /// Some may have been lost: anything may have changed.
    Gap,
}

/// A line to the other servers.
#[async_trait]
pub trait Bus: Send + Sync + 'static {
    /// Tells the others. It goes out a moment later, in order.
    fn tell(&self, notice: Notice);

    /// Returns when everything told before is out.
    async fn flush(&self);

    /// Waits for what another one tells. One task may listen.
    async fn hear(&self) -> Heard;
}
