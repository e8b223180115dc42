//! Endpoints: what is added once and controls servers.

use chrono::{DateTime, Utc};
use rackhand_wire::{
    Fault, FaultCode, Reason, Secrets,
    api::{
        endpoint::{Endpoint, EndpointState, EndpointStatus},
        page::{ListQuery, Page},
    },
    id::{AgentId, EndpointId, TenantId},
    operation::Identity,
    power::OutletReading,
};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, ConnectionTrait, EntityTrait, IntoActiveModel, PaginatorTrait,
    QueryFilter, QueryOrder, QuerySelect, QueryTrait, Set,
    sea_query::{Expr, ExprTrait},
};
use serde_json::Value;
use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};
use uuid::Uuid;

use crate::{
    Db, Error, Result, Scope, agents,
    entity::{
        agent, connection,
        endpoint::{ActiveModel, Column, Entity, Model},
    },
    filter::{Term, contains, scoped, terms},
    fresh_id, from_millis, millis, now,
    page::{self, Cursor},
    sealed::Keyring,
};

/// An endpoint as the worker needs it: with credentials.
pub struct Reach {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// Whose.
    pub tenant: TenantId,
    /// Identity pinned when it was added.
    pub pinned: Option<String>,
    /// Credentials, opened.
    pub secrets: Secrets,
}

/// What is needed to add an endpoint; parameters and secrets are checked already.
pub struct New {
    /// Whose.
    pub tenant: TenantId,
    /// Integration.
    pub kind: String,
    /// Name.
    pub name: String,
    /// Agent that reaches it.
    pub agent_id: Option<AgentId>,
    /// Its group of agents.
    pub agent_group: Option<String>,
    /// Parameters.
    pub params: Value,
    /// Credentials.
    pub secrets: Secrets,
    /// Address shown in lists and unique per agent and kind.
    pub address: Option<String>,
}

/// Adds an endpoint.
///
/// # Errors
/// A field error when the name or the address is taken.
pub async fn add(db: &impl ConnectionTrait, keys: &Keyring, new: New) -> Result<Endpoint> {
    let id = fresh_id();
    let address_key =
        address_key(db, &new.kind, (new.agent_id, new.agent_group.as_deref()), new.address.as_deref())
            .await?;
    free(db, new.tenant, None, &new.name, address_key.clone()).await?;
    let model = Model {
        id,
        tenant_id: new.tenant.0,
        name_key: new.name.trim().to_lowercase(),
        name: new.name.trim().to_owned(),
        agent_id: new.agent_id.map(|id| id.0),
        agent_group: new.agent_group,
        params: new.params,
        secrets_set: serde_json::to_value(new.secrets.names().collect::<Vec<_>>())?,
        sealed: Some(keys.seal(id.as_bytes(), &new.secrets)?),
        address_key,
        address: new.address,
        kind: new.kind,
        status: "unchecked".into(),
        fault: None,
        identity: None,
        pinned: None,
        outlets: None,
        outlets_at: None,
        checked_at: None,
        version: 1,
        created_at: millis(now()),
    };
    let row = model.into_active_model().insert(db).await.map_err(taken)?;
    endpoint(db, row).await
}

/// Gets one endpoint.
///
/// # Errors
/// [`Error::NotFound`] outside the scope.
pub async fn get(db: &impl ConnectionTrait, scope: &Scope, id: EndpointId) -> Result<Endpoint> {
    endpoint(db, row(db, scope, id).await?).await
}

/// Gets one endpoint with its credentials.
///
/// # Errors
/// [`Error::NotFound`] outside the scope, [`Error::Sealed`] with another master key.
pub async fn reach(db: &Db, scope: &Scope, id: EndpointId) -> Result<Reach> {
    let row = row(db.reader(), scope, id).await?;
    let secrets = match &row.sealed {
        Some(sealed) => db.keys().open(row.id.as_bytes(), sealed)?,
        None => Secrets::default(),
    };
    let (tenant, pinned) = (TenantId(row.tenant_id), row.pinned.clone());
    Ok(Reach { endpoint: endpoint(db.reader(), row).await?, tenant, pinned, secrets })
}

