//! Whether a write may leave now: in time, by the newest epoch, and while the lease lasts.

use rackhand_wire::{Command, Fault, FaultCode, Reason, agent::ToBackend};
use std::{
    sync::{
        PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use crate::{
    failpoint,
    journal::Moment,
    worker::{Shared, Task},
};

/// When shared devices may be written to, without a gap.
#[derive(Debug, Clone, Copy)]
pub struct Lease {
    since: Instant,
    until: Instant,
}

impl Lease {
    /// Goes on after the one before, when that has not ended yet.
    pub fn after(before: Option<Self>, until: Instant, now: Instant) -> Self {
        match before {
            Some(before) if now < before.until => Self { until: until.max(before.until), ..before },
            Some(_) | None => Self { since: now, until },
        }
    }

    /// Says whether it has lasted since then.
    pub fn covers(&self, received: Instant, now: Instant) -> bool {
        self.since <= received && now < self.until
    }
}

/// Notes the epoch of a write once it is heard: what is older and still waits must not leave any more.
pub fn hear(shared: &Shared, command: &Command) {
    let Some(endpoint) = command.endpoint.id.filter(|_| command.operation.is_write()) else { return };
    let mut fences = shared.fences.lock().unwrap_or_else(PoisonError::into_inner);
    let newest = fences.entry(endpoint).or_insert(command.fence);
    *newest = command.fence.max(*newest);
}

/// Refuses what grew too old while it waited.
pub fn in_time(task: &Task) -> Result<(), Fault> {
    let limit = task.command.expires_in_ms.map(Duration::from_millis);
    if limit.is_some_and(|limit| task.received.elapsed() > limit) {
        return Err(Fault::new(FaultCode::Exec, Reason::Expired, ""));
    }
    Ok(())
}

/// Refuses to write late, and where another agent may be writing: with an older epoch than one that was heard, or
/// when the lease has ended since the command came.
///
/// Epochs of one device are compared whether or not it was shared when a command was sent: there is one counter for
/// it, which a command without a lease carries too. So the present one is never refused for what came before. An
/// older one was sent before the device changed hands; without a lease nothing else would hold it back, and the
/// agent that has the device by now may be writing.
pub fn may_write(shared: &Shared, task: &Task) -> Result<(), Fault> {
    in_time(task)?;
    let command = &task.command;
    hear(shared, command);
    let fences = shared.fences.lock().unwrap_or_else(PoisonError::into_inner);
    let newest = command.endpoint.id.and_then(|endpoint| fences.get(&endpoint).copied());
    drop(fences);
    if newest.is_some_and(|newest| command.fence < newest) {
        return Err(Fault::new(FaultCode::Exec, Reason::LeaseLost, "the command is of an older epoch"));
    }
    let held = *shared.lease.lock().unwrap_or_else(PoisonError::into_inner);
    // What waited in the queue while the lease had a gap may have gone to another agent meanwhile.
    if command.leased && !held.is_some_and(|lease| lease.covers(task.received, Instant::now())) {
        return Err(Fault::new(FaultCode::Exec, Reason::LeaseLost, "its lease has ended"));
    }
    Ok(())
}

/// What a driver asks right before something leaves that may change the device. The first time it is journaled, with
/// the time after which a cut is undone.
pub struct Permit<'a> {
    shared: &'a Shared,
    task: &'a Task,
    begun: AtomicBool,
}

impl<'a> Permit<'a> {
    pub fn new(shared: &'a Shared, task: &'a Task) -> Self {
        Self { shared, task, begun: AtomicBool::new(false) }
    }

    /// Says whether anything may have left.
    pub fn has_begun(&self) -> bool {
        self.begun.load(Ordering::SeqCst)
    }

    /// Lets one packet leave.
    pub fn pass(&self) -> Result<(), Fault> {
        let may = may_write(self.shared, self.task);
        if self.has_begun() {
            // Whether the device took what had left is not known.
            return may.map_err(|why| Fault::lost(format!("it was not sent again: {why}")));
        }
        may?;
        failpoint::reach("agent-received");
        self.begin()?;
        self.begun.store(true, Ordering::SeqCst);
        failpoint::reach("agent-started");
        self.shared.outbox.put(ToBackend::Started { command: self.task.command.id });
        Ok(())
    }

    fn begin(&self) -> Result<(), Fault> {
        let command = &self.task.command;
        let mut journal = self.shared.journal();
        let replaced = journal.start(command, Moment::now()).map_err(|error| {
            // Certainly not begun, and a person must make room.
            Fault::config(Reason::NoJournal, error.to_string())
        })?;
        // What came with it may have been forgotten while it waited in the queue.
        if let (Some(_), Some(endpoint)) = (command.restore_after_ms, command.endpoint.id) {
            self.shared.kept().insert(endpoint, self.task.secrets.clone());
        }
        // A slow disk may have taken longer than a lease lasts.
        may_write(self.shared, self.task)
            .inspect_err(|_| journal.withdraw(command.id, replaced, Moment::now()))
    }
}

#[cfg(test)]
mod tests;
