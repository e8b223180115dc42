//! Connections, with what each path last said.

use chrono::{DateTime, Utc};
use rackhand_wire::{
    Fault, Feature, Role,
    api::{connection::Connection, server::PathBrief},
    id::{AgentId, ConnectionId, EndpointId, ServerId, TenantId},
    power::{PathEvidence, PathState, RestorePolicy},
};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, ConnectionTrait, EntityTrait, IntoActiveModel, JoinType,
    QueryFilter, QueryOrder, QuerySelect, RelationDef, Set,
};
use serde_json::Value;
use std::collections::HashMap;

use crate::{
    Error, Result, Scope,
    endpoints::status,
    entity::{
        connection::{ActiveModel, Column, Entity, Model},
        endpoint,
    },
    filter::scoped,
    fresh_id, from_millis, millis, now,
    steps::parsed,
};

/// What is needed to add a connection; everything is checked already.
pub struct New {
    /// Whose.
    pub tenant: TenantId,
    /// The server.
    pub server: ServerId,
    /// The endpoint.
    pub endpoint: EndpointId,
    /// What it means for power.
    pub role: Role,
    /// The server's place on the endpoint.
    pub target: Value,
    /// Label of the place: `outlet 7`; empty when the endpoint says it all.
    pub target_label: String,
    /// What is ticked.
    pub features: Vec<Feature>,
    /// Agent that executes it.
    pub agent: Option<AgentId>,
    /// Group of agents that executes it.
    pub group: Option<String>,
}

/// Lists the connections of a server: controllers first, each in the order they were added.
///
/// # Errors
/// When the database fails.
pub async fn list(db: &impl ConnectionTrait, scope: &Scope, server: ServerId) -> Result<Vec<Connection>> {
    let of = scoped(scope, Column::TenantId).add(Column::ServerId.eq(server.0));
    let rows = Entity::find().filter(of).order_by_asc(Column::Role).order_by_asc(Column::Id).all(db).await?;
    let mut list = Vec::with_capacity(rows.len());
    for row in rows {
        list.push(connection(db, row).await?);
    }
    Ok(list)
}

/// Lists the connections of an endpoint.
///
/// # Errors
/// When the database fails.
pub async fn of_endpoint(db: &impl ConnectionTrait, endpoint: EndpointId) -> Result<Vec<Connection>> {
    let rows =
        Entity::find().filter(Column::EndpointId.eq(endpoint.0)).order_by_asc(Column::Id).all(db).await?;
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let endpoint = endpoint::Entity::find_by_id(endpoint.0).one(db).await?.ok_or(Error::NotFound)?;
    rows.into_iter().map(|row| shown(row, &endpoint)).collect()
}

/// Gets one connection of a server.
///
/// # Errors
/// [`Error::NotFound`] outside the scope.
pub async fn get(
    db: &impl ConnectionTrait,
    scope: &Scope,
    server: ServerId,
    id: ConnectionId,
) -> Result<Connection> {
    connection(db, row(db, scope, server, id).await?).await
}

/// Adds a connection.
///
/// # Errors
/// A field error when the server is connected to this place already.
pub async fn add(db: &impl ConnectionTrait, new: New) -> Result<Connection> {
    let model = Model {
        id: fresh_id(),
        tenant_id: new.tenant.0,
        server_id: new.server.0,
        endpoint_id: new.endpoint.0,
        role: role_word(new.role).into(),
        target_key: target_key(&new.target),
        target: new.target,
        target_label: new.target_label,
        features: serde_json::to_value(&new.features)?,
        agent_id: new.agent.map(|id| id.0),
        agent_group: new.group,
        state: None,
        fault: None,
        watts: None,
        restore_policy: None,
        checked_at: None,
        created_at: millis(now()),
    };
    let row = model.into_active_model().insert(db).await.map_err(taken)?;
    connection(db, row).await
}

/// What changes in a connection; absent values stay.
#[derive(Default)]
pub struct Change {
    /// New place with its label.
    pub target: Option<(Value, String)>,
    /// What is ticked from now on.
    pub features: Option<Vec<Feature>>,
    /// New agent.
    pub agent: Option<Option<AgentId>>,
    /// New group of agents.
    pub group: Option<Option<String>>,
}

