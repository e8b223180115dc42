//! What a power job may use, from how the server is connected.

use rackhand_domain::power::{Action, Path, Plan, Rhythm, plan::Refusal};
use rackhand_store::{Error, Result, Scope, connections, servers};
use rackhand_wire::{
    Feature, Role,
    api::{
        connection::Connection,
        power::StartPower,
        server::{Server, ServerBrief},
    },
    id::{ConnectionId, EndpointId, ServerId},
    power::{PathState, PowerFlag},
};
use serde_json::Value;
use std::collections::HashMap;

use super::{command::Destination, weigh};
use crate::{agents::Via, app::App};

/// A plan with what the worker needs to carry it out.
pub struct Blueprint {
    /// What the machine decides by.
    pub plan: Plan,
    /// Where each path's commands go.
    pub destinations: HashMap<ConnectionId, Destination>,
    /// The server as it is now.
    pub server: Server,
    /// Other servers that share one of the outlets.
    pub shared_with: Vec<ServerBrief>,
}

/// Draws the plan for a request.
///
/// # Errors
/// When the database fails or the server is gone.
pub async fn blueprint(app: &App, scope: &Scope, id: ServerId, request: &StartPower) -> Result<Blueprint> {
    let mut server = servers::get(app.db.reader(), scope, id).await?;
    weigh::let_go(app, &mut server.power);
    let all = connections::list(app.db.reader(), scope, id).await?;
    let powered: Vec<&Connection> =
        all.iter().filter(|connection| connection.features.contains(&Feature::Power)).collect();
    let of = |role| powered.iter().filter(move |connection| connection.role == role).copied();
    let mut outlets: Vec<&Connection> = of(Role::Feed).collect();
    outlets.sort_by_key(|connection| (connection.endpoint_name.clone(), natural(&connection.label)));
    let places = outlets.iter().map(|connection| (connection.endpoint_id, &connection.target));
    let sharing = sharing(app, id, places.collect()).await?;
    let mismatch = servers::mismatch_seen(app.db.reader(), id).await?;
    let mut timings = app.timings();
    if let Some(seconds) = request.deadline_s {
        timings.soft_deadline = std::time::Duration::from_secs(seconds.into()).mul_f64(app.config.time_scale);
    }
    let feeds = || server.power.paths.iter().filter(|path| path.role == Role::Feed);
    let plan = Plan {
        action: Action {
            what: request.action,
            via: request.via,
            on_if_off: request.on_if_off,
            escalate: request.escalate,
        },
        controllers: of(Role::Controller).map(path).collect(),
        outlets: outlets.iter().map(|connection| path(connection)).collect(),
        fallback_refusal: fallback_refusal(app, &server, &sharing),
        switch_refusal: switch_refusal(&server, mismatch, &sharing, request),
        cut_refusal: cut_refusal(&server),
        feeds_missing: feeds().any(|path| path.state == Some(PathState::FeedOff)),
        feeds_dark: feeds().all(|path| path.state == Some(PathState::FeedOff)),
        restore_policy: server.power.paths.iter().find_map(|path| path.restore_policy),
        draw_known: server.power.idle_watts.is_some() && feeds().any(|path| path.watts.is_some()),
        rhythm: Rhythm::from(&timings),
    };
    let destinations = powered.iter().map(|connection| (connection.id, destination(connection))).collect();
    let shared_with = sharing.into_iter().map(|other| other.brief).collect();
    Ok(Blueprint { plan, destinations, server, shared_with })
}

fn path(connection: &Connection) -> Path {
    Path { connection: connection.id, endpoint: connection.endpoint_id, label: connection.label.clone() }
}

fn destination(connection: &Connection) -> Destination {
    Destination {
        endpoint: connection.endpoint_id,
        target: connection.target.clone(),
        via: Via::from(connection),
    }
}

/// Sorts `outlet 10` after `outlet 9`.
fn natural(label: &str) -> Vec<(u64, String)> {
    let mut parts = Vec::new();
    let mut rest = label;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, tail) = rest.split_at(digits);
        let words = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (word, tail) = tail.split_at(words);
        parts.push((number.parse().unwrap_or(0), word.to_owned()));
        rest = tail;
    }
    parts
}

/// Says why outlets that others hang on are not switched automatically: nobody is there to agree to it.
fn shared(sharing: &[Neighbour]) -> Option<Refusal> {
    if sharing.is_empty() {
        return None;
    }
    let others = names(sharing.iter()).join(", ");
    let why = format!("An outlet also feeds {others}: only a person switches it, by “Force via PDU”.");
    Some(Refusal::new("shared_outlet", why))
}

