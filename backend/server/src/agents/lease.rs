//! How long agents of a group may think that they hold their devices.

use rackhand_store::{Tx, agent_sessions};
use rackhand_wire::{agent::ToAgent, id::AgentId};
use std::{
    collections::HashMap,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::{sync::Notify, time::MissedTickBehavior};

use super::session::Session;
use crate::peers::Peers;

/// When each agent last renewed its lease. Where several servers share the database, renewals are counted there:
/// whoever takes a device away may not be the one that the agent renews its lease with.
pub struct Leases {
    begun: Instant,
    renewed: Mutex<HashMap<AgentId, Renewed>>,
    /// Those of the agents that renew them here.
    runs: Arc<Runs>,
    length: Duration,
    slack: Duration,
    peers: Arc<Peers>,
    asked: Arc<Asked>,
}

/// The newest renewal that is known.
#[derive(Clone, Copy)]
struct Renewed {
    /// The how manieth it is: in the database, or of this process where it is for one server.
    count: i64,
    /// When this server first saw it, which is never before it was made. No time of day goes in, as one that is set
    /// would end leases that last.
    at: Instant,
}

/// How long an agent may still think that it holds its devices, and the renewal that says so.
pub struct Standing {
    /// Zero when it cannot.
    pub left: Duration,
    /// Absent when that is not known.
    pub renewal: Option<i64>,
}

/// Renewals of one agent with so little time between each two that nobody can have taken a device from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    /// Count of the first.
    first: i64,
    /// A moment before the last was noted.
    last: Instant,
}

impl Run {
    /// Takes in a renewal that was noted between two moments.
    fn next(before: Option<Self>, count: i64, (begun, ended): (Instant, Instant), length: Duration) -> Self {
        let first = match before {
            Some(run) if ended - run.last < length => run.first,
            Some(_) | None => count,
        };
        Self { first, last: begun }
    }
}

/// The present run of each agent that renews its lease here.
#[derive(Default)]
pub struct Runs(Mutex<HashMap<AgentId, Run>>);

impl Runs {
    /// Takes in a renewal. The agent hears of it only afterwards.
    fn note(&self, agent: AgentId, count: i64, begun: Instant, length: Duration) {
        let mut runs = self.lock();
        let run = Run::next(runs.get(&agent).copied(), count, (begun, Instant::now()), length);
        runs.insert(agent, run);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<AgentId, Run>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// While this is kept nobody notes a renewal. So the agent hears what is handed over meanwhile before it hears that
/// its lease goes on: if that had ended, it refuses what came before.
#[expect(dead_code, reason = "it is kept and not looked at")]
pub struct Unbroken<'a>(MutexGuard<'a, HashMap<AgentId, Run>>);

/// Agents that ask for their lease, each with its newest question: no session waits until the database has answered
/// those of others.
#[derive(Default)]
struct Asked {
    waiting: Mutex<HashMap<AgentId, (u64, Arc<Session>)>>,
    news: Notify,
}

impl Asked {
    fn put(&self, agent: AgentId, number: u64, session: Arc<Session>) {
        self.lock().insert(agent, (number, session));
        self.news.notify_one();
    }

