//! One device and its only writer.

use rackhand_driver::{Endpoint, Guard, Opening, perform, perform_through};
use rackhand_wire::{
    Answer, Command, Fault, FaultCode, Operation, OutletState, Reason, Secrets, Timings,
    agent::ToBackend,
    command::Urgency,
    id::{CommandId, EndpointId},
    power::Switch,
};
use sha2::{Digest, Sha256};
use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError, atomic::AtomicBool},
    time::{Duration, Instant},
};
use tokio::sync::{Notify, mpsc, oneshot};

use crate::{
    catalogue, failpoint,
    journal::{Journal, Known, Moment},
    outbox::Outbox,
    permit::{self, Lease, Permit},
};

/// A command with what it needs, in a device's queue.
pub struct Task {
    pub command: Command,
    pub secrets: Secrets,
    pub received: Instant,
    pub purpose: Purpose,
}

/// Who wants to know how it ends.
pub enum Purpose {
    /// Whoever sent the command.
    Answer,
    /// It restores what this command had cut: reported as such, not as an answer.
    Restore,
    /// The agent's own look.
    Look(oneshot::Sender<Result<Answer, Fault>>),
}

/// What every worker shares.
pub struct Shared {
    pub journal: Mutex<Journal>,
    pub timings: Timings,
    /// Which addresses may be spoken to.
    pub guard: Arc<Guard>,
    /// When this agent may write to devices that it shares with others.
    pub lease: Mutex<Option<Lease>>,
    /// The newest epoch that was heard of each device.
    pub fences: Mutex<HashMap<EndpointId, u64>>,
    /// Credentials of devices with an outlet to restore: in memory alone.
    pub kept: Mutex<HashMap<EndpointId, Secrets>>,
    pub outbox: Outbox,
    /// Called whenever a restore has ended.
    pub rested: Notify,
    /// What was cut before this process began may be undone: a backend has said which of it stays, or none came.
    pub may_restore: AtomicBool,
}

impl Shared {
    pub fn kept(&self) -> std::sync::MutexGuard<'_, HashMap<EndpointId, Secrets>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn journal(&self) -> std::sync::MutexGuard<'_, Journal> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A device unused for this long is closed.
const IDLE: Duration = Duration::from_secs(150);

struct Opened {
    key: [u8; 32],
    endpoint: Arc<dyn Endpoint>,
}

/// Serves one device until its queue closes or it is idle.
pub async fn serve(shared: Arc<Shared>, queue: mpsc::UnboundedReceiver<Box<Task>>) {
    let mut opened: Option<Opened> = None;
    let mut line = Line::new(queue);
    while let Some(task) = line.next().await {
        if !gives_way(&task) {
            one(&shared, &mut opened, task).await;
            continue;
        }
        let begun = Instant::now();
        let result = tokio::select! {
            biased;
            result = run(&shared, &mut opened, &task) => result,
            // Whoever waits does not wait for the silence of a device to be certain.
            () = line.awaited() => Err(Fault::new(FaultCode::Exec, Reason::GaveWay, "")),
        };
        answer(&shared, *task, result, begun.elapsed());
    }
    if let Some(opened) = opened {
        opened.endpoint.close().await;
    }
}

fn gives_way(task: &Task) -> bool {
    let is_restore = matches!(task.purpose, Purpose::Restore);
    task.command.urgency == Urgency::Background && !task.command.operation.is_write() && !is_restore
}

/// What waits for one device: first what is awaited, then the rest, each in its order.
struct Line {
    queue: mpsc::UnboundedReceiver<Box<Task>>,
    awaited: VecDeque<Box<Task>>,
    background: VecDeque<Box<Task>>,
}

impl Line {
    fn new(queue: mpsc::UnboundedReceiver<Box<Task>>) -> Self {
        Self { queue, awaited: VecDeque::new(), background: VecDeque::new() }
    }

    /// Takes the next task; none when the device was idle for long or the agent ends.
    async fn next(&mut self) -> Option<Box<Task>> {
        while let Ok(task) = self.queue.try_recv() {
            self.put(task);
        }
        if let Some(task) = self.awaited.pop_front().or_else(|| self.background.pop_front()) {
            return Some(task);
        }
        if let Ok(task) = tokio::time::timeout(IDLE, self.queue.recv()).await {
            return task;
        }
        // What was queued while the time ran out is still served.
        self.queue.close();
        self.queue.recv().await
    }

