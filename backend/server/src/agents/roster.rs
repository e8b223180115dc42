use rackhand_agent::{Delivery, Link};
use rackhand_store::{
    agent_sessions::{self, Sitting},
    fresh_id, now,
};
use rackhand_wire::{
    Answer, Command, Fault, FaultCode, Reason, Secrets, Timings,
    agent::{Hello, ToAgent, ToBackend, close},
    command::{Outlet, Urgency},
    id::{AgentId, CommandId},
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::{mpsc, watch};

use super::{
    earlier::{Earlier, Journal, Writes},
    lease::{Leases, Unbroken},
    route::{self, Route},
    session::{Ended, Out, Session},
    told::Told,
    undone::Undone,
};
use crate::{
    peers::{Address, Peers},
    work::watch::Batch,
};

/// How far a command has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// No agent is there to take it: nothing was handed over.
    Waiting,
    /// An agent has it.
    Handed,
    /// This agent had it and went away before it answered.
    Left(AgentId),
}

/// How a command ended.
pub struct Done {
    /// The agent that had it last, when one may have begun it.
    pub by: Option<AgentId>,
    /// The answer or the failure.
    pub result: Result<Answer, Fault>,
}

/// The session of an agent, changing as it comes and goes.
type Seat = watch::Sender<Option<Arc<Session>>>;

/// The agents that are connected, to this server or to another one on its database.
pub struct Roster {
    peers: Arc<Peers>,
    /// Held while sessions are compared with the database or change there.
    seating: tokio::sync::Mutex<()>,
    seats: Mutex<HashMap<AgentId, Arc<Seat>>>,
    /// What agents undid by themselves.
    pub undone: Undone,
    /// Who may write to what is shared.
    leases: Leases,
    /// What each agent may be writing now.
    pub(super) writes: Writes,
    /// How long what may have been executed is waited for when its agent is away.
    patience: Duration,
}

impl Roster {
    /// Makes an empty one.
    pub fn new(timings: &Timings, peers: Arc<Peers>) -> Self {
        Self {
            leases: Leases::new(timings.lease, timings.lease_slack, Arc::clone(&peers)),
            peers,
            seating: tokio::sync::Mutex::default(),
            seats: Mutex::default(),
            undone: Undone::new(timings.agent_patience),
            writes: Writes::default(),
            patience: timings.agent_patience,
        }
    }

    /// Begins a session; the one before it of the same agent is closed. What the agent tells on its own
    /// account goes to `told`.
    ///
    /// # Errors
    /// When it cannot be noted that the agent is here.
    pub async fn join(
        self: &Arc<Self>,
        hello: Hello,
        link: Link,
        told: mpsc::Sender<Told>,
    ) -> rackhand_store::Result<Arc<Session>> {
        let agent = hello.agent;
        let seating = self.seating.lock().await;
        let epoch = self.peers.sit(agent, hello.boot).await?;
        let session = Arc::new(Session::new(hello.boot, epoch, Out::Line(link.to_agent)));
        // It asks for its lease at once; until then it may at most be thought to have one.
        self.leases.note(agent);
        let seat = self.seat(agent);
        if let Some(before) = seat.send_replace(Some(Arc::clone(&session))) {
            before.close(close::SUPERSEDED);
        }
        drop(seating);
        let (here, roster) = (Arc::clone(&session), Arc::clone(self));
        tokio::spawn(async move {
            told.send(Told::Hello(hello, Arc::clone(&here))).await.ok();
            let mut from_agent = link.from_agent;
            loop {
                let frame = tokio::select! {
                    frame = from_agent.recv() => frame,
                    _ = here.closed() => None,
                };
                let Some(frame) = frame else { break };
                here.hear();
                if let ToBackend::Hold { number } = frame {
                    roster.leases.renew(agent, number, Arc::clone(&here)).await;
                    continue;
                }
                if let ToBackend::Restored { cut, result: Ok(()) } = &frame {
                    roster.undone.note(*cut);
                }
                hear(agent, &here, frame, &told).await;
            }
            here.close(close::GOING_AWAY);
            // A newer session may sit there already.
            let left = seat.send_if_modified(|sitting| {
                let is_mine = sitting.as_ref().is_some_and(|sitting| Arc::ptr_eq(sitting, &here));
                if is_mine {
                    *sitting = None;
                }
                is_mine
            });
            roster.peers.left(agent, epoch).await;
            if left {
                told.send(Told::Gone(agent)).await.ok();
            }
        });
        Ok(session)
    }

