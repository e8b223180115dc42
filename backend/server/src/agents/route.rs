//! Which agent reaches a device: the one that is named, or the one of a group that holds it.
//!
//! A member of a group may write only while its lease lasts, by its own clock counted from the moment it asked.
//! The count here begins when the question arrives, so it ends later; a moment after that the device may be given
//! to another member, with a higher epoch. Two members cannot both think that they hold it.

use rackhand_store::{
    Db,
    agent_groups::{self, Lease},
    agents, tenants,
};
use rackhand_wire::{
    Fault, FaultCode, Reason,
    api::{
        agent::{AgentGroup, GroupPolicy},
        connection::Connection,
        endpoint::Endpoint,
    },
    id::{AgentId, EndpointId, TenantId},
};
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::roster::Roster;

/// Whom a device or a connection names.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Via {
    /// One agent.
    pub agent: Option<AgentId>,
    /// A group of agents, when no single one is named.
    pub group: Option<String>,
}

impl Via {
    /// What is named here, or there when nothing is.
    #[must_use]
    pub fn or(self, there: Self) -> Self {
        if self == Self::default() { there } else { self }
    }
}

/// Who shall reach a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// One agent and no other.
    Agent(AgentId),
    /// Whoever of these holds the device.
    Group {
        /// The device.
        endpoint: EndpointId,
        /// The agents, the preferred one first.
        members: Vec<AgentId>,
    },
}

impl From<&Endpoint> for Via {
    fn from(endpoint: &Endpoint) -> Self {
        Self { agent: endpoint.agent_id, group: endpoint.agent_group.clone() }
    }
}

impl From<&Connection> for Via {
    fn from(connection: &Connection) -> Self {
        Self { agent: connection.agent_id, group: connection.agent_group.clone() }
    }
}

/// An agent that may be asked now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holder {
    /// The agent.
    pub agent: AgentId,
    /// The fencing token.
    pub epoch: u64,
    /// It may write only while its lease lasts.
    pub leased: bool,
}

/// When each agent last renewed its lease.
pub struct Leases {
    begun: Instant,
    renewed: Mutex<HashMap<AgentId, Instant>>,
    length: Duration,
    slack: Duration,
}

impl Leases {
    /// Knows nothing yet: whoever held a device before this process began may still write for a lease's length.
    pub fn new(length: Duration, slack: Duration) -> Self {
        Self { begun: Instant::now(), renewed: Mutex::default(), length, slack }
    }

    /// Notes that an agent asked for its lease just now.
    pub fn renew(&self, agent: AgentId) {
        self.renewed().insert(agent, Instant::now());
    }

    /// Returns once an agent cannot think any more that it holds its devices.
    pub async fn lost(&self, agent: AgentId) {
        loop {
            let left = self.left(agent);
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(left).await;
        }
    }

    /// Says whether an agent may think that it holds its devices.
    pub fn holds(&self, agent: AgentId) -> bool {
        !self.left(agent).is_zero()
    }

    /// How long a lease lasts.
    pub fn length(&self) -> Duration {
        self.length
    }

    /// Says how long an agent may still think that it holds its devices; zero when it cannot.
    fn left(&self, agent: AgentId) -> Duration {
        let last = self.renewed().get(&agent).copied().unwrap_or(self.begun);
        (self.length + self.slack).saturating_sub(last.elapsed())
    }

