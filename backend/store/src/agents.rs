//! Agents.

use chrono::{DateTime, Utc};
use rackhand_wire::{
    agent::Hello,
    api::server::OnlyAgent,
    id::{AgentId, ServerId, SiteId, TenantId},
};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, ConnectionTrait, EntityTrait, IntoActiveModel, JoinType,
    PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, RelationDef, Set,
};
use std::collections::BTreeMap;

use crate::{
    Error, Result, Scope,
    entity::{
        agent::{ActiveModel, Column, Entity, Model},
        connection, endpoint,
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
    /// It is part of a backend.
    pub embedded: bool,
    /// It gets no new work.
    pub draining: bool,
    /// Its software.
    pub version: String,
    /// Its host.
    pub host: Option<String>,
    /// Where it connects from.
    pub source_ip: Option<String>,
    /// Kind → hash of the descriptor it was built with.
    pub kinds: BTreeMap<String, String>,
    /// How it is known; none before it was enrolled.
    pub identity: Option<Identity>,
    /// When it was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
    /// When two copies of it were last seen.
    pub copies_at: Option<DateTime<Utc>>,
    /// When it was last heard.
    pub last_seen_at: Option<DateTime<Utc>>,
    /// When added.
    pub created_at: DateTime<Utc>,
}

/// How an agent is known.
#[derive(Debug, Clone, PartialEq)]
pub struct Identity {
    /// Hash of its public key.
    pub key: String,
    /// Hash of the key of a renewed certificate that was not used yet.
    pub next_key: Option<String>,
    /// The key to which credentials are sealed.
    pub sealing_key: String,
    /// When its certificate was made.
    pub certificate_at: DateTime<Utc>,
    /// When it ends.
    pub certificate_until: DateTime<Utc>,
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

/// Lists the agents of a tenant's own group that are not revoked, by name.
///
/// # Errors
/// When the database fails.
pub async fn of_group(db: &impl ConnectionTrait, owner: TenantId, group: &str) -> Result<Vec<Agent>> {
    let of = Condition::all()
        .add(Column::TenantId.eq(owner.0))
        .add(Column::GroupName.eq(group))
        .add(Column::RevokedAt.is_null());
    let rows = Entity::find().filter(of).order_by_asc(Column::Name).all(db).await?;
    Ok(rows.into_iter().map(agent).collect())
}

/// Says whether an agent has others in its group.
///
/// # Errors
/// When the database fails.
pub async fn is_shared(db: &impl ConnectionTrait, agent: &Agent) -> Result<bool> {
    let others = Entity::find().filter(Column::GroupName.eq(&agent.group)).filter(Column::Id.ne(agent.id.0));
    Ok(others.filter(Column::TenantId.eq(agent.tenant.0)).limit(1).one(db).await?.is_some())
}

/// What is needed to add an agent.
pub struct New<'a> {
    /// Whose.
    pub tenant: TenantId,
    /// Its name.
    pub name: &'a str,
    /// Its group.
    pub group: &'a str,
    /// Where it stands.
    pub site: Option<SiteId>,
    /// It is part of a backend.
    pub embedded: bool,
}

/// Adds an agent.
///
/// # Errors
/// A field error when the name is taken.
pub async fn add(db: &impl ConnectionTrait, new: New<'_>) -> Result<Agent> {
    let model = Model {
        id: fresh_id(),
        tenant_id: new.tenant.0,
        name: new.name.trim().to_owned(),
        group_name: new.group.trim().to_owned(),
        site_id: new.site.map(|site| site.0),
        version: String::new(),
        kinds: serde_json::json!({}),
        last_seen_at: None,
        created_at: millis(now()),
        embedded: new.embedded,
        draining: false,
        host: None,
        identity_key: None,
        next_identity_key: None,
        sealing_key: None,
        certificate_at: None,
        certificate_until: None,
        revoked_at: None,
        copies_at: None,
        source_ip: None,
        told_online: false,
        spool: None,
        sampled: 0,
    };
    let added = model.into_active_model().insert(db).await;
    let taken = |error| Error::unique(error, "name", "There is an agent of this name already.");
    Ok(agent(added.map_err(taken)?))
}

/// Finds the agent that a node embeds by its name, or adds it.
///
/// # Errors
/// When the database fails.
pub async fn embedded(db: &impl ConnectionTrait, name: &str) -> Result<Agent> {
    let own = Entity::find().filter(Column::Name.eq(name)).filter(Column::Embedded.eq(true));
    if let Some(found) = own.one(db).await? {
        return Ok(agent(found));
    }
    add(db, New { tenant: TenantId::PROVIDER, name, group: LOCAL, site: None, embedded: true }).await
}

/// What may be changed; what is `None` stays.
#[derive(Default)]
pub struct Change {
    /// Its name.
    pub name: Option<String>,
    /// Its group.
    pub group: Option<String>,
    /// Where it stands.
    pub site: Option<Option<SiteId>>,
    /// It gets no new work.
    pub draining: Option<bool>,
}

/// Changes an agent.
///
/// # Errors
/// [`Error::NotFound`] outside the scope; a field error when the name is taken.
pub async fn change(db: &impl ConnectionTrait, scope: &Scope, id: AgentId, change: Change) -> Result<Agent> {
    get(db, scope, id).await?;
    let mut model = ActiveModel { id: Set(id.0), ..Default::default() };
    if let Some(name) = change.name {
        model.name = Set(name.trim().to_owned());
    }
    if let Some(group) = change.group {
        model.group_name = Set(group.trim().to_owned());
    }
    if let Some(site) = change.site {
        model.site_id = Set(site.map(|site| site.0));
    }
    if let Some(draining) = change.draining {
        model.draining = Set(draining);
    }
    if !model.is_changed() {
        return get(db, scope, id).await;
    }
    let changed = model.update(db).await;
    let taken = |error| Error::unique(error, "name", "There is an agent of this name already.");
    Ok(agent(changed.map_err(taken)?))
}

/// Removes an agent that nothing names.
///
/// # Errors
/// [`Error::NotFound`] outside the scope, [`Error::InUse`] while endpoints or connections name it or while a
/// backend embeds it.
pub async fn remove(db: &impl ConnectionTrait, scope: &Scope, id: AgentId) -> Result<()> {
    if get(db, scope, id).await?.embedded {
        return Err(Error::InUse("It is part of a backend and comes back when that starts.".into()));
    }
    let endpoints = endpoint::Entity::find().filter(endpoint::Column::AgentId.eq(id.0)).count(db).await?;
    let connections =
        connection::Entity::find().filter(connection::Column::AgentId.eq(id.0)).count(db).await?;
    if endpoints + connections > 0 {
        let uses =
            format!("{endpoints} devices and {connections} connections use it. Give them another agent.");
        return Err(Error::InUse(uses));
    }
    Entity::delete_by_id(id.0).exec(db).await?;
    Ok(())
}

/// Gives an agent an identity, in place of an earlier one.
///
/// # Errors
/// When the database fails.
pub async fn identify(db: &impl ConnectionTrait, id: AgentId, identity: Identity, host: &str) -> Result<()> {
    let model = ActiveModel {
        id: Set(id.0),
        identity_key: Set(Some(identity.key)),
        next_identity_key: Set(identity.next_key),
        sealing_key: Set(Some(identity.sealing_key)),
        certificate_at: Set(Some(millis(identity.certificate_at))),
        certificate_until: Set(Some(millis(identity.certificate_until))),
        host: Set(Some(host.to_owned())),
        revoked_at: Set(None),
        copies_at: Set(None),
        ..Default::default()
    };
    model.update(db).await?;
    Ok(())
}

/// Registers the key of an agent that is not enrolled yet.
///
/// # Errors
/// When the database fails.
pub async fn register(db: &impl ConnectionTrait, id: AgentId, key: &str) -> Result<()> {
    let model = ActiveModel { id: Set(id.0), identity_key: Set(Some(key.to_owned())), ..Default::default() };
    model.update(db).await?;
    Ok(())
}

/// Finds the key that was registered for an agent and was not enrolled with.
///
/// # Errors
/// When the database fails.
pub async fn registered(db: &impl ConnectionTrait, id: AgentId) -> Result<Option<String>> {
    let found = Entity::find_by_id(id.0).one(db).await?;
    Ok(found
        .filter(|row| row.sealing_key.is_none() && row.revoked_at.is_none())
        .and_then(|row| row.identity_key))
}

/// Notes a renewed certificate: its key counts beside the present one until it is used.
///
/// # Errors
/// When the database fails.
pub async fn renewed(
    db: &impl ConnectionTrait,
    id: AgentId,
    key: &str,
    from: DateTime<Utc>,
    until: DateTime<Utc>,
) -> Result<()> {
    let model = ActiveModel {
        id: Set(id.0),
        next_identity_key: Set(Some(key.to_owned())),
        certificate_at: Set(Some(millis(from))),
        certificate_until: Set(Some(millis(until))),
        ..Default::default()
    };
    model.update(db).await?;
    Ok(())
}

/// Lets only this key count from now on: the agent has used it.
///
/// # Errors
/// When the database fails.
pub async fn settle_key(db: &impl ConnectionTrait, id: AgentId, key: &str) -> Result<()> {
    let model = ActiveModel {
        id: Set(id.0),
        identity_key: Set(Some(key.to_owned())),
        next_identity_key: Set(None),
        ..Default::default()
    };
    model.update(db).await?;
    Ok(())
}

/// Refuses an agent from now on, until it is enrolled again.
///
/// # Errors
/// [`Error::NotFound`] outside the scope.
pub async fn revoke(db: &impl ConnectionTrait, scope: &Scope, id: AgentId) -> Result<Agent> {
    get(db, scope, id).await?;
    let model = ActiveModel { id: Set(id.0), revoked_at: Set(Some(millis(now()))), ..Default::default() };
    Ok(agent(model.update(db).await?))
}

/// Notes that two copies of an agent were seen.
///
/// # Errors
/// When the database fails.
pub async fn copies(db: &impl ConnectionTrait, id: AgentId) -> Result<()> {
    let model = ActiveModel { id: Set(id.0), copies_at: Set(Some(millis(now()))), ..Default::default() };
    model.update(db).await?;
    Ok(())
}

/// Notes that people are told of an agent's presence; says whether they were told the contrary before.
///
/// # Errors
/// When the database fails.
pub async fn tell_presence(db: &impl ConnectionTrait, id: AgentId, online: bool) -> Result<bool> {
    let model = ActiveModel { told_online: Set(online), ..Default::default() };
    let turned = Condition::all()
        .add(Column::Id.eq(id.0))
        .add(Column::ToldOnline.eq(!online))
        .add(Column::Embedded.eq(false));
    Ok(Entity::update_many().set(model).filter(turned).exec(db).await?.rows_affected > 0)
}

/// Lists the agents that people were told are online.
///
/// # Errors
/// When the database fails.
pub async fn told_online(db: &impl ConnectionTrait) -> Result<Vec<AgentId>> {
    let ids = Entity::find().select_only().column(Column::Id).filter(Column::ToldOnline.eq(true));
    let ids: Vec<uuid::Uuid> = ids.into_tuple().all(db).await?;
    Ok(ids.into_iter().map(AgentId).collect())
}

/// Finds the remote agent through which every path to a server goes, if there is just one.
///
/// # Errors
/// When the database fails.
pub async fn only_of(db: &impl ConnectionTrait, server: ServerId) -> Result<Option<OnlyAgent>> {
    let device: RelationDef = connection::Entity::belongs_to(endpoint::Entity)
        .from(connection::Column::EndpointId)
        .to(endpoint::Column::Id)
        .into();
    let paths: Vec<(Option<uuid::Uuid>, Option<String>, Option<uuid::Uuid>)> = connection::Entity::find()
        .select_only()
        .column(connection::Column::AgentId)
        .column(connection::Column::AgentGroup)
        .column(endpoint::Column::AgentId)
        .join(JoinType::InnerJoin, device)
        .filter(connection::Column::ServerId.eq(server.0))
        .into_tuple()
        .all(db)
        .await?;
    let through = |(own, group, of_device): (Option<uuid::Uuid>, Option<String>, Option<uuid::Uuid>)| {
        own.or_else(|| of_device.filter(|_| group.is_none()))
    };
    let mut through = paths.into_iter().map(through);
    let Some(Some(first)) = through.next() else { return Ok(None) };
    if through.any(|other| other != Some(first)) {
        return Ok(None);
    }
    let found = Entity::find_by_id(first).filter(Column::Embedded.eq(false)).one(db).await?;
    Ok(found.map(|agent| OnlyAgent { id: AgentId(agent.id), name: agent.name }))
}

/// Notes what an agent said of itself.
///
/// # Errors
/// [`Error::NotFound`] when it was removed.
pub async fn hello(db: &impl ConnectionTrait, hello: &Hello, source_ip: Option<&str>) -> Result<()> {
    let found = Entity::find_by_id(hello.agent.0).one(db).await?.ok_or(Error::NotFound)?;
    let mut model = found.into_active_model();
    model.version = Set(hello.version.clone());
    model.host = Set(Some(hello.host.clone()));
    model.source_ip = Set(source_ip.map(str::to_owned));
    model.kinds = Set(serde_json::to_value(&hello.kinds)?);
    model.last_seen_at = Set(Some(millis(now())));
    model.update(db).await?;
    Ok(())
}

/// Notes that agents were heard until now.
///
/// # Errors
/// When the database fails.
pub async fn seen(db: &impl ConnectionTrait, ids: &[AgentId]) -> Result<()> {
    // A statement has room for so many values on either engine.
    for some in ids.chunks(500) {
        let model = ActiveModel { last_seen_at: Set(Some(millis(now()))), ..Default::default() };
        let which = Column::Id.is_in(some.iter().map(|id| id.0));
        Entity::update_many().set(model).filter(which).exec(db).await?;
    }
    Ok(())
}

/// Counts the endpoints that an agent serves.
///
/// # Errors
/// When the database fails.
pub async fn endpoints(db: &impl ConnectionTrait, agent: &Agent) -> Result<u64> {
    Ok(endpoint::Entity::find().filter(crate::endpoints::reached_by(agent.id.0)).count(db).await?)
}

fn agent(model: Model) -> Agent {
    let identity = model.identity_key.zip(model.sealing_key).map(|(key, sealing_key)| Identity {
        key,
        next_key: model.next_identity_key,
        sealing_key,
        certificate_at: from_millis(model.certificate_at.unwrap_or_default()),
        certificate_until: from_millis(model.certificate_until.unwrap_or_default()),
    });
    Agent {
        id: AgentId(model.id),
        tenant: TenantId(model.tenant_id),
        name: model.name,
        group: model.group_name,
        site_id: model.site_id.map(SiteId),
        embedded: model.embedded,
        draining: model.draining,
        version: model.version,
        host: model.host,
        source_ip: model.source_ip,
        kinds: serde_json::from_value(model.kinds).unwrap_or_default(),
        identity,
        revoked_at: model.revoked_at.map(from_millis),
        copies_at: model.copies_at.map(from_millis),
        last_seen_at: model.last_seen_at.map(from_millis),
        created_at: from_millis(model.created_at),
    }
}