    /// Looks which server an agent is connected to.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn follow(self: &Arc<Self>, agent: AgentId) -> rackhand_store::Result<()> {
        let _seating = self.seating.lock().await;
        let found = agent_sessions::find(self.peers.db.reader(), agent).await?;
        self.place(agent, found).await;
        Ok(())
    }

    /// Looks which server each agent is connected to.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn follow_all(self: &Arc<Self>) -> rackhand_store::Result<()> {
        let _seating = self.seating.lock().await;
        let mut sittings: HashMap<AgentId, Sitting> = agent_sessions::all(self.peers.db.reader())
            .await?
            .into_iter()
            .map(|sitting| (sitting.agent, sitting))
            .collect();
        let known: Vec<AgentId> = self.seats().keys().copied().collect();
        for agent in known {
            let found = sittings.remove(&agent);
            self.place(agent, found).await;
        }
        for (agent, sitting) in sittings {
            self.place(agent, Some(sitting)).await;
        }
        Ok(())
    }

    /// Puts an agent where the database says it is.
    async fn place(&self, agent: AgentId, found: Option<Sitting>) {
        let present = self.sitting(agent);
        let known = present.as_ref().map(|session| (session.is_here(), session.epoch()));
        // From here alone, or by a server where it did not sit yet.
        let was_closed = present.as_ref().is_some_and(|session| session.is_closed());
        let seat = self.seat(agent);
        let next = match found {
            Some(sitting) if sitting.node == self.peers.id() => {
                if known != Some((true, sitting.epoch)) {
                    // It ended here, and that could not be noted then.
                    self.peers.left(agent, sitting.epoch).await;
                }
                // A session that ends at this moment takes itself away.
                if known.is_none_or(|(here, _)| here) {
                    return;
                }
                None
            }
            Some(sitting) if known == Some((false, sitting.epoch)) && !was_closed => {
                if let Some(session) = present.filter(|_| !sitting.late) {
                    session.hear();
                }
                return;
            }
            Some(sitting) => {
                let address = Address::new(Arc::clone(&self.peers), agent, sitting.node, sitting.epoch);
                Some(Arc::new(Session::new(sitting.boot, sitting.epoch, Out::Post(address))))
            }
            None => None,
        };
        if let Some(session) = present.filter(|session| next.is_none() && session.is_here()) {
            // Nobody finds it here any more, so it begins anew.
            session.close(close::GOING_AWAY);
            return;
        }
        let code = if next.is_some() { close::SUPERSEDED } else { close::GOING_AWAY };
        if let Some(before) = seat.send_replace(next) {
            before.close(code);
        }
    }

    /// Has a command executed and waits for its answer. A session that ends meanwhile is waited out: the agent
    /// is asked again with the same id, which it answers from its journal when it had begun. Where another agent
    /// of the group takes the device over, what may have been begun is lost: the device must be read. So is what
    /// another agent than the holder may have got `earlier`, from a server before this one.
    ///
    /// # Errors
    /// What the device or the agent reports; `Exec` when no agent came in time and nothing was sent, `Lost` when
    /// something was.
    pub async fn execute(
        &self,
        route: &Route,
        mut command: Command,
        secrets: Secrets,
        earlier: Earlier,
        stage: &watch::Sender<Stage>,
    ) -> Done {
        let begun = Instant::now();
        let expiry = command.expires_in_ms.map(Duration::from_millis);
        // Its journal tells what came of it, however long it takes to come back.
        let mut out: Option<AgentId> = earlier.agent();
        let mut journal = Journal::of(&earlier, &self.writes);
        loop {
            stage.send_replace(out.map_or(Stage::Waiting, Stage::Left));
            let left = || expiry.map(|limit| limit.saturating_sub(begun.elapsed()));
            let wait = match (command.urgency, left()) {
                (Urgency::Background, _) => Duration::ZERO,
                (Urgency::Awaited, Some(left)) if out.is_none() => left,
                (Urgency::Awaited, _) => self.patience.saturating_sub(begun.elapsed()),
            };
            let late = |fault: Fault| Done {
                by: out,
                result: Err(if out.is_some() { interrupted() } else { earlier.unsent(fault) }),
            };
            let mut holder = match route::holder(&self.peers.db, self, route, wait).await {
                Ok(holder) => holder,
                Err(fault) => return late(fault),
            };
            if out.is_some_and(|agent| agent != holder.agent) || !earlier.may_ask(holder) {
                return late(interrupted());
            }
            let Some(session) = self.reach(route, holder.agent, wait).await else {
                if wait.is_zero() || matches!(route, Route::Agent(_)) {
                    return late(offline(expiry));
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            };
            if command.operation.is_write() {
                if let Err(fault) = journal.is_of(&self.peers.db, holder.agent).await {
                    return late(fault);
                }
                // Both took a while, in which the device may have gone to another agent.
                match route::holder(&self.peers.db, self, route, Duration::ZERO).await {
                    Ok(still) if still.is_same(holder) => holder = still,
                    Ok(_) | Err(_) => continue,
                }
            }
            command.expires_in_ms = left().map(|left| u64::try_from(left.as_millis()).unwrap_or(u64::MAX));
            (command.fence, command.leased) = (holder.epoch, holder.leased);
            stage.send_replace(Stage::Handed);
            let frame = ToAgent::Execute(command.clone());
            let renewal = holder.renewal.filter(|_| command.operation.is_write());
            let (seen, here) = (Instant::now(), renewal.filter(|_| session.is_here()));
            let is_fresh = || seen.elapsed() < self.leases.length() || !command.operation.is_write();
            let may = || self.may_hand_over(holder.agent, here).filter(|_| is_fresh());
            let delivery = Delivery { frame, secrets: secrets.clone() };
            let asked = session.ask(command.id, delivery, renewal, may);
            let outcome = tokio::select! {
                outcome = asked => outcome,
                () = self.leases.lost(holder.agent), if holder.leased => Err(Ended::After),
            };
            match outcome {
                // It was not begun, and the next holder may begin it.
                Ok(Err(fault)) if fault.reason == Reason::LeaseLost && !wait.is_zero() => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Ok(result) => return Done { by: Some(holder.agent), result },
                // Whether a write was begun is known by the agent alone; a read is simply made again.
                Err(Ended::After) if command.operation.is_write() => out = Some(holder.agent),
                Err(Ended::Before) if wait.is_zero() => return late(offline(expiry)),
                Err(Ended::Before) => tokio::time::sleep(Duration::from_millis(20)).await,
                Err(Ended::After) => {}
            }
        }
    }

    /// Says whether something may be handed over to an agent now: this server lives, and the agent, where it renews
    /// its lease here, has done so in time ever since the renewal that allowed it.
    pub fn may_hand_over(&self, agent: AgentId, renewal: Option<i64>) -> Option<Unbroken<'_>> {
        self.leases.unbroken(agent, renewal).filter(|_| self.peers.lives())
    }

    /// Lets outlets stay off that were cut with a time limit, by these commands or earlier ones.
    ///
    /// # Errors
    /// When one of the cuts was undone meanwhile, or the agent does not come: then nothing stays off.
    pub async fn keep_off(
        &self,
        agent: AgentId,
        cuts: Vec<CommandId>,
        outlets: Vec<Outlet>,
        patience: Duration,
    ) -> Result<(), Fault> {
        let begun = Instant::now();
        while let Some(session) = self.session(agent, patience.saturating_sub(begun.elapsed())).await {
            let id = CommandId(fresh_id());
            let frame = ToAgent::KeepOff { id, cuts: cuts.clone(), outlets: outlets.clone() };
            let delivery = Delivery { frame, secrets: Secrets::default() };
            let may = || self.may_hand_over(agent, None);
            match session.ask(id, delivery, None, may).await {
                Ok(result) => return result.map(|_| ()),
                Err(Ended::Before | Ended::After) if begun.elapsed() >= patience => break,
                Err(Ended::Before | Ended::After) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
        Err(offline(None))
    }

    /// Tells an agent something that needs no answer. One that is not there does not hear it.
    pub async fn tell(&self, agent: AgentId, frame: ToAgent) {
        let Some(session) = self.sitting(agent) else { return };
        if !session.tell(frame).await {
            tracing::debug!(%agent, "an agent went away before it heard everything");
        }
    }

    /// Lets an agent forget commands whose outcomes are stored. One that is not there keeps them.
    pub async fn acknowledge(&self, agent: AgentId, commands: Vec<CommandId>) {
        self.undone.forget(&commands);
        self.tell(agent, ToAgent::Acknowledge { commands }).await;
    }

    /// Finds the session of an agent.
    pub fn sitting(&self, agent: AgentId) -> Option<Arc<Session>> {
        self.seats().get(&agent).and_then(|seat| seat.borrow().clone())
    }

    /// Says whether an agent has a session.
    pub fn is_here(&self, agent: AgentId) -> bool {
        self.sitting(agent).is_some_and(|session| !session.is_closed())
    }

    /// Who may write to what is shared.
    pub fn leases(&self) -> &Leases {
        &self.leases
    }

    /// Says how long ago an agent was heard, while it has a session.
    pub fn silence(&self, agent: AgentId) -> Option<Duration> {
        self.sitting(agent).map(|session| session.silence())
    }

    /// Hands a frame with credentials to an agent.
    pub async fn deliver(&self, agent: AgentId, delivery: Delivery) {
        let Some(session) = self.sitting(agent) else { return };
        if !session.deliver(delivery).await {
            tracing::debug!(%agent, "an agent went away before it got what it asked for");
        }
    }

    /// Counts the commands that an agent has not answered yet.
    pub fn in_flight(&self, agent: AgentId) -> u64 {
        self.sitting(agent).map_or(0, |session| u64::try_from(session.in_flight()).unwrap_or(u64::MAX))
    }

    /// Ends the session of an agent.
    pub fn part(&self, agent: AgentId, code: u16) {
        if let Some(session) = self.sitting(agent) {
            session.part(code);
        }
    }

    /// Lists the agents that are connected to this server.
    pub fn present(&self) -> Vec<AgentId> {
        let seats = self.seats();
        let is_here = |seat: &Seat| seat.borrow().as_ref().is_some_and(|session| session.is_here());
        seats.iter().filter(|(_, seat)| is_here(seat)).map(|(agent, _)| *agent).collect()
    }

    /// Lets every agent go: sessions close, agents finish what is under way.
    pub fn dismiss(&self) {
        for seat in self.seats().values() {
            if let Some(session) = seat.borrow().as_ref().filter(|session| session.is_here()) {
                session.close(close::GOING_AWAY);
            }
        }
    }

    /// Waits for the session of who has the device. One of a group that went away since it was found is not waited
    /// for: another one may come to have the device.
    async fn reach(&self, route: &Route, agent: AgentId, patience: Duration) -> Option<Arc<Session>> {
        let patience = if matches!(route, Route::Agent(_)) { patience } else { Duration::ZERO };
        self.session(agent, patience).await
    }

    /// Waits for an agent to have a session.
    async fn session(&self, agent: AgentId, patience: Duration) -> Option<Arc<Session>> {
        let mut seat = self.seat(agent).subscribe();
        let there = |session: &Option<Arc<Session>>| session.as_ref().is_some_and(|one| !one.is_closed());
        if let Ok(sitting) = tokio::time::timeout(patience, seat.wait_for(there)).await {
            return sitting.ok()?.clone();
        }
        None
    }

    fn seat(&self, agent: AgentId) -> Arc<Seat> {
        Arc::clone(self.seats().entry(agent).or_insert_with(|| Arc::new(watch::channel(None).0)))
    }

    /// Says whether an agent undid one of these cuts by itself.
    pub fn has_undone(&self, cuts: &[CommandId]) -> bool {
        self.undone.has(cuts)
    }

    fn seats(&self) -> MutexGuard<'_, HashMap<AgentId, Arc<Seat>>> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn hear(agent: AgentId, session: &Session, frame: ToBackend, told: &mpsc::Sender<Told>) {
    match frame {
        ToBackend::Started { command } => tracing::trace!(%command, "begun"),
        ToBackend::Finished { command, result, .. } => session.answer(command, &result),
        ToBackend::Restored { cut, result } => {
            told.send(Told::Restored { agent, cut, result }).await.ok();
        }
        // Leases and certificates were dealt with before.
        ToBackend::Hold { .. } | ToBackend::Renew { .. } => {}
        ToBackend::Dark { cuts } => {
            told.send(Told::Dark { agent, cuts }).await.ok();
        }
        ToBackend::Disk { fault } => {
            told.send(Told::Disk { agent, fault }).await.ok();
        }
        ToBackend::NeedSecrets { endpoint } => {
            told.send(Told::NeedSecrets { agent, endpoint }).await.ok();
        }
        ToBackend::Samples { spool, first, entries } => {
            // Ages count from here: what waits does not get younger.
            let batch = Batch { spool, first, entries, received: now() };
            told.send(Told::Samples { agent, batch }).await.ok();
        }
    }
}

fn offline(expiry: Option<Duration>) -> Fault {
    let detail = expiry.map_or(String::new(), |limit| format!("it did not come within {limit:?}"));
    Fault::new(FaultCode::Exec, Reason::AgentOffline, detail)
}

pub(super) fn interrupted() -> Fault {
    let detail = "the agent went away while it executed this and did not come back in time";
    Fault::new(FaultCode::Lost, Reason::Interrupted, detail)
}

#[cfg(test)]
mod tests;