/// Says the same as things stand now: others may have been connected since the plan was drawn.
///
/// # Errors
/// When the database fails.
pub async fn shared_by_now(app: &App, blueprint: &Blueprint) -> Result<Option<Refusal>> {
    let of = |path: &Path| blueprint.destinations.get(&path.connection);
    let places = blueprint.plan.outlets.iter().filter_map(of).map(|to| (to.endpoint, &to.target));
    Ok(shared(&sharing(app, blueprint.server.id, places.collect()).await?))
}

fn fallback_refusal(app: &App, server: &Server, sharing: &[Neighbour]) -> Option<Refusal> {
    let flag = |flag| server.power.flags.contains(&flag);
    if flag(PowerFlag::IdentityMismatch) {
        let why = "Another BMC answered at this address lately; check it first.";
        Some(Refusal::new("identity_mismatch", why))
    } else if !server.fallback_enabled {
        Some(Refusal::new("fallback_disabled", "Fallback is switched off for this server."))
    } else if !app.settings().fallback_enabled {
        Some(Refusal::new("fallback_disabled", "Fallback is switched off in the settings."))
    } else {
        shared(sharing)
    }
}

fn cut_refusal(server: &Server) -> Option<Refusal> {
    if server.power.flags.contains(&PowerFlag::FirmwareUpdate) {
        return Some(Refusal::firmware_update());
    }
    if !server.feeds_complete {
        let why = "Nobody has confirmed that the connected outlets feed all power supplies, so cutting \
                   them might prove nothing.";
        return Some(Refusal::new("feeds_incomplete", why));
    }
    None
}

/// Outlets that feed something else are switched neither way: somebody else's server hangs on them. Nor are those of
/// a server that somebody works on.
fn switch_refusal(
    server: &Server,
    mismatch: bool,
    sharing: &[Neighbour],
    request: &StartPower,
) -> Option<Refusal> {
    if server.maintenance {
        return Some(Refusal::new("maintenance", "The server is in maintenance."));
    }
    if mismatch || server.power.flags.contains(&PowerFlag::WiringMismatch) {
        let why = "The outlets were seen to feed something else; confirm the wiring first.";
        return Some(Refusal::new("wiring_mismatch", why));
    }
    if let Some(other) = sharing.iter().find(|other| other.maintenance) {
        let why = format!("An outlet also feeds {}, which is in maintenance.", other.brief.name);
        return Some(Refusal::new("neighbour_in_maintenance", why));
    }
    if let Some(other) = sharing.iter().find(|other| other.is_busy) {
        let why = format!("An outlet also feeds {}, where a power job is under way.", other.brief.name);
        return Some(Refusal::new("neighbour_busy", why));
    }
    let unnamed = names(sharing.iter().filter(|other| !request.shared_with.contains(&other.brief.id)));
    if unnamed.is_empty() {
        return None;
    }
    let why = format!("An outlet also feeds {}: name every server that it feeds.", unnamed.join(", "));
    Some(Refusal::new("shared_outlet", why))
}

/// Another server that hangs on one of the outlets, as it is now.
struct Neighbour {
    brief: ServerBrief,
    maintenance: bool,
    is_busy: bool,
}

fn names<'a>(neighbours: impl Iterator<Item = &'a Neighbour>) -> Vec<&'a str> {
    neighbours.map(|other| other.brief.name.as_str()).collect()
}

async fn sharing(app: &App, server: ServerId, outlets: Vec<(EndpointId, &Value)>) -> Result<Vec<Neighbour>> {
    let mut others: Vec<Neighbour> = Vec::new();
    for (endpoint, target) in outlets {
        for other in connections::of_endpoint(app.db.reader(), endpoint).await? {
            let same = other.target == *target && other.server_id != server;
            if same && !others.iter().any(|known| known.brief.id == other.server_id) {
                let found = match servers::get(app.db.reader(), &Scope::provider(), other.server_id).await {
                    // Removed since: nothing of it hangs there any more.
                    Err(Error::NotFound) => continue,
                    found => found?,
                };
                others.push(Neighbour {
                    maintenance: found.maintenance,
                    is_busy: found.active_job_id.is_some(),
                    brief: ServerBrief { id: found.id, name: found.name },
                });
            }
        }
    }
    Ok(others)
}

#[cfg(test)]
mod tests {
    use super::natural;

    #[test]
    fn outlets_sort_as_people_count() {
        let mut labels = ["outlet 10 on b", "outlet 9 on b", "outlet 1.2 on b", "outlet 1.10 on b"];
        labels.sort_by_key(|label| natural(label));
        assert_eq!(labels, ["outlet 1.2 on b", "outlet 1.10 on b", "outlet 9 on b", "outlet 10 on b"]);
    }
}
