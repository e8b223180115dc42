//! What agents tell on their own account, each in its order, and none held up by what another one told.

use futures::{StreamExt as _, stream::FuturesUnordered};
use rackhand_store::agents;
use rackhand_wire::{
    Fault,
    agent::{Hello, ToAgent, close},
    api::live::Object,
    id::{AgentId, CommandId, EndpointId},
};
use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    sync::Arc,
    time::Duration,
};
use tokio::sync::mpsc;

use super::{presence, session::Session};
use crate::{
    app::App,
    work::{
        self,
        watch::{self, Batch},
    },
};

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
    /// An agent's disk takes nothing, or takes something again.
    Disk {
        /// The agent.
        agent: AgentId,
        /// Why not.
        fault: Option<String>,
    },
    /// An agent tells what its looks found.
    Samples {
        /// The agent.
        agent: AgentId,
        /// What it tells.
        batch: Batch,
    },
}

impl Told {
    fn agent(&self) -> AgentId {
        match self {
            Self::Hello(hello, _) => hello.agent,
            Self::Gone(agent)
            | Self::Restored { agent, .. }
            | Self::Dark { agent, .. }
            | Self::NeedSecrets { agent, .. }
            | Self::Disk { agent, .. }
            | Self::Samples { agent, .. } => *agent,
        }
    }

    /// Says whether the agent tells it anew when its session ends before anybody has dealt with it.
    fn is_told_again(&self) -> bool {
        match self {
            Self::Hello(..) | Self::Gone(_) => false,
            Self::Restored { .. }
            | Self::Dark { .. }
            | Self::NeedSecrets { .. }
            | Self::Disk { .. }
            | Self::Samples { .. } => true,
        }
    }
}

/// What so many agents told is dealt with at once: all of it writes to one database.
const AT_ONCE: usize = 2;

/// After so long what could not be stored is stored again.
const AGAIN: Duration = Duration::from_secs(1);

/// So much of one agent may wait.
const MANY: usize = 1024;

/// Hears what agents tell until the process ends. Whoever tells never waits for what becomes of it, so that a database
/// that is slow or away keeps no session from its leases and its answers.
pub async fn listen(app: Arc<App>, mut inbox: mpsc::Receiver<Told>) {
    let (mut lines, mut busy) = (Lines::default(), FuturesUnordered::new());
    loop {
        while busy.len() < AT_ONCE
            && let Some(told) = lines.next()
        {
            busy.push(deal(&app, told));
        }
        let told = tokio::select! {
            told = inbox.recv() => told,
            Some(agent) = busy.next() => {
                lines.done(agent);
                continue;
            }
        };
        let Some(told) = told else { return };
        let agent = told.agent();
        // The embedded one has no other session to come back with.
        let limit = if app.embedded == Some(agent) { usize::MAX } else { MANY };
        if let Some(told) = at_once(&app, told)
            && !lines.put(told, limit)
        {
            tracing::warn!(%agent, "an agent tells more than can be stored; it shall come back later");
            app.roster.part(agent, close::GOING_AWAY);
        }
    }
}

/// Does what needs no waiting; gives back what does.
fn at_once(app: &Arc<App>, told: Told) -> Option<Told> {
    match told {
        Told::Hello(hello, session) => {
            watch::came(app, &hello, &session);
            app.live.tell(Object::Agent, hello.agent);
            Some(Told::Hello(hello, session))
        }
        Told::Gone(agent) => {
            watch::went(app, agent);
            Some(Told::Gone(agent))
        }
        Told::Dark { agent, cuts } => {
            let app = Arc::clone(app);
            tokio::spawn(async move { super::settle(&app, agent, cuts).await });
            None
        }
        Told::NeedSecrets { agent, endpoint } => {
            let app = Arc::clone(app);
            tokio::spawn(async move { super::lend(&app, agent, endpoint).await });
            None
        }
        Told::Samples { agent, batch } => {
            app.engine.watch.found(agent, batch);
            None
        }
        Told::Restored { .. } | Told::Disk { .. } => Some(told),
    }
}

