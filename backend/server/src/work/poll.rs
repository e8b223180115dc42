//! Looks at every endpoint from time to time.
//!
//! A PDU is read once for all its servers. A device that does not answer is asked less and less often,
//! up to an hour apart; people's actions are never held up by that.

use chrono::{DateTime, Utc};
use rackhand_store::{Result, Scope, connections, endpoints, in_background, jobs, now};
use rackhand_wire::{
    Answer, Fault, FaultCode, Feature, Operation, Role,
    api::{connection::Connection, event::Severity, live::Object},
    id::EndpointId,
    power::OutletReading,
};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};
use tokio::{sync::Semaphore, time::Instant};

use super::{
    command::{self, Destination},
    lock,
    reading::{controller_reading, feed_state, power},
    weigh,
};
use crate::{agents::Via, app::App};

/// Looks under way at a time.
const AT_ONCE: usize = 128;

/// When an endpoint is due, and how often it failed in a row.
struct Due {
    at: Instant,
    failures: u32,
    busy: bool,
}

/// Polls until the process ends.
pub async fn run(app: Arc<App>) {
    let permits = Arc::new(Semaphore::new(AT_ONCE));
    let (done, mut results) = tokio::sync::mpsc::unbounded_channel::<(EndpointId, bool)>();
    let mut dues: HashMap<EndpointId, Due> = HashMap::new();
    let mut listed = None::<Instant>;
    loop {
        let timings = app.timings();
        let tick = (timings.poll / 60).clamp(Duration::from_millis(20), Duration::from_secs(1));
        if listed.is_none_or(|at| at.elapsed() >= tick * 5) {
            listed = Some(Instant::now());
            in_background(refresh(&app, &mut dues, timings.poll)).await;
        }
        for id in lock(&app.engine.poll_now).drain(..) {
            let due = dues.entry(id).or_insert(Due { at: Instant::now(), failures: 0, busy: false });
            due.at = Instant::now();
        }
        let now = Instant::now();
        for (id, due) in dues.iter_mut().filter(|(_, due)| due.at <= now && !due.busy) {
            due.busy = true;
            // Whoever asks for a look while this one is under way gets another one.
            due.at = now + timings.poll * 60;
            let (app, permits, done, id) = (Arc::clone(&app), Arc::clone(&permits), done.clone(), *id);
            tokio::spawn(async move {
                let permit = permits.acquire_owned().await;
                let ok = in_background(look(&app, id)).await.unwrap_or_else(|error| {
                    tracing::error!(%error, endpoint = %id, "a look could not be stored");
                    false
                });
                drop(permit);
                done.send((id, ok)).ok();
            });
        }
        tokio::time::sleep(tick).await;
        while let Ok((id, ok)) = results.try_recv() {
            if let Some(due) = dues.get_mut(&id) {
                due.busy = false;
                due.failures = if ok { 0 } else { (due.failures + 1).min(7) };
                let pause = timings.poll * 2_u32.pow(due.failures.saturating_sub(1));
                if due.at > Instant::now() {
                    due.at = Instant::now() + jittered(pause.min(timings.poll * 60), id);
                }
            }
        }
    }
}

/// Spreads looks by ±10 %, differently for each endpoint.
fn jittered(pause: Duration, id: EndpointId) -> Duration {
    let byte = id.0.as_bytes().last().copied().unwrap_or_default();
    pause.mul_f64(0.9 + f64::from(byte) / 1280.0)
}

async fn refresh(app: &App, dues: &mut HashMap<EndpointId, Due>, poll: Duration) {
    let seen: HashSet<EndpointId> = match endpoints::ids(app.db.reader()).await {
        Ok(ids) => ids.into_iter().collect(),
        Err(error) => {
            tracing::warn!(%error, "endpoints could not be listed for polling");
            return;
        }
    };
    let fresh = dues.is_empty();
    dues.retain(|id, _| seen.contains(id));
    for id in seen {
        dues.entry(id).or_insert_with(|| {
            // After a start the looks are spread over half a period instead of coming all at once.
            let spread = if fresh {
                poll.mul_f64(f64::from(id.0.as_bytes().last().copied().unwrap_or(0)) / 512.0)
            } else {
                Duration::ZERO
            };
            Due { at: Instant::now() + spread, failures: 0, busy: false }
        });
    }
}

/// Looks at one endpoint and stores what it said. Says whether to ask again as usual.
pub async fn look(app: &App, id: EndpointId) -> Result<bool> {
    let reach = match endpoints::get(app.db.reader(), &Scope::provider(), id).await {
        Err(rackhand_store::Error::NotFound) => return Ok(true),
        endpoint => endpoint?,
    };
    let feeds = rackhand_agent::catalogue::find(&reach.kind)
        .is_some_and(|integration| integration.descriptor().role == Role::Feed);
    let mut connections: Vec<Connection> = connections::of_endpoint(app.db.reader(), id)
        .await?
        .into_iter()
        .filter(|connection| connection.features.contains(&Feature::Power))
        .collect();
    let alone = !feeds && connections.is_empty();
    if !feeds && !alone {
        connections = without_jobs(app, connections).await?;
        if connections.is_empty() {
            // Nobody asked, so there is nothing to store: neither that it answers nor that it does not.
            return Ok(true);
        }
    }
    let identity = if reach.status.identity.is_none() || alone {
        let to = Destination { endpoint: id, target: serde_json::json!({}), via: Via::default() };
        match command::look(app, &to, Operation::Identify).await {
            Ok(Answer::Identity(identity)) => Some(identity),
            Ok(_) => None,
            // The agent did not ask: that says nothing of the device, and is no reason to ask less often.
            Err(fault) if fault.code == FaultCode::Exec => return Ok(true),
            Err(fault) => {
                store(app, &reach.name, id, Err(&fault), None).await?;
                for connection in &connections {
                    say(app, connection, Err(fault.clone())).await?;
                }
                return Ok(false);
            }
        }
    } else {
        None
    };
    if feeds {
        outlets(app, &reach.name, id, identity, &connections).await
    } else {
        controllers(app, &reach.name, id, identity, &connections).await
    }
}

