//! Performs what is decided: jobs, polls and tests.
//!
//! A job's step is stored before it is done, with the machine as it stands; a restart takes every
//! unfinished job up where it was. Commands carry ids, so repeating a step never repeats an effect.

mod command;
mod findings;
mod gates;
mod keep;
mod neighbours;
mod patience;
mod plan;
mod power;
mod reading;
mod status;
mod test;
mod words;

pub mod queue;
pub mod watch;
pub mod weigh;

use chrono::{DateTime, Utc};
use rackhand_store::{events, jobs, now, steps};
use rackhand_wire::{
    Fault,
    api::{event::Severity, job::JobKind, live::Object},
    id::{AgentId, CommandId, EndpointId, JobId, TenantId},
};
use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{sync::watch as signal, task::AbortHandle};

use crate::{
    app::App,
    bus::{Bus, Notice},
};

pub use gates::rack_refusal;
pub use plan::{Blueprint, blueprint};
pub use test::Trial;
pub use words::plan_of;

/// The jobs that this process performs.
pub struct Engine {
    bus: Arc<dyn Bus>,
    cancels: Mutex<HashMap<JobId, signal::Sender<bool>>>,
    tasks: Mutex<HashMap<JobId, AbortHandle>>,
    /// How old each job was when it was first seen here, and when that was.
    seen: Mutex<HashMap<JobId, (Instant, Duration)>>,
    trials: Mutex<HashMap<JobId, Trial>>,
    halted: AtomicBool,
    /// Who looks at what.
    pub watch: watch::Watch,
}

impl Engine {
    /// Performs nothing yet.
    pub fn new(bus: Arc<dyn Bus>) -> Self {
        Self {
            bus,
            cancels: Mutex::default(),
            tasks: Mutex::default(),
            seen: Mutex::default(),
            trials: Mutex::default(),
            halted: AtomicBool::new(false),
            watch: watch::Watch::default(),
        }
    }

    /// Asks a job to stop, whichever server performs it.
    pub fn cancel_anywhere(&self, job: JobId) {
        self.cancel(job);
        self.bus.tell(Notice::Cancel(job));
    }

    /// Asks a job of this process to stop.
    pub fn cancel(&self, job: JobId) {
        if let Some(sender) = lock(&self.cancels).get(&job) {
            sender.send_replace(true);
        }
    }

    /// Says how old a job is. The time of day, which may be set, counts only until it is first asked.
    pub fn age(&self, job: JobId, created_at: DateTime<Utc>) -> Duration {
        let fresh = || (Instant::now(), (now() - created_at).to_std().unwrap_or_default());
        let (since, before) = *lock(&self.seen).entry(job).or_insert_with(fresh);
        before + since.elapsed()
    }

    /// Forgets the ages of jobs that neither wait nor are performed.
    pub fn forget_ages(&self, waiting: &HashSet<JobId>) {
        let tasks = lock(&self.tasks);
        lock(&self.seen).retain(|job, _| waiting.contains(job) || tasks.contains_key(job));
    }

    /// Keeps what a test needs: its credentials are in no row.
    pub fn keep_trial(&self, job: JobId, trial: Trial) {
        lock(&self.trials).insert(job, trial);
    }

    /// Has these devices looked at right now, by whichever server has their agents.
    pub fn look_now(&self, endpoints: impl IntoIterator<Item = EndpointId>) {
        for endpoint in endpoints {
            self.watch.look_now([endpoint]);
            self.bus.tell(Notice::Look(endpoint));
        }
    }

    fn register(&self, job: JobId) -> signal::Receiver<bool> {
        let (sender, receiver) = signal::channel(false);
        lock(&self.cancels).insert(job, sender);
        receiver
    }

    fn forget(&self, job: JobId) {
        lock(&self.cancels).remove(&job);
        lock(&self.tasks).remove(&job);
    }

    /// Says whether a job is performed by this process.
    pub fn performs(&self, job: JobId) -> bool {
        lock(&self.tasks).contains_key(&job)
    }