/// Changes a connection. A new place forgets what was read at the old one.
///
/// # Errors
/// [`Error::NotFound`], or a field error when the place is taken.
pub async fn change(
    db: &impl ConnectionTrait,
    scope: &Scope,
    server: ServerId,
    id: ConnectionId,
    change: Change,
) -> Result<Connection> {
    let mut model = row(db, scope, server, id).await?.into_active_model();
    if let Some((target, label)) = change.target {
        model.target_key = Set(target_key(&target));
        model.target = Set(target);
        model.target_label = Set(label);
        model.state = Set(None);
        model.fault = Set(None);
        model.checked_at = Set(None);
    }
    if let Some(features) = change.features {
        model.features = Set(serde_json::to_value(features)?);
    }
    if let Some(agent) = change.agent {
        model.agent_id = Set(agent.map(|id| id.0));
    }
    if let Some(group) = change.group {
        model.agent_group = Set(group);
    }
    connection(db, model.update(db).await.map_err(taken)?).await
}

/// Removes a connection.
///
/// # Errors
/// [`Error::NotFound`] outside the scope.
pub async fn remove(
    db: &impl ConnectionTrait,
    scope: &Scope,
    server: ServerId,
    id: ConnectionId,
) -> Result<()> {
    row(db, scope, server, id).await?;
    Entity::delete_by_id(id.0).exec(db).await?;
    Ok(())
}

/// Removes every connection of a server; gives the endpoints that they used.
///
/// # Errors
/// When the database fails.
pub async fn remove_of_server(db: &impl ConnectionTrait, server: ServerId) -> Result<Vec<EndpointId>> {
    let rows = Entity::find().filter(Column::ServerId.eq(server.0)).all(db).await?;
    Entity::delete_many().filter(Column::ServerId.eq(server.0)).exec(db).await?;
    Ok(rows.into_iter().map(|row| EndpointId(row.endpoint_id)).collect())
}

/// Says what the paths of a server last said; only those with power ticked.
///
/// # Errors
/// When the database fails.
pub async fn evidence(db: &impl ConnectionTrait, server: ServerId) -> Result<Vec<PathEvidence>> {
    let of = Entity::find().filter(Column::ServerId.eq(server.0));
    let rows = of.order_by_asc(Column::Role).order_by_asc(Column::Id).all(db).await?;
    let names = endpoint_names(db, rows.iter().map(|row| row.endpoint_id).collect()).await?;
    let told = rows.into_iter().filter(|row| has_power(row.features.clone()));
    told.map(|row| {
        let name = names.get(&row.endpoint_id).map(String::as_str).unwrap_or_default();
        path(row, name)
    })
    .collect()
}

async fn endpoint_names(
    db: &impl ConnectionTrait,
    ids: Vec<uuid::Uuid>,
) -> Result<HashMap<uuid::Uuid, String>> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    // An endpoint's outlets are long; only its name is wanted.
    let names =
        endpoint::Entity::find().select_only().columns([endpoint::Column::Id, endpoint::Column::Name]);
    let rows: Vec<_> = names.filter(endpoint::Column::Id.is_in(ids)).into_tuple().all(db).await?;
    Ok(rows.into_iter().collect())
}

/// Says in brief what the paths of many servers last said, for lists: a row costs what it carries, so this
/// carries little.
///
/// # Errors
/// When the database fails.
pub async fn briefs(
    db: &impl ConnectionTrait,
    servers: &[ServerId],
) -> Result<HashMap<ServerId, Vec<PathBrief>>> {
    let to_endpoint: RelationDef =
        Entity::belongs_to(endpoint::Entity).from(Column::EndpointId).to(endpoint::Column::Id).into();
    let rows: Vec<(uuid::Uuid, String, String, Value, bool, bool)> = Entity::find()
        .select_only()
        .columns([Column::ServerId])
        .column(endpoint::Column::Name)
        .columns([Column::TargetLabel, Column::Features])
        .column_as(Column::CheckedAt.is_not_null(), "asked")
        .column_as(Column::Fault.is_null(), "well")
        .join(JoinType::InnerJoin, to_endpoint)
        .filter(Column::ServerId.is_in(servers.iter().map(|id| id.0)))
        .order_by_asc(Column::Role)
        .order_by_asc(Column::Id)
        .into_tuple()
        .all(db)
        .await?;
    let mut briefs: HashMap<ServerId, Vec<PathBrief>> = HashMap::new();
    for (server, endpoint, target, features, asked, well) in rows {
        if has_power(features) {
            let brief = PathBrief { label: label(&endpoint, &target), ok: asked.then_some(well) };
            briefs.entry(ServerId(server)).or_default().push(brief);
        }
    }
    Ok(briefs)
}