/// Stores one thing; gives back who told it.
async fn deal(app: &Arc<App>, told: Told) -> AgentId {
    let agent = told.agent();
    match told {
        Told::Hello(..) => presence::came(app, agent).await,
        Told::Gone(_) => {
            if let Err(error) = agents::seen(app.db.writer(), &[agent]).await {
                tracing::error!(%error, %agent, "could not note that an agent went away");
            }
            app.live.tell(Object::Agent, agent);
            presence::went(app, agent);
        }
        Told::Restored { cut, result, .. } => {
            if !restored(app, agent, cut, result.clone()).await && app.embedded == Some(agent) {
                // A remote one tells it again in its next session; this one has no other.
                let app = Arc::clone(app);
                tokio::spawn(async move {
                    while !restored(&app, agent, cut, result.clone()).await {
                        tokio::time::sleep(AGAIN).await;
                    }
                });
            }
        }
        Told::Disk { fault, .. } => presence::disk(app, agent, fault).await,
        Told::Dark { .. } | Told::NeedSecrets { .. } | Told::Samples { .. } => {}
    }
    agent
}

/// Notes that an agent restored an outlet; says whether it could.
async fn restored(app: &Arc<App>, agent: AgentId, cut: CommandId, result: Result<(), Fault>) -> bool {
    if let Err(error) = work::restored(app, agent, cut, result).await {
        tracing::error!(%error, %cut, "could not note that an agent restored an outlet");
        return false;
    }
    // The database says it from now on.
    app.roster.undone.forget(&[cut]);
    let app = Arc::clone(app);
    // A line that takes nothing holds up nobody else.
    tokio::spawn(async move { app.roster.tell(agent, ToAgent::Noted { cuts: vec![cut] }).await });
    true
}

/// What waits to be dealt with: of each agent in its order, of which one thing is under way at a time.
#[derive(Default)]
struct Lines {
    waiting: HashMap<AgentId, VecDeque<Told>>,
    /// Agents of whom something waits and nothing is under way.
    ready: VecDeque<AgentId>,
}

impl Lines {
    /// Takes something in, unless `limit` of that agent waits already.
    fn put(&mut self, told: Told, limit: usize) -> bool {
        let agent = told.agent();
        match self.waiting.entry(agent) {
            Entry::Vacant(free) => {
                free.insert(VecDeque::from([told]));
                self.ready.push_back(agent);
            }
            Entry::Occupied(line) if told.is_told_again() && line.get().len() >= limit => return false,
            Entry::Occupied(mut line) => line.get_mut().push_back(told),
        }
        true
    }

    /// Finds what may be dealt with now.
    fn next(&mut self) -> Option<Told> {
        let agent = self.ready.pop_front()?;
        self.waiting.get_mut(&agent)?.pop_front()
    }

    /// What an agent told has been dealt with: its next word may be.
    fn done(&mut self, agent: AgentId) {
        let Entry::Occupied(line) = self.waiting.entry(agent) else { return };
        if line.get().is_empty() {
            line.remove();
        } else {
            self.ready.push_back(agent);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rackhand_store::fresh_id;

    fn restored(agent: AgentId, cut: u128) -> Told {
        Told::Restored { agent, cut: CommandId(uuid::Uuid::from_u128(cut)), result: Ok(()) }
    }

    fn which(told: Option<Told>) -> Option<(AgentId, u128)> {
        let Told::Restored { agent, cut, .. } = told? else { panic!("nobody said that") };
        Some((agent, cut.0.as_u128()))
    }

    #[test]
    fn one_agent_is_dealt_with_in_its_order_while_others_go_on() {
        let (mut lines, slow, other) = (Lines::default(), AgentId(fresh_id()), AgentId(fresh_id()));
        for cut in 1..=2 {
            assert!(lines.put(restored(slow, cut), MANY));
        }
        assert_eq!(which(lines.next()), Some((slow, 1)));
        assert!(lines.put(restored(other, 3), MANY));
        assert_eq!(which(lines.next()), Some((other, 3)), "it waits for what another one told");
        assert_eq!(which(lines.next()), None, "the first word of that agent is still being dealt with");
        lines.done(other);
        lines.done(slow);
        assert_eq!(which(lines.next()), Some((slow, 2)));
        lines.done(slow);
        assert!(lines.waiting.is_empty() && lines.ready.is_empty());
    }

    #[test]
    fn whoever_tells_too_much_is_heard_no_more_but_never_missed_when_it_goes() {
        let (mut lines, agent) = (Lines::default(), AgentId(fresh_id()));
        let taken = (0..2000).filter(|cut| lines.put(restored(agent, *cut), MANY)).count();
        assert_eq!(taken, MANY);
        assert!(lines.put(Told::Gone(agent), MANY));
        assert!(lines.put(restored(AgentId(fresh_id()), 1), MANY), "others are heard");
    }
}
