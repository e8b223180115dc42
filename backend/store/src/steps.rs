//! Steps of jobs: stored before they are done.

use rackhand_wire::{
    api::job::{Step, StepOutcome},
    fault::FaultCode,
    id::{CommandId, JobId, ServerId, StepId},
};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, ConnectionTrait, EntityTrait, IntoActiveModel, QueryFilter,
    QueryOrder, QuerySelect, QueryTrait, Set,
};

use crate::{
    Error, Result,
    entity::{
        job,
        step::{ActiveModel, Column, Entity, Model},
    },
    fresh_id, from_millis, millis, now,
};

/// What is about to be done.
pub struct Intent {
    /// The job.
    pub job: JobId,
    /// Position, from 1.
    pub seq: u32,
    /// Heading in the timeline.
    pub phase: String,
    /// What is done.
    pub title: String,
    /// Why.
    pub reason: String,
    /// Label of the path.
    pub path: Option<String>,
    /// Command that the agent gets.
    pub command: Option<CommandId>,
    /// Length of a wait.
    pub wait_ms: Option<u64>,
}

/// How a step went.
pub struct Outcome {
    /// In one word.
    pub outcome: StepOutcome,
    /// Fault code, when it failed.
    pub fault: Option<FaultCode>,
    /// What came back, in words.
    pub detail: String,
}

/// Stores an intent.
///
/// # Errors
/// When the database fails.
pub async fn begin(db: &impl ConnectionTrait, intent: Intent) -> Result<StepId> {
    let model = Model {
        id: fresh_id(),
        job_id: intent.job.0,
        seq: i32::try_from(intent.seq).unwrap_or(i32::MAX),
        phase: intent.phase,
        title: intent.title,
        reason: intent.reason,
        path: intent.path,
        command_id: intent.command.map(|id| id.0),
        outcome: None,
        fault: None,
        detail: String::new(),
        wait_ms: intent.wait_ms.and_then(|ms| i64::try_from(ms).ok()),
        started_at: millis(now()),
        finished_at: None,
        restored: None,
    };
    let id = model.id;
    Entity::insert(model.into_active_model()).exec(db).await?;
    Ok(StepId(id))
}

/// Stores how a step went.
///
/// # Errors
/// When the database fails.
pub async fn end(db: &impl ConnectionTrait, id: StepId, outcome: Outcome) -> Result<()> {
    let model = ActiveModel {
        id: Set(id.0),
        outcome: Set(Some(word(outcome.outcome).into())),
        fault: Set(outcome.fault.map(|code| code.code().into())),
        detail: Set(outcome.detail),
        finished_at: Set(Some(millis(now()))),
        ..Default::default()
    };
    model.update(db).await?;
    Ok(())
}

/// Notes what keeps an open step, in words.
///
/// # Errors
/// When the database fails.
pub async fn note(db: &impl ConnectionTrait, id: StepId, detail: &str) -> Result<()> {
    let model = ActiveModel { detail: Set(detail.to_owned()), ..Default::default() };
    let open = Column::FinishedAt.is_null();
    Entity::update_many().set(model).filter(Column::Id.eq(id.0)).filter(open).exec(db).await?;
    Ok(())
}

/// An open step of a job that was interrupted.
pub struct Open {
    /// Id.
    pub id: StepId,
    /// Position.
    pub seq: u32,
    /// Command that the agent may have got.
    pub command: Option<CommandId>,
    /// When it was begun, in milliseconds since 1970.
    pub started_at: i64,
}

/// Finds the last step of a job, when it is still open.
///
/// # Errors
/// When the database fails.
pub async fn find_open(db: &impl ConnectionTrait, job: JobId) -> Result<Option<Open>> {
    let last = Entity::find().filter(Column::JobId.eq(job.0)).order_by_desc(Column::Seq).one(db).await?;
    Ok(last.filter(|row| row.finished_at.is_none()).map(|row| Open {
        id: StepId(row.id),
        seq: u32::try_from(row.seq).unwrap_or_default(),
        command: row.command_id.map(CommandId),
        started_at: row.started_at,
    }))
}

/// Word of a cut that stays.
pub(crate) const SETTLED: &str = "settled";
/// Word of a cut that its agent undid.
pub(crate) const RESTORED: &str = "restored";
/// How the title of a step begins that cuts an outlet, and of one that switches it on.
pub(crate) const CUT: &str = "Switch off ";
pub(crate) const FED: &str = "Switch on ";

/// The step of a command.
pub struct Of {
    /// The job.
    pub job: JobId,
    /// Label of the path.
    pub path: Option<String>,
}

