//! The agents of this backend, embedded and remote.
//!
//! [`Roster`] knows who is there and has commands executed; a session is the same for an agent of this process
//! and for one at the other end of a WebSocket.

mod admit;
mod authority;
mod lease;
mod line;
pub mod presence;
mod protocols;
mod roster;
mod route;
mod session;

pub use authority::Authority;
pub use line::{OldTls, TlsBinding, serve};
pub use roster::{Done, Roster, Stage, Told};
pub use route::{Members, Route, Via, find_group, holder, members};
pub use session::Session;

use rackhand_agent::Delivery;
use rackhand_store::{Scope, agents, connections, endpoints, steps};
use rackhand_wire::{
    Reason,
    agent::ToAgent,
    id::{AgentId, CommandId, EndpointId},
};

use std::{sync::Arc, time::Duration};

use crate::app::App;

/// Certifies a fresh key of an agent; both keys count until the fresh one is used.
pub async fn renewed(app: &App, agent: AgentId, request: &str) -> Option<ToAgent> {
    let made = match app.authority.certify(agent, request) {
        Ok(made) => made,
        Err(error) => {
            tracing::warn!(%error, %agent, "an agent's certificate request cannot be used");
            return None;
        }
    };
    if let Err(error) = agents::renewed(app.db.writer(), agent, &made.key, made.from, made.until).await {
        tracing::error!(%error, %agent, "a renewed certificate could not be noted");
        return None;
    }
    let renew_in_ms = u64::try_from((app.authority.life() / 2).as_millis()).unwrap_or(u64::MAX);
    Some(ToAgent::Certificate { certificate: made.certificate, renew_in_ms })
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
    for agent in app.roster.present() {
        if app.embedded != Some(agent) {
            app.roster.tell(agent, ToAgent::GoAway { within_ms }).await;
        }
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
        let may = match app.route(reach.tenant, endpoint, &via).await? {
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
mod bench {
    use rackhand_migrations::Migrator;
    use rackhand_store::{Db, nodes::Node, sealed::Keyring};
    use rackhand_wire::id::NodeId;
    use sea_orm_migration::MigratorTrait as _;
    use std::sync::Arc;

    use crate::{bus::Alone, peers::Peers};

    /// A server that has an empty database for itself, in a folder of its own.
    pub async fn alone() -> (Arc<Peers>, tempfile::TempDir) {
        let (db, folder) = database().await;
        let own = Node { id: NodeId(rackhand_store::fresh_id()), name: "a".into() };
        (Arc::new(Peers { db, own, bus: Arc::new(Alone) }), folder)
    }

    pub async fn database() -> (Db, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("db").display());
        let db = Db::open(&url, Keyring::new([7; 32])).await.unwrap();
        Migrator::up(db.writer(), None).await.unwrap();
        (db, folder)
    }
}
