//! Who looks at which device: the agent that is named, or of a group the one that holds it.

use chrono::TimeDelta;
use rackhand_agent::{catalogue, poller::digest, proof::hex};
use rackhand_store::{Result, agent_groups::Lease, agents, handover, now, watches};
use rackhand_wire::{
    Operation, Role,
    agent::{Look, Read},
    api::live::Object,
    id::{AgentId, EndpointId, TenantId},
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use crate::{
    agents::{Members, Route, Via, find_group, hand_over, holder},
    app::App,
};

/// So many devices of groups are given to an agent at a time.
const TAKEN_AT_ONCE: usize = 200;

/// So many leases after its last job ended, whatever was sent to a device has come to an end at its agent.
const OUT: u32 = 4;

/// What one agent looks at.
#[derive(Default)]
pub struct Plan {
    /// The looks.
    pub looks: HashMap<EndpointId, Arc<Look>>,
    /// Names them all: that of an agent which does the same is equal.
    pub digest: String,
}

/// What each agent of this process looks at.
#[derive(Default)]
pub struct Plans {
    of: HashMap<AgentId, Arc<Plan>>,
    /// Not all devices of groups have found their agent yet.
    pub is_unsettled: bool,
}

impl PartialEq for Plans {
    fn eq(&self, other: &Self) -> bool {
        let same = |(agent, plan): (&AgentId, &Arc<Plan>)| {
            other.of.get(agent).is_some_and(|other| other.digest == plan.digest)
        };
        self.of.len() == other.of.len() && self.of.iter().all(same)
    }
}

impl Plans {
    /// Finds the plan of an agent; none is known of one that was not there when they were made.
    #[must_use]
    pub fn of(&self, agent: AgentId) -> Option<&Arc<Plan>> {
        self.of.get(&agent)
    }
}

/// Makes the plans of all agents that are here.
///
/// # Errors
/// When the database fails.
pub async fn plans(app: &App, before: &Plans) -> Result<Plans> {
    let db = app.db.reader();
    let mut places: HashMap<EndpointId, Vec<watches::Place>> = HashMap::new();
    for place in watches::places(db).await? {
        places.entry(place.endpoint).or_default().push(place);
    }
    let mut draft = Draft {
        app,
        every_ms: u64::try_from(app.timings().poll.as_millis()).unwrap_or(u64::MAX),
        before,
        of: app.roster.present().into_iter().map(|agent| (agent, HashMap::new())).collect(),
        leases: watches::leases(db).await?,
        groups: HashMap::new(),
        has_lease: HashMap::new(),
        bound: None,
        may_take: TAKEN_AT_ONCE,
        is_unsettled: false,
        moved: HashSet::new(),
    };
    for device in watches::devices(db).await? {
        let places = places.remove(&device.id).unwrap_or_default();
        draft.put(&device, places).await?;
    }
    for agent in &draft.moved {
        app.live.tell(Object::Agent, agent);
    }
    Ok(draft.plans())
}

struct Draft<'a> {
    app: &'a App,
    every_ms: u64,
    before: &'a Plans,
    of: HashMap<AgentId, HashMap<EndpointId, Arc<Look>>>,
    leases: HashMap<EndpointId, Lease>,
    groups: HashMap<(TenantId, String), Option<Members>>,
    has_lease: HashMap<AgentId, bool>,
    /// Devices that stay where they are; asked for once an agent is drained.
    bound: Option<HashSet<EndpointId>>,
    may_take: usize,
    is_unsettled: bool,
    /// Agents that gave devices to others or got them from others.
    moved: HashSet<AgentId>,
}

