//! The agents of this backend, embedded and remote.
//!
//! [`Roster`] knows who is there and has commands executed; a session is the same for an agent of this process
//! and for one at the other end of a WebSocket.

mod admit;
mod authority;
mod earlier;
mod lease;
mod line;
pub mod presence;
mod protocols;
mod roster;
mod route;
mod session;
mod told;
mod undone;

pub use authority::Authority;
pub use earlier::{Earlier, Keeper};
pub use line::{OldTls, TlsBinding, serve};
pub use roster::{Done, Roster, Stage};
pub use route::{Members, Route, Via, find_group, hand_over, holder, members};
pub use session::{Awaited, Ended, Session};
pub use told::{Told, listen};

use chrono::{DateTime, Utc};
use rackhand_agent::Delivery;
use rackhand_store::{Scope, agents, connections, endpoints, steps};
use rackhand_wire::{
    Reason,
    agent::{ToAgent, close},
    api::live::Object,
    id::{AgentId, CommandId, EndpointId},
};

use std::{sync::Arc, time::Duration};

use crate::{app::App, bus::Notice};

/// Certifies a fresh key of an agent, that asks by its present one; both count until the fresh one is used.
pub async fn renewed(app: &App, agent: AgentId, by: &str, request: &str) -> Option<ToAgent> {
    let made = match app.authority.certify(agent, request) {
        Ok(made) => made,
        Err(error) => {
            tracing::warn!(%error, %agent, "an agent's certificate request cannot be used");
            return None;
        }
    };
    let renewal = agents::Renewal { by, key: &made.key, from: made.from, until: made.until };
    match agents::renewed(app.db.writer(), agent, renewal).await {
        Ok(true) => app.live.tell(Object::Agent, agent),
        Ok(false) => {
            tracing::warn!(%agent, "a key that counts no more asked for its renewal");
            return None;
        }
        Err(error) => {
            tracing::error!(%error, %agent, "a renewed certificate could not be noted");
            return None;
        }
    }
    let renew_in_ms = u64::try_from((app.authority.life() / 2).as_millis()).unwrap_or(u64::MAX);
    Some(ToAgent::Certificate { certificate: made.certificate, renew_in_ms })
}

/// Refuses an agent on every server, from now on.
pub fn deny(app: &App, agent: AgentId) {
    app.roster.part(agent, close::REVOKED);
    app.peers.bus.tell(Notice::Denied(agent));
}

/// Ends the sessions of agents that were revoked or removed: whoever did it may not have reached this server.
///
/// # Errors
/// When the database fails.
pub async fn recheck(app: &App) -> rackhand_store::Result<()> {
    let welcome = agents::welcome(app.db.reader()).await?;
    for agent in app.roster.present().into_iter().filter(|agent| !welcome.contains(agent)) {
        app.roster.part(agent, close::REVOKED);
    }
    Ok(())
}

/// Ends the sessions of agents that were revoked past this server, since `before`: by a command, or by a server whose
/// notice did not come.
///
/// # Errors
/// When the database fails.
pub async fn recheck_since(app: &App, before: &mut Option<DateTime<Utc>>) -> rackhand_store::Result<()> {
    let last = agents::last_revoked(app.db.reader()).await?;
    if last != *before {
        recheck(app).await?;
        *before = last;
    }
    Ok(())
}

/// Notes once a minute who is there, so that a crash leaves nobody seen too long ago.
pub async fn keep_seen(app: Arc<App>) {
    let mut minute = tokio::time::interval(app.timings().poll);
    loop {
        minute.tick().await;
        if let Err(error) = agents::seen(app.db.writer(), &app.roster.present()).await {
            tracing::error!(%error, "could not note which agents are there");
        }
    }
}

/// Tells every agent to connect anew, because this process stops within a moment.
pub async fn send_away(app: &App, within: Duration) {
    let within_ms = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
    let remote = app.roster.present().into_iter().filter(|agent| app.embedded != Some(*agent));
    let told = remote.map(|agent| app.roster.tell(agent, ToAgent::GoAway { within_ms }));
    // One whose line takes nothing any more holds up neither the others nor the end.
    if tokio::time::timeout(within, futures::future::join_all(told)).await.is_err() {
        tracing::warn!("not every agent could be told that this server stops");
    }
}

