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
use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use crate::bus::{Bus, Notice};

/// This server among those that share its database.
pub struct Peers {
    /// The database.
    pub db: Db,
    /// This server.
    pub own: Node,
    /// The line to the others.
    pub bus: Arc<dyn Bus>,
    /// Whether they think that it lives.
    pub life: Life,
    /// Whether this server takes its leave: that the others do not know it any more is its own doing then.
    is_leaving: AtomicBool,
    /// Letters that were dealt with and may be there still.
    dealt: tokio::sync::Mutex<HashSet<i64>>,
}

/// Up to when the others certainly do not give this server up.
pub struct Life {
    said: Mutex<Instant>,
    lasts: Duration,
}

impl Life {
    /// Begins with a sign of life that is not younger than `said`; each lasts so long.
    pub fn new(said: Instant, lasts: Duration) -> Self {
        Self { said: Mutex::new(said), lasts }
    }

    /// Notes one that was begun at this moment: the others count from when they saw it, which is later.
    pub fn say(&self, begun: Instant) {
        *self.said.lock().unwrap_or_else(PoisonError::into_inner) = begun;
    }

    fn lasts(&self) -> bool {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).elapsed() < self.lasts
    }
}

impl Peers {
    /// Makes one.
    pub fn new(db: Db, own: Node, bus: Arc<dyn Bus>, life: Life) -> Self {
        Self { db, own, bus, life, is_leaving: AtomicBool::new(false), dealt: tokio::sync::Mutex::default() }
    }

    /// This start of this server.
    pub fn id(&self) -> NodeId {
        self.own.id
    }

    /// Says whether there may be others.
    pub fn may_be_many(&self) -> bool {
        self.db.is_shared()
    }

    /// Says whether this server has its jobs and agents for certain. One that was frozen may have been given up
    /// without knowing it yet.
    pub fn lives(&self) -> bool {
        !self.may_be_many() || self.life.lasts()
    }

    /// Notes that this server takes its leave.
    pub fn set_out(&self) {
        self.is_leaving.store(true, Ordering::Release);
    }

    /// Says whether it takes its leave.
    pub fn is_leaving(&self) -> bool {
        self.is_leaving.load(Ordering::Acquire)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_not_sure_of_its_life_once_its_last_sign_is_old() {
        let (long, now) = (Duration::from_hours(1), Instant::now());
        let life = Life::new(now.checked_sub(long).unwrap(), long);
        assert!(!life.lasts());
        life.say(now);
        assert!(life.lasts());
    }
}
