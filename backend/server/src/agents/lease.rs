//! How long agents of a group may think that they hold their devices.

use rackhand_store::{Tx, agent_sessions};
use rackhand_wire::{agent::ToAgent, id::AgentId};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::{sync::mpsc, time::MissedTickBehavior};

use super::session::Session;
use crate::peers::Peers;

/// When each agent last renewed its lease. Where several servers share the database it is known there alone: whoever
/// takes a device away may not be the one that the agent renews its lease with.
pub struct Leases {
    begun: Instant,
    renewed: Mutex<HashMap<AgentId, Instant>>,
    length: Duration,
    slack: Duration,
    peers: Arc<Peers>,
    asked: mpsc::Sender<Ask>,
}

/// An agent asks for its lease.
struct Ask {
    agent: AgentId,
    number: u64,
    session: Arc<Session>,
}

/// So many are renewed at once.
const AT_ONCE: usize = 500;

impl Leases {
    /// Knows nothing yet: whoever held a device before this process began may still write for a lease's length.
    pub fn new(length: Duration, slack: Duration, peers: Arc<Peers>) -> Self {
        let (asked, inbox) = mpsc::channel(AT_ONCE);
        if peers.may_be_many() {
            tokio::spawn(renew(Arc::clone(&peers), inbox));
        }
        Self { begun: Instant::now(), renewed: Mutex::default(), length, slack, peers, asked }
    }

    /// Notes that an agent may have its lease from now on.
    pub fn note(&self, agent: AgentId) {
        if !self.peers.may_be_many() {
            self.renewed().insert(agent, Instant::now());
        }
    }

    /// Renews an agent's lease, and tells it when that is noted where whoever takes devices away will look.
    pub async fn renew(&self, agent: AgentId, number: u64, session: Arc<Session>) {
        if self.peers.may_be_many() {
            self.asked.send(Ask { agent, number, session }).await.ok();
        } else {
            self.note(agent);
            session.tell(ToAgent::Held { number }).await;
        }
    }

    /// Renews the lease of an agent that is part of this server, which shares devices with those of others.
    pub fn keep(&self, id: AgentId, agent: rackhand_agent::Agent) {
        if self.peers.may_be_many() {
            tokio::spawn(keep(Arc::clone(&self.peers), self.length, id, agent));
        }
    }

    /// Returns once an agent cannot think any more that it holds its devices.
    pub async fn lost(&self, agent: AgentId) {
        loop {
            let left = self.left(agent).await;
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(left).await;
        }
    }

    /// How long a lease lasts.
    pub fn length(&self) -> Duration {
        self.length
    }

    /// Says how long an agent may still think that it holds its devices; zero when it cannot.
    pub async fn left(&self, agent: AgentId) -> Duration {
        let longest = self.length + self.slack;
        if !self.peers.may_be_many() {
            let last = self.renewed().get(&agent).copied().unwrap_or(self.begun);
            return longest.saturating_sub(last.elapsed());
        }
        match agent_sessions::since_renewal(self.peers.db.reader(), agent).await {
            Ok(passed) => passed.map_or(Duration::ZERO, |passed| longest.saturating_sub(passed)),
            Err(error) => {
                // Nobody takes a device from it before that is known.
                tracing::warn!(%error, %agent, "cannot tell how long an agent holds its devices");
                longest
            }
        }
    }

    /// Says whether an agent cannot think any more that it holds its devices, and keeps it so until the transaction
    /// ends: it cannot renew its lease before.
    pub async fn is_over(&self, tx: &Tx, agent: AgentId) -> rackhand_store::Result<bool> {
        let passed = agent_sessions::since_renewal_held(tx, agent).await?;
        Ok(passed.is_none_or(|passed| passed >= self.length + self.slack))
    }

    fn renewed(&self) -> MutexGuard<'_, HashMap<AgentId, Instant>> {
        self.renewed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Renews many at once, so that a large site costs the database little.
async fn renew(peers: Arc<Peers>, mut inbox: mpsc::Receiver<Ask>) {
    let mut asked = Vec::new();
    while inbox.recv_many(&mut asked, AT_ONCE).await > 0 {
        let agents: Vec<AgentId> = asked.iter().map(|ask| ask.agent).collect();
        let renewed = match agent_sessions::renew(peers.db.writer(), peers.id(), &agents).await {
            Ok(renewed) => renewed,
            Err(error) => {
                // They write nothing once their lease has ended.
                tracing::warn!(%error, "leases of agents could not be renewed");
                Vec::new()
            }
        };
        for ask in asked.drain(..).filter(|ask| renewed.contains(&ask.agent)) {
            ask.session.tell(ToAgent::Held { number: ask.number }).await;
        }
    }
}

async fn keep(peers: Arc<Peers>, length: Duration, id: AgentId, agent: rackhand_agent::Agent) {
    let mut ticks = tokio::time::interval(length / 3);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        // Counted from before it is noted, so that it ends here first.
        let at = Instant::now();
        match agent_sessions::renew(peers.db.writer(), peers.id(), &[id]).await {
            Ok(renewed) if renewed.contains(&id) => agent.hold_until(at + length),
            Ok(_) => tracing::warn!(agent = %id, "this server's own agent has no session"),
            Err(error) => {
                tracing::warn!(%error, "the lease of this server's own agent could not be renewed");
            }
        }
    }
}