/// Gives an agent the credentials of a device that it serves, if it does.
pub async fn lend(app: &App, agent: AgentId, endpoint: EndpointId) {
    let everything = Scope::provider();
    let reach = match endpoints::reach(&app.db, &everything, endpoint).await {
        Ok(reach) => reach,
        Err(error) => {
            tracing::warn!(%error, %agent, %endpoint, "an agent asks for credentials that cannot be had");
            return;
        }
    };
    match serves(app, agent, &reach).await {
        Ok(true) => {
            let frame = ToAgent::Secrets { endpoint };
            app.roster.deliver(agent, Delivery { frame, secrets: reach.secrets }).await;
        }
        Ok(false) => tracing::warn!(%agent, %endpoint, "an agent asks for credentials of a device of others"),
        Err(error) => tracing::error!(%error, %agent, %endpoint, "cannot tell whose device this is"),
    }
}

/// Says whether an agent serves a device.
///
/// # Errors
/// When the database fails.
pub async fn may_reach(app: &App, agent: AgentId, endpoint: EndpointId) -> rackhand_store::Result<bool> {
    match endpoints::reach(&app.db, &Scope::provider(), endpoint).await {
        Ok(reach) => serves(app, agent, &reach).await,
        Err(rackhand_store::Error::NotFound) => Ok(false),
        Err(error) => Err(error),
    }
}

async fn serves(app: &App, agent: AgentId, reach: &endpoints::Reach) -> rackhand_store::Result<bool> {
    let endpoint = reach.endpoint.id;
    if connections::is_agent_of(app.db.reader(), agent, endpoint).await? {
        return Ok(true);
    }
    let mut groups = connections::groups_of(app.db.reader(), endpoint).await?;
    groups.extend(reach.endpoint.agent_group.clone());
    let mut vias: Vec<Via> =
        groups.into_iter().map(|group| Via { agent: None, group: Some(group) }).collect();
    vias.push(Via::from(&reach.endpoint));
    for via in vias {
        let may = match app.route(reach.tenant, (endpoint, &reach.endpoint.kind), &via).await? {
            Some(Route::Agent(named)) => named == agent,
            Some(Route::Group { members, .. }) => members.contains(&agent),
            None => false,
        };
        if may {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Answers an agent that came with cuts to undo: those that nobody shall undo any more stay as they are. It may
/// undo the others once it has heard of all.
pub async fn settle(app: &App, agent: AgentId, cuts: Vec<CommandId>) {
    let settled = match steps::settled(app.db.reader(), &cuts).await {
        Ok(settled) => settled,
        Err(error) => {
            tracing::error!(%error, %agent, "cannot tell which cuts stay");
            return;
        }
    };
    for cut in settled {
        let kept = app.roster.keep_off(agent, vec![cut], Vec::new(), app.timings().lease).await;
        match kept {
            Ok(()) => tracing::info!(%agent, %cut, "an agent came with a cut that nobody undoes any more"),
            Err(fault) if fault.reason == Reason::Expired => {
                tracing::warn!(%agent, %cut, "an agent had undone a cut that should have stayed");
            }
            Err(fault) => {
                // Without the last word it goes on only after a while, and asks again in its next session.
                tracing::error!(%agent, %cut, %fault, "an agent could not be told that a cut stays");
                return;
            }
        }
    }
    app.roster.tell(agent, ToAgent::Noted { cuts: Vec::new() }).await;
}

#[cfg(test)]
pub(crate) mod bench {
    use rackhand_migrations::Migrator;
    use rackhand_store::{Db, nodes::Node, sealed::Keyring};
    use rackhand_wire::{
        agent::{BootId, Hello, Protocols},
        id::{AgentId, NodeId},
    };
    use sea_orm_migration::MigratorTrait as _;
    use std::{
        collections::BTreeMap,
        sync::Arc,
        time::{Duration, Instant},
    };

    use crate::{
        bus::Alone,
        peers::{Life, Peers},
    };

    /// A server that has an empty database for itself, in a folder of its own.
    pub async fn alone() -> (Arc<Peers>, tempfile::TempDir) {
        let (db, folder) = database().await;
        let own = Node { id: NodeId(rackhand_store::fresh_id()), name: "a".into() };
        let life = Life::new(Instant::now(), Duration::from_mins(1));
        (Arc::new(Peers::new(db, own, Arc::new(Alone), life)), folder)
    }

    /// What an agent says that begins a session.
    pub fn hello(agent: AgentId) -> Hello {
        Hello {
            agent,
            boot: BootId(rackhand_store::fresh_id()),
            protocols: Protocols::OURS,
            version: String::new(),
            host: String::new(),
            kinds: BTreeMap::default(),
            watching: None,
        }
    }

    pub async fn database() -> (Db, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("db").display());
        let db = Db::open(&url, Keyring::new([7; 32])).await.unwrap();
        Migrator::up(db.writer(), None).await.unwrap();
        (db, folder)
    }
}