    /// Returns once something that is awaited has arrived.
    async fn awaited(&mut self) {
        while self.awaited.is_empty() {
            match self.queue.recv().await {
                Some(task) => self.put(task),
                None => std::future::pending().await,
            }
        }
    }

    fn put(&mut self, task: Box<Task>) {
        if gives_way(&task) { self.background.push_back(task) } else { self.awaited.push_back(task) }
    }
}

async fn one(shared: &Shared, opened: &mut Option<Opened>, task: Box<Task>) {
    if matches!(task.purpose, Purpose::Restore) {
        return restore(shared, opened, &task).await;
    }
    let begun = Instant::now();
    let result = run(shared, opened, &task).await;
    answer(shared, *task, result, begun.elapsed());
}

fn answer(shared: &Shared, task: Task, result: Result<Answer, Fault>, took: Duration) {
    match task.purpose {
        // The agent may be ending.
        Purpose::Look(wants) => drop(wants.send(result)),
        Purpose::Answer | Purpose::Restore => {
            let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
            shared.outbox.put(ToBackend::Finished { command: task.command.id, result, took_ms });
        }
    }
}

async fn run(shared: &Shared, opened: &mut Option<Opened>, task: &Task) -> Result<Answer, Fault> {
    let command = &task.command;
    let (known, is_undone) = {
        let journal = shared.journal();
        (journal.find(command.id).cloned(), journal.is_undone(command.id))
    };
    match known {
        None | Some(Known::Received) => {}
        Some(Known::Done(Ok(_))) if is_undone => return Err(Fault::new(FaultCode::Exec, Reason::Undone, "")),
        Some(Known::Done(result)) => return result,
        Some(Known::Over) => {
            let late = "it was done and its outcome stored; this message of it came late";
            return Err(Fault::new(FaultCode::Exec, Reason::Expired, late));
        }
        Some(Known::Started) => {
            let why = "it was begun before a restart; whether the device heard it is not known";
            return Err(Fault::new(FaultCode::Lost, Reason::Interrupted, why));
        }
    }
    permit::in_time(task)?;
    if !command.operation.is_write() {
        let endpoint = open(shared, opened, task).await?;
        return perform(endpoint.as_ref(), &command.target, &command.operation).await;
    }
    // What cannot even be opened was not begun.
    let endpoint = open(shared, opened, task).await?;
    permit::may_write(shared, task)?;
    let permit = Permit::new(shared, task);
    let gate = || permit.pass();
    let result = perform_through(&gate, endpoint.as_ref(), &command.target, &command.operation).await;
    failpoint::reach("agent-performed");
    if permit.has_begun() || is_final(&result) {
        end(shared, command, &result);
    }
    failpoint::reach("agent-done");
    result
}

/// Says whether a command that never left the agent is answered so whenever it comes again: the one who asked may
/// have gone on. What was refused for a while is begun when it comes again.
fn is_final(result: &Result<Answer, Fault>) -> bool {
    !result.as_ref().is_err_and(|fault| matches!(fault.reason, Reason::LeaseLost | Reason::NoJournal))
}

/// Journals how a write ended. An outlet that took the order to switch on needs no restoring any more; one
/// that did not still does.
fn end(shared: &Shared, command: &Command, result: &Result<Answer, Fault>) {
    let mut journal = shared.journal();
    let mut write = || {
        if result.is_ok() && (command.operation == Operation::SetOutlet { to: Switch::On }) {
            journal.switched_on(command, Moment::now())?;
        }
        journal.done(command.id, result, Moment::now())
    };
    if let Err(error) = write() {
        tracing::warn!(%error, command = %command.id, "the outcome could not be journaled");
    }
}

/// Switches on again what a command cut, unless that was settled meanwhile, and tells what is news: the
/// first failure and the success.
async fn restore(shared: &Shared, opened: &mut Option<Opened>, task: &Task) {
    let cut = task.command.id;
    let result = match open(shared, opened, task).await {
        Err(fault) => Err(fault),
        Ok(endpoint) if is_untouched(shared, cut) && reads_on(endpoint.as_ref(), &task.command).await => {
            // The cut was refused, or somebody else switched it on: nothing is undone, and nothing to be told.
            return settle(shared, cut);
        }
        Ok(_) if !begin_restore(shared, cut) => return,
        Ok(endpoint) => switch_on(endpoint.as_ref(), &task.command).await,
    };
    let news = end_restore(shared, cut, &result);
    shared.rested.notify_waiters();
    if news {
        shared.outbox.put(ToBackend::Restored { cut, result });
    }
}

fn is_untouched(shared: &Shared, cut: CommandId) -> bool {
    shared.journal().is_untouched(cut)
}

async fn reads_on(endpoint: &dyn Endpoint, cut: &Command) -> bool {
    let read = perform(endpoint, &cut.target, &Operation::ReadOutlet).await;
    matches!(read, Ok(Answer::Outlet(reading)) if reading.state == OutletState::On)
}

fn settle(shared: &Shared, cut: CommandId) {
    if let Err(error) = shared.journal().restored(cut, Moment::now()) {
        tracing::warn!(%error, command = %cut, "that an outlet is on could not be journaled");
    }
    shared.rested.notify_waiters();
}

fn begin_restore(shared: &Shared, cut: CommandId) -> bool {
    let mut journal = shared.journal();
    if !journal.is_pending(cut) {
        return false;
    }
    if let Err(error) = journal.restoring(cut, Moment::now()) {
        tracing::error!(%error, command = %cut, "a restore could not be journaled; it is done all the same");
    }
    true
}

fn end_restore(shared: &Shared, cut: CommandId, result: &Result<(), Fault>) -> bool {
    let mut journal = shared.journal();
    if let Err(fault) = result {
        tracing::warn!(%fault, command = %cut, "an outlet could not be restored; it is tried again");
        return journal.failed(cut, fault);
    }
    if let Err(error) = journal.acted(cut, Moment::now()) {
        tracing::error!(%error, command = %cut, "a restored outlet could not be journaled");
    }
    true
}

async fn switch_on(endpoint: &dyn Endpoint, cut: &Command) -> Result<(), Fault> {
    perform(endpoint, &cut.target, &Operation::SetOutlet { to: Switch::On }).await?;
    match perform(endpoint, &cut.target, &Operation::ReadOutlet).await? {
        Answer::Outlet(reading) if reading.state == OutletState::On => Ok(()),
        Answer::Outlet(_)
        | Answer::Done
        | Answer::Identity(_)
        | Answer::Power(_)
        | Answer::Outlets { .. }
        | Answer::BootDevice { .. } => {
            Err(Fault::new(FaultCode::State, Reason::NoEffect, "it is not on yet"))
        }
    }
}

/// Opens the device, or keeps it open while parameters and credentials are the same.
async fn open(shared: &Shared, opened: &mut Option<Opened>, task: &Task) -> Result<Arc<dyn Endpoint>, Fault> {
    let spec = &task.command.endpoint;
    let key = key(task);
    if let Some(open) = opened.as_ref().filter(|open| open.key == key) {
        return Ok(Arc::clone(&open.endpoint));
    }
    if let Some(old) = opened.take() {
        old.endpoint.close().await;
    }
    let Some(integration) = catalogue::find(&spec.kind) else {
        return Err(Fault::new(FaultCode::Exec, Reason::UnknownKind, spec.kind.clone()));
    };
    let endpoint = integration
        .open(Opening {
            params: &spec.params,
            secrets: &task.secrets,
            pinned: spec.pinned.as_deref(),
            timings: &shared.timings,
            guard: &shared.guard,
        })
        .await?;
    *opened = Some(Opened { key, endpoint: Arc::clone(&endpoint) });
    Ok(endpoint)
}

fn key(task: &Task) -> [u8; 32] {
    let spec = &task.command.endpoint;
    let mut hash = Sha256::new();
    hash.update(spec.kind.as_bytes());
    hash.update(spec.params.to_string().as_bytes());
    hash.update(spec.pinned.as_deref().unwrap_or_default().as_bytes());
    for (name, value) in task.secrets.expose_all() {
        for part in [name, value] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
    }
    hash.finalize().into()
}
