//! Looks on behalf of an agent that does none by itself, each sent as a command.

use rackhand_agent::poller::{Outcome, Schedule, Way, command, look};
use rackhand_store::{in_background, now, watches};
use rackhand_wire::{
    Answer, Fault, Operation, Secrets,
    agent::{Look, Sample},
    id::{AgentId, EndpointId},
};
use serde_json::Value;
use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::{mpsc, watch};

use super::{
    ingest::{self, Heard},
    plan::Plans,
};
use crate::{
    agents::{Earlier, Route, Session, Stage},
    app::App,
};

/// Looks until the session ends.
pub async fn run(
    app: Arc<App>,
    session: Arc<Session>,
    agent: AgentId,
    mut plans: watch::Receiver<Arc<Plans>>,
    mut wants: mpsc::UnboundedReceiver<Vec<EndpointId>>,
) {
    let mut schedule = Schedule::new(app.config.timings().poll);
    let mut looks: HashMap<EndpointId, Arc<Look>> = HashMap::new();
    let (done, mut results) = mpsc::unbounded_channel::<(EndpointId, Outcome)>();
    plans.mark_changed();
    loop {
        let next = schedule.next();
        tokio::select! {
            _ = session.closed() => return,
            changed = plans.changed() => match changed {
                Ok(()) => adapt(&mut schedule, &mut looks, &plans.borrow_and_update(), agent),
                Err(_) => return,
            },
            Some(endpoints) = wants.recv() => {
                adapt(&mut schedule, &mut looks, &plans.borrow(), agent);
                for id in endpoints {
                    schedule.want(id, Instant::now());
                }
            }
            Some((id, outcome)) = results.recv() => schedule.done(id, outcome, Instant::now()),
            () = sleep_until(next) => {}
        }
        for id in schedule.take(Instant::now()) {
            let Some(look) = looks.get(&id).cloned() else { continue };
            let (app, done) = (Arc::clone(&app), done.clone());
            tokio::spawn(async move {
                let outcome = in_background(Box::pin(once(&app, agent, &look))).await;
                done.send((id, outcome)).ok();
            });
        }
    }
}

fn adapt(schedule: &mut Schedule, looks: &mut HashMap<EndpointId, Arc<Look>>, plans: &Plans, agent: AgentId) {
    let Some(plan) = plans.of(agent) else { return };
    for id in looks.keys().filter(|id| !plan.looks.contains_key(id)) {
        schedule.remove(*id);
    }
    for (id, look) in &plan.looks {
        schedule.put(*id, Duration::from_millis(look.every_ms), Instant::now());
    }
    looks.clone_from(&plan.looks);
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

async fn once(app: &App, agent: AgentId, watched: &Look) -> Outcome {
    let endpoint = watched.endpoint;
    let secrets = match watches::secrets(&app.db, &[endpoint]).await {
        Ok(mut secrets) => secrets.remove(&endpoint).unwrap_or_default(),
        Err(error) => {
            tracing::error!(%error, %endpoint, "credentials for a look cannot be had");
            return Outcome::NotAsked;
        }
    };
    let at = now();
    let (outcome, found) = look(watched, &Commands { app, agent, secrets }).await;
    if let Some(found) = found {
        let generation = watched.generation.clone();
        let heard = Heard { at, sample: Sample { endpoint, generation, age_ms: 0, found } };
        if let Err(error) = ingest::one(app, heard).await {
            tracing::error!(%error, %endpoint, "a look could not be stored");
        }
    }
    outcome
}

/// Through commands, as the agent takes them.
struct Commands<'a> {
    app: &'a App,
    agent: AgentId,
    secrets: Secrets,
}

impl Way for Commands<'_> {
    async fn ask(&self, look: &Look, target: &Value, operation: Operation) -> Result<Answer, Fault> {
        let expiry = self.app.timings().command_expiry;
        let mut command = command(look, target, operation);
        command.expires_in_ms = u64::try_from(expiry.as_millis()).ok();
        let (route, secrets) = (Route::Agent(self.agent), self.secrets.clone());
        let stage = watch::channel(Stage::Waiting).0;
        self.app.roster.execute(&route, command, secrets, Earlier::Nobody, &stage).await.result
    }
}
