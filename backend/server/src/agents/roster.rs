use rackhand_agent::{Delivery, Link};
use rackhand_store::{Db, fresh_id, now};
use rackhand_wire::{
    Answer, Command, Fault, FaultCode, Reason, Secrets, Timings,
    agent::{Hello, ToAgent, ToBackend, close},
    command::{Outlet, Urgency},
    id::{AgentId, CommandId, EndpointId},
};
use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::{mpsc, watch};

use super::{
    route::{self, Leases, Route},
    session::{Ended, Session},
};
use crate::work::watch::Batch;

/// What agents tell on their own account.
pub enum Told {
    /// An agent begins a session.
    Hello(Hello, Arc<Session>),
    /// An agent went away.
    Gone(AgentId),
    /// An agent restored what a command had cut, or failed to.
    Restored {
        /// The agent.
        agent: AgentId,
        /// The cutting command.
        cut: CommandId,
        /// How it went.
        result: Result<(), Fault>,
    },
    /// An agent means to undo these cuts by itself.
    Dark {
        /// The agent.
        agent: AgentId,
        /// The cutting commands.
        cuts: Vec<CommandId>,
    },
    /// An agent asks for credentials that it lost with a restart.
    NeedSecrets {
        /// The agent.
        agent: AgentId,
        /// The device.
        endpoint: EndpointId,
    },
    /// An agent tells what its looks found.
    Samples {
        /// The agent.
        agent: AgentId,
        /// What it tells.
        batch: Batch,
    },
    /// An agent asks for a certificate for a fresh key.
    Renew {
        /// The agent.
        agent: AgentId,
        /// The certificate request.
        request: String,
    },
}

/// So many evictions within this time are a fight.
const EVICTIONS: usize = 3;
const FIGHT: Duration = Duration::from_mins(5);

/// How a command ended.
pub struct Done {
    /// The agent that had it last, when one may have begun it.
    pub by: Option<AgentId>,
    /// The answer or the failure.
    pub result: Result<Answer, Fault>,
}

/// The session of an agent, changing as it comes and goes.
type Seat = watch::Sender<Option<Arc<Session>>>;

/// The agents that are connected to this process.
pub struct Roster {
    seats: Mutex<HashMap<AgentId, Arc<Seat>>>,
    /// When a copy of an agent took the place of another that still answered.
    fights: Mutex<HashMap<AgentId, VecDeque<Instant>>>,
    /// Cuts that agents undid by themselves, known before anything that they say afterwards.
    undone: Mutex<HashSet<CommandId>>,
    /// Who may write to what is shared.
    leases: Leases,
    /// How long what may have been executed is waited for when its agent is away.
    patience: Duration,
}

impl Roster {
    /// Makes an empty one.
    pub fn new(timings: &Timings) -> Self {
        let leases = Leases::new(timings.lease, timings.lease_slack);
        let patience = timings.agent_patience;
        Self { seats: Mutex::default(), fights: Mutex::default(), undone: Mutex::default(), leases, patience }
    }

