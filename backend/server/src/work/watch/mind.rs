//! One session of one agent: it hears what to look at, and what it found is stored.

use rackhand_agent::Delivery;
use rackhand_store::{in_background, watches};
use rackhand_wire::{
    agent::{Hello, Look, ToAgent},
    id::{AgentId, EndpointId},
};
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::sync::{mpsc, watch};

use super::{
    ingest::{self, Batch},
    plan::{Plan, Plans},
    relay,
};
use crate::{agents::Session, app::App};

/// Batches that may wait: an agent tells the next one when the one before is stored.
const BATCHES: usize = 2;

/// Looks whose credentials are opened at once.
const AT_ONCE: usize = 100;

/// So often a batch is tried while the database answers.
const TRIES: u32 = 8;

/// Whoever minds a session, as others reach them.
pub struct Mind {
    wanted: mpsc::UnboundedSender<Vec<EndpointId>>,
    batches: mpsc::Sender<Batch>,
}

impl Mind {
    /// Has devices looked at now.
    pub fn want(&self, endpoints: Vec<EndpointId>) {
        // A session that is over wants nothing.
        self.wanted.send(endpoints).ok();
    }

    /// Takes what was found.
    pub fn take(&self, batch: Batch) {
        if self.batches.try_send(batch).is_err() {
            tracing::debug!("samples were not taken; the agent tells them again");
        }
    }
}

/// Minds a session to its end.
pub fn begin(
    app: &Arc<App>,
    hello: &Hello,
    session: &Arc<Session>,
    plans: watch::Receiver<Arc<Plans>>,
) -> Mind {
    let (wanted, wants) = mpsc::unbounded_channel();
    let (batches, found) = mpsc::channel(BATCHES);
    let (app, session, agent) = (Arc::clone(app), Arc::clone(session), hello.agent);
    match hello.watching.clone() {
        Some(watching) => {
            let minding = Minding { app, session, agent, watching: Some(watching), told: HashMap::new() };
            tokio::spawn(minding.run(plans, wants, found));
        }
        None => drop(tokio::spawn(relay::run(app, session, agent, plans, wants))),
    }
    Mind { wanted, batches }
}

struct Minding {
    app: Arc<App>,
    session: Arc<Session>,
    agent: AgentId,
    /// Digest of what the agent came with, until it was compared.
    watching: Option<String>,
    /// Marks of the looks that the agent does.
    told: HashMap<EndpointId, String>,
}

impl Minding {
    async fn run(
        mut self,
        mut plans: watch::Receiver<Arc<Plans>>,
        mut wants: mpsc::UnboundedReceiver<Vec<EndpointId>>,
        mut found: mpsc::Receiver<Batch>,
    ) {
        plans.mark_changed();
        loop {
            tokio::select! {
                _ = self.session.closed() => return,
                changed = plans.changed() => match changed {
                    Ok(()) => {
                        let plan = plans.borrow_and_update().of(self.agent).cloned();
                        self.adapt(plan).await;
                    }
                    Err(_) => return,
                },
                Some(endpoints) = wants.recv() => {
                    // It shall look at them as they are now.
                    let plan = plans.borrow().of(self.agent).cloned();
                    self.adapt(plan).await;
                    self.session.tell(ToAgent::LookNow { endpoints }).await;
                }
                Some(batch) = found.recv() => Box::pin(self.store(&batch)).await,
            }
        }
    }

    /// Tells the agent what is new of its looks. Nothing is known of one for whom no plan was made yet.
    async fn adapt(&mut self, plan: Option<Arc<Plan>>) {
        let Some(plan) = plan else { return };
        let marks = |plan: &Plan| plan.looks.iter().map(|(id, look)| (*id, look.mark.clone())).collect();
        let Some(watching) = self.watching.take() else { return self.change(&plan).await };
        if watching == plan.digest {
            self.told = marks(&plan);
            return;
        }
        self.session.tell(ToAgent::WatchBegin {}).await;
        self.put(plan.looks.values().collect()).await;
        self.session.tell(ToAgent::WatchEnd {}).await;
    }

    async fn change(&mut self, plan: &Plan) {
        let gone: Vec<EndpointId> =
            self.told.keys().filter(|id| !plan.looks.contains_key(id)).copied().collect();
        if !gone.is_empty() {
            self.told.retain(|id, _| plan.looks.contains_key(id));
            self.session.tell(ToAgent::Unwatch { endpoints: gone }).await;
        }
        let is_news = |look: &&Arc<Look>| self.told.get(&look.endpoint) != Some(&look.mark);
        self.put(plan.looks.values().filter(is_news).collect()).await;
    }

    async fn put(&mut self, looks: Vec<&Arc<Look>>) {
        for some in looks.chunks(AT_ONCE) {
            let ids: Vec<EndpointId> = some.iter().map(|look| look.endpoint).collect();
            let mut secrets = match in_background(watches::secrets(&self.app.db, &ids)).await {
                Ok(secrets) => secrets,
                Err(error) => {
                    // They stay untold, and are told with the next change.
                    tracing::error!(%error, agent = %self.agent, "credentials for looks cannot be had");
                    continue;
                }
            };
            for look in some {
                // One that was removed meanwhile is in the next plan no more.
                let Some(secrets) = secrets.remove(&look.endpoint) else { continue };
                let frame = ToAgent::Watch(Look::clone(look));
                if !self.session.deliver(Delivery { frame, secrets }).await {
                    return;
                }
                self.told.insert(look.endpoint, look.mark.clone());
            }
        }
    }

    /// Stores a batch, however long the database is away; only then the agent may forget it.
    async fn store(&self, batch: &Batch) {
        let mut pause = Duration::from_millis(100);
        let mut tries = 0;
        loop {
            tries += 1;
            let stored = if tries > TRIES && self.app.db.ping().await.is_ok() {
                // It is not the database: one batch shall not hold all others up for ever.
                ingest::leave_out(&self.app, self.agent, batch).await
            } else {
                in_background(Box::pin(ingest::batch(&self.app, self.agent, batch))).await
            };
            let error = match stored {
                Ok(through) => {
                    self.session.tell(ToAgent::Stored { spool: batch.spool, through }).await;
                    return;
                }
                Err(error) => error,
            };
            tracing::error!(%error, agent = %self.agent, "samples could not be stored");
            tokio::select! {
                _ = self.session.closed() => return,
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(Duration::from_secs(5)),
            }
        }
    }
}
