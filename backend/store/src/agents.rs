//! Agents.

use chrono::{DateTime, Utc};
use rackhand_wire::{
    frame::Hello,
    id::{AgentId, SiteId, TenantId},
};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, ConnectionTrait, EntityTrait, IntoActiveModel, PaginatorTrait,
    QueryFilter, QueryOrder, Set,
};
use std::collections::BTreeMap;

use crate::{
    Error, Result, Scope,
    entity::{
        agent::{Column, Entity, Model},
        endpoint,
    },
    filter::scoped,
    fresh_id, from_millis, millis, now,
};

/// The group of agents that reach an endpoint which names none.
pub const LOCAL: &str = "local";

/// An agent as it is kept; whether it is connected is known by the roster.
#[derive(Debug, Clone, PartialEq)]
pub struct Agent {
    /// Id.
    pub id: AgentId,
    /// Whose.
    pub tenant: TenantId,
    /// Name.
    pub name: String,
    /// Group that connections may name.
    pub group: String,
    /// Where it stands.
    pub site_id: Option<SiteId>,
    /// Its software.
    pub version: String,
    /// Kind → hash of the descriptor it was built with.
    pub kinds: BTreeMap<String, String>,
    /// When it was last heard.
    pub last_seen_at: Option<DateTime<Utc>>,
    /// When added.
    pub created_at: DateTime<Utc>,
}

/// Lists the agents in scope by name.
///
/// # Errors
/// When the database fails.
pub async fn list(db: &impl ConnectionTrait, scope: &Scope) -> Result<Vec<Agent>> {
    let rows =
        Entity::find().filter(scoped(scope, Column::TenantId)).order_by_asc(Column::Name).all(db).await?;
    Ok(rows.into_iter().map(agent).collect())
}

/// Gets one agent.
///
/// # Errors
/// [`Error::NotFound`] outside the scope.
pub async fn get(db: &impl ConnectionTrait, scope: &Scope, id: AgentId) -> Result<Agent> {
    let found = Entity::find_by_id(id.0).filter(scoped(scope, Column::TenantId)).one(db).await?;
    found.map(agent).ok_or(Error::NotFound)
}

/// Finds the agent that a node embeds by its name, or adds it.
///
/// # Errors
/// When the database fails.
pub async fn embedded(db: &impl ConnectionTrait, name: &str) -> Result<Agent> {
    if let Some(found) = Entity::find().filter(Column::Name.eq(name)).one(db).await? {
        return Ok(agent(found));
    }
    let model = Model {
        id: fresh_id(),
        tenant_id: TenantId::PROVIDER.0,
        name: name.to_owned(),
        group_name: LOCAL.into(),
        site_id: None,
        version: String::new(),
        kinds: serde_json::json!({}),
        last_seen_at: None,
        created_at: millis(now()),
    };
    Ok(agent(model.into_active_model().insert(db).await?))
}

/// Notes what an agent said of itself.
///
/// # Errors
/// [`Error::NotFound`] when it was removed.
pub async fn hello(db: &impl ConnectionTrait, hello: &Hello) -> Result<()> {
    let found = Entity::find_by_id(hello.agent.0).one(db).await?.ok_or(Error::NotFound)?;
    let mut model = found.into_active_model();
    model.version = Set(hello.version.clone());
    model.kinds = Set(serde_json::to_value(&hello.kinds)?);
    model.last_seen_at = Set(Some(millis(now())));
    model.update(db).await?;
    Ok(())
}

/// Counts the endpoints that an agent serves; those without an agent belong to the group `local`.
///
/// # Errors
/// When the database fails.
pub async fn endpoints(db: &impl ConnectionTrait, agent: &Agent) -> Result<u64> {
    let own = endpoint::Column::AgentId.eq(agent.id.0);
    let mut which = Condition::any().add(own);
    if agent.group == LOCAL {
        which = which.add(endpoint::Column::AgentId.is_null());
    }
    Ok(endpoint::Entity::find().filter(which).count(db).await?)
}

fn agent(model: Model) -> Agent {
    Agent {
        id: AgentId(model.id),
        tenant: TenantId(model.tenant_id),
        name: model.name,
        group: model.group_name,
        site_id: model.site_id.map(SiteId),
        version: model.version,
        kinds: serde_json::from_value(model.kinds).unwrap_or_default(),
        last_seen_at: model.last_seen_at.map(from_millis),
        created_at: from_millis(model.created_at),
    }
}