    /// Takes what waits, once something does.
    async fn take(&self) -> HashMap<AgentId, (u64, Arc<Session>)> {
        self.news.notified().await;
        mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<AgentId, (u64, Arc<Session>)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// So many are renewed at once.
const AT_ONCE: usize = 500;

impl Leases {
    /// Knows nothing yet: whoever held a device before this process began may still write for a lease's length.
    pub fn new(length: Duration, slack: Duration, peers: Arc<Peers>) -> Self {
        let (asked, runs) = (Arc::<Asked>::default(), Arc::<Runs>::default());
        if peers.may_be_many() {
            tokio::spawn(renew(Arc::clone(&peers), Arc::clone(&runs), length, Arc::clone(&asked)));
        }
        Self { begun: Instant::now(), renewed: Mutex::default(), runs, length, slack, peers, asked }
    }

    /// Notes that an agent may have its lease from now on.
    pub fn note(&self, agent: AgentId) {
        if !self.peers.may_be_many() {
            let (mut renewed, now) = (self.renewed(), Instant::now());
            let last = renewed.entry(agent).or_insert(Renewed { count: 0, at: now });
            *last = Renewed { count: last.count + 1, at: now.max(last.at) };
        }
    }

    /// An agent that was alone in its group has others there now: nobody takes a device from it for so long, because
    /// what it has begun without a lease may still be under way.
    pub fn hold(&self, agent: AgentId, at_least: Duration) {
        let longest = self.length + self.slack;
        if !self.peers.may_be_many() {
            let at = Instant::now() + at_least.saturating_sub(longest);
            self.renewed().entry(agent).or_insert(Renewed { count: 0, at }).at = at;
        }
    }

    /// Renews an agent's lease, and tells it when that is noted where whoever takes devices away will look.
    pub async fn renew(&self, agent: AgentId, number: u64, session: Arc<Session>) {
        if self.peers.may_be_many() {
            self.asked.put(agent, number, session);
        } else {
            self.note(agent);
            let count = self.renewed().get(&agent).map_or(0, |renewed| renewed.count);
            self.runs.note(agent, count, Instant::now(), self.length);
            session.tell(ToAgent::Held { number }).await;
        }
    }

    /// Renews the lease of an agent that is part of this server, which shares devices with those of others.
    pub fn keep(&self, id: AgentId, agent: rackhand_agent::Agent) {
        if self.peers.may_be_many() {
            tokio::spawn(keep(Arc::clone(&self.peers), Arc::clone(&self.runs), self.length, id, agent));
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
        self.standing(agent).await.left
    }

    /// The same, with the renewal that says so.
    pub async fn standing(&self, agent: AgentId) -> Standing {
        let longest = self.length + self.slack;
        if !self.peers.may_be_many() {
            let last = self.renewed().get(&agent).copied();
            let last = last.unwrap_or(Renewed { count: 0, at: self.begun });
            return Standing { left: longest.saturating_sub(last.at.elapsed()), renewal: Some(last.count) };
        }
        match agent_sessions::renewals(self.peers.db.reader(), agent).await {
            Ok(None) => Standing { left: Duration::ZERO, renewal: None },
            Ok(Some(count)) => {
                Standing { left: longest.saturating_sub(self.stands(agent, count)), renewal: Some(count) }
            }
            Err(error) => {
                // Nobody takes a device from it before that is known.
                tracing::warn!(%error, %agent, "cannot tell how long an agent holds its devices");
                Standing { left: longest, renewal: None }
            }
        }
    }

    /// Says whether an agent that renews its lease here has done so in time ever since that renewal; it is as said
    /// while the answer is kept. Nothing is asked of one that writes without a lease.
    pub fn unbroken(&self, agent: AgentId, since: Option<i64>) -> Option<Unbroken<'_>> {
        let runs = self.runs.lock();
        let is_so = since.is_none_or(|since| runs.get(&agent).is_some_and(|run| run.first <= since));
        is_so.then_some(Unbroken(runs))
    }

    /// Says whether an agent cannot think any more that it holds its devices, and keeps it so until the transaction
    /// ends: it cannot renew its lease before.
    pub async fn is_over(&self, tx: &Tx, agent: AgentId) -> rackhand_store::Result<bool> {
        let count = agent_sessions::renewals_held(tx, agent).await?;
        Ok(count.is_none_or(|count| self.stands(agent, count) >= self.length + self.slack))
    }

    /// Looks often how the leases of agents stand that are connected to other servers, so that the time of one that
    /// ends counts from soon after its last renewal.
    pub async fn watch(&self) -> rackhand_store::Result<()> {
        for (agent, count) in agent_sessions::holders(self.peers.db.reader()).await? {
            self.stands(agent, count);
        }
        Ok(())
    }

    /// Says for how long at least an agent has renewed its lease no more.
    fn stands(&self, agent: AgentId, count: i64) -> Duration {
        let (mut renewed, now) = (self.renewed(), Instant::now());
        let last = renewed.entry(agent).or_insert(Renewed { count, at: now });
        // Of two that were read at the same time the older one may come last.
        if last.count < count {
            *last = Renewed { count, at: now };
        }
        now - last.at
    }

    fn renewed(&self) -> MutexGuard<'_, HashMap<AgentId, Renewed>> {
        self.renewed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Renews many at once, so that a large site costs the database little.
async fn renew(peers: Arc<Peers>, runs: Arc<Runs>, length: Duration, asked: Arc<Asked>) {
    loop {
        let mut asks = asked.take().await;
        let agents: Vec<AgentId> = asks.keys().copied().collect();
        for some in agents.chunks(AT_ONCE) {
            let begun = Instant::now();
            let renewed = match agent_sessions::renew(peers.db.life(), peers.id(), some).await {
                Ok(renewed) => renewed,
                Err(error) => {
                    // They write nothing once their lease has ended.
                    tracing::warn!(%error, "leases of agents could not be renewed");
                    continue;
                }
            };
            for (agent, count) in renewed {
                let Some((number, session)) = asks.remove(&agent) else { continue };
                runs.note(agent, count, begun, length);
                // A line that takes nothing holds up nobody else.
                tokio::spawn(async move { session.tell(ToAgent::Held { number }).await });
            }
        }
    }
}

async fn keep(
    peers: Arc<Peers>,
    runs: Arc<Runs>,
    length: Duration,
    id: AgentId,
    agent: rackhand_agent::Agent,
) {
    let mut ticks = tokio::time::interval(length / 3);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        // Counted from before it is noted, so that it ends here first.
        let at = Instant::now();
        match agent_sessions::renew(peers.db.life(), peers.id(), &[id]).await {
            Ok(renewed) => {
                let Some(count) = renewed.get(&id) else {
                    tracing::warn!(agent = %id, "this server's own agent has no session");
                    continue;
                };
                runs.note(id, *count, at, length);
                agent.hold_until(at + length);
            }
            Err(error) => {
                tracing::warn!(%error, "the lease of this server's own agent could not be renewed");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agents::session::Out;
    use rackhand_store::fresh_id;
    use rackhand_wire::agent::BootId;
    use tokio::sync::mpsc;

    #[tokio::test]
    async fn however_long_the_database_is_away_only_the_newest_question_of_an_agent_waits() {
        let (asked, one, two) = (Asked::default(), AgentId(fresh_id()), AgentId(fresh_id()));
        for (agent, number) in [(one, 1), (one, 2), (two, 1), (one, 3)] {
            let session = Session::new(BootId(fresh_id()), 0, Out::Line(mpsc::channel(1).0));
            asked.put(agent, number, Arc::new(session));
        }
        let taken = asked.take().await;
        assert_eq!((taken.len(), taken[&one].0, taken[&two].0), (2, 3, 1));
        assert!(asked.lock().is_empty());
    }

    #[test]
    fn a_run_ends_where_somebody_may_have_taken_a_device_in_between() {
        let (start, length) = (Instant::now(), Duration::from_secs(6));
        let at =
            |begun: u64, ended: u64| (start + Duration::from_secs(begun), start + Duration::from_secs(ended));
        let run = Run::next(None, 4, at(0, 1), length);
        let run = Run::next(Some(run), 5, at(2, 5), length);
        assert_eq!(run.first, 4);
        // It was asked for in time; when it was noted is not known so well.
        let run = Run::next(Some(run), 6, at(3, 8), length);
        assert_eq!(run.first, 6);
        assert_eq!(Run::next(Some(run), 7, at(8, 8), length).first, 6);
    }
}