/// Finds the step of a command.
///
/// # Errors
/// When the database fails.
pub async fn find_by_command(db: &impl ConnectionTrait, command: CommandId) -> Result<Option<Of>> {
    let row = Entity::find().filter(Column::CommandId.eq(command.0)).one(db).await?;
    Ok(row.map(|row| Of { job: JobId(row.job_id), path: row.path }))
}

/// Notes that the agent undid the cut of a command by itself, or could not. Says whether that is news: agents
/// tell it until they know that it was heard.
///
/// # Errors
/// When the database fails.
pub async fn restored(db: &impl ConnectionTrait, cut: CommandId, result: &str) -> Result<bool> {
    let model = ActiveModel { restored: Set(Some(result.to_owned())), ..Default::default() };
    let other = Condition::any().add(Column::Restored.is_null()).add(Column::Restored.ne(result));
    let of = Column::CommandId.eq(cut.0);
    let changed = Entity::update_many().set(model).filter(of).filter(other).exec(db).await?;
    Ok(changed.rows_affected > 0)
}

/// Notes that off was proven on what these commands cut: nobody shall undo them any more.
///
/// # Errors
/// When the database fails.
pub async fn settle(db: &impl ConnectionTrait, cuts: &[CommandId]) -> Result<()> {
    let model = ActiveModel { restored: Set(Some(SETTLED.to_owned())), ..Default::default() };
    let of = Column::CommandId.is_in(cuts.iter().map(|cut| cut.0));
    Entity::update_many().set(model).filter(of).filter(Column::Restored.is_null()).exec(db).await?;
    Ok(())
}

/// Notes the same of what earlier jobs of these servers cut at these paths.
///
/// # Errors
/// When the database fails.
pub async fn settle_earlier(db: &impl ConnectionTrait, servers: &[ServerId], paths: &[&str]) -> Result<()> {
    let jobs = job::Entity::find().select_only().column(job::Column::Id);
    let jobs = jobs.filter(job::Column::ServerId.is_in(servers.iter().map(|server| server.0))).into_query();
    let model = ActiveModel { restored: Set(Some(SETTLED.to_owned())), ..Default::default() };
    let of = Condition::all()
        .add(Column::JobId.in_subquery(jobs))
        .add(Column::Path.is_in(paths.iter().copied()))
        .add(Column::Title.starts_with(CUT))
        .add(Condition::any().add(Column::Restored.is_null()).add(Column::Restored.ne(RESTORED)));
    Entity::update_many().set(model).filter(of).exec(db).await?;
    Ok(())
}

/// Lists which of these cuts nobody shall undo any more: off was proven, or their job has ended with every feed
/// as it should be. What a job left dark without proving it is still undone.
///
/// # Errors
/// When the database fails.
pub async fn settled(db: &impl ConnectionTrait, cuts: &[CommandId]) -> Result<Vec<CommandId>> {
    let of = Column::CommandId.is_in(cuts.iter().map(|cut| cut.0));
    let rows = Entity::find().filter(of).all(db).await?;
    let of = job::Column::Id.is_in(rows.iter().map(|row| row.job_id));
    let jobs = job::Entity::find().filter(of).all(db).await?;
    let is_well = |id| jobs.iter().any(|job| job.id == id && is_well(&job.state, job.reason.as_deref()));
    let settled = rows.iter().filter(|row| row.restored.as_deref() == Some(SETTLED) || is_well(row.job_id));
    Ok(settled.filter_map(|row| row.command_id.map(CommandId)).collect())
}

/// Says whether a job ended with every feed as it should be.
pub(crate) fn is_well(state: &str, reason: Option<&str>) -> bool {
    state == "succeeded" || matches!(reason, Some("feeds_restored" | "cancelled"))
}

/// Says whether an agent undid one of these cuts by itself.
///
/// # Errors
/// When the database fails.
pub async fn has_restored(db: &impl ConnectionTrait, cuts: &[CommandId]) -> Result<bool> {
    if cuts.is_empty() {
        return Ok(false);
    }
    let of = Column::CommandId.is_in(cuts.iter().map(|cut| cut.0));
    Ok(Entity::find().filter(of).filter(Column::Restored.eq(RESTORED)).one(db).await?.is_some())
}

/// Says whether the job that a server has switches its outlets one after the other.
///
/// # Errors
/// When the database fails.
pub async fn switches_feeds(db: &impl ConnectionTrait, server: ServerId) -> Result<bool> {
    let active = job::Entity::find().filter(job::Column::ActiveServerId.eq(server.0)).one(db).await?;
    let Some(active) = active else { return Ok(false) };
    let switching = Column::Phase.is_in(["Cut feeds", "Restore feeds"]);
    let steps = Entity::find().filter(Column::JobId.eq(active.id)).filter(switching);
    Ok(steps.one(db).await?.is_some())
}

