//! Which agent reaches a device: the one that is named, or the one of a group that holds it.
//!
//! A member of a group may write only while its lease lasts, by its own clock counted from the moment it asked.
//! The count here begins when the question arrives, so it ends later; a moment after that the device may be given
//! to another member, with a higher epoch. Two members cannot both think that they hold it.

use rackhand_store::{
    Db,
    agent_groups::{self, Lease},
    agents::{self, LOCAL},
    jobs, tenants,
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
    collections::{BTreeSet, HashMap},
    time::{Duration, Instant},
};

use super::{
    lease::{Leases, Standing},
    roster::Roster,
};

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
    /// The renewal that says that its lease lasts.
    pub renewal: Option<i64>,
}

impl Holder {
    /// Says whether the same one has the device, in the same epoch.
    #[must_use]
    pub fn is_same(self, other: Self) -> bool {
        (self.agent, self.epoch, self.leased) == (other.agent, other.epoch, other.leased)
    }
}

/// An agent that a device is given to no more has ended its last command to it after so many leases.
const OUT: u32 = 4;

/// Finds who may be asked, waiting at most for `patience`.
///
/// # Errors
/// `Exec` when nobody came in time, or the database fails.
pub async fn holder(db: &Db, roster: &Roster, route: &Route, patience: Duration) -> Result<Holder, Fault> {
    let (endpoint, members) = match route {
        Route::Agent(agent) => return Ok(Holder { agent: *agent, epoch: 1, leased: false, renewal: None }),
        Route::Group { members, .. } if members.is_empty() => {
            return Err(Fault::new(
                FaultCode::Exec,
                Reason::AgentOffline,
                "its group has no agent that knows this kind of device",
            ));
        }
        Route::Group { endpoint, members } => (*endpoint, members),
    };
    let (begun, leases) = (Instant::now(), roster.leases());
    loop {
        let held = match agent_groups::lease(db.reader(), endpoint).await {
            Ok(held) => held,
            // It is waited for like an agent that is away: nothing was sent yet.
            Err(_) if begun.elapsed() < patience => {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
            Err(error) => return Err(failed(&error)),
        };
        let (mut pause, mut is_free, mut is_out) = (Duration::from_millis(50), true, false);
        if let Some(held) = held {
            let (is_shared, is_member) = (members.len() > 1, members.contains(&held.agent));
            // A session may stand for a while after its line went silent; the lease does not.
            let Standing { left, renewal } = leases.standing(held.agent).await;
            let holds = is_member && roster.is_here(held.agent);
            if holds && !is_shared {
                return Ok(Holder { agent: held.agent, epoch: held.epoch, leased: false, renewal: None });
            }
            // While that was asked, the lease may have ended, gone to another agent, and been renewed.
            if holds && !left.is_zero() && renewal.is_some() {
                match is_still(db, endpoint, held).await {
                    Ok(true) => {
                        return Ok(Holder { agent: held.agent, epoch: held.epoch, leased: true, renewal });
                    }
                    Err(fault) if begun.elapsed() >= patience => return Err(fault),
                    Ok(false) | Err(_) => {}
                }
            }
            // One that the device is given to no more may be there for long, and renew what it shares with others. It
            // may also have had the device for itself, without a lease, and be writing still.
            is_out = !is_member
                && (begun.elapsed() >= leases.length() * OUT
                    || !db.is_shared() && roster.writes.is_idle(held.agent));
            is_free = if is_member { left.is_zero() } else { is_out };
            pause = left.min(pause);
        }
        if is_free && let Some(next) = next(roster, members).await {
            // Another command may have given it away since; whoever has it now is asked.
            match take(db, leases, endpoint, next, (held, is_out)).await {
                Ok(Some(Lease { agent, epoch, .. })) => {
                    tracing::info!(%endpoint, %agent, epoch, "an agent took a device over");
                }
                Ok(None) => {}
                Err(_) if begun.elapsed() < patience => tokio::time::sleep(Duration::from_millis(50)).await,
                Err(error) => return Err(failed(&error)),
            }
            continue;
        }
        if begun.elapsed() >= patience {
            let detail = format!("none of its group came within {:.0} s", patience.as_secs_f32());
            return Err(Fault::new(FaultCode::Exec, Reason::AgentOffline, detail));
        }
        tokio::time::sleep(pause.max(Duration::from_millis(5))).await;
    }
}

async fn is_still(db: &Db, endpoint: EndpointId, held: Lease) -> Result<bool, Fault> {
    if !db.is_shared() {
        return Ok(true);
    }
    Ok(agent_groups::lease(db.reader(), endpoint).await.map_err(|error| failed(&error))? == Some(held))
}

/// Finds the first member that may take a device over.
async fn next(roster: &Roster, members: &[AgentId]) -> Option<AgentId> {
    for member in members.iter().filter(|member| roster.is_here(**member)) {
        if members.len() == 1 || !roster.leases().left(*member).await.is_zero() {
            return Some(*member);
        }
    }
    None
}

async fn take(
    db: &Db,
    leases: &Leases,
    endpoint: EndpointId,
    agent: AgentId,
    (seen, is_out): (Option<Lease>, bool),
) -> rackhand_store::Result<Option<Lease>> {
    let tx = db.begin().await?;
    if let Some(before) = seen.filter(|seen| db.is_shared() && seen.agent != agent && !is_out)
        && !leases.is_over(&tx, before.agent).await?
    {
        return Ok(None);
    }
    let taken = agent_groups::take(&tx, endpoint, agent, seen).await?;
    tx.commit().await.map_err(rackhand_store::Error::from)?;
    Ok(taken)
}

/// What is said when the database does not tell who holds a device.
pub fn failed(error: &rackhand_store::Error) -> Fault {
    tracing::error!(%error, "cannot tell who holds a device");
    Fault::new(FaultCode::Exec, Reason::Internal, "the server cannot tell who holds the device")
}

/// Lists who of a group may reach a device of that kind of a tenant, the preferred one first. Agents that are being
/// drained come last.
///
/// # Errors
/// When the database fails.
pub async fn members(
    db: &Db,
    tenant: TenantId,
    (endpoint, kind): (EndpointId, &str),
    group: &str,
) -> rackhand_store::Result<Vec<AgentId>> {
    let found = find_group(db, tenant, group).await?;
    Ok(found.map(|group| group.of(endpoint, kind)).unwrap_or_default())
}

/// A group as a tenant's devices find it.
pub struct Members {
    group: AgentGroup,
    draining: Vec<AgentId>,
    /// Kinds that each is known to know; nothing of one that has not come yet.
    kinds: HashMap<AgentId, BTreeSet<String>>,
}

impl Members {
    /// Lists who may reach a device of that kind, the preferred one first: not those whose version does not know it.
    #[must_use]
    pub fn of(&self, endpoint: EndpointId, kind: &str) -> Vec<AgentId> {
        let mut members = preferred(&self.group, endpoint);
        members.retain(|id| self.kinds.get(id).is_none_or(|kinds| kinds.is_empty() || kinds.contains(kind)));
        members.sort_by_key(|id| self.draining.contains(id));
        members
    }

    /// Lists who shall have a device instead of the agent that has it, the preferred one first: nobody, unless that
    /// one is being drained.
    #[must_use]
    pub fn heirs(&self, endpoint: EndpointId, kind: &str, held: AgentId) -> Vec<AgentId> {
        // Each server begins with its own agent in the local group; none of them is drained.
        if self.group.name == LOCAL || !self.draining.contains(&held) {
            return Vec::new();
        }
        let may = |id: &AgentId| {
            !self.draining.contains(id) && self.kinds.get(id).is_some_and(|kinds| kinds.contains(kind))
        };
        self.of(endpoint, kind).into_iter().filter(may).collect()
    }
}

/// Gives a device to another agent while the one that has it is there, unless a job uses it: what that began is
/// ended by who began it. Gives the new lease, where it did.
///
/// # Errors
/// When the database fails.
pub async fn hand_over(
    db: &Db,
    endpoint: EndpointId,
    held: Lease,
    heir: AgentId,
) -> rackhand_store::Result<Option<Lease>> {
    let tx = db.begin().await?;
    if jobs::find_using(&tx, endpoint).await?.is_some() {
        return Ok(None);
    }
    let taken = agent_groups::take(&tx, endpoint, heir, Some(held)).await?;
    tx.commit().await.map_err(rackhand_store::Error::from)?;
    if let Some(Lease { epoch, .. }) = taken {
        tracing::info!(%endpoint, from = %held.agent, to = %heir, epoch, "a device was handed over");
    }
    Ok(taken)
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
        let kinds = known.into_iter().map(|agent| (agent.id, agent.kinds.into_keys().collect())).collect();
        return Ok(Some(Members { group, draining, kinds }));
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
    fn what_a_drained_agent_has_goes_to_those_that_are_not_drained() {
        let [one, two, three, gone, old] = std::array::from_fn(|_| AgentId(fresh_id()));
        let endpoint = EndpointId(fresh_id());
        let heirs = |name: &str, draining: &[AgentId], held| {
            let members = vec![one, old, two, three];
            let group = AgentGroup { name: name.into(), policy: GroupPolicy::Ordered, members };
            let kinds = [one, two, three].map(|id| (id, BTreeSet::from(["ipmi".to_owned()])));
            let mut kinds = HashMap::from(kinds);
            kinds.insert(old, BTreeSet::from(["snmp_pdu".to_owned()]));
            Members { group, draining: draining.to_vec(), kinds }.heirs(endpoint, "ipmi", held)
        };
        assert_eq!(heirs("a", &[], three), vec![], "a stand-in keeps what it has");
        assert_eq!(heirs("a", &[one], one), vec![two, three]);
        assert_eq!(heirs("a", &[one], two), vec![], "nothing comes back to who is drained");
        assert_eq!(heirs("a", &[one, two, three], two), vec![], "nobody else takes it");
        assert_eq!(heirs("a", &[two], gone), vec![], "one that left the group is waited out elsewhere");
        assert_eq!(heirs(LOCAL, &[three], three), vec![]);
    }

    #[test]
    fn who_does_not_know_a_kind_of_device_stands_in_for_nobody() {
        let [able, old, fresh] = std::array::from_fn(|_| AgentId(fresh_id()));
        let members = vec![old, fresh, able];
        let group = AgentGroup { name: "a".into(), policy: GroupPolicy::Ordered, members };
        let knows = |kinds: &[&str]| kinds.iter().map(|kind| (*kind).to_owned()).collect();
        let kinds = HashMap::from([
            (able, knows(&["ipmi", "snmp_pdu"])),
            (old, knows(&["snmp_pdu"])),
            (fresh, knows(&[])),
        ]);
        let found = Members { group, draining: Vec::new(), kinds };
        let endpoint = EndpointId(fresh_id());
        assert_eq!(found.of(endpoint, "ipmi"), [fresh, able], "what one that never came knows is not known");
        assert_eq!(found.of(endpoint, "snmp_pdu"), [old, fresh, able]);
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