/// Lists the groups of agents that connections name for this endpoint.
///
/// # Errors
/// When the database fails.
pub async fn groups_of(db: &impl ConnectionTrait, endpoint: EndpointId) -> Result<Vec<String>> {
    let of =
        Entity::find().filter(Column::EndpointId.eq(endpoint.0)).filter(Column::AgentGroup.is_not_null());
    Ok(of.all(db).await?.into_iter().filter_map(|row| row.agent_group).collect())
}

/// Says whether a connection names this agent for this endpoint.
///
/// # Errors
/// When the database fails.
pub async fn is_agent_of(db: &impl ConnectionTrait, agent: AgentId, endpoint: EndpointId) -> Result<bool> {
    let of = Entity::find().filter(Column::AgentId.eq(agent.0)).filter(Column::EndpointId.eq(endpoint.0));
    Ok(of.one(db).await?.is_some())
}

fn has_power(features: Value) -> bool {
    let features: Vec<Feature> = serde_json::from_value(features).unwrap_or_default();
    features.contains(&Feature::Power)
}

/// What a read of a path found.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Reading {
    /// What it said.
    pub state: Option<PathState>,
    /// Why it did not.
    pub fault: Option<Fault>,
    /// Power drawn.
    pub watts: Option<f64>,
    /// Restore policy.
    pub restore_policy: Option<RestorePolicy>,
    /// When it was read.
    pub at: DateTime<Utc>,
}

/// Stores what a path said, unless it has said something later. Says whether it was stored.
///
/// # Errors
/// When the database fails.
pub async fn read(db: &impl ConnectionTrait, id: ConnectionId, reading: Reading) -> Result<bool> {
    let mut model = ActiveModel {
        state: Set(reading.state.map(|state| state_word(state).into())),
        fault: Set(reading.fault.map(serde_json::to_value).transpose()?),
        watts: Set(reading.watts),
        checked_at: Set(Some(millis(reading.at))),
        ..Default::default()
    };
    // A silent BMC does not forget its policy.
    if let Some(policy) = reading.restore_policy {
        model.restore_policy = Set(serde_json::to_value(policy)?.as_str().map(str::to_owned));
    }
    // What was asked earlier and answered later says nothing of the present.
    // What comes from the future was dated by a clock that has been set back since.
    let newer = Condition::any()
        .add(Column::CheckedAt.is_null())
        .add(Column::CheckedAt.lte(millis(reading.at)))
        .add(Column::CheckedAt.gt(millis(now())));
    let done = Entity::update_many().set(model).filter(Column::Id.eq(id.0)).filter(newer).exec(db).await?;
    Ok(done.rows_affected > 0)
}

/// Forgets what the paths of a server said, so that only fresh readings count.
///
/// # Errors
/// When the database fails.
pub async fn forget_readings(db: &impl ConnectionTrait, server: ServerId) -> Result<()> {
    let model = ActiveModel {
        state: Set(None),
        fault: Set(None),
        watts: Set(None),
        checked_at: Set(None),
        ..Default::default()
    };
    Entity::update_many().set(model).filter(Column::ServerId.eq(server.0)).exec(db).await?;
    Ok(())
}

async fn row(db: &impl ConnectionTrait, scope: &Scope, server: ServerId, id: ConnectionId) -> Result<Model> {
    let of = scoped(scope, Column::TenantId).add(Column::ServerId.eq(server.0));
    Entity::find_by_id(id.0).filter(of).one(db).await?.ok_or(Error::NotFound)
}

