//! Groups of agents, and who of them holds a device.

use rackhand_wire::{
    api::agent::{AgentGroup, GroupPolicy},
    id::{AgentId, EndpointId, JobId, TenantId},
};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, ConnectionTrait, EntityTrait, IntoActiveModel, JoinType,
    PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait, RelationDef, Set,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use uuid::Uuid;

use crate::{
    Result, Scope, Tx,
    agents::{Agent, LOCAL},
    entity::{
        agent_group::{Column, Entity, Model},
        connection, device_lease, endpoint, job,
    },
    filter::scoped,
    millis, now,
    steps::parsed,
    tenants,
};

/// Who holds a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The agent.
    pub agent: AgentId,
    /// Rises whenever the holder changes: the fencing token of commands.
    pub epoch: u64,
}

/// Lists the groups in scope that agents are in, with their order. One agent alone in a group of its own name is
/// none, unless somebody described it.
///
/// # Errors
/// When the database fails.
pub async fn list(db: &impl ConnectionTrait, scope: &Scope, agents: &[Agent]) -> Result<Vec<AgentGroup>> {
    let rows = Entity::find().filter(scoped(scope, Column::TenantId)).all(db).await?;
    let mut described: BTreeMap<String, AgentGroup> = BTreeMap::new();
    for row in rows {
        described.insert(row.name.clone(), group(row)?);
    }
    let mut members: BTreeMap<&str, Vec<&Agent>> = BTreeMap::new();
    for agent in agents {
        members.entry(&agent.group).or_default().push(agent);
    }
    let groups = members.into_iter().filter_map(|(name, own)| {
        let is_alone = matches!(own.as_slice(), [only] if only.name == name);
        let mut group = match described.remove(name) {
            None if is_alone => return None,
            known => known.unwrap_or_else(|| bare(name)),
        };
        complete(&mut group, &own.iter().map(|agent| agent.id).collect::<Vec<_>>());
        Some(group)
    });
    Ok(groups.collect())
}

/// Gets a tenant's own group, whose agents are these.
///
/// # Errors
/// When the database fails.
pub async fn get(
    db: &impl ConnectionTrait,
    owner: TenantId,
    name: &str,
    agents: &[Agent],
) -> Result<AgentGroup> {
    let row = Entity::find_by_id((owner.0, name.to_owned())).one(db).await?;
    let mut found = row.map_or_else(|| Ok(bare(name)), group)?;
    let own = agents.iter().filter(|agent| agent.group == name).map(|agent| agent.id);
    complete(&mut found, &own.collect::<Vec<_>>());
    Ok(found)
}

/// Adds those who were not put in order, and drops those who are in it no more.
fn complete(group: &mut AgentGroup, own: &[AgentId]) {
    group.members.retain(|member| own.contains(member));
    let ordered = group.members.clone();
    group.members.extend(own.iter().filter(|member| !ordered.contains(member)));
}

fn bare(name: &str) -> AgentGroup {
    AgentGroup { name: name.to_owned(), policy: GroupPolicy::default(), members: Vec::new() }
}

/// Describes a group.
///
/// # Errors
/// When the database fails.
pub async fn describe(db: &impl ConnectionTrait, tenant: TenantId, group: &AgentGroup) -> Result<()> {
    let members = serde_json::to_value(&group.members)?;
    let policy = group.policy.code().to_owned();
    if let Some(found) = Entity::find_by_id((tenant.0, group.name.clone())).one(db).await? {
        let mut model = found.into_active_model();
        model.policy = Set(policy);
        model.members = Set(members);
        model.update(db).await?;
    } else {
        let model = Model { tenant_id: tenant.0, name: group.name.clone(), policy, members };
        model.into_active_model().insert(db).await?;
    }
    Ok(())
}

/// Finds a power job that is under way on a server with a device that a tenant's agent or group reaches.
///
/// # Errors
/// When the database fails.
pub async fn find_job(
    tx: &Tx,
    owner: TenantId,
    agent: Option<AgentId>,
    groups: &[&str],
) -> Result<Option<JobId>> {
    use connection::Column as Own;
    use endpoint::Column as Of;
    let scope = tenants::scope(tx, owner).await?;
    let groups = || groups.iter().copied();
    let agent = || agent.map(|agent| agent.0);
    let is_local = groups().any(|group| group == LOCAL);
    let by_group = Condition::any()
        .add(Of::AgentGroup.is_in(groups()))
        .add_option(is_local.then(|| Of::AgentGroup.is_null()));
    let by_device = Condition::any()
        .add_option(agent().map(|agent| Of::AgentId.eq(agent)))
        .add(Condition::all().add(Of::AgentId.is_null()).add(by_group));
    let by_connection = Condition::any()
        .add_option(agent().map(|agent| Own::AgentId.eq(agent)))
        .add(Condition::all().add(Own::AgentId.is_null()).add(Own::AgentGroup.is_in(groups())));
    let unnamed = Condition::all().add(Own::AgentId.is_null()).add(Own::AgentGroup.is_null());
    let device: RelationDef =
        connection::Entity::belongs_to(endpoint::Entity).from(Own::EndpointId).to(Of::Id).into();
    let servers = connection::Entity::find()
        .select_only()
        .column(Own::ServerId)
        .join(JoinType::InnerJoin, device)
        .filter(scoped(&scope, Of::TenantId))
        .filter(by_connection.add(unnamed.add(by_device)))
        .into_query();
    let of = job::Entity::find().select_only().column(job::Column::Id);
    let found = of.filter(job::Column::ActiveServerId.in_subquery(servers)).order_by_asc(job::Column::Id);
    Ok(found.into_tuple::<Uuid>().one(tx).await?.map(JobId))
}

