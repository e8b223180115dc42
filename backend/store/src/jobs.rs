//! Jobs: durable work.

use rackhand_wire::{
    PowerAction,
    api::{
        job::{Job, JobKind, JobState, Proof},
        page::{ListQuery, Page},
        power::Via,
        server::ServerBrief,
    },
    id::{EndpointId, JobId, NodeId, ServerId, TenantId},
};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, ConnectionTrait, EntityTrait, IntoActiveModel, PaginatorTrait,
    QueryFilter, QueryOrder, QuerySelect, QueryTrait, Set, UpdateResult,
    sea_query::{Expr, ExprTrait, LockBehavior, LockType},
};
use serde_json::Value;
use std::ops::Range;
use uuid::Uuid;

use crate::{
    Error, Result, Scope, Tx,
    entity::{
        connection,
        job::{ActiveModel, Column, Entity, Model},
        server,
    },
    filter::{Term, contains, scoped, terms},
    fresh_id, from_millis, millis, nodes, now,
    page::{self, Cursor},
    queue,
    servers::Rack,
    steps::{self, parsed},
};

/// What is needed to accept a job.
pub struct New {
    /// Whose.
    pub tenant: TenantId,
    /// What kind of work.
    pub kind: JobKind,
    /// The server, for power.
    pub server: Option<ServerId>,
    /// Waits behind the job that is under way.
    pub waits: bool,
    /// The endpoint, for a test.
    pub endpoint: Option<EndpointId>,
    /// The action and its paths, for power.
    pub power: Option<(PowerAction, Via)>,
    /// For people.
    pub title: String,
    /// Who asked.
    pub requested_by: String,
    /// From where.
    pub source_ip: Option<String>,
    /// What was asked for, without secrets.
    pub request: Value,
    /// The server that performs it, unless it must wait.
    pub node: NodeId,
}

/// A job as the worker needs it.
pub struct Work {
    /// The job.
    pub job: Job,
    /// Whose.
    pub tenant: TenantId,
    /// What was asked for.
    pub request: Value,
    /// The stored run, once it began.
    pub run: Option<Value>,
}

/// Accepts a job. At most one power job per server is active: the database sees to it.
///
/// # Errors
/// [`Error::ActiveJob`] with the job that is under way.
pub async fn add(db: &impl ConnectionTrait, new: New) -> Result<Job> {
    let active = new.server.filter(|_| !new.waits).map(|id| id.0);
    if let (Some(server), false) = (new.server, new.waits)
        && let Some(other) = find_active(db, server).await?
    {
        return Err(Error::ActiveJob(other.id));
    }
    let model = Model {
        id: fresh_id(),
        tenant_id: new.tenant.0,
        kind: match new.kind {
            JobKind::Power => "power",
            JobKind::EndpointTest => "endpoint_test",
        }
        .into(),
        state: JobState::Queued.code().into(),
        server_id: new.server.map(|id| id.0),
        active_server_id: active,
        endpoint_id: new.endpoint.map(|id| id.0),
        action: new.power.map(|(action, _)| action.code().into()),
        via: new.power.map(|(_, via)| via_word(via).into()),
        title: new.title,
        requested_by: new.requested_by,
        source_ip: new.source_ip,
        request: new.request,
        run: None,
        reason: None,
        summary: None,
        proof: None,
        result: None,
        cancel_requested: false,
        alarm: false,
        cut_at: None,
        created_at: millis(now()),
        started_at: None,
        finished_at: None,
        version: 1,
        // One that waits is taken up by whoever ends the job before it.
        node_id: Some(new.node.0).filter(|_| !new.waits),
    };
    let row = model.into_active_model().insert(db).await?;
    job(db, row).await
}

/// Finds the power job that is under way on a server.
///
/// # Errors
/// When the database fails.
pub async fn find_active(db: &impl ConnectionTrait, server: ServerId) -> Result<Option<Job>> {
    match Entity::find().filter(Column::ActiveServerId.eq(server.0)).one(db).await? {
        Some(row) => job(db, row).await.map(Some),
        None => Ok(None),
    }
}

/// Finds a power job that is under way on a server which is connected to an endpoint.
///
/// # Errors
/// When the database fails.
pub async fn find_using(db: &impl ConnectionTrait, endpoint: EndpointId) -> Result<Option<JobId>> {
    let servers = connection::Entity::find()
        .select_only()
        .column(connection::Column::ServerId)
        .filter(connection::Column::EndpointId.eq(endpoint.0))
        .into_query();
    let of = Entity::find().select_only().column(Column::Id);
    let found = of.filter(Column::ActiveServerId.in_subquery(servers)).order_by_asc(Column::Id);
    Ok(found.into_tuple::<Uuid>().one(db).await?.map(JobId))
}

