//! Makes commands and sends them to the right agent.

use rackhand_store::{Scope, agent_groups, agents, endpoints, fresh_id};
use rackhand_wire::{
    Answer, Command, Fault, FaultCode, Operation, Reason, Secrets,
    command::{EndpointSpec, Urgency},
    id::{AgentId, CommandId, EndpointId},
    power::Switch,
};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::sync::watch;

use crate::{
    agents::{Done, Earlier, Keeper, Route, Stage, Via, may_reach},
    app::App,
};

/// Where a command goes.
#[derive(Debug, Clone)]
pub struct Destination {
    /// The device.
    pub endpoint: EndpointId,
    /// The server's place on it.
    pub target: Value,
    /// Whom the connection names; the endpoint's own counts when it names nobody.
    pub via: Via,
}

/// What is to be executed. Repeating it with the same id never repeats its effect.
#[derive(Debug, Clone)]
pub struct Order {
    /// Known ids are answered, not repeated.
    pub id: CommandId,
    /// What.
    pub operation: Operation,
    /// The agent restores by itself what it cuts, after so long.
    pub restore_after_ms: Option<u64>,
    /// How long it may wait before it is begun; for ever when absent.
    pub expiry: Option<Duration>,
    /// Whether somebody waits for it.
    pub urgency: Urgency,
    /// Who may have got it already.
    pub earlier: Earlier,
}

/// Asks something that nobody waits for, of one agent and no other, whoever has the device: what only reads may do so.
pub async fn look(
    app: &App,
    agent: AgentId,
    endpoint: EndpointId,
    operation: Operation,
) -> Result<Answer, Fault> {
    let order = Order { urgency: Urgency::Background, ..Order::new(app, operation) };
    let failed = |error| {
        tracing::error!(%error, %endpoint, "cannot ask a device");
        Fault::new(FaultCode::Exec, Reason::Internal, "its settings cannot be read")
    };
    // Credentials go to those alone who serve the device.
    if !may_reach(app, agent, endpoint).await.map_err(failed)? {
        return Err(Fault::new(
            FaultCode::Exec,
            Reason::AgentOffline,
            "this agent does not serve the device",
        ));
    }
    let reach = endpoints::reach(&app.db, &Scope::provider(), endpoint).await.map_err(failed)?;
    let to = Destination { endpoint, target: json!({}), via: Via::default() };
    let (command, secrets) = command(order, reach, &to, Duration::ZERO);
    let stage = watch::channel(Stage::Waiting).0;
    app.roster.execute(&Route::Agent(agent), command, secrets, Earlier::Nobody, &stage).await.result
}

/// Finds the agent that a destination's commands go to now, and whether others stand in for it.
///
/// # Errors
/// When the database fails.
pub async fn asked_by(app: &App, to: &Destination) -> rackhand_store::Result<Option<(AgentId, bool)>> {
    let members = match reached(app, to).await {
        Ok((_, Route::Agent(agent))) => return Ok(Some((agent, false))),
        Ok((_, Route::Group { members, .. })) => members,
        Err(_) => return Ok(None),
    };
    if let [one] = members[..] {
        return Ok(Some((one, false)));
    }
    let held = agent_groups::lease(app.db.reader(), to.endpoint).await?;
    Ok(held.map(|lease| (lease.agent, true)).filter(|(agent, _)| members.contains(agent)))
}

impl Order {
    /// Somebody waits for it, and it may wait as long as commands usually may.
    pub fn new(app: &App, operation: Operation) -> Self {
        // What finishes to a safe state never expires.
        let safe = matches!(operation, Operation::SetOutlet { to: Switch::On });
        Self {
            id: CommandId(fresh_id()),
            operation,
            restore_after_ms: None,
            expiry: (!safe).then(|| app.timings().command_expiry),
            urgency: Urgency::Awaited,
            earlier: Earlier::Nobody,
        }
    }
}

/// Has an operation executed; `stage` tells how far it has come.
pub async fn send(app: &App, order: Order, to: &Destination, stage: &watch::Sender<Stage>) -> Done {
    let begun = Instant::now();
    let (reach, route) = loop {
        match reached(app, to).await {
            Ok(reached) => break reached,
            // A database that is away for a while is waited for like an agent: nothing was sent yet.
            Err(fault) if fault.reason == Reason::Internal && begun.elapsed() < patience(app, &order) => {
                tokio::time::sleep(app.timings().outlet_poll / 4).await;
            }
            Err(fault) => return Done { by: None, result: Err(order.earlier.unsent(fault)) },
        }
    };
    let earlier = order.earlier.clone();
    let (command, secrets) = command(order, reach, to, begun.elapsed());
    app.roster.execute(&route, command, secrets, earlier, stage).await
}

/// Makes the command of an order that has waited so long.
fn command(order: Order, reach: endpoints::Reach, to: &Destination, waited: Duration) -> (Command, Secrets) {
    let expiry = order.expiry.map(|expiry| expiry.saturating_sub(waited));
    let expiry = expiry.map(|expiry| u64::try_from(expiry.as_millis()).unwrap_or(u64::MAX));
    let command = Command {
        id: order.id,
        endpoint: EndpointSpec {
            id: Some(to.endpoint),
            kind: reach.endpoint.kind,
            params: reach.endpoint.params,
            pinned: reach.pinned,
        },
        target: to.target.clone(),
        operation: order.operation,
        expires_in_ms: expiry,
        restore_after_ms: order.restore_after_ms,
        fence: 1,
        leased: false,
        urgency: order.urgency,
    };
    (command, reach.secrets)
}

/// How long a database that does not answer is waited for.
fn patience(app: &App, order: &Order) -> Duration {
    let longest = app.timings().busy_budget;
    match order.urgency {
        Urgency::Awaited => order.expiry.unwrap_or(longest).min(longest),
        Urgency::Background => Duration::ZERO,
    }
}

/// Finds who has a device now: if this server ends, that one alone may have got what is sent to it.
///
/// # Errors
/// When the database fails.
pub async fn keeper(app: &App, endpoint: EndpointId) -> rackhand_store::Result<Option<Keeper>> {
    let db = app.db.reader();
    let Some(lease) = agent_groups::lease(db, endpoint).await? else { return Ok(None) };
    Ok(Some(Keeper { lease, identified: agents::identified(db, lease.agent).await? }))
}

/// Finds a device's settings and who reaches it.
///
/// # Errors
/// When it was removed, nobody reaches it, or the database fails.
pub async fn reached(app: &App, to: &Destination) -> Result<(endpoints::Reach, Route), Fault> {
    let failed = |error: rackhand_store::Error| {
        if matches!(error, rackhand_store::Error::NotFound) {
            return Fault::config(Reason::NoSuchTarget, "the device was removed");
        }
        tracing::error!(%error, endpoint = %to.endpoint, "cannot reach a device");
        Fault::new(FaultCode::Exec, Reason::Internal, "its settings cannot be read")
    };
    let reach = endpoints::reach(&app.db, &Scope::provider(), to.endpoint).await.map_err(failed)?;
    let via = to.via.clone().or(Via::from(&reach.endpoint));
    let route = app.route(reach.tenant, (to.endpoint, &reach.endpoint.kind), &via).await.map_err(failed)?;
    let nobody = || Fault::new(FaultCode::Exec, Reason::AgentOffline, "no agent serves this device");
    Ok((reach, route.ok_or_else(nobody)?))
}
