//! The agents of this backend, embedded and remote.
//!
//! [`Roster`] knows who is there and has commands executed; a session is the same for an agent of this process
//! and for one at the other end of a WebSocket.

mod admit;
mod authority;
mod line;
pub mod presence;
mod roster;
mod session;

pub use authority::Authority;
pub use line::{TlsBinding, serve};
pub use roster::{Roster, Told};

use rackhand_agent::Delivery;
use rackhand_store::{Scope, agents, connections, endpoints};
use rackhand_wire::{
    agent::ToAgent,
    id::{AgentId, EndpointId},
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
    let named = connections::is_agent_of(app.db.reader(), agent, endpoint).await;
    let serves = app.agent_for(reach.endpoint.agent_id) == Some(agent);
    match named {
        Ok(named) if named || serves => {
            let frame = ToAgent::Secrets { endpoint };
            app.roster.deliver(agent, Delivery { frame, secrets: reach.secrets }).await;
        }
        Ok(_) => tracing::warn!(%agent, %endpoint, "an agent asks for credentials of a device of others"),
        Err(error) => tracing::error!(%error, %agent, %endpoint, "cannot tell whose device this is"),
    }
}
