//! Servers.

use rackhand_wire::{
    api::{
        page::{ListQuery, Page},
        server::{AddServer, Server, ServerRow, Tally},
    },
    id::{JobId, ServerId, SiteId, TenantId},
    power::{PathEvidence, ServerPower},
};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, ConnectionTrait, DerivePartialModel, EntityTrait,
    IntoActiveModel, QueryFilter, QueryOrder, QuerySelect, QueryTrait,
    sea_query::{Expr, ExprTrait},
};
use std::collections::HashMap;

use crate::{
    Error, Result, Scope, connections,
    entity::{
        connection, endpoint, job,
        server::{Column, Entity, Model},
        site,
    },
    filter::{Term, contains, is, key_contains, scoped, terms},
    fresh_id, from_millis, millis, now,
    page::{self, Cursor},
    readings,
    steps::parsed,
};

/// Lists servers. Tokens: `state:on`, `rack:R1`, `site:NAME`, `tag:db`, `device:ID`, `flag:attention`; words match
/// names, racks, tags, outlets, and the names and addresses of devices. Sorts by `name`, `rack`, `state`,
/// `checked_at`.
///
/// # Errors
/// A field error for a bad query.
pub async fn list(db: &impl ConnectionTrait, scope: &Scope, query: &ListQuery) -> Result<Page<ServerRow>> {
    let limit = page::limit(query)?;
    let (sort, descending) = page::sort(query, &["name", "rack", "state", "checked_at"], "name")?;
    let sort = Sort::named(sort);
    let mut which = matching(db, scope, query.q.as_deref()).await?;
    if let Some(cursor) = Cursor::decode(query)? {
        which = which.add(after(sort, descending, &cursor)?);
    }
    let order = if descending { sea_orm::Order::Desc } else { sea_orm::Order::Asc };
    let select = Entity::find().filter(which).order_by(sort.place(), order.clone());
    let select = select.order_by(Column::Id, order).limit(limit + 1);
    let rows = select.into_partial_model::<Listed>().all(db).await?;
    let cursor = |row: &Listed| Cursor::encode(&sort.value(row), row.id);
    let page = page::cut(rows, limit, cursor, |row| row);
    Ok(Page { items: rows_of(db, page.items).await?, next: page.next })
}

/// What the list shows of a server: without notes and the words that it is found by, which can be long.
#[derive(DerivePartialModel)]
#[sea_orm(entity = "Entity")]
struct Listed {
    id: uuid::Uuid,
    name: String,
    name_key: String,
    rack: String,
    site_id: Option<uuid::Uuid>,
    tags: serde_json::Value,
    power_value: String,
    confidence: String,
    flags: serde_json::Value,
    checked_at: Option<i64>,
    version: i64,
}

/// Values of the token `state:`.
const STATES: [&str; 4] = ["on", "off", "fed", "unknown"];

/// Columns that the list can be sorted by.
#[derive(Clone, Copy)]
enum Sort {
    Name,
    Rack,
    State,
    CheckedAt,
}

impl Sort {
    fn named(name: &str) -> Self {
        match name {
            "rack" => Self::Rack,
            "state" => Self::State,
            "checked_at" => Self::CheckedAt,
            _ => Self::Name,
        }
    }

    fn place(self) -> Expr {
        match self {
            Self::Name => Expr::col(Column::NameKey),
            Self::Rack => Expr::col(Column::Rack),
            Self::State => Expr::col(Column::PowerValue),
            // Rows never read have no time; they count as the oldest in both engines.
            Self::CheckedAt => Expr::col(Column::CheckedAt).if_null(0),
        }
    }

    fn value(self, row: &Listed) -> String {
        match self {
            Self::Name => row.name_key.clone(),
            Self::Rack => row.rack.clone(),
            Self::State => row.power_value.clone(),
            Self::CheckedAt => row.checked_at.unwrap_or_default().to_string(),
        }
    }
}

fn after(sort: Sort, descending: bool, cursor: &Cursor) -> Result<Condition> {
    let value: sea_orm::Value = match sort {
        Sort::CheckedAt => cursor.number()?.into(),
        Sort::Name | Sort::Rack | Sort::State => cursor.value.clone().into(),
    };
    let (beyond, next) = if descending {
        (sort.place().lt(value.clone()), Column::Id.lt(cursor.id))
    } else {
        (sort.place().gt(value.clone()), Column::Id.gt(cursor.id))
    };
    Ok(Condition::any().add(beyond).add(Condition::all().add(sort.place().eq(value)).add(next)))
}