/// Lists endpoints by name. Tokens: `kind:snmp_pdu`, any of several as `kind:snmp_pdu,ipmi`, and
/// `status:failing`.
///
/// # Errors
/// A field error for a bad query.
pub async fn list(db: &impl ConnectionTrait, scope: &Scope, query: &ListQuery) -> Result<Page<Endpoint>> {
    let limit = page::limit(query)?;
    let (_, descending) = page::sort(query, &["name"], "name")?;
    let mut which = scoped(scope, Column::TenantId);
    for term in terms(query.q.as_deref().unwrap_or_default()) {
        which = which.add(match &term {
            Term::Word(word) => {
                Condition::any().add(contains(Column::NameKey, word)).add(contains(Column::Address, word))
            }
            Term::Token(key, value) => match key.as_str() {
                "kind" => Condition::all().add(Column::Kind.is_in(value.split(','))),
                "agent" => reached_by(page::id(value)?),
                "status" => Condition::all().add(Column::Status.eq(value.as_str())),
                _ => return Err(Error::Field(page::unknown_token(key))),
            },
        });
    }
    if let Some(cursor) = Cursor::decode(query)? {
        which = which.add(if descending {
            Column::NameKey.lt(cursor.value)
        } else {
            Column::NameKey.gt(cursor.value)
        });
    }
    let order = if descending { sea_orm::Order::Desc } else { sea_orm::Order::Asc };
    let rows = Entity::find().filter(which).order_by(Column::NameKey, order).limit(limit + 1).all(db).await?;
    let page = page::cut(rows, limit, |row| Cursor::encode(&row.name_key, row.id), |row| row);
    let used = uses(db, page.items.iter().map(|row| row.id).collect()).await?;
    let items = page.items.into_iter().map(|row| {
        let connections = used.get(&row.id).copied().unwrap_or_default();
        shown(row, connections)
    });
    Ok(Page { items: items.collect(), next: page.next })
}

/// What an agent serves: devices that name it or its group, `local` when they name none, and those of
/// connections that do.
pub(crate) fn reached_by(agent: uuid::Uuid) -> Condition {
    let group = || {
        let of = agent::Entity::find().select_only().column(agent::Column::GroupName);
        of.filter(agent::Column::Id.eq(agent)).into_query()
    };
    let local = Expr::val(agents::LOCAL).in_subquery(group());
    let by_group = Condition::any()
        .add(Column::AgentGroup.in_subquery(group()))
        .add(Condition::all().add(Column::AgentGroup.is_null()).add(local));
    let connected = Condition::any().add(connection::Column::AgentId.eq(agent)).add(
        Condition::all()
            .add(connection::Column::AgentId.is_null())
            .add(connection::Column::AgentGroup.in_subquery(group())),
    );
    let of = connection::Entity::find().select_only().column(connection::Column::EndpointId);
    let through = of.filter(connected).into_query();
    Condition::any()
        .add(Column::AgentId.eq(agent))
        .add(Condition::all().add(Column::AgentId.is_null()).add(by_group))
        .add(Column::Id.in_subquery(through))
}

/// What changes in an endpoint; absent values stay.
#[derive(Default)]
pub struct Change {
    /// New name.
    pub name: Option<String>,
    /// New agent.
    pub agent_id: Option<Option<AgentId>>,
    /// New group of agents.
    pub agent_group: Option<Option<String>>,
    /// New parameters with their address.
    pub params: Option<(Value, Option<String>)>,
    /// All credentials from now on.
    pub secrets: Option<Secrets>,
    /// Forget the pinned identity.
    pub unpin: bool,
    /// Version that the caller saw.
    pub version: Option<u64>,
}