/// Counts the steps of a job.
///
/// # Errors
/// When the database fails.
pub async fn last_seq(db: &impl ConnectionTrait, job: JobId) -> Result<u32> {
    let last = Entity::find().filter(Column::JobId.eq(job.0)).order_by_desc(Column::Seq).one(db).await?;
    Ok(last.map_or(0, |row| u32::try_from(row.seq).unwrap_or_default()))
}

/// Lists the steps of a job in order.
///
/// # Errors
/// When the database fails.
pub async fn list(db: &impl ConnectionTrait, job: JobId) -> Result<Vec<Step>> {
    let rows = Entity::find().filter(Column::JobId.eq(job.0)).order_by_asc(Column::Seq).all(db).await?;
    rows.into_iter().map(step).collect()
}

fn step(row: Model) -> Result<Step> {
    Ok(Step {
        id: StepId(row.id),
        seq: u32::try_from(row.seq).unwrap_or_default(),
        phase: row.phase,
        title: row.title,
        reason: row.reason,
        path: row.path,
        outcome: row.outcome.map(parsed).transpose()?,
        fault: row.fault.map(parsed).transpose()?,
        detail: row.detail,
        started_at: from_millis(row.started_at),
        finished_at: row.finished_at.map(from_millis),
        wait_ms: row.wait_ms.and_then(|ms| u64::try_from(ms).ok()),
    })
}

/// Reads a word of the API back.
pub(crate) fn parsed<T: serde::de::DeserializeOwned>(text: String) -> Result<T> {
    serde_json::from_value(text.into()).map_err(|error| Error::Damaged(error.to_string()))
}

fn word(outcome: StepOutcome) -> &'static str {
    match outcome {
        StepOutcome::Ok => "ok",
        StepOutcome::Failed => "failed",
        StepOutcome::Unclear => "unclear",
        StepOutcome::Interrupted => "interrupted",
    }
}

#[cfg(test)]
mod tests {
    use rackhand_wire::{
        PowerAction,
        api::{
            job::{JobKind, JobState},
            power::Via,
        },
        id::{ServerId, TenantId},
    };

    use super::*;
    use crate::{
        Db,
        bench::{NODE, database},
        jobs, servers,
    };

    /// A job with one cut.
    async fn cut(db: &Db, server: ServerId) -> (JobId, CommandId) {
        let new = jobs::New {
            tenant: TenantId::PROVIDER,
            kind: JobKind::Power,
            server: Some(server),
            waits: false,
            endpoint: None,
            power: Some((PowerAction::Off, Via::Outlets)),
            title: String::new(),
            requested_by: String::new(),
            source_ip: None,
            request: serde_json::Value::Null,
            node: NODE,
        };
        let job = jobs::add(db.writer(), new).await.unwrap().id;
        let command = CommandId(fresh_id());
        let intent = Intent {
            job,
            seq: 1,
            phase: String::new(),
            title: String::new(),
            reason: String::new(),
            path: None,
            command: Some(command),
            wait_ms: None,
        };
        begin(db.writer(), intent).await.unwrap();
        (job, command)
    }

    async fn end_job(db: &Db, job: JobId, state: JobState, reason: &str) {
        let ending = jobs::Ending {
            state,
            reason: reason.into(),
            summary: String::new(),
            proof: None,
            result: None,
            alarm: false,
        };
        let tx = db.begin().await.unwrap();
        jobs::end(&tx, job, NODE, ending).await.unwrap();
        tx.commit().await.unwrap();
    }

    #[tokio::test]
    async fn what_a_job_left_as_it_should_be_is_not_undone() {
        let (db, _folder) = database().await;
        for (at, (ending, stays)) in [
            (None, false),
            (Some((JobState::Succeeded, "done_by_outlets")), true),
            (Some((JobState::Failed, "feeds_restored")), true),
            (Some((JobState::Cancelled, "cancelled")), true),
            (Some((JobState::SucceededDegraded, "feed_missing")), false),
            (Some((JobState::FailedPartial, "feeds_stranded")), false),
            (Some((JobState::Indeterminate, "exec")), false),
        ]
        .into_iter()
        .enumerate()
        {
            let server = serde_json::from_value(serde_json::json!({"name": format!("srv-{at}")})).unwrap();
            let server = servers::add(db.writer(), TenantId::PROVIDER, server).await.unwrap().id;
            let (job, command) = cut(&db, server).await;
            if let Some((state, reason)) = ending {
                end_job(&db, job, state, reason).await;
            }
            let expected = if stays { vec![command] } else { Vec::new() };
            assert_eq!(settled(db.reader(), &[command]).await.unwrap(), expected, "{ending:?}");
            settle(db.writer(), &[command]).await.unwrap();
            assert_eq!(
                settled(db.reader(), &[command]).await.unwrap(),
                [command],
                "off was proven: {ending:?}"
            );
        }
    }
}
