//! What agents look at, and what they found: whole fleets and whole batches at once.

use chrono::{DateTime, Utc};
use rackhand_wire::{
    Fault, Role, Secrets,
    id::{AgentId, ConnectionId, EndpointId, ServerId, TenantId},
    power::PathState,
};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder,
    QuerySelect, Set,
};
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

use crate::{
    Db, Result,
    agent_groups::Lease,
    connections::label,
    entity::{agent, connection, device_lease, endpoint, job, server},
    millis,
    readings::has_power,
    steps::parsed,
};

/// A device as it is looked at, without its credentials.
pub struct Device {
    /// The device.
    pub id: EndpointId,
    /// Whose.
    pub tenant: TenantId,
    /// Its integration.
    pub kind: String,
    /// Its parameters.
    pub params: Value,
    /// The identity pinned when it was added.
    pub pinned: Option<String>,
    /// It has said what it is.
    pub is_identified: bool,
    /// It has credentials.
    pub has_secrets: bool,
    /// Rises with every change.
    pub version: i64,
    /// Agent that reaches it.
    pub agent: Option<AgentId>,
    /// Group that reaches it.
    pub group: Option<String>,
}

/// Lists every device.
///
/// # Errors
/// When the database fails.
pub async fn devices(db: &impl ConnectionTrait) -> Result<Vec<Device>> {
    use endpoint::Column;
    type Row = (Uuid, Uuid, String, Value, Option<String>, bool, Value, i64, Option<Uuid>, Option<String>);
    let rows: Vec<Row> = endpoint::Entity::find()
        .select_only()
        .columns([Column::Id, Column::TenantId, Column::Kind, Column::Params, Column::Pinned])
        .column_as(Column::Identity.is_not_null(), "identified")
        .columns([Column::SecretsSet, Column::Version, Column::AgentId, Column::AgentGroup])
        .into_tuple()
        .all(db)
        .await?;
    let device =
        |(id, tenant, kind, params, pinned, is_identified, secrets, version, agent, group): Row| Device {
            id: EndpointId(id),
            tenant: TenantId(tenant),
            kind,
            params,
            pinned,
            is_identified,
            has_secrets: secrets.as_array().is_some_and(|names| !names.is_empty()),
            version,
            agent: agent.map(AgentId),
            group,
        };
    Ok(rows.into_iter().map(device).collect())
}

/// A machine's place on a controller.
pub struct Place {
    /// The controller.
    pub endpoint: EndpointId,
    /// The place.
    pub target: Value,
    /// Agent that the connection names.
    pub agent: Option<AgentId>,
    /// Group that the connection names.
    pub group: Option<String>,
}

/// Lists the connections to controllers with power ticked, in the order in which they were added.
///
/// # Errors
/// When the database fails.
pub async fn places(db: &impl ConnectionTrait) -> Result<Vec<Place>> {
    use connection::Column;
    type Row = (Uuid, Value, Value, Option<Uuid>, Option<String>);
    let rows: Vec<Row> = connection::Entity::find()
        .select_only()
        .columns([Column::EndpointId, Column::Target, Column::Features, Column::AgentId, Column::AgentGroup])
        .filter(Column::Role.eq("controller"))
        .order_by_asc(Column::Id)
        .into_tuple()
        .all(db)
        .await?;
    let powered = rows.into_iter().filter(|(_, _, features, ..)| has_power(features));
    Ok(powered
        .map(|(endpoint, target, _, agent, group)| Place {
            endpoint: EndpointId(endpoint),
            target,
            agent: agent.map(AgentId),
            group,
        })
        .collect())
}

/// Says who holds each device that somebody holds.
///
/// # Errors
/// When the database fails.
pub async fn leases(db: &impl ConnectionTrait) -> Result<HashMap<EndpointId, Lease>> {
    let rows = device_lease::Entity::find().all(db).await?;
    let lease = |row: device_lease::Model| {
        let epoch = u64::try_from(row.epoch).unwrap_or_default();
        (EndpointId(row.endpoint_id), Lease { agent: AgentId(row.agent_id), epoch })
    };
    Ok(rows.into_iter().map(lease).collect())
}

/// Opens the credentials of devices.
///
/// # Errors
/// [`crate::Error::Sealed`] with another master key.
pub async fn secrets(db: &Db, ids: &[EndpointId]) -> Result<HashMap<EndpointId, Secrets>> {
    use endpoint::Column;
    let rows: Vec<(Uuid, Option<Vec<u8>>)> = endpoint::Entity::find()
        .select_only()
        .columns([Column::Id, Column::Sealed])
        .filter(Column::Id.is_in(ids.iter().map(|id| id.0)))
        .into_tuple()
        .all(db.reader())
        .await?;
    let open = |(id, sealed): (Uuid, Option<Vec<u8>>)| {
        let secrets = sealed.map(|sealed| db.keys().open(id.as_bytes(), &sealed)).transpose()?;
        Ok((EndpointId(id), secrets.unwrap_or_default()))
    };
    rows.into_iter().map(open).collect()
}