fn path(row: Model, endpoint: &str) -> Result<PathEvidence> {
    Ok(PathEvidence {
        connection_id: ConnectionId(row.id),
        label: label(endpoint, &row.target_label),
        role: parsed(row.role)?,
        state: row.state.map(parsed).transpose()?,
        fault: row.fault.and_then(|value| serde_json::from_value(value).ok()),
        checked_at: row.checked_at.map(from_millis),
        watts: row.watts,
        restore_policy: row.restore_policy.map(parsed).transpose()?,
    })
}

/// Names a path for people: `outlet 7 on pdu-a`, or the endpoint alone.
#[must_use]
pub fn label(endpoint: &str, target_label: &str) -> String {
    if target_label.is_empty() { endpoint.to_owned() } else { format!("{target_label} on {endpoint}") }
}

async fn connection(db: &impl ConnectionTrait, row: Model) -> Result<Connection> {
    let endpoint = endpoint::Entity::find_by_id(row.endpoint_id).one(db).await?.ok_or(Error::NotFound)?;
    shown(row, &endpoint)
}

fn shown(row: Model, endpoint: &endpoint::Model) -> Result<Connection> {
    Ok(Connection {
        id: ConnectionId(row.id),
        server_id: ServerId(row.server_id),
        endpoint_id: EndpointId(row.endpoint_id),
        label: label(&endpoint.name, &row.target_label),
        status: status(endpoint),
        endpoint_name: endpoint.name.clone(),
        kind_title: String::new(),
        kind: endpoint.kind.clone(),
        role: parsed(row.role)?,
        target: row.target,
        features: serde_json::from_value(row.features)?,
        agent_id: row.agent_id.map(AgentId),
        agent_group: row.agent_group.clone(),
        created_at: from_millis(row.created_at),
    })
}

fn taken(error: sea_orm::DbErr) -> Error {
    Error::unique(error, "target", "This server is connected to this place already.")
}

/// Targets are compared as text; `serde_json` keeps keys sorted, so equal targets look equal.
fn target_key(target: &Value) -> String {
    target.to_string()
}

fn role_word(role: Role) -> &'static str {
    match role {
        Role::Controller => "controller",
        Role::Feed => "feed",
    }
}

fn state_word(state: PathState) -> &'static str {
    match state {
        PathState::On => "on",
        PathState::Off => "off",
        PathState::FeedOn => "feed_on",
        PathState::FeedOff => "feed_off",
        PathState::Unclear => "unclear",
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use serde_json::json;

    use super::*;
    use crate::{bench::database, endpoints, servers};

    #[tokio::test]
    async fn a_reading_that_was_asked_earlier_does_not_overwrite_a_later_one() {
        let (db, _folder) = database().await;
        let tenant = TenantId::PROVIDER;
        let server = serde_json::from_value(json!({"name": "a"})).unwrap();
        let server = servers::add(db.writer(), tenant, server).await.unwrap().id;
        let device = endpoints::New {
            tenant,
            kind: "snmp_pdu".into(),
            name: "pdu-a".into(),
            agent_id: None,
            agent_group: None,
            params: json!({}),
            secrets: rackhand_wire::Secrets::default(),
            address: None,
        };
        let endpoint = endpoints::add(db.writer(), db.keys(), device).await.unwrap().id;
        let new = New {
            tenant,
            server,
            endpoint,
            role: Role::Feed,
            target: json!({"outlet": "7"}),
            target_label: "outlet 7".into(),
            features: vec![Feature::Power],
            agent: None,
            group: None,
        };
        let id = add(db.writer(), new).await.unwrap().id;
        let ago = |seconds| now() - TimeDelta::seconds(seconds);
        let mut seen = Vec::new();
        for (state, at) in [
            (PathState::FeedOn, ago(10)),
            (PathState::FeedOff, ago(20)),
            // A clock that was an hour ahead, and has been set.
            (PathState::FeedOff, ago(-3600)),
            (PathState::FeedOn, ago(5)),
        ] {
            read(db.writer(), id, Reading { state: Some(state), at, ..Reading::default() }).await.unwrap();
            let row = Entity::find_by_id(id.0).one(db.reader()).await.unwrap().unwrap();
            seen.push(row.state.unwrap());
        }
        assert_eq!(seen, ["feed_on", "feed_on", "feed_off", "feed_on"]);
    }
}
