//! Switches on again what was cut, when nobody else did in time.

use rackhand_wire::{
    Answer, Command, Fault, FaultCode, Reason, agent::ToBackend, command::Outlet, id::CommandId,
};
use std::{
    mem,
    pin::pin,
    sync::{Arc, Weak, atomic::Ordering},
    time::{Duration, Instant},
};
use tokio::sync::mpsc;

use crate::{
    SecretSource,
    journal::{BackOff, Kept, Moment},
    worker::{Purpose, Shared, Task},
};

/// Looks for outlets whose time is up, until the agent ends. A failed restore is tried again for ever:
/// a dark server is worse than a busy PDU.
pub async fn watch(agent: Weak<Shared>, secrets: Arc<dyn SecretSource>, due: mpsc::Sender<Task>) {
    let begun = Instant::now();
    loop {
        let Some(shared) = agent.upgrade() else { return };
        // What an earlier process cut may have been proven off by another agent meanwhile: the backend says
        // so, if it can be reached at all.
        let patience = shared.timings.reconnect_longest / 3;
        if !shared.may_restore.load(Ordering::Relaxed) && begun.elapsed() < patience {
            let pause = shared.timings.outlet_poll / 10;
            drop(shared);
            tokio::time::sleep(pause).await;
            continue;
        }
        let pause = shared.timings.outlet_poll.min(Duration::from_secs(1));
        let back_off = BackOff { first: shared.timings.busy_back_off, longest: shared.timings.busy_budget };
        let commands = {
            let mut journal = shared.journal();
            let commands = journal.take_due(Instant::now(), back_off);
            // No cut begins meanwhile: it notes its credentials and itself under the same lock.
            if commands.is_empty() && journal.cuts().is_empty() {
                shared.kept().clear();
            }
            commands
        };
        let mut has_waited = false;
        for command in commands {
            let id = command.id;
            let Some(task) = task(&shared, &secrets, command, &mut has_waited).await else { continue };
            tracing::warn!(command = %id, "nobody restored this outlet in time; the agent does");
            if due.send(task).await.is_err() {
                return;
            }
        }
        drop(shared);
        tokio::time::sleep(pause).await;
    }
}

/// What was delivered with the cut restores it; only after a restart somebody must be asked.
async fn task(
    shared: &Shared,
    secrets: &Arc<dyn SecretSource>,
    command: Command,
    has_waited: &mut bool,
) -> Option<Task> {
    let endpoint = command.endpoint.id?;
    let kept = shared.kept().get(&endpoint).cloned();
    let secrets = if let Some(kept) = kept {
        kept
    } else {
        let lent = secrets.find(endpoint).await?;
        if !mem::replace(has_waited, true) {
            told_what_stays(shared).await;
        }
        lent
    };
    Some(Task { command, secrets, received: Instant::now(), purpose: Purpose::Restore })
}

/// Who lends credentials says in the same session which cuts stay: that word is waited for, in case it comes at all.
async fn told_what_stays(shared: &Shared) {
    let begun = Instant::now();
    let patience = shared.timings.reconnect_longest / 3;
    while !shared.may_restore.load(Ordering::Relaxed) && begun.elapsed() < patience {
        tokio::time::sleep(shared.timings.outlet_poll / 10).await;
    }
}

/// Lets outlets stay off and answers whether they do. A restore under way ends first.
pub async fn keep_off(shared: Arc<Shared>, id: CommandId, cuts: Vec<CommandId>, outlets: Vec<Outlet>) {
    if !shared.journal().is_new(id, Moment::now()) {
        // It came twice; outlets that were cut anew meanwhile are not meant.
        return;
    }
    let begun = Instant::now();
    let result = loop {
        let mut rested = pin!(shared.rested.notified());
        // From here on no end is missed.
        rested.as_mut().enable();
        let kept = shared.journal().keep_off(&cuts, &outlets, Moment::now());
        match kept {
            Ok(Kept::Off) => break Ok(Answer::Done),
            Ok(Kept::Restoring) => rested.await,
            Ok(Kept::Restored) => {
                let detail = "the time limit of a cut had passed and its outlet was switched on again";
                break Err(Fault::new(FaultCode::Exec, Reason::Expired, detail));
            }
            Err(error) => {
                let detail = format!("the journal cannot be written: {error}");
                break Err(Fault::new(FaultCode::Exec, Reason::Internal, detail));
            }
        }
    };
    let took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    shared.outbox.put(ToBackend::Finished { command: id, result, took_ms });
}