/// A device that something was found of.
pub struct Known {
    /// Its name.
    pub name: String,
    /// Its integration.
    pub kind: String,
    /// Its parameters.
    pub params: Value,
}

/// Finds devices.
///
/// # Errors
/// When the database fails.
pub async fn known(db: &impl ConnectionTrait, ids: &[EndpointId]) -> Result<HashMap<EndpointId, Known>> {
    use endpoint::Column;
    let rows: Vec<(Uuid, String, String, Value)> = endpoint::Entity::find()
        .select_only()
        .columns([Column::Id, Column::Name, Column::Kind, Column::Params])
        .filter(Column::Id.is_in(ids.iter().map(|id| id.0)))
        .into_tuple()
        .all(db)
        .await?;
    let known = |(id, name, kind, params)| (EndpointId(id), Known { name, kind, params });
    Ok(rows.into_iter().map(known).collect())
}

/// Whose a device is, and whom it names.
pub struct Named {
    /// Whose.
    pub tenant: TenantId,
    /// Kind of device.
    pub kind: String,
    /// One agent.
    pub agent: Option<AgentId>,
    /// A group of agents.
    pub group: Option<String>,
}

/// Says whom devices name.
///
/// # Errors
/// When the database fails.
pub async fn named(db: &impl ConnectionTrait, ids: &[EndpointId]) -> Result<HashMap<EndpointId, Named>> {
    use endpoint::Column;
    type Row = (Uuid, Uuid, String, Option<Uuid>, Option<String>);
    let rows: Vec<Row> = endpoint::Entity::find()
        .select_only()
        .columns([Column::Id, Column::TenantId, Column::Kind, Column::AgentId, Column::AgentGroup])
        .filter(Column::Id.is_in(ids.iter().map(|id| id.0)))
        .into_tuple()
        .all(db)
        .await?;
    let named = |(id, tenant, kind, agent, group): Row| {
        (EndpointId(id), Named { tenant: TenantId(tenant), kind, agent: agent.map(AgentId), group })
    };
    Ok(rows.into_iter().map(named).collect())
}

/// A connection with power ticked, and what it last said.
pub struct Path {
    /// The connection.
    pub id: ConnectionId,
    /// The server.
    pub server: ServerId,
    /// The device.
    pub endpoint: EndpointId,
    /// Controller or feed.
    pub role: Role,
    /// The server's place on the device.
    pub target: Value,
    /// The same for people, before the name of the device.
    pub target_label: String,
    /// What it said.
    pub state: Option<PathState>,
    /// Why it said nothing.
    pub fault: Option<Fault>,
    /// A job has the server.
    pub is_busy: bool,
}

impl Path {
    /// Names it for people.
    #[must_use]
    pub fn label(&self, endpoint: &str) -> String {
        label(endpoint, &self.target_label)
    }
}

/// Lists the paths through devices.
///
/// # Errors
/// When the database fails.
pub async fn paths(db: &impl ConnectionTrait, ids: &[EndpointId]) -> Result<HashMap<EndpointId, Vec<Path>>> {
    let of = connection::Column::EndpointId.is_in(ids.iter().map(|id| id.0));
    let rows = connection::Entity::find().filter(of).order_by_asc(connection::Column::Id).all(db).await?;
    let busy = busy(db, rows.iter().map(|row| ServerId(row.server_id))).await?;
    let mut paths: HashMap<EndpointId, Vec<Path>> = HashMap::new();
    for row in rows.into_iter().filter(|row| has_power(&row.features)) {
        let path = Path {
            id: ConnectionId(row.id),
            server: ServerId(row.server_id),
            endpoint: EndpointId(row.endpoint_id),
            role: parsed(row.role)?,
            target: row.target,
            target_label: row.target_label,
            state: row.state.map(parsed).transpose()?,
            fault: row.fault.and_then(|fault| serde_json::from_value(fault).ok()),
            is_busy: busy.contains(&ServerId(row.server_id)),
        };
        paths.entry(path.endpoint).or_default().push(path);
    }
    Ok(paths)
}