/// Changes an endpoint.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Stale`], or a field error when a value is taken.
pub async fn change(
    db: &impl ConnectionTrait,
    keys: &Keyring,
    scope: &Scope,
    id: EndpointId,
    change: Change,
) -> Result<Endpoint> {
    let old = row(db, scope, id).await?;
    if change.version.is_some_and(|seen| i64::try_from(seen) != Ok(old.version)) {
        return Err(Error::Stale);
    }
    let name = change.name.unwrap_or_else(|| old.name.clone());
    let agent = change.agent_id.unwrap_or(old.agent_id.map(AgentId));
    let group = change.agent_group.unwrap_or_else(|| old.agent_group.clone());
    let (params, address) = change.params.unwrap_or_else(|| (old.params.clone(), old.address.clone()));
    let key = address_key(db, &old.kind, (agent, group.as_deref()), address.as_deref()).await?;
    free(db, TenantId(old.tenant_id), Some(id), &name, key.clone()).await?;
    let version = old.version;
    let way = (agent.map(|id| id.0), &group, &params);
    let is_asked_otherwise = (old.agent_id, &old.agent_group, &old.params) != way;
    let mut model = old.into_active_model();
    if is_asked_otherwise {
        (model.status, model.fault) = (Set("unchecked".into()), Set(None));
        model.checked_at = Set(Some(millis(now()))); // Answers to what was asked before come too late.
    }
    model.name = Set(name.trim().to_owned());
    model.name_key = Set(name.trim().to_lowercase());
    model.agent_id = Set(agent.map(|id| id.0));
    model.agent_group = Set(group);
    model.params = Set(params);
    model.address = Set(address);
    model.address_key = Set(key);
    if let Some(secrets) = change.secrets {
        model.secrets_set = Set(serde_json::to_value(secrets.names().collect::<Vec<_>>())?);
        model.sealed = Set(Some(keys.seal(id.0.as_bytes(), &secrets)?));
    }
    if change.unpin {
        model.pinned = Set(None);
    }
    model.version = Set(version + 1);
    endpoint(db, model.update(db).await.map_err(taken)?).await
}

/// Removes an endpoint that no connection uses.
///
/// # Errors
/// [`Error::InUse`] while a connection uses it.
pub async fn remove(db: &impl ConnectionTrait, scope: &Scope, id: EndpointId) -> Result<()> {
    let found = get(db, scope, id).await?;
    if found.connections > 0 {
        return Err(Error::InUse(format!("{} connection(s) use this device.", found.connections)));
    }
    Entity::delete_by_id(id.0).exec(db).await?;
    Ok(())
}

/// What a look at an endpoint found.
pub struct Look {
    /// What it said of itself, or why not.
    pub identity: std::result::Result<Option<Identity>, Fault>,
    /// Its outlets, when they were read.
    pub outlets: Option<Vec<OutletReading>>,
    /// When it was asked.
    pub at: DateTime<Utc>,
}

