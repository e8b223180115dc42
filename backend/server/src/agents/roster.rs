use rackhand_agent::{Delivery, Link};
use rackhand_store::fresh_id;
use rackhand_wire::{
    Answer, Command, Fault, FaultCode, Reason, Secrets,
    api::agent::AgentState,
    command::Outlet,
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
            // Whoever waits holds the list itself, and would wait for ever.
            pending.lock().unwrap_or_else(PoisonError::into_inner).clear();
        });
    }

    /// Has a command executed and waits for its answer.
    ///
    /// # Errors
    /// What the device or the agent reports; `Exec` when the agent is not there.
    pub async fn execute(&self, agent: AgentId, command: Command, secrets: Secrets) -> Result<Answer, Fault> {
        let id = command.id;
        self.ask(agent, id, Delivery { frame: ToAgent::Execute(command), secrets }).await
    }

    /// Lets outlets stay off that were cut with a time limit, by these commands or earlier ones.
    ///
    /// # Errors
    /// When one of the cuts was undone meanwhile, or the agent cannot say: then nothing stays off.
    pub async fn keep_off(
        &self,
        agent: AgentId,
        cuts: Vec<CommandId>,
        outlets: Vec<Outlet>,
    ) -> Result<(), Fault> {
        let id = CommandId(fresh_id());
        let frame = ToAgent::KeepOff { id, cuts, outlets };
        self.ask(agent, id, Delivery { frame, secrets: Secrets::default() }).await.map(|_| ())
    }

    /// Lets an agent forget commands whose outcomes are stored. One that is not there keeps them.
    pub async fn acknowledge(&self, agent: AgentId, commands: Vec<CommandId>) {
        let delivery = Delivery { frame: ToAgent::Acknowledge { commands }, secrets: Secrets::default() };
        let Ok((to_agent, _)) = self.member(agent) else { return };
        if to_agent.send(delivery).await.is_err() {
            tracing::debug!(%agent, "an agent went away before it could forget what is done");
        }
    }

    async fn ask(&self, agent: AgentId, id: CommandId, delivery: Delivery) -> Result<Answer, Fault> {
        let (to_agent, pending) = self.member(agent)?;
        let (sender, receiver) = oneshot::channel();
        pending.lock().unwrap_or_else(PoisonError::into_inner).insert(id, sender);
        if to_agent.send(delivery).await.is_err() {
            pending.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
            return Err(offline());
        }
        let lost = "the agent went away while it executed this";
        receiver.await.unwrap_or_else(|_| Err(Fault::new(FaultCode::Lost, Reason::Interrupted, lost)))
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A roster with one agent, and the agent's end of the link.
    fn joined() -> (Arc<Roster>, AgentId, mpsc::Receiver<Delivery>, mpsc::Sender<ToBackend>) {
        let roster = Arc::new(Roster::default());
        let (to_agent, inbox) = mpsc::channel(4);
        let (out, from_agent) = mpsc::channel(4);
        let (told, _) = mpsc::channel(4);
        let id = AgentId(fresh_id());
        roster.join(id, Link { to_agent, from_agent }, told);
        (roster, id, inbox, out)
    }

    #[tokio::test]
    async fn whether_outlets_stay_off_is_what_the_agent_says() {
        let (roster, id, mut inbox, out) = joined();
        let expired = Fault::new(FaultCode::Exec, Reason::Expired, "");
        for said in [Ok(()), Err(expired)] {
            let agent = async {
                let ToAgent::KeepOff { id: command, .. } = inbox.recv().await.unwrap().frame else {
                    panic!()
                };
                let result = said.clone().map(|()| Answer::Done);
                out.send(ToBackend::Finished { command, result, took_ms: 0 }).await.unwrap();
            };
            let (heard, ()) = tokio::join!(roster.keep_off(id, Vec::new(), Vec::new()), agent);
            assert_eq!(heard, said);
        }
        assert_eq!(roster.in_flight(id), 0);
    }

    #[tokio::test]
    async fn nobody_waits_for_an_agent_that_went_away() {
        let (roster, id, mut inbox, out) = joined();
        let agent = async {
            inbox.recv().await.unwrap();
            drop((inbox, out));
        };
        let (heard, ()) = tokio::join!(roster.keep_off(id, Vec::new(), Vec::new()), agent);
        assert_eq!(heard.unwrap_err().code, FaultCode::Lost);
        assert_eq!(roster.state(id), AgentState::Offline);
    }
}
