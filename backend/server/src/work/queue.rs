//! Jobs that wait behind another one of their server: what ends them before their turn comes.

use rackhand_domain::power::{self, Verdict};
use rackhand_store::{Tx, events, jobs, locks, queue};
use rackhand_wire::{
    api::{event::Severity, job::JobState, live::Object, power::StartPower},
    id::JobId,
};
use std::{collections::HashSet, sync::Arc, time::Duration};
use tokio::time::MissedTickBehavior;

use crate::{app::App, audit};

/// Ends a job that a person stopped, if it still waits.
///
/// # Errors
/// When the database fails.
pub async fn withdraw(tx: &Tx, job: JobId) -> rackhand_store::Result<()> {
    let work = jobs::work(tx, job).await?;
    end(tx, &work, power::withdrawn()).await.map(drop)
}

/// Ends those whose time to begin is over, all the time, and begins those that were stored and forgotten.
pub async fn watch(app: Arc<App>) {
    let mut idle = HashSet::new();
    let mut ticks = tokio::time::interval(app.timings().server_sweep);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Err(error) = expire(&app).await {
            tracing::warn!(%error, "could not look which jobs wait for too long");
        }
        match jobs::due_of(app.db.reader(), app.peers.id()).await {
            Ok(due) => idle = adopt(&app, &idle, due),
            Err(error) => tracing::warn!(%error, "could not look which jobs nobody performs"),
        }
    }
}

/// Performs what is due and was not performed the last time either: whoever stored it may have gone before he could
/// begin it, because the caller hung up, or because the database died after it had stored it and before it said so.
fn adopt(app: &Arc<App>, idle: &HashSet<JobId>, due: Vec<JobId>) -> HashSet<JobId> {
    let now: HashSet<JobId> = due.into_iter().filter(|job| !app.engine.performs(*job)).collect();
    for job in now.intersection(idle) {
        tracing::warn!(%job, "taking up a job that was stored and not begun");
        super::launch(app, *job);
    }
    now
}

async fn expire(app: &App) -> rackhand_store::Result<()> {
    let waiting = queue::list(app.db.reader()).await?;
    app.engine.forget_ages(&waiting.iter().map(|work| work.job.id).collect());
    for work in waiting {
        let request: StartPower = serde_json::from_value(work.request.clone())?;
        let Some(ms) = request.expires_in_ms else { continue };
        let limit = Duration::from_millis(ms).mul_f64(app.config.time_scale);
        if app.engine.age(work.job.id, work.job.created_at) < limit {
            continue;
        }
        let tx = app.db.begin().await?;
        let limit = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        let ended = end(&tx, &work, power::overdue(limit)).await?;
        tx.commit().await.map_err(rackhand_store::Error::from)?;
        if ended {
            app.live.tell(Object::Event, work.job.id);
            app.live.tell(Object::Job, work.job.id);
        }
    }
    Ok(())
}

async fn end(tx: &Tx, work: &jobs::Work, verdict: Verdict) -> rackhand_store::Result<bool> {
    let ending = jobs::Ending {
        state: verdict.state,
        reason: verdict.reason.clone(),
        summary: verdict.summary.clone(),
        proof: None,
        result: None,
        alarm: false,
    };
    if !queue::end(tx, work.job.id, ending).await? {
        return Ok(false);
    }
    let severity = if verdict.state == JobState::Cancelled { Severity::Info } else { Severity::Warning };
    let event = events::New {
        kind: format!("job.{}", verdict.state.code()),
        severity: Some(severity),
        message: format!("{}: {}", work.job.deed(), verdict.summary),
        actor: Some(work.job.requested_by.clone()),
        server: work.job.server.as_ref().map(|server| (server.id, server.name.clone())),
        job_id: Some(work.job.id),
        ..Default::default()
    };
    events::add(tx, work.tenant, event).await?;
    if let Some(server) = &work.job.server {
        let detail = serde_json::json!({
            "job": work.job.id, "state": verdict.state, "reason": verdict.reason, "summary": verdict.summary,
            "requested_by": work.job.requested_by,
        });
        let object = ("server", server.id, server.name.as_str());
        audit::by_system(tx, work.tenant, "server.power.result", object, detail).await?;
    }
    Ok(true)
}

/// Ends a job whose server is gone.
///
/// # Errors
/// When the database fails.
pub async fn end_without_server(app: &Arc<App>, job: JobId) -> rackhand_store::Result<()> {
    let ending = jobs::Ending {
        state: JobState::Failed,
        reason: "server_removed".into(),
        summary: "The server was removed before the job could begin.".into(),
        proof: None,
        result: None,
        alarm: false,
    };
    let tx = app.db.begin().await?;
    locks::release(&tx, job).await?;
    let next = jobs::end(&tx, job, app.peers.id(), ending).await?;
    tx.commit().await.map_err(rackhand_store::Error::from)?;
    if let Some(next) = next {
        super::launch(app, next);
    }
    app.live.tell(Object::Job, job);
    Ok(())
}
