//! Which agent looks at what, and where its findings go.
//!
//! Agents look by themselves. Here is decided who looks at which device (`plan`); each session has somebody
//! who tells the agent so and stores what it found (`mind`, `ingest`), or who looks on behalf of an agent that is too
//! old for it (`relay`).

mod ingest;
mod mind;
mod plan;
mod relay;

use rackhand_store::in_background;
use rackhand_wire::{
    agent::Hello,
    id::{AgentId, EndpointId},
};
use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::{Notify, watch};

use crate::{agents::Session, app::App};
use mind::Mind;
use plan::Plans;

pub use ingest::Batch;

/// Decided anew at least so often: another process may have changed what counts.
const LONGEST: Duration = Duration::from_secs(10);

/// Who looks at what, and who minds the sessions of this process.
#[derive(Default)]
pub struct Watch {
    changed: Notify,
    wanted: Mutex<Vec<EndpointId>>,
    /// Devices that shall be looked at then.
    later: Mutex<Vec<(Instant, EndpointId)>>,
    plans: watch::Sender<Arc<Plans>>,
    minds: Mutex<HashMap<AgentId, Mind>>,
}

impl Watch {
    /// Decides anew soon: something has changed that counts.
    pub fn replan(&self) {
        self.changed.notify_one();
    }

    /// Has these devices looked at right now, as they are from now on.
    pub fn look_now(&self, endpoints: impl IntoIterator<Item = EndpointId>) {
        self.wanted().extend(endpoints);
        self.replan();
    }

    /// Has controllers looked at again while they start, and when they should have: those that were dark for long are
    /// asked once an hour.
    pub fn look_while_they_start(&self, controllers: &[EndpointId], warm_up: Duration) {
        let mut later = self.later.lock().unwrap_or_else(PoisonError::into_inner);
        for part in [0.2, 0.5, 1.1] {
            let then = Instant::now() + warm_up.mul_f64(part);
            later.extend(controllers.iter().map(|id| (then, *id)));
        }
    }

    /// Takes what is to be looked at by now.
    fn due(&self) -> Vec<EndpointId> {
        let mut later = self.later.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        later.extract_if(.., |(then, _)| *then <= now).map(|(_, id)| id).collect()
    }

    /// Hands over what an agent found; it tells again what is not taken.
    pub fn found(&self, agent: AgentId, batch: Batch) {
        if let Some(mind) = self.minds().get(&agent) {
            mind.take(batch);
        }
    }

    fn wanted(&self) -> MutexGuard<'_, Vec<EndpointId>> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn minds(&self) -> MutexGuard<'_, HashMap<AgentId, Mind>> {
        self.minds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Begins to mind a session of an agent.
pub fn came(app: &Arc<App>, hello: &Hello, session: &Arc<Session>) {
    // The one that took its place may be minded already.
    if session.is_closed() {
        return;
    }
    let watch = &app.engine.watch;
    let mind = mind::begin(app, hello, session, watch.plans.subscribe());
    watch.minds().insert(hello.agent, mind);
    watch.replan();
}

/// Decides again that an agent went away.
pub fn went(app: &App, agent: AgentId) {
    // It may be back already, and its present session is minded.
    if app.roster.sitting(agent).is_none_or(|session| !session.is_here()) {
        app.engine.watch.minds().remove(&agent);
    }
    app.engine.watch.replan();
}

/// Decides who looks at what until the process ends.
pub async fn run(app: Arc<App>) {
    let watch = &app.engine.watch;
    loop {
        let begun = Instant::now();
        app.engine.look_now(watch.due());
        let wanted: HashSet<EndpointId> = watch.wanted().drain(..).collect();
        let before = Arc::clone(&watch.plans.borrow());
        let timings = app.timings();
        let mut pause = (timings.poll / 6).min(LONGEST);
        match in_background(plan::plans(&app, &before)).await {
            Ok(plans) => {
                if plans.is_unsettled {
                    pause = pause.min(timings.lease / 3);
                }
                let plans = Arc::new(plans);
                watch.plans.send_if_modified(|published| {
                    let is_new = **published != *plans;
                    *published = Arc::clone(&plans);
                    is_new
                });
                pass_on(watch, &plans, &wanted);
            }
            Err(error) => {
                tracing::warn!(%error, "cannot tell who shall look at what");
                watch.wanted().extend(wanted);
            }
        }
        // However much changes, most of the time is left for other work.
        let rest = (begun.elapsed() * 3).max(Duration::from_millis(5));
        tokio::time::sleep(rest).await;
        tokio::time::timeout(pause, watch.changed.notified()).await.ok();
    }
}

/// Tells the minds of those who look at them which devices are wanted now.
fn pass_on(watch: &Watch, plans: &Plans, wanted: &HashSet<EndpointId>) {
    if wanted.is_empty() {
        return;
    }
    for (agent, mind) in watch.minds().iter() {
        let Some(plan) = plans.of(*agent) else { continue };
        let theirs: Vec<EndpointId> =
            wanted.iter().filter(|id| plan.looks.contains_key(*id)).copied().collect();
        if !theirs.is_empty() {
            mind.want(theirs);
        }
    }
}