async fn rows_of(db: &impl ConnectionTrait, rows: Vec<Listed>) -> Result<Vec<ServerRow>> {
    let ids: Vec<ServerId> = rows.iter().map(|row| ServerId(row.id)).collect();
    let mut paths = readings::briefs(db, &ids).await?;
    let sites = site_names(db, rows.iter().filter_map(|row| row.site_id).collect()).await?;
    let active = active_jobs(db, &ids).await?;
    rows.into_iter()
        .map(|row| {
            let id = ServerId(row.id);
            Ok(ServerRow {
                id,
                site_name: row.site_id.and_then(|site| sites.get(&site).cloned()),
                site_id: row.site_id.map(SiteId),
                tags: serde_json::from_value(row.tags).unwrap_or_default(),
                power: parsed(row.power_value)?,
                confidence: parsed(row.confidence)?,
                flags: serde_json::from_value(row.flags).unwrap_or_default(),
                checked_at: row.checked_at.map(from_millis),
                paths: paths.remove(&id).unwrap_or_default(),
                active_job_id: active.get(&row.id).copied(),
                version: u64::try_from(row.version).unwrap_or_default(),
                name: row.name,
                rack: row.rack,
            })
        })
        .collect()
}

async fn site_names(db: &impl ConnectionTrait, ids: Vec<uuid::Uuid>) -> Result<HashMap<uuid::Uuid, String>> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = site::Entity::find().filter(site::Column::Id.is_in(ids)).all(db).await?;
    Ok(rows.into_iter().map(|row| (row.id, row.name)).collect())
}

async fn active_jobs(db: &impl ConnectionTrait, servers: &[ServerId]) -> Result<HashMap<uuid::Uuid, JobId>> {
    let ids = servers.iter().map(|id| id.0);
    let rows: Vec<(uuid::Uuid, Option<uuid::Uuid>)> = job::Entity::find()
        .select_only()
        .columns([job::Column::Id, job::Column::ActiveServerId])
        .filter(job::Column::ActiveServerId.is_in(ids))
        .into_tuple()
        .all(db)
        .await?;
    Ok(rows.into_iter().filter_map(|(job, server)| Some((server?, JobId(job)))).collect())
}

/// Counts states under a filter.
///
/// # Errors
/// A field error for a bad filter.
pub async fn tally(db: &impl ConnectionTrait, scope: &Scope, q: Option<&str>) -> Result<Tally> {
    let counts: Vec<(String, bool, i64)> = Entity::find()
        .select_only()
        .column(Column::PowerValue)
        .column(Column::Attention)
        .column_as(Column::Id.count(), "count")
        .filter(matching(db, scope, q).await?)
        .group_by(Column::PowerValue)
        .group_by(Column::Attention)
        .into_tuple()
        .all(db)
        .await?;
    let mut tally = Tally { total: 0, on: 0, off: 0, fed: 0, unknown: 0, attention: 0 };
    for (value, attention, count) in counts {
        let count = u64::try_from(count).unwrap_or_default();
        tally.total += count;
        tally.attention += if attention { count } else { 0 };
        match value.as_str() {
            "on" => tally.on += count,
            "off" => tally.off += count,
            "fed" => tally.fed += count,
            _ => tally.unknown += count,
        }
    }
    Ok(tally)
}

async fn matching(db: &impl ConnectionTrait, scope: &Scope, q: Option<&str>) -> Result<Condition> {
    let mut which = scoped(scope, Column::TenantId);
    for term in terms(q.unwrap_or_default()) {
        which = which.add(match &term {
            Term::Word(word) => found_by(scope, word),
            Term::Token(key, value) => match key.as_str() {
                "state" => Condition::all().add(Column::PowerValue.eq(page::choice(key, value, &STATES)?)),
                "rack" => Condition::all().add(is(Column::Rack, value)),
                "tag" => {
                    let quoted = serde_json::to_string(&value.to_lowercase())?;
                    Condition::all().add(key_contains(Column::Search, &quoted))
                }
                "device" => connections::ties(connection::Column::EndpointId.eq(page::id(value)?)),
                "flag" if value == "attention" => Condition::all().add(Column::Attention.eq(true)),
                "site" => {
                    let named = site::Entity::find().filter(site::Column::NameKey.eq(value.to_lowercase()));
                    let ids: Vec<_> = named.all(db).await?.into_iter().map(|row| row.id).collect();
                    Condition::all().add(Column::SiteId.is_in(ids))
                }
                _ => return Err(Error::Field(page::unknown_token(key))),
            },
        });
    }
    Ok(which)
}

/// Servers that a word finds: by what they are kept with, or by the endpoints that they hang on as these are
/// called now. An endpoint of somebody else is shown by its name, so its address finds nothing.
pub(crate) fn found_by(scope: &Scope, word: &str) -> Condition {
    let address = scoped(scope, endpoint::Column::TenantId).add(contains(endpoint::Column::Address, word));
    let named = Condition::any().add(key_contains(endpoint::Column::NameKey, word)).add(address);
    // Not a join: SQLite would read the endpoint of every connection instead of the connections of the few that fit.
    let endpoints = endpoint::Entity::find().select_only().column(endpoint::Column::Id).filter(named);
    let through = connection::Column::EndpointId.in_subquery(endpoints.into_query());
    Condition::any().add(key_contains(Column::Search, word)).add(connections::ties(through))
}