    /// Begins a session; the one before it of the same agent is closed. What the agent tells on its own
    /// account goes to `told`.
    pub fn join(self: &Arc<Self>, hello: Hello, link: Link, told: mpsc::Sender<Told>) -> Arc<Session> {
        let agent = hello.agent;
        let session = Arc::new(Session::new(hello.boot, link.to_agent));
        // It asks for its lease at once; until then it may at most be thought to have one.
        self.leases.renew(agent);
        let seat = self.seat(agent);
        if let Some(before) = seat.send_replace(Some(Arc::clone(&session))) {
            before.close(close::SUPERSEDED);
        }
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
                    roster.leases.renew(agent);
                    here.tell(ToAgent::Held { number }).await;
                    continue;
                }
                if let ToBackend::Restored { cut, result: Ok(()) } = &frame {
                    roster.undone().insert(*cut);
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
            if left {
                told.send(Told::Gone(agent)).await.ok();
            }
        });
        session
    }

    /// Has a command executed and waits for its answer. A session that ends meanwhile is waited out: the agent
    /// is asked again with the same id, which it answers from its journal when it had begun. Where another agent
    /// of the group takes the device over, what may have been begun is lost: the device must be read.
    ///
    /// # Errors
    /// What the device or the agent reports; `Exec` when no agent came in time and nothing was sent, `Lost` when
    /// something was.
    pub async fn execute(&self, db: &Db, route: &Route, mut command: Command, secrets: Secrets) -> Done {
        let begun = Instant::now();
        let expiry = command.expires_in_ms.map(Duration::from_millis);
        let mut out: Option<AgentId> = None;
        loop {
            let left = expiry.map(|limit| limit.saturating_sub(begun.elapsed()));
            let wait = match (command.urgency, left) {
                (Urgency::Background, _) => Duration::ZERO,
                (Urgency::Awaited, Some(left)) if out.is_none() => left,
                (Urgency::Awaited, _) => self.patience.saturating_sub(begun.elapsed()),
            };
            let late = |fault: Fault| Done {
                by: out,
                result: Err(if out.is_some() { interrupted() } else { fault }),
            };
            let holder = match route::holder(db, self, &self.leases, route, wait).await {
                Ok(holder) => holder,
                Err(fault) => return late(fault),
            };
            if out.is_some_and(|agent| agent != holder.agent) {
                return late(interrupted());
            }
            let Some(session) = self.session(holder.agent, wait).await else { return late(offline(expiry)) };
            command.expires_in_ms = left.map(|left| u64::try_from(left.as_millis()).unwrap_or(u64::MAX));
            (command.fence, command.leased) = (holder.epoch, holder.leased);
            let frame = ToAgent::Execute(command.clone());
            let asked = session.ask(command.id, Delivery { frame, secrets: secrets.clone() });
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
                Err(Ended::Before | Ended::After) => {}
            }
        }
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
            if let Ok(result) = session.ask(id, Delivery { frame, secrets: Secrets::default() }).await {
                return result.map(|_| ());
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
        self.undone().retain(|cut| !commands.contains(cut));
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

    /// Counts that a copy took the place of another; says whether it went on for long enough to refuse both.
    pub fn counts_as_fight(&self, agent: AgentId) -> bool {
        let mut fights = self.fights.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        fights.retain(|_, times| {
            times.retain(|at| now.duration_since(*at) < FIGHT);
            !times.is_empty()
        });
        let times = fights.entry(agent).or_default();
        times.push_back(now);
        times.len() >= EVICTIONS
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
            session.close(code);
        }
    }

    /// Lists the agents that have a session.
    pub fn present(&self) -> Vec<AgentId> {
        let seats = self.seats();
        seats.iter().filter(|(_, seat)| seat.borrow().is_some()).map(|(agent, _)| *agent).collect()
    }

    /// Lets every agent go: sessions close, agents finish what is under way.
    pub fn dismiss(&self) {
        for seat in self.seats().values() {
            if let Some(session) = seat.borrow().as_ref() {
                session.close(close::GOING_AWAY);
            }
        }
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
        let undone = self.undone();
        cuts.iter().any(|cut| undone.contains(cut))
    }

    fn undone(&self) -> MutexGuard<'_, HashSet<CommandId>> {
        self.undone.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn seats(&self) -> MutexGuard<'_, HashMap<AgentId, Arc<Seat>>> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn hear(agent: AgentId, session: &Session, frame: ToBackend, told: &mpsc::Sender<Told>) {
    match frame {
        ToBackend::Started { command } => tracing::trace!(%command, "begun"),
        ToBackend::Finished { command, result, .. } => session.answer(command, result),
        ToBackend::Restored { cut, result } => {
            told.send(Told::Restored { agent, cut, result }).await.ok();
        }
        // The lease was dealt with before.
        ToBackend::Hold { .. } => {}
        ToBackend::Dark { cuts } => {
            told.send(Told::Dark { agent, cuts }).await.ok();
        }
        ToBackend::NeedSecrets { endpoint } => {
            told.send(Told::NeedSecrets { agent, endpoint }).await.ok();
        }
        ToBackend::Samples { spool, first, entries } => {
            // Ages count from here: what waits does not get younger.
            let batch = Batch { spool, first, entries, received: now() };
            told.send(Told::Samples { agent, batch }).await.ok();
        }
        ToBackend::Renew { request } => {
            told.send(Told::Renew { agent, request }).await.ok();
        }
    }
}

fn offline(expiry: Option<Duration>) -> Fault {
    let detail = expiry.map_or(String::new(), |limit| format!("it did not come within {limit:?}"));
    Fault::new(FaultCode::Exec, Reason::AgentOffline, detail)
}

fn interrupted() -> Fault {
    let detail = "the agent went away while it executed this and did not come back in time";
    Fault::new(FaultCode::Lost, Reason::Interrupted, detail)
}

#[cfg(test)]
mod tests;
