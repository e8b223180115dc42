//! Devices that nobody asks at the moment, because whoever reaches them is away: what they said last is no news.

use rackhand_store::{
    agents, connections,
    readings::{self, Through},
    watches::{self, Named},
};
use rackhand_wire::{
    PowerValue, Role,
    api::{
        connection::Connection,
        endpoint::Endpoint,
        server::{Server, ServerRow},
    },
    id::{EndpointId, ServerId, TenantId},
    power::Confidence,
};
use std::collections::HashMap;

use super::{caller::Caller, problem::Refused};
use crate::{
    agents::{Route, Via},
    app::App,
    work::weigh,
};

/// Says of each endpoint whether somebody asks it.
///
/// # Errors
/// When the database fails.
pub async fn of_endpoints(app: &App, endpoints: &mut [Endpoint]) -> Result<(), Refused> {
    let mut present = Present::of(app, endpoints.iter().map(|endpoint| endpoint.id)).await?;
    for endpoint in endpoints {
        let mut is_asked = present.ask(endpoint.id, Via::default()).await?;
        if !is_asked {
            // What a connection names looks at its place on a controller.
            for connection in connections::of_endpoint(app.db.reader(), endpoint.id).await? {
                is_asked |= present.ask(endpoint.id, via(connection.role, Via::from(&connection))).await?;
            }
        }
        endpoint.status.agent_away = !is_asked;
    }
    Ok(())
}

/// Says of each connection whether somebody asks its endpoint.
///
/// # Errors
/// When the database fails.
pub async fn of_connections(app: &App, connections: &mut [Connection]) -> Result<(), Refused> {
    let mut present = Present::of(app, connections.iter().map(|connection| connection.endpoint_id)).await?;
    for connection in connections {
        let via = via(connection.role, Via::from(&*connection));
        let is_asked = present.ask(connection.endpoint_id, via).await?;
        connection.status.agent_away = !is_asked;
    }
    Ok(())
}

/// Says of each path of a server whether somebody asks it, and whether what it said still counts.
///
/// # Errors
/// When the database fails.
pub async fn of_paths(app: &App, caller: &Caller, server: &mut Server) -> Result<(), Refused> {
    let mut all = connections::list(app.db.reader(), &caller.scope, server.id).await?;
    of_connections(app, &mut all).await?;
    for path in &mut server.power.paths {
        let own = all.iter().find(|connection| connection.id == path.connection_id);
        path.agent_away = own.is_some_and(|connection| connection.status.agent_away);
    }
    server.power.mark_outdated();
    server.power.doubt_unasked();
    weigh::let_go(app, &mut server.power);
    Ok(())
}

/// Says of the paths in a list whether somebody asks them, and doubts the states that rest on what nobody asks.
///
/// # Errors
/// When the database fails.
pub async fn of_rows(app: &App, rows: &mut [ServerRow]) -> Result<(), Refused> {
    // Usually all are here.
    if agents::ids(app.db.reader()).await?.into_iter().all(|agent| app.roster.is_here(agent)) {
        return Ok(());
    }
    let ids: Vec<ServerId> = rows.iter().map(|row| row.id).collect();
    let mut through = readings::through(app.db.reader(), &ids).await?;
    let mut present =
        Present::of(app, through.values().flatten().map(|path: &Through| path.endpoint)).await?;
    for row in rows {
        let own = through.remove(&row.id).unwrap_or_default();
        let mut feeds = row.paths.iter().zip(&own).filter(|(_, own)| own.role == Role::Feed);
        let is_dark = row.power == PowerValue::Off
            && feeds.next().is_some_and(|(first, _)| first.is_off && feeds.all(|(path, _)| path.is_off));
        for (path, Through { endpoint, role, agent, group }) in row.paths.iter_mut().zip(own) {
            path.agent_away = !present.ask(endpoint, via(role, Via { agent, group })).await?;
            let is_missed = path.agent_away && !(is_dark && role == Role::Controller);
            if is_missed && row.confidence == Confidence::High {
                row.confidence = Confidence::Medium;
            }
        }
    }
    Ok(())
}

/// Whom a connection names to look at its place. The outlets of a PDU are read all at once, by its own agent.
fn via(role: Role, named: Via) -> Via {
    match role {
        Role::Controller => named,
        Role::Feed => Via::default(),
    }
}

/// Which agents of those that endpoints name are here.
struct Present<'a> {
    app: &'a App,
    named: HashMap<EndpointId, Named>,
    known: HashMap<(TenantId, String, Via), bool>,
}

impl<'a> Present<'a> {
    async fn of(app: &'a App, ids: impl Iterator<Item = EndpointId>) -> Result<Self, Refused> {
        let ids: Vec<EndpointId> = ids.collect();
        Ok(Self { app, named: watches::named(app.db.reader(), &ids).await?, known: HashMap::new() })
    }

    /// Says whether somebody who reaches an endpoint is here, when `via` is named besides.
    async fn ask(&mut self, endpoint: EndpointId, via: Via) -> Result<bool, Refused> {
        let Some(own) = self.named.get(&endpoint) else { return Ok(false) };
        let named = Via { agent: own.agent, group: own.group.clone() };
        let key = (own.tenant, own.kind.clone(), via.or(named));
        if let Some(known) = self.known.get(&key) {
            return Ok(*known);
        }
        let is_here = |agent| self.app.roster.is_here(agent);
        let is_present = match self.app.route(key.0, (endpoint, &key.1), &key.2).await? {
            Some(Route::Group { members, .. }) => members.into_iter().any(is_here),
            Some(Route::Agent(agent)) => is_here(agent),
            None => false,
        };
        self.known.insert(key, is_present);
        Ok(is_present)
    }
}