/// Gets one server with its evidence.
///
/// # Errors
/// [`Error::NotFound`] outside the scope.
pub async fn get(db: &impl ConnectionTrait, scope: &Scope, id: ServerId) -> Result<Server> {
    server(db, row(db, scope, id).await?).await
}

/// Finds the tenant of a server.
///
/// # Errors
/// [`Error::NotFound`] outside the scope.
pub async fn owner(db: &impl ConnectionTrait, scope: &Scope, id: ServerId) -> Result<TenantId> {
    Ok(TenantId(row(db, scope, id).await?.tenant_id))
}

/// Lists those of some servers that are in scope.
///
/// # Errors
/// When the database fails.
pub async fn known(db: &impl ConnectionTrait, scope: &Scope, ids: &[ServerId]) -> Result<Vec<ServerId>> {
    let named = scoped(scope, Column::TenantId).add(Column::Id.is_in(ids.iter().map(|id| id.0)));
    let found = Entity::find().select_only().column(Column::Id).filter(named);
    Ok(found.into_tuple().all(db).await?.into_iter().map(ServerId).collect())
}

/// A rack: a label at a site. Other sites have racks of the same label.
#[derive(Debug, Clone, Copy)]
pub struct Rack<'a> {
    /// Whose.
    pub tenant: TenantId,
    /// Where it stands.
    pub site: Option<SiteId>,
    /// What is written on it; without a label all are one rack, for nobody has said that they are not.
    pub label: &'a str,
}

impl Rack<'_> {
    /// Which servers are in it: those of which nobody has said at which site they stand may be.
    pub(crate) fn servers(&self) -> Condition {
        let which = Condition::all().add(Column::TenantId.eq(self.tenant.0)).add(Column::Rack.eq(self.label));
        match self.site {
            Some(site) => {
                which.add(Condition::any().add(Column::SiteId.eq(site.0)).add(Column::SiteId.is_null()))
            }
            None => which,
        }
    }
}

/// Counts the servers of a rack.
///
/// # Errors
/// When the database fails.
pub async fn in_rack(db: &impl ConnectionTrait, rack: Rack<'_>) -> Result<u64> {
    use sea_orm::PaginatorTrait;
    Ok(Entity::find().filter(rack.servers()).count(db).await?)
}

/// Adds a server.
///
/// # Errors
/// A field error when the name is taken.
pub async fn add(db: &impl ConnectionTrait, tenant: TenantId, new: AddServer) -> Result<Server> {
    let mut model = Model {
        id: fresh_id(),
        tenant_id: tenant.0,
        name_key: new.name.trim().to_lowercase(),
        name: new.name.trim().to_owned(),
        rack: new.rack.trim().to_owned(),
        site_id: new.site_id.map(|id| id.0),
        tags: serde_json::to_value(&new.tags)?,
        notes: new.notes,
        feeds_complete: false,
        fallback_enabled: true,
        maintenance: false,
        mismatch_seen: false,
        power_value: "unknown".into(),
        confidence: "low".into(),
        flags: serde_json::json!([]),
        attention: false,
        power_since: None,
        checked_at: None,
        idle_watts: None,
        dark_since: None,
        updating_at: None,
        search: String::new(),
        version: 1,
        created_at: millis(now()),
    };
    model.search = search_text(&model, &[]);
    let row = model.into_active_model().insert(db).await.map_err(taken)?;
    server(db, row).await
}

/// What changes in a server; absent values stay.
#[derive(Default)]
pub struct Change {
    /// New name.
    pub name: Option<String>,
    /// New rack.
    pub rack: Option<String>,
    /// New site.
    pub site_id: Option<Option<SiteId>>,
    /// New tags.
    pub tags: Option<Vec<String>>,
    /// New notes.
    pub notes: Option<String>,
    /// The outlets feed all power supplies.
    pub feeds_complete: Option<bool>,
    /// Automatic fallback is allowed.
    pub fallback_enabled: Option<bool>,
    /// Power actions are refused.
    pub maintenance: Option<bool>,
    /// A wrong mapping was seen, or its wiring was confirmed.
    pub mismatch_seen: Option<bool>,
    /// Version that the caller saw.
    pub version: Option<u64>,
}