/// Gets a job with its steps.
///
/// # Errors
/// [`Error::NotFound`] outside the scope.
pub async fn get(db: &impl ConnectionTrait, scope: &Scope, id: JobId) -> Result<Job> {
    let row = Entity::find_by_id(id.0).filter(scoped(scope, Column::TenantId)).one(db).await?;
    let mut job = job(db, row.ok_or(Error::NotFound)?).await?;
    job.steps = steps::list(db, id).await?;
    Ok(job)
}

/// Gets a job for the worker.
///
/// # Errors
/// [`Error::NotFound`] when it is gone.
pub async fn work(db: &impl ConnectionTrait, id: JobId) -> Result<Work> {
    let row = Entity::find_by_id(id.0).one(db).await?.ok_or(Error::NotFound)?;
    let (tenant, request, run) = (TenantId(row.tenant_id), row.request.clone(), row.run.clone());
    Ok(Work { job: job(db, row).await?, tenant, request, run })
}

/// Lists jobs, newest first. Tokens: `server:ID`, `state:running`, `kind:power`, `action:off`.
///
/// # Errors
/// A field error for a bad query.
pub async fn list(db: &impl ConnectionTrait, scope: &Scope, query: &ListQuery) -> Result<Page<Job>> {
    let limit = page::limit(query)?;
    page::sort(query, &["created_at"], "-created_at")?;
    let mut which = scoped(scope, Column::TenantId);
    for term in terms(query.q.as_deref().unwrap_or_default()) {
        which = which.add(match &term {
            Term::Word(word) => contains(Column::Title, word),
            Term::Token(key, value) => match key.as_str() {
                "server" => Column::ServerId.eq(page::id(value)?),
                "state" => Column::State.eq(page::choice(key, value, &JobState::ALL.map(JobState::code))?),
                "kind" => Column::Kind.eq(page::choice(key, value, &["power", "endpoint_test"])?),
                "action" => {
                    Column::Action.eq(page::choice(key, value, &PowerAction::ALL.map(PowerAction::code))?)
                }
                _ => return Err(Error::Field(page::unknown_token(key))),
            },
        });
    }
    if let Some(cursor) = Cursor::decode(query)? {
        which = which.add(Column::Id.lt(cursor.id));
    }
    let rows = Entity::find().filter(which).order_by_desc(Column::Id).limit(limit + 1).all(db).await?;
    let page = page::cut(rows, limit, |row| Cursor::encode("", row.id), |row| row);
    let mut items = Vec::with_capacity(page.items.len());
    for row in page.items {
        items.push(job(db, row).await?);
    }
    Ok(Page { items, next: page.next })
}

/// Takes up what no living server performs: running jobs, and queued ones whose turn it is, oldest first.
///
/// # Errors
/// When the database fails.
pub async fn claim_due(tx: &Tx, node: NodeId) -> Result<Vec<JobId>> {
    let free = Entity::find().select_only().column(Column::Id).filter(on_turn()).filter(nobodys());
    // Whoever takes others up at this moment is not waited for.
    let skip = free.order_by_asc(Column::Id).lock_with_behavior(LockType::Update, LockBehavior::SkipLocked);
    let ids: Vec<Uuid> = skip.into_tuple().all(tx).await?;
    let taken = ActiveModel { node_id: Set(Some(node.0)), ..Default::default() };
    Entity::update_many().set(taken).filter(Column::Id.is_in(ids.clone())).exec(tx).await?;
    Ok(ids.into_iter().map(JobId).collect())
}

/// Lists the jobs of a server whose turn it is.
///
/// # Errors
/// When the database fails.
pub async fn due_of(db: &impl ConnectionTrait, node: NodeId) -> Result<Vec<JobId>> {
    let own = Entity::find().select_only().column(Column::Id).filter(on_turn());
    let ids: Vec<Uuid> = own.filter(Column::NodeId.eq(node.0)).into_tuple().all(db).await?;
    Ok(ids.into_iter().map(JobId).collect())
}

/// Jobs that run, or wait for nothing but to be begun.
fn on_turn() -> Condition {
    Condition::any().add(Column::State.eq(JobState::Running.code())).add(
        Condition::all()
            .add(Column::State.eq(JobState::Queued.code()))
            .add(Condition::any().add(Column::ActiveServerId.is_not_null()).add(Column::ServerId.is_null())),
    )
}