    /// Performs nothing any more: every job stands where it is stored.
    pub fn halt(&self) {
        self.halted.store(true, Ordering::SeqCst);
        for (_, task) in lock(&self.tasks).drain() {
            task.abort();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes interrupted jobs up again and decides from now on who looks at what.
///
/// # Errors
/// When the database fails.
pub async fn start(app: &Arc<App>) -> Result<(), crate::Failure> {
    let tx = app.db.begin().await?;
    rackhand_store::queue::wake(&tx).await?;
    tx.commit().await.map_err(rackhand_store::Error::from)?;
    take_up(app).await?;
    tokio::spawn(watch::run(Arc::clone(app)));
    tokio::spawn(queue::watch(Arc::clone(app)));
    tokio::spawn(weigh::watch(Arc::clone(app)));
    Ok(())
}

/// Takes up the jobs that no living server performs.
///
/// # Errors
/// When the database fails.
pub async fn take_up(app: &Arc<App>) -> rackhand_store::Result<()> {
    let tx = app.db.begin().await?;
    let due = jobs::claim_due(&tx, app.peers.id()).await?;
    tx.commit().await.map_err(rackhand_store::Error::from)?;
    for job in due {
        tracing::info!(%job, "taking up a job that was interrupted");
        launch(app, job);
    }
    Ok(())
}

/// Performs a job from where it stands, unless another server does.
pub fn launch(app: &Arc<App>, job: JobId) {
    let mut tasks = lock(&app.engine.tasks);
    // Whoever ended the job before it and the sweep may both have found it.
    if tasks.contains_key(&job) || app.engine.halted.load(Ordering::SeqCst) {
        return;
    }
    let cancel = app.engine.register(job);
    let task = tokio::spawn(until_over(Arc::clone(app), job, cancel));
    tasks.insert(job, task.abort_handle());
}

async fn until_over(app: Arc<App>, job: JobId, cancel: signal::Receiver<bool>) {
    let mut pause = std::time::Duration::from_millis(100);
    // A database that is away for a moment must not strand a job with a feed cut.
    while let Err(error) = perform(&app, job, cancel.clone()).await {
        if matches!(error, rackhand_store::Error::Taken) {
            tracing::warn!(%job, "another server has taken the job up");
            break;
        }
        tracing::error!(%error, %job, "job interrupted; it will be taken up again");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(std::time::Duration::from_secs(5));
    }
    app.engine.forget(job);
}

async fn perform(app: &Arc<App>, job: JobId, cancel: signal::Receiver<bool>) -> rackhand_store::Result<()> {
    if !jobs::claim(app.db.writer(), job, app.peers.id()).await? {
        return Ok(());
    }
    let work = jobs::work(app.db.reader(), job).await?;
    if work.job.state.is_over() {
        return Ok(());
    }
    match work.job.kind {
        JobKind::Power => power::perform(app, work, cancel).await,
        JobKind::EndpointTest => test::perform(app, &work).await,
    }
}

/// Notes that an agent restored an outlet by itself, or could not, in the history of the server that it feeds.
///
/// # Errors
/// When the database fails.
pub async fn restored(
    app: &App,
    agent: AgentId,
    cut: CommandId,
    result: Result<(), Fault>,
) -> rackhand_store::Result<()> {
    let Some(step) = steps::find_by_command(app.db.reader(), cut).await? else {
        tracing::warn!(%cut, ?result, "an agent dealt with the cut of a job that nobody remembers");
        return Ok(());
    };
    let outlet = step.path.unwrap_or_else(|| "an outlet".to_owned());
    let (severity, outcome, message) = match result {
        Ok(()) => {
            let message = format!("The agent switched {outlet} on again, because nobody else did.");
            (Severity::Warning, "restored", message)
        }
        Err(fault) => {
            let message = format!("The agent could not switch {outlet} on again: {fault}. It tries on.");
            (Severity::Alarm, "failed", message)
        }
    };
    let work = jobs::work(app.db.reader(), step.job).await?;
    let event = events::New {
        kind: "outlet.restored".into(),
        severity: Some(severity),
        message,
        job_id: Some(step.job),
        agent_id: Some(agent),
        server: work.job.server.map(|server| (server.id, server.name)),
        ..Default::default()
    };
    let tx = app.db.begin().await?;
    if steps::restored(&tx, cut, outcome).await? {
        tracing::warn!(%cut, message = event.message, "an agent acted by itself");
        let event = events::add(&tx, work.tenant, event).await?;
        tx.commit().await.map_err(rackhand_store::Error::from)?;
        app.live.tell(Object::Event, event.id);
    }
    Ok(())
}

/// Stores an event and tells open pages.
pub async fn tell(app: &App, tenant: TenantId, event: events::New) {
    match events::add(app.db.writer(), tenant, event).await {
        Ok(event) => app.live.tell(Object::Event, event.id),
        Err(error) => tracing::error!(%error, "an event could not be stored"),
    }
}
