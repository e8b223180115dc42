//! Switches on again what was cut, when nobody else did in time.

use rackhand_wire::Command;
use std::{
    collections::HashMap,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};
use tokio::sync::mpsc;

use crate::{
    SecretSource,
    worker::{Shared, Task},
};

/// Looks for outlets whose time is up, until the agent ends. A failed restore is tried again for ever:
/// a dark server is worse than a busy PDU.
pub async fn watch(agent: Weak<Shared>, secrets: Arc<dyn SecretSource>, due: mpsc::Sender<Task>) {
    let mut tried: HashMap<rackhand_wire::id::CommandId, Instant> = HashMap::new();
    loop {
        let Some(shared) = agent.upgrade() else { return };
        let pause = shared.timings.outlet_poll.min(Duration::from_secs(1));
        let again = shared.timings.outlet_read_back;
        let now = chrono::Utc::now().timestamp_millis();
        let mut cuts = shared.journal().cuts();
        drop(shared);
        tried.retain(|id, _| cuts.iter().any(|cut| cut.command.id == *id));
        cuts.retain(|cut| cut.due_at <= now);
        for cut in cuts {
            let id = cut.command.id;
            if tried.get(&id).is_some_and(|at| at.elapsed() < again) {
                continue;
            }
            tried.insert(id, Instant::now());
            let Some(task) = task(&secrets, cut.command).await else { continue };
            tracing::warn!(command = %id, "nobody restored this outlet in time; the agent does");
            if due.send(task).await.is_err() {
                return;
            }
        }
        tokio::time::sleep(pause).await;
    }
}

async fn task(secrets: &Arc<dyn SecretSource>, command: Command) -> Option<Task> {
    let secrets = secrets.find(command.endpoint.id?).await?;
    Some(Task { command, secrets, received: Instant::now(), restores: true })
}