/// Takes one job up; says whether no other living server performs it.
///
/// # Errors
/// When the database fails.
pub async fn claim(db: &impl ConnectionTrait, id: JobId, node: NodeId) -> Result<bool> {
    let taken = ActiveModel { node_id: Set(Some(node.0)), ..Default::default() };
    let own = nobodys().add(Column::NodeId.eq(node.0));
    let update = Entity::update_many().set(taken).filter(Column::Id.eq(id.0)).filter(own);
    Ok(update.exec(db).await?.rows_affected > 0)
}

/// Lists the jobs of a server that were asked to stop.
///
/// # Errors
/// When the database fails.
pub async fn cancelled_of(db: &impl ConnectionTrait, node: NodeId) -> Result<Vec<JobId>> {
    let which = Condition::all()
        .add(Column::NodeId.eq(node.0))
        .add(Column::CancelRequested.eq(true))
        .add(Column::FinishedAt.is_null());
    let ids: Vec<Uuid> =
        Entity::find().select_only().column(Column::Id).filter(which).into_tuple().all(db).await?;
    Ok(ids.into_iter().map(JobId).collect())
}

/// Jobs that no living server performs.
fn nobodys() -> Condition {
    Condition::any().add(Column::NodeId.is_null()).add(Column::NodeId.not_in_subquery(nodes::living()))
}

/// What changes in a job; absent values stay.
#[derive(Default)]
pub struct Progress {
    /// New state.
    pub state: Option<JobState>,
    /// The run as it stands.
    pub run: Option<Value>,
    /// It begins now.
    pub begins: bool,
}

/// Stores progress of a job that this server performs.
///
/// # Errors
/// [`Error::Taken`] when another server has taken it up.
pub async fn progress(db: &impl ConnectionTrait, id: JobId, node: NodeId, progress: Progress) -> Result<()> {
    let mut model = <ActiveModel as ActiveModelTrait>::default();
    if let Some(state) = progress.state {
        model.state = Set(state.code().into());
    }
    if let Some(run) = progress.run {
        model.run = Set(Some(run));
    }
    if progress.begins {
        model.started_at = Set(Some(millis(now())));
    }
    let update =
        Entity::update_many().set(model).col_expr(Column::Version, Expr::col(Column::Version).add(1));
    performed_by(&update.filter(own(id, node)).exec(db).await?)
}

fn own(id: JobId, node: NodeId) -> Condition {
    Condition::all().add(Column::Id.eq(id.0)).add(Column::NodeId.eq(node.0))
}

fn performed_by(update: &UpdateResult) -> Result<()> {
    if update.rows_affected == 0 { Err(Error::Taken) } else { Ok(()) }
}

/// How a job ended.
pub struct Ending {
    /// Its state.
    pub state: JobState,
    /// Stable word.
    pub reason: String,
    /// One sentence.
    pub summary: String,
    /// What a success rests on.
    pub proof: Option<Proof>,
    /// What it answers.
    pub result: Option<Value>,
    /// A person must be told.
    pub alarm: bool,
}

/// Stores how a job ended, and gives the next waiting job of its server its turn: that one is given back, to
/// be launched after the commit. In one transaction, so that no accepted job is left behind.
///
/// # Errors
/// [`Error::Taken`] when another server has taken the job up.
pub async fn end(tx: &Tx, id: JobId, node: NodeId, ending: Ending) -> Result<Option<JobId>> {
    performed_by(&close(tx, own(id, node), ending).await?)?;
    match Entity::find_by_id(id.0).one(tx).await?.and_then(|row| row.server_id) {
        Some(server) => queue::promote(tx, server).await,
        None => Ok(None),
    }
}

/// Stores an ending where `which` holds.
pub(crate) async fn close(
    db: &impl ConnectionTrait,
    which: Condition,
    ending: Ending,
) -> Result<UpdateResult> {
    let model = ActiveModel {
        state: Set(ending.state.code().into()),
        reason: Set(Some(ending.reason)),
        summary: Set(Some(ending.summary)),
        proof: Set(ending.proof.map(|proof| proof_word(proof).into())),
        result: Set(ending.result),
        alarm: Set(ending.alarm),
        finished_at: Set(Some(millis(now()))),
        active_server_id: Set(None),
        ..Default::default()
    };
    let update =
        Entity::update_many().set(model).col_expr(Column::Version, Expr::col(Column::Version).add(1));
    Ok(update.filter(which).exec(db).await?)
}