/// Stores what a look found, unless a later one is known; pins the identity at the first one. Says whether the
/// status changed.
///
/// # Errors
/// When the database fails.
pub async fn looked(db: &impl ConnectionTrait, id: EndpointId, look: Look) -> Result<bool> {
    let old: Option<(String, Option<Value>, Option<String>)> = Entity::find_by_id(id.0)
        .select_only()
        .columns([Column::Status, Column::Fault, Column::Pinned])
        .into_tuple()
        .one(db)
        .await?;
    let Some((status, old_fault, pinned)) = old else { return Ok(false) };
    let at = Some(millis(look.at));
    let mut model = ActiveModel { checked_at: Set(at), ..Default::default() };
    let changed = match look.identity {
        Ok(identity) => {
            model.status = Set("ok".into());
            model.fault = Set(None);
            if let Some(identity) = identity {
                if pinned.is_none() {
                    model.pinned = Set(identity.unique.clone());
                }
                model.identity = Set(Some(serde_json::to_value(identity)?));
            }
            status != "ok"
        }
        Err(fault) => {
            let before = old_fault.and_then(|old| serde_json::from_value::<Fault>(old).ok());
            let changed = status != "failing" || before.is_none_or(|before| class(&before) != class(&fault));
            model.status = Set("failing".into());
            model.fault = Set(Some(serde_json::to_value(fault)?));
            changed
        }
    };
    if let Some(outlets) = look.outlets {
        model.outlets = Set(Some(serde_json::to_value(outlets)?));
        model.outlets_at = Set(at);
    }
    let newer = Condition::any()
        .add(Column::CheckedAt.is_null())
        .add(Column::CheckedAt.lte(at))
        .add(Column::CheckedAt.gt(millis(now())));
    let done = Entity::update_many().set(model).filter(Column::Id.eq(id.0)).filter(newer).exec(db).await?;
    Ok(changed && done.rows_affected > 0)
}

/// What a person would do about a fault: silence is silence, with power or without.
fn class(fault: &Fault) -> (FaultCode, bool) {
    let code = if fault.code == FaultCode::Lost { FaultCode::Unreach } else { fault.code };
    (code, fault.reason == Reason::WithoutPower)
}

/// Reads the outlets as last seen.
///
/// # Errors
/// [`Error::NotFound`] outside the scope.
pub async fn outlets(
    db: &impl ConnectionTrait,
    scope: &Scope,
    id: EndpointId,
) -> Result<(Vec<OutletReading>, Option<DateTime<Utc>>)> {
    let row = row(db, scope, id).await?;
    let outlets = row.outlets.and_then(|value| serde_json::from_value(value).ok()).unwrap_or_default();
    Ok((outlets, row.outlets_at.map(from_millis)))
}

async fn row(db: &impl ConnectionTrait, scope: &Scope, id: EndpointId) -> Result<Model> {
    let found = Entity::find_by_id(id.0).filter(scoped(scope, Column::TenantId)).one(db).await?;
    found.ok_or(Error::NotFound)
}

/// Refuses a name or address that another endpoint has, with the field named.
async fn free(
    db: &impl ConnectionTrait,
    tenant: TenantId,
    own: Option<EndpointId>,
    name: &str,
    address: Option<String>,
) -> Result<()> {
    let other = |which: Condition| {
        let own = own.map(|id| id.0).unwrap_or_default();
        Entity::find().filter(which.add(Column::Id.ne(own))).one(db)
    };
    if let Some(key) = address
        && let Some(found) = other(Condition::all().add(Column::AddressKey.eq(key))).await?
    {
        let message = format!("“{}” has this address on the same agent.", found.name);
        return Err(Error::Field(rackhand_wire::FieldError::new("params.host", "duplicate", message)));
    }
    let same_name = Condition::all()
        .add(Column::TenantId.eq(tenant.0))
        .add(Column::NameKey.eq(name.trim().to_lowercase()));
    if other(same_name).await?.is_some() {
        let error = rackhand_wire::FieldError::new("name", "duplicate", "Another device has this name.");
        return Err(Error::Field(error));
    }
    Ok(())
}

fn taken(error: sea_orm::DbErr) -> Error {
    Error::unique(error, "name", "Another device has this name or address.")
}

/// Two endpoints with the same key are one device. An agent of the group `local` that is named reaches the
/// same devices as the one that stands in where none is.
async fn address_key(
    db: &impl ConnectionTrait,
    kind: &str,
    (agent, group): (Option<AgentId>, Option<&str>),
    address: Option<&str>,
) -> Result<Option<String>> {
    let Some(address) = address else { return Ok(None) };
    let named = match agent {
        Some(id) => agent::Entity::find_by_id(id.0).one(db).await?,
        None => None,
    };
    let agent = match named {
        Some(named) if named.group_name != agents::LOCAL => named.id.to_string(),
        // Agents of one group reach the same devices.
        None => group.unwrap_or(agents::LOCAL).to_owned(),
        Some(_) => agents::LOCAL.to_owned(),
    };
    Ok(Some(format!("{agent}/{kind}/{}", plain_address(address))))
}

