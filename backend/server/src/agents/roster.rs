use rackhand_agent::{Delivery, Link};
use rackhand_wire::{
    Answer, Command, Fault, FaultCode, Reason, Secrets,
    api::agent::AgentState,
    frame::{Hello, ToAgent, ToBackend},
    id::{AgentId, CommandId},
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::{mpsc, oneshot};

/// What agents tell on their own account.
pub enum Told {
    /// An agent said who it is.
    Hello(Hello),
    /// An agent restored what a command had cut.
    Restored {
        /// The cutting command.
        cut: CommandId,
        /// How it went.
        result: Result<(), Fault>,
    },
}

type Pending = Mutex<HashMap<CommandId, oneshot::Sender<Result<Answer, Fault>>>>;

/// One connected agent.
struct Member {
    to_agent: mpsc::Sender<Delivery>,
    pending: Arc<Pending>,
}

/// The agents that are connected to this process.
#[derive(Default)]
pub struct Roster {
    members: Mutex<HashMap<AgentId, Member>>,
}

impl Roster {
    /// Takes a link in; what the agent tells on its own account goes to `told`.
    pub fn join(self: &Arc<Self>, agent: AgentId, link: Link, told: mpsc::Sender<Told>) {
        let pending = Arc::new(Pending::default());
        let member = Member { to_agent: link.to_agent, pending: Arc::clone(&pending) };
        self.members().insert(agent, member);
        let roster = Arc::clone(self);
        tokio::spawn(async move {
            let mut from_agent = link.from_agent;
            while let Some(frame) = from_agent.recv().await {
                match frame {
                    ToBackend::Hello(hello) => {
                        told.send(Told::Hello(hello)).await.ok();
                    }
                    ToBackend::Started { command } => tracing::trace!(%command, "begun"),
                    ToBackend::Finished { command, result, .. } => {
                        let waiting = pending.lock().unwrap_or_else(PoisonError::into_inner).remove(&command);
                        // Whoever waited may have gone; the journal keeps the outcome for a resumed job.
                        if let Some(waiting) = waiting {
                            waiting.send(result).ok();
                        }
                    }
                    ToBackend::Restored { cut, result } => {
                        told.send(Told::Restored { cut, result }).await.ok();
                    }
                }
            }
            roster.members().remove(&agent);
        });
    }

    /// Has a command executed and waits for its answer.
    ///
    /// # Errors
    /// What the device or the agent reports; `Exec` when the agent is not there.
    pub async fn execute(&self, agent: AgentId, command: Command, secrets: Secrets) -> Result<Answer, Fault> {
        let id = command.id;
        let (to_agent, pending) = self.member(agent)?;
        let (sender, receiver) = oneshot::channel();
        pending.lock().unwrap_or_else(PoisonError::into_inner).insert(id, sender);
        let delivery = Delivery { frame: ToAgent::Execute(command), secrets };
        if to_agent.send(delivery).await.is_err() {
            pending.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
            return Err(offline());
        }
        let lost = "the agent went away while it executed this";
        receiver.await.unwrap_or_else(|_| Err(Fault::new(FaultCode::Lost, Reason::Interrupted, lost)))
    }

    /// Sends a frame that has no answer.
    ///
    /// # Errors
    /// `Exec` when the agent is not there.
    pub async fn send(&self, agent: AgentId, frame: ToAgent) -> Result<(), Fault> {
        let (to_agent, _) = self.member(agent)?;
        let delivery = Delivery { frame, secrets: Secrets::default() };
        to_agent.send(delivery).await.map_err(|_| offline())
    }

    /// Says whether an agent is connected.
    pub fn state(&self, agent: AgentId) -> AgentState {
        if self.members().contains_key(&agent) { AgentState::Online } else { AgentState::Offline }
    }

    /// Counts the commands that an agent has not answered yet.
    pub fn in_flight(&self, agent: AgentId) -> u64 {
        let members = self.members();
        let Some(member) = members.get(&agent) else { return 0 };
        let pending = member.pending.lock().unwrap_or_else(PoisonError::into_inner).len();
        u64::try_from(pending).unwrap_or(u64::MAX)
    }

    /// Lets every agent go: links close, agents finish what is under way.
    pub fn dismiss(&self) {
        self.members().clear();
    }

    fn member(&self, agent: AgentId) -> Result<(mpsc::Sender<Delivery>, Arc<Pending>), Fault> {
        let members = self.members();
        let member = members.get(&agent).ok_or_else(offline)?;
        Ok((member.to_agent.clone(), Arc::clone(&member.pending)))
    }

    fn members(&self) -> std::sync::MutexGuard<'_, HashMap<AgentId, Member>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn offline() -> Fault {
    Fault::new(FaultCode::Exec, Reason::AgentOffline, "")
}
