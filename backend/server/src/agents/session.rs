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
use tokio::sync::{mpsc, oneshot, watch};
use uuid::Uuid;

use crate::peers::Address;

type Outcome = Result<Answer, Fault>;

/// A session that ended while somebody waited in it.
#[derive(Debug, PartialEq, Eq)]
pub enum Ended {
    /// Nothing had been handed over, or might be.
    Before,
    /// The agent may have got it.
    After,
}

/// Where the frames of a session go.
pub enum Out {
    /// To the agent, which is connected here.
    Line(mpsc::Sender<Delivery>),
    /// To the server that it is connected to.
    Post(Address),
}

/// Who waits for what is answered under an id: this server, and others that asked the same.
type Waiters = Vec<(Uuid, oneshot::Sender<Outcome>)>;

/// What is waited for of another server.
#[derive(Debug, Clone, Copy)]
pub struct Awaited {
    /// What is answered under this id.
    pub command: CommandId,
    /// This asking of it: what answers an earlier one says nothing of it.
    pub ask: Uuid,
    /// The renewal of the agent's lease that allowed it.
    pub renewal: Option<i64>,
}

/// One session of one agent.
pub struct Session {
    boot: BootId,
    /// Its number, where several servers know of it.
    epoch: i64,
    out: Out,
    pending: Mutex<HashMap<CommandId, Waiters>>,
    heard: watch::Sender<Instant>,
    /// The last sign of life that was asked for, and the last that came.
    asked_for: watch::Sender<u64>,
    given: watch::Sender<u64>,
    /// The code with which it is closed.
    closing: watch::Sender<Option<u16>>,
}

impl Session {
    /// Begins one.
    pub fn new(boot: BootId, epoch: i64, out: Out) -> Self {
        Self {
            boot,
            epoch,
            out,
            pending: Mutex::default(),
            heard: watch::channel(Instant::now()).0,
            asked_for: watch::channel(0).0,
            given: watch::channel(0).0,
            closing: watch::channel(None).0,
        }
    }

    /// Hands a frame over and waits for what is answered under an id. Whether it may leave is asked last of all,
    /// however long it waited for its turn, or this process for a processor; the answer is kept until it has left.
    /// A server between here and the agent asks the same of the `renewal` that allowed it.
    ///
    /// # Errors
    /// When the session ended first, or the frame may not leave.
    pub async fn ask<M>(
        &self,
        id: CommandId,
        delivery: Delivery,
        renewal: Option<i64>,
        may: impl Fn() -> Option<M>,
    ) -> Result<Outcome, Ended> {
        let (sender, receiver) = oneshot::channel();
        let ask = rackhand_store::fresh_id();
        let _waiting = Waiting { session: self, id, ask };
        self.pending().entry(id).or_default().push((ask, sender));
        self.hand_over(delivery, Some(Awaited { command: id, ask, renewal }), may).await?;
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
        self.hand_over(delivery, None, || Some(())).await.is_ok()
    }

    async fn hand_over<M>(
        &self,
        mut delivery: Delivery,
        awaited: Option<Awaited>,
        may: impl Fn() -> Option<M>,
    ) -> Result<(), Ended> {
        match &self.out {
            Out::Line(line) => {
                let begun = Instant::now();
                let place = tokio::select! {
                    biased;
                    _ = self.closed() => return Err(Ended::Before),
                    place = line.reserve() => place.map_err(|_| Ended::Before)?,
                };
                let _kept = may().ok_or(Ended::Before)?;
                delivery.frame.spend(begun.elapsed());
                place.send(delivery);
                Ok(())
            }
            Out::Post(_) if self.is_closed() => Err(Ended::Before),
            Out::Post(address) => {
                drop(may().ok_or(Ended::Before)?);
                // A letter that could not be posted may be there all the same, and so may one whose session is closed
                // while it is posted.
                if address.deliver(delivery, awaited).await { Ok(()) } else { Err(Ended::After) }
            }
        }
    }

    /// Gives an outcome to whoever waits. They may have gone; the journal keeps it for a resumed job.
    pub fn answer(&self, id: CommandId, outcome: &Outcome) {
        for (_, waiting) in self.pending().remove(&id).unwrap_or_default() {
            waiting.send(outcome.clone()).ok();
        }
    }

    /// Gives an outcome to whoever waits for this asking.
    pub fn answer_to(&self, id: CommandId, ask: Uuid, outcome: &Outcome) {
        let mut pending = self.pending();
        let Some(waiters) = pending.get_mut(&id) else { return };
        if let Some(at) = waiters.iter().position(|(waiting, _)| *waiting == ask) {
            let (_, waiting) = waiters.swap_remove(at);
            waiting.send(outcome.clone()).ok();
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
        let mut given = self.given.subscribe();
        let mut number = 0;
        self.asked_for.send_modify(|last| {
            *last += 1;
            number = *last;
        });
        if let Out::Post(address) = &self.out {
            address.probe(within, number).await;
        }
        tokio::select! {
            biased;
            _ = self.closed() => false,
            sign = tokio::time::timeout(within, given.wait_for(|last| *last >= number)) => sign.is_ok(),
        }
    }

    /// Returns the number of a sign of life once one is asked for after `last`.
    pub async fn probed(&self, last: u64) -> u64 {
        let mut asked = self.asked_for.subscribe();
        // The sender lives in this very session.
        asked.wait_for(|number| *number > last).await.map_or(last, |number| *number)
    }

    /// Notes that the agent answered a sign of life: what it had sent before it died does not count as one.
    pub fn is_alive(&self, number: u64) {
        self.given.send_modify(|last| *last = number.max(*last));
    }

    /// Says which start of the agent it is.
    pub fn boot(&self) -> BootId {
        self.boot
    }

    /// Its number among the sessions of its agent.
    pub fn epoch(&self) -> i64 {
        self.epoch
    }

    /// Says whether the agent is connected to this server.
    pub fn is_here(&self) -> bool {
        matches!(self.out, Out::Line(_))
    }

    /// Ends it, wherever the agent is connected.
    pub fn part(&self, code: u16) {
        if let Out::Post(address) = &self.out {
            address.close(code);
        }
        self.close(code);
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

    fn pending(&self) -> MutexGuard<'_, HashMap<CommandId, Waiters>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Forgets who waits, however they stop.
struct Waiting<'a> {
    session: &'a Session,
    id: CommandId,
    ask: Uuid,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut pending = self.session.pending();
        if let Some(waiters) = pending.get_mut(&self.id) {
            waiters.retain(|(ask, _)| *ask != self.ask);
            if waiters.is_empty() {
                pending.remove(&self.id);
            }
        }
    }
}