/// A job asks for itself, and knows better when.
async fn without_jobs(app: &App, connections: Vec<Connection>) -> Result<Vec<Connection>> {
    let mut idle = Vec::new();
    for connection in connections {
        if jobs::find_active(app.db.reader(), connection.server_id).await?.is_none() {
            idle.push(connection);
        }
    }
    Ok(idle)
}

async fn outlets(
    app: &App,
    name: &str,
    id: EndpointId,
    identity: Option<rackhand_wire::operation::Identity>,
    connections: &[Connection],
) -> Result<bool> {
    let to = Destination { endpoint: id, target: serde_json::json!({}), via: Via::default() };
    let asked = now();
    let answer = command::look(app, &to, Operation::ReadOutlets).await;
    match answer {
        Ok(Answer::Outlets { outlets }) => {
            store(app, name, id, Ok(identity), Some(outlets.clone())).await?;
            for connection in connections {
                let found = outlets.iter().find(|outlet| is_target(outlet, connection)).cloned();
                let answer = found.ok_or_else(|| {
                    Fault::config(
                        rackhand_wire::Reason::NoSuchTarget,
                        format!("{} is not there", connection.label),
                    )
                });
                say_outlet(app, connection, answer, asked).await?;
            }
            Ok(true)
        }
        Ok(_) => Ok(false),
        Err(fault) if fault.code == FaultCode::Exec => Ok(true),
        Err(fault) => {
            store(app, name, id, Err(&fault), None).await?;
            for connection in connections {
                say(app, connection, Err(fault.clone())).await?;
            }
            Ok(false)
        }
    }
}

fn is_target(outlet: &OutletReading, connection: &Connection) -> bool {
    connection.target.get("outlet").and_then(serde_json::Value::as_str) == Some(outlet.outlet.as_str())
}

async fn controllers(
    app: &App,
    name: &str,
    id: EndpointId,
    identity: Option<rackhand_wire::operation::Identity>,
    connections: &[Connection],
) -> Result<bool> {
    let mut status: std::result::Result<Option<rackhand_wire::operation::Identity>, Fault> = Ok(identity);
    for connection in connections {
        let to = Destination { endpoint: id, target: connection.target.clone(), via: Via::from(connection) };
        let asked = now();
        let answer = command::look(app, &to, Operation::ReadPower).await;
        if let Err(fault) = &answer {
            if fault.code == FaultCode::Exec {
                return Ok(true);
            }
            status = Err(fault.clone());
        }
        let answer = answer.and_then(power);
        connections::read(app.db.writer(), connection.id, controller_reading(&answer, asked)).await?;
        weigh::server(app, connection.server_id).await?;
    }
    let answered = status.is_ok();
    let fault = status.as_ref().err().cloned();
    let told = match &fault {
        Some(fault) => Err(fault),
        None => Ok(status.ok().flatten()),
    };
    store(app, name, id, told, None).await?;
    Ok(answered)
}

async fn say(app: &App, connection: &Connection, answer: std::result::Result<(), Fault>) -> Result<()> {
    let reading = connections::Reading { fault: answer.err(), at: now(), ..Default::default() };
    connections::read(app.db.writer(), connection.id, reading).await?;
    weigh::server(app, connection.server_id).await
}

async fn say_outlet(
    app: &App,
    connection: &Connection,
    answer: std::result::Result<OutletReading, Fault>,
    asked: DateTime<Utc>,
) -> Result<()> {
    let mut reading = connections::Reading { at: asked, ..Default::default() };
    match answer {
        Ok(outlet) => {
            reading.state = Some(feed_state(outlet.state));
            reading.watts = outlet.watts;
        }
        Err(fault) => reading.fault = Some(fault),
    }
    connections::read(app.db.writer(), connection.id, reading).await?;
    weigh::server(app, connection.server_id).await
}

/// Stores what a job met when it asked a controller. That the agent could not ask says nothing of the device.
pub async fn answered(app: &App, name: &str, id: EndpointId, fault: Option<&Fault>) -> Result<()> {
    match fault {
        Some(fault) if fault.code == FaultCode::Exec => Ok(()),
        Some(fault) => store(app, name, id, Err(fault), None).await,
        None => store(app, name, id, Ok(None), None).await,
    }
}

/// Stores an endpoint's status and tells when it turned.
pub async fn store(
    app: &App,
    name: &str,
    id: EndpointId,
    identity: std::result::Result<Option<rackhand_wire::operation::Identity>, &Fault>,
    outlets: Option<Vec<OutletReading>>,
) -> Result<()> {
    let fault = identity.as_ref().err().map(|fault| (*fault).clone());
    let look = endpoints::Look { identity: identity.map_err(Clone::clone), outlets };
    if !endpoints::looked(app.db.writer(), id, look).await? {
        return Ok(());
    }
    app.live.tell(Object::Endpoint, id);
    let (kind, severity, message) = match fault {
        Some(fault) => ("endpoint.failing", Severity::Warning, format!("{name}: {fault}.")),
        None => ("endpoint.ok", Severity::Info, format!("{name} answers.")),
    };
    let event = rackhand_store::events::New {
        kind: kind.into(),
        severity: Some(severity),
        message,
        endpoint_id: Some(id),
        ..Default::default()
    };
    super::tell(app, rackhand_wire::id::TenantId::PROVIDER, event).await;
    Ok(())
}
