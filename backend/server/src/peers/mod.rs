//! The servers on one database, and this one among them.
//!
//! An agent is connected to one of them, a job is performed by one of them, and they need not be the same: what a
//! job has for an agent goes as a letter to the server that holds the agent's session. All that is agreed on is in
//! the database (`node`, `agent_session`, `letter`, `job.node_id`); notices only say where to look.

mod keep;
mod letters;

pub use keep::{enter, keep, leave};
pub use letters::Address;

use rackhand_store::{Db, agent_sessions, nodes::Node};
use rackhand_wire::{
    agent::BootId,
    id::{AgentId, NodeId},
};
use std::sync::Arc;

use crate::bus::{Bus, Notice};

/// This server among those that share its database.
pub struct Peers {
    /// The database.
    pub db: Db,
    /// This server.
    pub own: Node,
    /// The line to the others.
    pub bus: Arc<dyn Bus>,
}

impl Peers {
    /// This start of this server.
    pub fn id(&self) -> NodeId {
        self.own.id
    }

    /// Says whether there may be others.
    pub fn may_be_many(&self) -> bool {
        self.db.is_shared()
    }

    /// Notes that an agent begins a session here; gives its epoch.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn sit(&self, agent: AgentId, boot: BootId) -> rackhand_store::Result<i64> {
        if !self.may_be_many() {
            return Ok(0);
        }
        let tx = self.db.begin().await?;
        let epoch = agent_sessions::sit(&tx, agent, self.id(), boot).await?;
        tx.commit().await.map_err(rackhand_store::Error::from)?;
        self.bus.tell(Notice::Session(agent));
        Ok(epoch)
    }

    /// Notes that a session of this server has ended.
    pub async fn left(&self, agent: AgentId, epoch: i64) {
        if !self.may_be_many() {
            return;
        }
        match agent_sessions::leave(self.db.writer(), agent, self.id(), epoch).await {
            Ok(()) => self.bus.tell(Notice::Session(agent)),
            // The sweep finds it.
            Err(error) => tracing::warn!(%error, %agent, "could not note that a session has ended"),
        }
    }
}