/// Finds who holds a device.
///
/// # Errors
/// When the database fails.
pub async fn lease(db: &impl ConnectionTrait, endpoint: EndpointId) -> Result<Option<Lease>> {
    let row = device_lease::Entity::find_by_id(endpoint.0).one(db).await?;
    Ok(row.map(|row| Lease {
        agent: AgentId(row.agent_id),
        epoch: u64::try_from(row.epoch).unwrap_or_default(),
    }))
}

/// Counts the devices that an agent holds.
///
/// # Errors
/// When the database fails.
pub async fn held_by(db: &impl ConnectionTrait, agent: AgentId) -> Result<u64> {
    let own = device_lease::Entity::find().filter(device_lease::Column::AgentId.eq(agent.0));
    Ok(own.count(db).await?)
}

/// Gives a device to an agent when nobody has taken it since `seen`; the epoch rises.
///
/// # Errors
/// When the database fails.
pub async fn take(
    tx: &Tx,
    endpoint: EndpointId,
    agent: AgentId,
    seen: Option<Lease>,
) -> Result<Option<Lease>> {
    if lease(tx, endpoint).await? != seen {
        return Ok(None);
    }
    let (db, taken_at) = (tx, millis(now()));
    let row = if let Some(found) = device_lease::Entity::find_by_id(endpoint.0).one(db).await? {
        let epoch = found.epoch + 1;
        let mut model = found.into_active_model();
        model.agent_id = Set(agent.0);
        model.epoch = Set(epoch);
        model.taken_at = Set(taken_at);
        model.update(db).await?
    } else {
        let first = device_lease::Model { endpoint_id: endpoint.0, agent_id: agent.0, epoch: 1, taken_at };
        first.into_active_model().insert(db).await?
    };
    Ok(Some(Lease { agent, epoch: u64::try_from(row.epoch).unwrap_or_default() }))
}

fn group(row: Model) -> Result<AgentGroup> {
    let members = serde_json::from_value(row.members)?;
    Ok(AgentGroup { name: row.name, policy: parsed(row.policy)?, members })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{agents, bench::database, fresh_id};

    #[tokio::test]
    async fn a_device_is_given_away_by_whoever_saw_last_how_it_was() {
        let (db, _folder) = database().await;
        let endpoint = EndpointId(fresh_id());
        let (one, two) = (AgentId(fresh_id()), AgentId(fresh_id()));
        let tx = db.begin().await.unwrap();
        let first = take(&tx, endpoint, one, None).await.unwrap().unwrap();
        assert_eq!(first, Lease { agent: one, epoch: 1 });
        assert_eq!(take(&tx, endpoint, two, None).await.unwrap(), None, "it was free when that was seen");
        let second = take(&tx, endpoint, two, Some(first)).await.unwrap();
        assert_eq!(second, Some(Lease { agent: two, epoch: 2 }));
        assert_eq!(take(&tx, endpoint, one, Some(first)).await.unwrap(), None);
        assert_eq!(lease(&tx, endpoint).await.unwrap(), second);
    }

    #[tokio::test]
    async fn two_groups_of_one_name_are_two_groups() {
        let (db, _folder) = database().await;
        let (provider, customer) = (TenantId::PROVIDER, TenantId(fresh_id()));
        let mut ids = Vec::new();
        for (tenant, name) in [(provider, "a"), (customer, "b"), (customer, "c")] {
            let new = agents::New { tenant, name, group: "pair", site: None, embedded: false };
            ids.push(agents::add(db.writer(), new).await.unwrap().id);
        }
        let of = async |owner| {
            let known = agents::of_group(db.reader(), owner, "pair").await.unwrap();
            get(db.reader(), owner, "pair", &known).await.unwrap().members
        };
        assert_eq!(of(provider).await, ids[..1]);
        assert_eq!(of(customer).await, ids[1..]);
        let order =
            AgentGroup { name: "pair".into(), policy: GroupPolicy::Spread, members: vec![ids[2], ids[0]] };
        describe(db.writer(), customer, &order).await.unwrap();
        assert_eq!(of(customer).await, [ids[2], ids[1]], "in its order, without strangers");
    }
}