/// Writes `host:port` in the one way that all spellings of the same host share.
fn plain_address(address: &str) -> String {
    let address = address.trim().to_lowercase();
    let (host, port) = address.rsplit_once(':').unwrap_or((&address, ""));
    let host = host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.');
    let local = matches!(host, "localhost" | "localhost.localdomain" | "ip6-localhost" | "ip6-loopback");
    match host.parse::<IpAddr>().map(|ip| ip.to_canonical()) {
        _ if local => format!("localhost:{port}"),
        Ok(ip) if ip == Ipv4Addr::LOCALHOST || ip == Ipv6Addr::LOCALHOST => format!("localhost:{port}"),
        Ok(ip) => format!("{ip}:{port}"),
        Err(_) => format!("{host}:{port}"),
    }
}

async fn endpoint(db: &impl ConnectionTrait, row: Model) -> Result<Endpoint> {
    let connections =
        connection::Entity::find().filter(connection::Column::EndpointId.eq(row.id)).count(db).await?;
    Ok(shown(row, connections))
}

/// Counts the connections of many endpoints at once.
async fn uses(db: &impl ConnectionTrait, ids: Vec<Uuid>) -> Result<HashMap<Uuid, u64>> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let rows: Vec<(Uuid, i64)> = connection::Entity::find()
        .select_only()
        .column(connection::Column::EndpointId)
        .column_as(connection::Column::Id.count(), "uses")
        .filter(connection::Column::EndpointId.is_in(ids))
        .group_by(connection::Column::EndpointId)
        .into_tuple()
        .all(db)
        .await?;
    Ok(rows.into_iter().map(|(id, uses)| (id, u64::try_from(uses).unwrap_or_default())).collect())
}

fn shown(row: Model, connections: u64) -> Endpoint {
    Endpoint {
        id: EndpointId(row.id),
        agent_id: row.agent_id.map(AgentId),
        agent_group: row.agent_group.clone(),
        secrets_set: serde_json::from_value(row.secrets_set.clone()).unwrap_or_default(),
        status: status(&row),
        kind: row.kind,
        name: row.name,
        params: row.params,
        address: row.address,
        connections,
        version: u64::try_from(row.version).unwrap_or_default(),
        created_at: from_millis(row.created_at),
    }
}

pub(crate) fn status(row: &Model) -> EndpointStatus {
    EndpointStatus {
        state: match row.status.as_str() {
            "ok" => EndpointState::Ok,
            "failing" => EndpointState::Failing,
            _ => EndpointState::Unchecked,
        },
        fault: row.fault.clone().and_then(|value| serde_json::from_value(value).ok()),
        identity: row.identity.clone().and_then(|value| serde_json::from_value(value).ok()),
        checked_at: row.checked_at.filter(|_| row.status != "unchecked").map(from_millis),
        agent_away: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_host_is_one_address() {
        for (one, other) in [
            ("127.0.0.1:623", "LocalHost:623"),
            ("127.0.0.1:623", "localhost.:623"),
            ("127.0.0.1:623", "::ffff:127.0.0.1:623"),
            ("::1:623", "ip6-localhost:623"),
            ("bmc.example:623", "BMC.example.:623"),
            ("2001:db8::7:623", "2001:DB8:0:0::7:623"),
        ] {
            assert_eq!(plain_address(one), plain_address(other));
        }
        for (one, other) in [
            ("127.0.0.1:623", "127.0.0.1:624"),
            ("127.0.0.1:623", "127.0.0.2:623"),
            ("a.example:623", "b.example:623"),
        ] {
            assert_ne!(plain_address(one), plain_address(other));
        }
    }
}