/// Changes a server.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Stale`], or a field error when the name is taken.
pub async fn change(
    db: &impl ConnectionTrait,
    scope: &Scope,
    id: ServerId,
    change: Change,
) -> Result<Server> {
    let mut row = row(db, scope, id).await?;
    if change.version.is_some_and(|seen| i64::try_from(seen) != Ok(row.version)) {
        return Err(Error::Stale);
    }
    if let Some(name) = change.name {
        row.name_key = name.trim().to_lowercase();
        name.trim().clone_into(&mut row.name);
    }
    row.rack = change.rack.map_or(row.rack, |rack| rack.trim().to_owned());
    row.site_id = change.site_id.map_or(row.site_id, |site| site.map(|id| id.0));
    if let Some(tags) = change.tags {
        row.tags = serde_json::to_value(tags)?;
    }
    row.notes = change.notes.unwrap_or(row.notes);
    row.feeds_complete = change.feeds_complete.unwrap_or(row.feeds_complete);
    row.fallback_enabled = change.fallback_enabled.unwrap_or(row.fallback_enabled);
    row.maintenance = change.maintenance.unwrap_or(row.maintenance);
    row.mismatch_seen = change.mismatch_seen.unwrap_or(row.mismatch_seen);
    row.version += 1;
    row.search = search_text(&row, &places(db, id).await?);
    let row = row.into_active_model().reset_all().update(db).await.map_err(taken)?;
    server(db, row).await
}

/// Removes a server; its connections must be gone.
///
/// # Errors
/// [`Error::NotFound`] outside the scope.
pub async fn remove(db: &impl ConnectionTrait, scope: &Scope, id: ServerId) -> Result<()> {
    row(db, scope, id).await?;
    Entity::delete_by_id(id.0).exec(db).await?;
    Ok(())
}

/// Says whether a wrong mapping was seen and not confirmed since.
///
/// # Errors
/// [`Error::NotFound`] when it is gone.
pub async fn mismatch_seen(db: &impl ConnectionTrait, id: ServerId) -> Result<bool> {
    let seen = Entity::find_by_id(id.0).select_only().column(Column::MismatchSeen);
    seen.into_tuple().one(db).await?.ok_or(Error::NotFound)
}

async fn row(db: &impl ConnectionTrait, scope: &Scope, id: ServerId) -> Result<Model> {
    let found = Entity::find_by_id(id.0).filter(scoped(scope, Column::TenantId)).one(db).await?;
    found.ok_or(Error::NotFound)
}

fn taken(error: sea_orm::DbErr) -> Error {
    Error::unique(error, "name", "Another server has this name.")
}

/// Lists where a server is on its endpoints: `outlet 7`.
async fn places(db: &impl ConnectionTrait, id: ServerId) -> Result<Vec<String>> {
    let ties = connection::Entity::find().filter(connection::Column::ServerId.eq(id.0));
    let places = ties.select_only().column(connection::Column::TargetLabel);
    Ok(places.into_tuple().all(db).await?)
}

/// What changes with the server and its connections only; endpoints are renamed without asking it.
fn search_text(row: &Model, places: &[String]) -> String {
    format!("{} {} {} {}", row.name, row.rack, row.tags, places.join(" ")).to_lowercase()
}

async fn server(db: &impl ConnectionTrait, row: Model) -> Result<Server> {
    let id = ServerId(row.id);
    let sites = site_names(db, row.site_id.into_iter().collect()).await?;
    let active = active_jobs(db, &[id]).await?;
    let paths = readings::evidence(db, &[id]).await?.remove(&id).unwrap_or_default();
    Ok(Server {
        id,
        power: power(&row, paths)?,
        site_name: row.site_id.and_then(|site| sites.get(&site).cloned()),
        site_id: row.site_id.map(SiteId),
        tags: serde_json::from_value(row.tags).unwrap_or_default(),
        notes: row.notes,
        feeds_complete: row.feeds_complete,
        fallback_enabled: row.fallback_enabled,
        maintenance: row.maintenance,
        only_agent: crate::only_agent::only_of(db, id).await?,
        active_job_id: active.get(&row.id).copied(),
        version: u64::try_from(row.version).unwrap_or_default(),
        created_at: from_millis(row.created_at),
        name: row.name,
        rack: row.rack,
    })
}

/// The power of a server as it is kept, with what its paths said.
pub(crate) fn power(row: &Model, paths: Vec<PathEvidence>) -> Result<ServerPower> {
    Ok(ServerPower {
        value: parsed(row.power_value.clone())?,
        confidence: parsed(row.confidence.clone())?,
        flags: serde_json::from_value(row.flags.clone()).unwrap_or_default(),
        since: row.power_since.map(from_millis),
        checked_at: row.checked_at.map(from_millis),
        idle_watts: row.idle_watts,
        dark_since: row.dark_since.map(from_millis),
        updating_at: row.updating_at.map(from_millis),
        paths,
    })
}
