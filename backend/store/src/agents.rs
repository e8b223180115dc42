//! Agents.

use chrono::{DateTime, Utc};
use rackhand_wire::{
    agent::Hello,
    id::{AgentId, SiteId, TenantId},
};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, ConnectionTrait, EntityTrait, IntoActiveModel, PaginatorTrait,
    QueryFilter, QueryOrder, QuerySelect, Set,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashSet};

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

/// Lists the ids of all agents.
///
/// # Errors
/// When the database fails.
pub async fn ids(db: &impl ConnectionTrait) -> Result<Vec<AgentId>> {
    let ids: Vec<uuid::Uuid> = Entity::find().select_only().column(Column::Id).into_tuple().all(db).await?;
    Ok(ids.into_iter().map(AgentId).collect())
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

/// What tells whether an agent is the process with the journal that it was: its keys change with each renewal, but not
/// the one that credentials are sealed to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Identified {
    sealing_key: Option<String>,
    /// When copies of it were last seen; one of them may be here now.
    copies_at: Option<i64>,
}

/// Finds that; nothing for one that is gone.
///
/// # Errors
/// When the database fails.
pub async fn identified(db: &impl ConnectionTrait, id: AgentId) -> Result<Identified> {
    let found = Entity::find_by_id(id.0).select_only().columns([Column::SealingKey, Column::CopiesAt]);
    let found: Option<(Option<String>, Option<i64>)> = found.into_tuple().one(db).await?;
    Ok(found.map(|(sealing_key, copies_at)| Identified { sealing_key, copies_at }).unwrap_or_default())
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

/// A certificate in the place of another.
pub struct Renewal<'a> {
    /// The key that asks.
    pub by: &'a str,
    /// The key that is certified.
    pub key: &'a str,
    /// When it was made.
    pub from: DateTime<Utc>,
    /// When it ends.
    pub until: DateTime<Utc>,
}

/// Notes a renewed certificate: its key counts beside the present one until it is used. Says whether the key that
/// asked still counted: the agent may have been revoked or have got another identity meanwhile.
///
/// # Errors
/// When the database fails.
pub async fn renewed(db: &impl ConnectionTrait, id: AgentId, renewal: Renewal<'_>) -> Result<bool> {
    let model = ActiveModel {
        next_identity_key: Set(Some(renewal.key.to_owned())),
        certificate_at: Set(Some(millis(renewal.from))),
        certificate_until: Set(Some(millis(renewal.until))),
        ..Default::default()
    };
    let counts = known_by(renewal.by);
    let update = Entity::update_many().set(model).filter(unrevoked(id)).filter(counts);
    Ok(update.exec(db).await?.rows_affected > 0)
}

/// Lets only this key count from now on: the agent has used it. Says whether it still counted.
///
/// # Errors
/// When the database fails.
pub async fn settle_key(db: &impl ConnectionTrait, id: AgentId, key: &str) -> Result<bool> {
    let model = ActiveModel {
        identity_key: Set(Some(key.to_owned())),
        next_identity_key: Set(None),
        ..Default::default()
    };
    let counts = known_by(key);
    let update = Entity::update_many().set(model).filter(unrevoked(id)).filter(counts);
    Ok(update.exec(db).await?.rows_affected > 0)
}

fn known_by(key: &str) -> Condition {
    Condition::any().add(Column::IdentityKey.eq(key)).add(Column::NextIdentityKey.eq(key))
}

fn unrevoked(id: AgentId) -> Condition {
    Condition::all().add(Column::Id.eq(id.0)).add(Column::RevokedAt.is_null())
}

/// Lists the agents that are not revoked.
///
/// # Errors
/// When the database fails.
pub async fn welcome(db: &impl ConnectionTrait) -> Result<HashSet<AgentId>> {
    let ids = Entity::find().select_only().column(Column::Id).filter(Column::RevokedAt.is_null());
    let ids: Vec<uuid::Uuid> = ids.into_tuple().all(db).await?;
    Ok(ids.into_iter().map(AgentId).collect())
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

/// Finds when an agent was revoked last.
///
/// # Errors
/// When the database fails.
pub async fn last_revoked(db: &impl ConnectionTrait) -> Result<Option<DateTime<Utc>>> {
    let newest = Entity::find().select_only().column_as(Column::RevokedAt.max(), "at");
    Ok(newest.into_tuple::<Option<i64>>().one(db).await?.flatten().map(from_millis))
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