impl Draft<'_> {
    /// Finds out who looks at a device, and at what of it.
    async fn put(&mut self, device: &watches::Device, places: Vec<watches::Place>) -> Result<()> {
        let named = Via { agent: device.agent, group: device.group.clone() };
        let role = catalogue::find(&device.kind).map(|integration| integration.descriptor().role);
        if role == Some(Role::Feed) {
            let reads = vec![Read { target: json!({}), operation: Operation::ReadOutlets }];
            if let Some(agent) = self.whom(device, &named).await? {
                self.look(agent, device, reads, !device.is_identified);
            }
            return Ok(());
        }
        let mut reads: BTreeMap<AgentId, Vec<Read>> = BTreeMap::new();
        let is_alone = places.is_empty();
        for place in places {
            let via = Via { agent: place.agent, group: place.group }.or(named.clone());
            let Some(agent) = self.whom(device, &via).await? else { continue };
            let theirs = reads.entry(agent).or_default();
            // Two servers may share a place.
            if theirs.iter().all(|read| read.target != place.target) {
                theirs.push(Read { target: place.target, operation: Operation::ReadPower });
            }
        }
        if (is_alone || !device.is_identified)
            && let Some(agent) = self.whom(device, &named).await?
        {
            let reads = reads.remove(&agent).unwrap_or_default();
            self.look(agent, device, reads, true);
        }
        for (agent, reads) in reads {
            self.look(agent, device, reads, false);
        }
        Ok(())
    }

    /// Finds who of those who are here reaches a device.
    async fn whom(&mut self, device: &watches::Device, via: &Via) -> Result<Option<AgentId>> {
        let agent = match (via.agent, via.group.as_deref()) {
            (Some(agent), _) => Some(agent),
            (None, Some(group)) if group != agents::LOCAL => {
                return self.of_group(device, group).await;
            }
            (None, _) if self.app.peers.may_be_many() => {
                return self.of_group(device, agents::LOCAL).await;
            }
            (None, _) => self.app.embedded,
        };
        Ok(agent.filter(|agent| self.of.contains_key(agent)))
    }

    async fn of_group(&mut self, device: &watches::Device, group: &str) -> Result<Option<AgentId>> {
        let (tenant, endpoint) = (device.tenant, device.id);
        let key = (tenant, group.to_owned());
        if !self.groups.contains_key(&key) {
            let found = find_group(&self.app.db, tenant, group).await?;
            self.groups.insert(key.clone(), found);
        }
        let Some(Some(found)) = self.groups.get(&key) else { return Ok(None) };
        let mut members = found.of(endpoint, &device.kind);
        let held = self.leases.get(&endpoint).copied();
        let heirs = held.map(|held| found.heirs(endpoint, &device.kind, held.agent)).unwrap_or_default();
        if group == agents::LOCAL {
            // What another server's own agent does not hold already, this one's takes.
            members.sort_by_key(|member| self.app.embedded != Some(*member));
        }
        if !members.iter().any(|member| self.of.contains_key(member)) {
            return Ok(None);
        }
        if let Some(held) = held
            && let Some(heir) = self.heir(&heirs).await
            && self.may_go(endpoint).await?
            && let Some(taken) = self.pass_on(endpoint, held, heir).await
        {
            return Ok(Some(taken));
        }
        if let Some(held) = held.filter(|held| members.contains(&held.agent))
            && self.app.roster.is_here(held.agent)
            && (members.len() == 1 || self.has_lease(held.agent).await)
        {
            // One that is connected to another server is in that one's plan.
            return Ok(Some(held.agent));
        }
        if self.may_take == 0 {
            self.is_unsettled = true;
            return Ok(None);
        }
        self.may_take -= 1;
        let (db, roster, route) = (&self.app.db, &self.app.roster, Route::Group { endpoint, members });
        let found = holder(db, roster, &route, Duration::ZERO).await;
        // The lease of the one before may not have ended yet.
        self.is_unsettled |= found.is_err();
        Ok(found.ok().map(|holder| holder.agent))
    }

    /// Finds the first of those who shall have a device that is here and may write.
    async fn heir(&mut self, heirs: &[AgentId]) -> Option<AgentId> {
        for heir in heirs {
            if self.app.roster.is_here(*heir) && self.has_lease(*heir).await {
                return Some(*heir);
            }
        }
        None
    }

    /// Says whether a device may leave the agent that has it: whatever that one was told to write is over.
    async fn may_go(&mut self, endpoint: EndpointId) -> Result<bool> {
        if self.bound.is_none() {
            let timings = self.app.timings();
            let out =
                TimeDelta::from_std(timings.command_expiry + timings.lease * OUT).unwrap_or(TimeDelta::MAX);
            self.bound = Some(handover::bound(self.app.db.reader(), now() - out).await?);
        }
        Ok(self.bound.as_ref().is_some_and(|bound| !bound.contains(&endpoint)))
    }

    /// Gives a device to another agent. That this fails leaves it where it is, and everything else is planned.
    async fn pass_on(&mut self, endpoint: EndpointId, held: Lease, heir: AgentId) -> Option<AgentId> {
        if self.may_take == 0 {
            self.is_unsettled = true;
            return None;
        }
        match hand_over(&self.app.db, endpoint, held, heir).await {
            Ok(taken) => {
                let taken = taken?;
                self.may_take -= 1;
                self.leases.insert(endpoint, taken);
                self.moved.extend([held.agent, heir]);
                Some(heir)
            }
            Err(error) => {
                tracing::warn!(%error, %endpoint, "a device could not be handed over");
                None
            }
        }
    }

    /// Says whether an agent may think that it holds its devices; asked once for each plan.
    async fn has_lease(&mut self, agent: AgentId) -> bool {
        if let Some(known) = self.has_lease.get(&agent) {
            return *known;
        }
        let has_lease = !self.app.roster.leases().left(agent).await.is_zero();
        self.has_lease.insert(agent, has_lease);
        has_lease
    }

    fn look(&mut self, agent: AgentId, device: &watches::Device, reads: Vec<Read>, identify: bool) {
        let mut look = Look {
            endpoint: device.id,
            kind: device.kind.clone(),
            params: device.params.clone(),
            pinned: device.pinned.clone(),
            identify,
            reads,
            every_ms: self.every_ms,
            generation: generation(&device.kind, &device.params),
            mark: String::new(),
            needs_secrets: device.has_secrets,
        };
        look.mark = mark(&look, device.version);
        let known = self.before.of(agent).and_then(|plan| plan.looks.get(&device.id));
        let look = match known {
            Some(known) if known.mark == look.mark => Arc::clone(known),
            Some(_) | None => Arc::new(look),
        };
        if let Some(looks) = self.of.get_mut(&agent) {
            looks.insert(device.id, look);
        }
    }

    fn plans(self) -> Plans {
        let plan = |looks: HashMap<EndpointId, Arc<Look>>| {
            let digest = digest(looks.iter().map(|(id, look)| (*id, look.mark.as_str())));
            Arc::new(Plan { looks, digest })
        };
        let of = self.of.into_iter().map(|(agent, looks)| (agent, plan(looks)));
        Plans { of: of.collect(), is_unsettled: self.is_unsettled }
    }
}