/// Lists which of these servers a job has.
///
/// # Errors
/// When the database fails.
pub async fn busy(
    db: &impl ConnectionTrait,
    servers: impl IntoIterator<Item = ServerId>,
) -> Result<HashSet<ServerId>> {
    let servers: HashSet<Uuid> = servers.into_iter().map(|server| server.0).collect();
    let column = job::Column::ActiveServerId;
    let active = job::Entity::find().select_only().column(column).filter(column.is_in(servers));
    let rows: Vec<Option<Uuid>> = active.into_tuple().all(db).await?;
    Ok(rows.into_iter().flatten().map(ServerId).collect())
}

/// Lists the controllers of servers with power ticked.
///
/// # Errors
/// When the database fails.
pub async fn controllers(
    db: &impl ConnectionTrait,
    servers: impl IntoIterator<Item = ServerId>,
) -> Result<Vec<EndpointId>> {
    let servers: HashSet<Uuid> = servers.into_iter().map(|server| server.0).collect();
    let of = connection::Entity::find()
        .filter(connection::Column::ServerId.is_in(servers))
        .filter(connection::Column::Role.eq("controller"));
    let rows = of.all(db).await?;
    Ok(rows
        .into_iter()
        .filter(|row| has_power(&row.features))
        .map(|row| EndpointId(row.endpoint_id))
        .collect())
}

/// Up to which number of which spool the samples of an agent are stored.
///
/// # Errors
/// When the database fails.
pub async fn stored(db: &impl ConnectionTrait, id: AgentId) -> Result<Option<(Uuid, u64)>> {
    use agent::Column;
    let row: Option<(Option<Uuid>, i64)> = agent::Entity::find_by_id(id.0)
        .select_only()
        .columns([Column::Spool, Column::Sampled])
        .into_tuple()
        .one(db)
        .await?;
    Ok(row.and_then(|(spool, through)| Some((spool?, u64::try_from(through).unwrap_or_default()))))
}

/// Notes up to which number the samples of an agent are stored, in the transaction that stores them.
///
/// # Errors
/// When the database fails.
pub async fn set_stored(db: &impl ConnectionTrait, id: AgentId, spool: Uuid, through: u64) -> Result<()> {
    let through = i64::try_from(through).unwrap_or(i64::MAX);
    let model = agent::ActiveModel {
        id: Set(id.0),
        spool: Set(Some(spool)),
        sampled: Set(through),
        ..Default::default()
    };
    model.update(db).await?;
    Ok(())
}

/// Lists the servers whose firmware was last said to be written before then.
///
/// # Errors
/// When the database fails.
pub async fn updating(db: &Db, since: DateTime<Utc>) -> Result<Vec<ServerId>> {
    use server::Column;
    let ids = server::Entity::find().select_only().column(Column::Id);
    let ids = ids.filter(Column::UpdatingAt.lt(millis(since)));
    let ids: Vec<Uuid> = ids.into_tuple().all(db.reader()).await?;
    Ok(ids.into_iter().map(ServerId).collect())
}

/// Makes unsure the states of servers of which nothing was told since then; gives the servers.
///
/// # Errors
/// When the database fails.
pub async fn doubt(db: &Db, since: DateTime<Utc>) -> Result<Vec<ServerId>> {
    use server::Column;
    let old = Condition::all().add(Column::Confidence.ne("low")).add(Column::CheckedAt.lt(millis(since)));
    let ids = server::Entity::find().select_only().column(Column::Id).filter(old.clone());
    let ids: Vec<Uuid> = ids.into_tuple().all(db.reader()).await?;
    if !ids.is_empty() {
        // What was told in between is not so old any more.
        let model = server::ActiveModel { confidence: Set("low".into()), ..Default::default() };
        server::Entity::update_many().set(model).filter(old).exec(db.writer()).await?;
    }
    Ok(ids.into_iter().map(ServerId).collect())
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use rackhand_wire::id::TenantId;
    use serde_json::json;

    use super::*;
    use crate::{bench::database, now, servers};

    #[tokio::test]
    async fn only_updates_that_are_long_over_are_listed() {
        let (db, _folder) = database().await;
        let mut ids = Vec::new();
        for (name, minutes) in [("over", Some(61)), ("goes on", Some(59)), ("none", None)] {
            let server = serde_json::from_value(json!({"name": name})).unwrap();
            let id = servers::add(db.writer(), TenantId::PROVIDER, server).await.unwrap().id;
            let at = minutes.map(|minutes| millis(now() - TimeDelta::minutes(minutes)));
            let model = server::ActiveModel { id: Set(id.0), updating_at: Set(at), ..Default::default() };
            server::Entity::update(model).exec(db.writer()).await.unwrap();
            ids.push(id);
        }
        assert_eq!(updating(&db, now() - TimeDelta::minutes(60)).await.unwrap(), [ids[0]]);
    }
}
