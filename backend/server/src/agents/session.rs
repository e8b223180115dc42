use rackhand_agent::Delivery;
use rackhand_wire::{
    Answer, Fault, Secrets,
    agent::{BootId, ToAgent},
    id::CommandId,
};
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::{Notify, mpsc, oneshot, watch};

type Outcome = Result<Answer, Fault>;

/// A session that ended while somebody waited in it.
#[derive(Debug, PartialEq, Eq)]
pub enum Ended {
    /// Nothing had been handed over.
    Before,
    /// The agent may have got it.
    After,
}

/// One session of one agent.
pub struct Session {
    boot: BootId,
    to_agent: mpsc::Sender<Delivery>,
    pending: Mutex<HashMap<CommandId, oneshot::Sender<Outcome>>>,
    heard: watch::Sender<Instant>,
    probe: Notify,
    /// The code with which it is closed.
    closing: watch::Sender<Option<u16>>,
}

impl Session {
    /// Begins one.
    pub fn new(boot: BootId, to_agent: mpsc::Sender<Delivery>) -> Self {
        Self {
            boot,
            to_agent,
            pending: Mutex::default(),
            heard: watch::channel(Instant::now()).0,
            probe: Notify::new(),
            closing: watch::channel(None).0,
        }
    }

    /// Hands a frame over and waits for what is answered under an id.
    ///
    /// # Errors
    /// When the session ended first.
    pub async fn ask(&self, id: CommandId, delivery: Delivery) -> Result<Outcome, Ended> {
        let (sender, receiver) = oneshot::channel();
        let _waiting = Waiting { session: self, id };
        self.pending().insert(id, sender);
        tokio::select! {
            biased;
            _ = self.closed() => return Err(Ended::Before),
            sent = self.to_agent.send(delivery) => sent.map_err(|_| Ended::Before)?,
        }
        tokio::select! {
            biased;
            outcome = receiver => outcome.map_err(|_| Ended::After),
            _ = self.closed() => Err(Ended::After),
        }
    }

    /// Hands a frame over that needs no answer; says whether it could.
    pub async fn tell(&self, frame: ToAgent) -> bool {
        self.deliver(Delivery { frame, secrets: Secrets::default() }).await
    }

    /// Hands a frame over with credentials; says whether it could.
    pub async fn deliver(&self, delivery: Delivery) -> bool {
        tokio::select! {
            biased;
            _ = self.closed() => false,
            sent = self.to_agent.send(delivery) => sent.is_ok(),
        }
    }

    /// Gives an outcome to whoever waits. They may have gone; the journal keeps it for a resumed job.
    pub fn answer(&self, id: CommandId, outcome: Outcome) {
        if let Some(waiting) = self.pending().remove(&id) {
            waiting.send(outcome).ok();
        }
    }

    /// Notes that the agent was heard.
    pub fn hear(&self) {
        self.heard.send_replace(Instant::now());
    }

    /// Says how long ago it was heard.
    pub fn silence(&self) -> Duration {
        self.heard.borrow().elapsed()
    }

    /// Asks the agent for a sign of life and says whether one came in time.
    pub async fn answers(&self, within: Duration) -> bool {
        let asked = Instant::now();
        let mut heard = self.heard.subscribe();
        self.probe.notify_one();
        tokio::select! {
            biased;
            _ = self.closed() => false,
            sign = tokio::time::timeout(within, heard.wait_for(|at| *at > asked)) => sign.is_ok(),
        }
    }

    /// Returns when a sign of life is asked for.
    pub async fn probed(&self) {
        self.probe.notified().await;
    }

    /// Says which start of the agent it is.
    pub fn boot(&self) -> BootId {
        self.boot
    }

    /// Counts what is waited for.
    pub fn in_flight(&self) -> usize {
        self.pending().len()
    }

    /// Closes it; the first code counts.
    pub fn close(&self, code: u16) {
        self.closing.send_if_modified(|closing| closing.is_none().then(|| *closing = Some(code)).is_some());
    }

    /// Says whether it is closed.
    pub fn is_closed(&self) -> bool {
        self.closing.borrow().is_some()
    }

    /// Returns the code once it is closed.
    pub async fn closed(&self) -> u16 {
        let mut closing = self.closing.subscribe();
        let code = closing.wait_for(Option::is_some).await.ok().and_then(|code| *code);
        // The sender lives in this very session.
        code.unwrap_or_default()
    }

    fn pending(&self) -> MutexGuard<'_, HashMap<CommandId, oneshot::Sender<Outcome>>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Forgets who waits, however they stop.
struct Waiting<'a> {
    session: &'a Session,
    id: CommandId,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.session.pending().remove(&self.id);
    }
}