/// Names what parameters lead to.
#[must_use]
pub fn generation(kind: &str, params: &Value) -> String {
    short(&[kind.as_bytes(), params.to_string().as_bytes()])
}

/// Names everything that a look is made of; the version stands for the credentials, whose hash tells too much.
fn mark(look: &Look, version: i64) -> String {
    let reads = look.reads.iter().map(|read| read.target.to_string()).collect::<Vec<_>>().join("\n");
    let pinned = look.pinned.as_deref().map(|pinned| format!("={pinned}")).unwrap_or_default();
    short(&[
        look.generation.as_bytes(),
        pinned.as_bytes(),
        reads.as_bytes(),
        &[u8::from(look.identify), u8::from(look.needs_secrets)],
        &look.every_ms.to_be_bytes(),
        &version.to_be_bytes(),
    ])
}

fn short(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let mut text = hex(&hash.finalize());
    text.truncate(16);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_another_one_whenever_anything_has_changed() {
        let look = Look {
            endpoint: EndpointId(rackhand_store::fresh_id()),
            kind: "ipmi".into(),
            params: json!({"host": "10.0.0.7"}),
            pinned: None,
            identify: false,
            reads: vec![Read { target: json!({}), operation: Operation::ReadPower }],
            every_ms: 60_000,
            generation: generation("ipmi", &json!({"host": "10.0.0.7"})),
            mark: String::new(),
            needs_secrets: true,
        };
        let same = mark(&look, 1);
        assert_eq!(mark(&look.clone(), 1), same);
        let mut others = vec![mark(&look, 2)];
        others.push(mark(&Look { pinned: Some(String::new()), ..look.clone() }, 1));
        others.push(mark(&Look { identify: true, ..look.clone() }, 1));
        others.push(mark(&Look { every_ms: 30_000, ..look.clone() }, 1));
        others.push(mark(&Look { reads: Vec::new(), ..look.clone() }, 1));
        others.push(mark(&Look { generation: generation("ipmi", &json!({})), ..look }, 1));
        others.push(same);
        let count = others.len();
        others.sort_unstable();
        others.dedup();
        assert_eq!(others.len(), count);
    }
}