    fn renewed(&self) -> MutexGuard<'_, HashMap<AgentId, Instant>> {
        self.renewed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Finds who may be asked, waiting at most for `patience`.
///
/// # Errors
/// `Exec` when nobody came in time, or the database fails.
pub async fn holder(
    db: &Db,
    roster: &Roster,
    leases: &Leases,
    route: &Route,
    patience: Duration,
) -> Result<Holder, Fault> {
    let (endpoint, members) = match route {
        Route::Agent(agent) => return Ok(Holder { agent: *agent, epoch: 1, leased: false }),
        Route::Group { members, .. } if members.is_empty() => {
            return Err(Fault::new(FaultCode::Exec, Reason::AgentOffline, "its group has no agent"));
        }
        Route::Group { endpoint, members } => (*endpoint, members),
    };
    let begun = Instant::now();
    loop {
        let held = agent_groups::lease(db.reader(), endpoint).await.map_err(|error| failed(&error))?;
        let mut pause = Duration::from_millis(50);
        if let Some(held) = held {
            let is_shared = members.len() > 1;
            // A session may stand for a while after its line went silent; the lease does not.
            let holds = !is_shared || !leases.left(held.agent).is_zero();
            if members.contains(&held.agent) && holds && roster.is_here(held.agent) {
                return Ok(Holder { agent: held.agent, epoch: held.epoch, leased: is_shared });
            }
            pause = leases.left(held.agent).min(pause);
        }
        let is_free = held.is_none_or(|held| leases.left(held.agent).is_zero());
        let may = |agent: &&AgentId| {
            roster.is_here(**agent) && (members.len() == 1 || !leases.left(**agent).is_zero())
        };
        if is_free && let Some(next) = members.iter().find(may) {
            // Another command may have given it away since; whoever has it now is asked.
            if let Some(taken) = take(db, endpoint, *next, held).await.map_err(|error| failed(&error))? {
                tracing::info!(%endpoint, agent = %taken.agent, epoch = taken.epoch, "an agent took a device over");
            }
            continue;
        }
        if begun.elapsed() >= patience {
            let detail = format!("none of its group came within {patience:?}");
            return Err(Fault::new(FaultCode::Exec, Reason::AgentOffline, detail));
        }
        tokio::time::sleep(pause.max(Duration::from_millis(5))).await;
    }
}

async fn take(
    db: &Db,
    endpoint: EndpointId,
    agent: AgentId,
    seen: Option<Lease>,
) -> rackhand_store::Result<Option<Lease>> {
    let tx = db.begin().await?;
    let taken = agent_groups::take(&tx, endpoint, agent, seen).await?;
    tx.commit().await.map_err(rackhand_store::Error::from)?;
    Ok(taken)
}

fn failed(error: &rackhand_store::Error) -> Fault {
    tracing::error!(%error, "cannot tell who holds a device");
    Fault::new(FaultCode::Exec, Reason::Internal, "the server cannot tell who holds the device")
}

/// Lists who of a group may reach a device of a tenant, the preferred one first. Agents that are being drained
/// come last.
///
/// # Errors
/// When the database fails.
pub async fn members(
    db: &Db,
    tenant: TenantId,
    endpoint: EndpointId,
    group: &str,
) -> rackhand_store::Result<Vec<AgentId>> {
    let found = find_group(db, tenant, group).await?;
    Ok(found.map(|group| group.of(endpoint)).unwrap_or_default())
}

/// A group as a tenant's devices find it.
pub struct Members {
    group: AgentGroup,
    draining: Vec<AgentId>,
}

impl Members {
    /// Lists who may reach a device, the preferred one first.
    #[must_use]
    pub fn of(&self, endpoint: EndpointId) -> Vec<AgentId> {
        let mut members = preferred(&self.group, endpoint);
        members.sort_by_key(|id| self.draining.contains(id));
        members
    }
}

/// Finds a group for a tenant: its own, or the nearest ancestor's. Two that share a name are two groups.
///
/// # Errors
/// When the database fails.
pub async fn find_group(db: &Db, tenant: TenantId, group: &str) -> rackhand_store::Result<Option<Members>> {
    for owner in tenants::lineage(db.reader(), tenant).await? {
        let known = agents::of_group(db.reader(), owner, group).await?;
        if known.is_empty() {
            continue;
        }
        let group = agent_groups::get(db.reader(), owner, group, &known).await?;
        let draining = known.iter().filter(|agent| agent.draining).map(|agent| agent.id).collect();
        return Ok(Some(Members { group, draining }));
    }
    Ok(None)
}

/// The order of a group for one device: as it is, or begun at a place that the device's id decides.
fn preferred(group: &AgentGroup, endpoint: EndpointId) -> Vec<AgentId> {
    let mut members = group.members.clone();
    match group.policy {
        GroupPolicy::Ordered => {}
        GroupPolicy::Spread if members.is_empty() => {}
        GroupPolicy::Spread => {
            // The last bits of a UUIDv7 are random.
            let place = endpoint.0.as_u128() % (members.len() as u128);
            members.rotate_left(usize::try_from(place).unwrap_or(0));
        }
    }
    members
}

#[cfg(test)]
mod tests {
    use rackhand_store::fresh_id;

    use super::*;

    #[test]
    fn a_lease_outlasts_what_the_agent_counts() {
        let leases = Leases::new(Duration::from_secs(6), Duration::from_secs(1));
        let (agent, other) = (AgentId(fresh_id()), AgentId(fresh_id()));
        leases.renew(agent);
        assert!(leases.left(agent) > Duration::from_secs(6));
        assert!(leases.left(other) > Duration::from_secs(5), "it may hold a lease of the process before");
    }

    #[test]
    fn a_group_that_spreads_gives_each_member_a_share() {
        let members: Vec<AgentId> = (0..3).map(|_| AgentId(fresh_id())).collect();
        let mut group =
            AgentGroup { name: "a".into(), policy: GroupPolicy::Spread, members: members.clone() };
        let firsts: Vec<AgentId> = (0..600).map(|_| preferred(&group, EndpointId(fresh_id()))[0]).collect();
        for member in &members {
            // 200 are expected; random ids stay far from half or twice as many.
            let share = firsts.iter().filter(|first| *first == member).count();
            assert!((100..400).contains(&share), "{share}");
        }
        group.policy = GroupPolicy::Ordered;
        assert_eq!(preferred(&group, EndpointId(fresh_id())), members);
    }
}
