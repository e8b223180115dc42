//! What people are told of agents: that one came, went, was refused or has a copy; each once.

use rackhand_store::{Scope, agents, events};
use rackhand_wire::{
    agent::{Hello, Refusal, Signed},
    api::{event::Severity, live::Object},
    id::AgentId,
};
use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::{app::App, work};

/// The same refusal is told again after this.
const AGAIN: Duration = Duration::from_hours(1);

/// What agents were refused for lately.
#[derive(Default)]
pub struct Refusals(Mutex<HashMap<AgentId, Vec<(Refusal, Instant)>>>);

impl Refusals {
    /// Says whether this is news.
    fn note(&self, agent: AgentId, refusal: Refusal) -> bool {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, told| {
            told.retain(|(_, at)| at.elapsed() < AGAIN);
            !told.is_empty()
        });
        let told = known.entry(agent).or_default();
        let is_news = told.iter().all(|(before, _)| *before != refusal);
        if is_news {
            told.push((refusal, Instant::now()));
        }
        is_news
    }

    fn forget(&self, agent: AgentId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&agent);
    }
}

/// Notes that an agent began a session.
pub async fn came(app: &App, agent: AgentId) {
    app.refusals.forget(agent);
    turned(app, agent, true).await;
}

/// Notes that an agent went away. One that is back within a moment was never gone.
pub fn went(app: &Arc<App>, agent: AgentId) {
    let app = Arc::clone(app);
    tokio::spawn(async move {
        tokio::time::sleep(app.timings().heartbeat / 2).await;
        if app.roster.sitting(agent).is_none() {
            turned(&app, agent, false).await;
        }
    });
}

/// Looks, some time after a start, which agents have not come back from before it.
pub async fn miss(app: Arc<App>) {
    tokio::time::sleep(app.timings().dead_after).await;
    match agents::told_online(app.db.reader()).await {
        Ok(told) => {
            for agent in told.into_iter().filter(|agent| app.roster.sitting(*agent).is_none()) {
                turned(&app, agent, false).await;
            }
        }
        Err(error) => tracing::error!(%error, "could not look which agents stayed away"),
    }
}

/// Says whether an agent that was heard so long ago should have been heard since.
pub fn is_late(app: &App, silence: Duration) -> bool {
    silence > app.timings().heartbeat.mul_f64(1.5)
}

/// Tells the pages when an agent of this server becomes late, and when it is heard again.
pub async fn tell_late(app: Arc<App>) {
    let mut late = HashSet::new();
    loop {
        tokio::time::sleep(app.timings().heartbeat / 5).await;
        let is_silent = |agent: &AgentId| {
            // The own one says nothing while nobody asks it.
            let is_remote = app.embedded != Some(*agent);
            is_remote && app.roster.silence(*agent).is_some_and(|silence| is_late(&app, silence))
        };
        let present: HashSet<AgentId> = app.roster.present().into_iter().filter(is_silent).collect();
        for agent in present.symmetric_difference(&late) {
            app.live.tell(Object::Agent, agent);
        }
        late = present;
    }
}

/// Notes that the hello of an agent was refused.
pub async fn refused(app: &App, signed: &Signed, refusal: Refusal, message: &str, source: Option<&str>) {
    // What is refused need not come from that agent: the words say so, and each refusal is told once an hour.
    let Ok(hello) = serde_json::from_str::<Hello>(&signed.hello) else { return };
    let from = source.map(|source| format!(" from {source}")).unwrap_or_default();
    let text = format!("A connection in its name{from} was refused: {message}.");
    if agents::get(app.db.reader(), &Scope::provider(), hello.agent).await.is_ok()
        && app.refusals.note(hello.agent, refusal)
    {
        tell(app, hello.agent, "agent.refused", Severity::Warning, |_| text).await;
    }
}

/// The kind of event that tells of a copy.
pub const COPIES: &str = "agent.copies";

/// Notes that two processes have the identity of one agent.
pub async fn copied(app: &App, agent: AgentId) {
    let text = "A second process with the same identity took its place.";
    tell(app, agent, COPIES, Severity::Alarm, |_| text.to_owned()).await;
}

/// Notes that the disk of an agent takes nothing, or takes something again.
pub async fn disk(app: &App, agent: AgentId, fault: Option<String>) {
    let (kind, severity) = match fault {
        Some(_) => ("agent.disk_failing", Severity::Alarm),
        None => ("agent.disk_ok", Severity::Info),
    };
    let words = |name: &str| match fault {
        Some(why) => format!(
            "The disk of {name} takes nothing ({why}): it changes nothing on any device, and what it finds waits in \
             its memory."
        ),
        None => format!("The disk of {name} takes what it is given again."),
    };
    tell(app, agent, kind, severity, words).await;
}

async fn turned(app: &App, agent: AgentId, online: bool) {
    match agents::tell_presence(app.db.writer(), agent, online).await {
        Ok(true) => {}
        Ok(false) => return,
        Err(error) => {
            tracing::error!(%error, %agent, "could not note whether an agent is there");
            return;
        }
    }
    if online {
        tell(app, agent, "agent.online", Severity::Info, |name| format!("{name} is online.")).await;
    } else {
        let words = |name: &str| format!("{name} is offline: commands to its devices wait or fail.");
        tell(app, agent, "agent.offline", Severity::Warning, words).await;
    }
    app.live.tell(Object::Agent, agent);
}

async fn tell(app: &App, id: AgentId, kind: &str, severity: Severity, words: impl FnOnce(&str) -> String) {
    let agent = match agents::get(app.db.reader(), &Scope::provider(), id).await {
        Ok(agent) => agent,
        Err(error) => {
            tracing::warn!(%error, agent = %id, kind, "what an agent did cannot be told");
            return;
        }
    };
    let event = events::New {
        kind: kind.into(),
        severity: Some(severity),
        message: words(&agent.name),
        agent_id: Some(id),
        ..Default::default()
    };
    work::tell(app, agent.tenant, event).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_is_told_once_until_the_agent_was_let_in() {
        let refusals = Refusals::default();
        let agent = AgentId(rackhand_store::fresh_id());
        assert!(refusals.note(agent, Refusal::Revoked));
        assert!(!refusals.note(agent, Refusal::Revoked));
        assert!(refusals.note(agent, Refusal::Expired));
        assert!(!refusals.note(agent, Refusal::Revoked), "whoever takes turns is no news either");
        refusals.forget(agent);
        assert!(refusals.note(agent, Refusal::Expired));
    }
}