/// Asks a job to stop; says whether it was still under way.
///
/// # Errors
/// [`Error::NotFound`] outside the scope.
pub async fn request_cancel(db: &impl ConnectionTrait, scope: &Scope, id: JobId) -> Result<bool> {
    let row = Entity::find_by_id(id.0).filter(scoped(scope, Column::TenantId)).one(db).await?;
    let row = row.ok_or(Error::NotFound)?;
    if row.finished_at.is_some() {
        return Ok(false);
    }
    let version = row.version;
    let mut model = row.into_active_model();
    model.cancel_requested = Set(true);
    model.version = Set(version + 1);
    model.update(db).await?;
    Ok(true)
}

/// Reserves the place of an automatic cut among the others: from now on it counts.
///
/// # Errors
/// When the database fails.
pub async fn reserve_cut(db: &impl ConnectionTrait, id: JobId) -> Result<()> {
    set_cut_at(db, id, Some(millis(now()))).await
}

/// Gives a reserved cut up: the job ended without cutting anything.
///
/// # Errors
/// When the database fails.
pub async fn give_cut_up(db: &impl ConnectionTrait, id: JobId) -> Result<()> {
    set_cut_at(db, id, None).await
}

async fn set_cut_at(db: &impl ConnectionTrait, id: JobId, at: Option<i64>) -> Result<()> {
    let model = ActiveModel { cut_at: Set(at), ..Default::default() };
    Entity::update_many().set(model).filter(Column::Id.eq(id.0)).exec(db).await?;
    Ok(())
}

/// Counts automatic cuts since `since` on servers of a rack.
///
/// # Errors
/// When the database fails.
pub async fn cuts_in_rack(
    db: &impl ConnectionTrait,
    rack: Rack<'_>,
    since: chrono::DateTime<chrono::Utc>,
    except: JobId,
) -> Result<u64> {
    let servers =
        server::Entity::find().select_only().column(server::Column::Id).filter(rack.servers()).into_query();
    let which = Condition::all()
        .add(Column::CutAt.gte(millis(since)))
        .add(Column::Id.ne(except.0))
        .add(Column::ServerId.in_subquery(servers));
    Ok(Entity::find().filter(which).count(db).await?)
}

/// Finds when a server that hangs on one of these PDUs was last cut automatically, `within` that time.
///
/// # Errors
/// When the database fails.
pub async fn last_cut_on(
    db: &impl ConnectionTrait,
    pdus: &[EndpointId],
    within: Range<chrono::DateTime<chrono::Utc>>,
    except: JobId,
) -> Result<Option<chrono::DateTime<chrono::Utc>>> {
    let servers = connection::Entity::find()
        .select_only()
        .column(connection::Column::ServerId)
        .filter(connection::Column::EndpointId.is_in(pdus.iter().map(|id| id.0)))
        .into_query();
    let which = Condition::all()
        .add(Column::CutAt.gte(millis(within.start)))
        .add(Column::CutAt.lt(millis(within.end)))
        .add(Column::Id.ne(except.0))
        .add(Column::ServerId.in_subquery(servers));
    let last = Entity::find().filter(which).order_by_desc(Column::CutAt).one(db).await?;
    Ok(last.and_then(|row| row.cut_at).map(from_millis))
}

async fn job(db: &impl ConnectionTrait, row: Model) -> Result<Job> {
    let server = match row.server_id {
        Some(id) => server::Entity::find_by_id(id)
            .one(db)
            .await?
            .map(|server| ServerBrief { id: ServerId(server.id), name: server.name }),
        None => None,
    };
    let state: JobState = parsed(row.state)?;
    Ok(Job {
        id: JobId(row.id),
        kind: parsed(row.kind)?,
        state,
        server,
        endpoint_id: row.endpoint_id.map(EndpointId),
        action: row.action.map(parsed).transpose()?,
        via: row.via.map(parsed).transpose()?,
        title: row.title,
        requested_by: row.requested_by,
        reason: row.reason,
        summary: row.summary,
        proof: row.proof.map(parsed).transpose()?,
        result: row.result,
        cancellable: !state.is_over() && !row.cancel_requested,
        cancel_requested: row.cancel_requested,
        steps: Vec::new(),
        created_at: from_millis(row.created_at),
        started_at: row.started_at.map(from_millis),
        finished_at: row.finished_at.map(from_millis),
        version: u64::try_from(row.version).unwrap_or_default(),
    })
}

fn via_word(via: Via) -> &'static str {
    match via {
        Via::Auto => "auto",
        Via::Outlets => "outlets",
    }
}

fn proof_word(proof: Proof) -> &'static str {
    match proof {
        Proof::Controller => "controller",
        Proof::Feeds => "feeds",
        Proof::Acknowledged => "acknowledged",
    }
}

#[cfg(test)]
mod tests;
