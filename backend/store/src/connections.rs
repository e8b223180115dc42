//! Connections: which server hangs on which place of which endpoint.

use rackhand_wire::{
    Feature, Role,
    api::connection::Connection,
    id::{AgentId, ConnectionId, EndpointId, ServerId, TenantId},
};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, ConnectionTrait, EntityTrait, IntoActiveModel, QueryFilter,
    QueryOrder, QuerySelect, QueryTrait, Set, sea_query::Expr,
};
use serde_json::Value;

use crate::{
    Error, Result, Scope,
    endpoints::status,
    entity::{
        connection::{Column, Entity, Model},
        endpoint, server,
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

/// The servers with such a connection, for a filter of servers.
pub(crate) fn ties(such: Expr) -> Condition {
    let tied = Entity::find().select_only().column(Column::ServerId).filter(such).into_query();
    Condition::all().add(server::Column::Id.in_subquery(tied))
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

async fn row(db: &impl ConnectionTrait, scope: &Scope, server: ServerId, id: ConnectionId) -> Result<Model> {
    let of = scoped(scope, Column::TenantId).add(Column::ServerId.eq(server.0));
    Entity::find_by_id(id.0).filter(of).one(db).await?.ok_or(Error::NotFound)
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
