//! Makes commands and sends them to the right agent.

use rackhand_store::{Scope, endpoints, fresh_id};
use rackhand_wire::{
    Answer, Command, Fault, FaultCode, Operation, Reason,
    command::{EndpointSpec, Urgency},
    id::{CommandId, EndpointId},
    power::Switch,
};
use serde_json::Value;

use crate::{
    agents::{Done, Route, Via},
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

/// Asks something that nobody waits for.
pub async fn look(app: &App, to: &Destination, operation: Operation) -> Result<Answer, Fault> {
    dispatch(app, CommandId(fresh_id()), to, operation, None, Urgency::Background).await.result
}

/// Has an operation executed. Repeating it with the same id never repeats its effect.
pub async fn send(
    app: &App,
    id: CommandId,
    to: &Destination,
    operation: Operation,
    restore_after_ms: Option<u64>,
) -> Done {
    dispatch(app, id, to, operation, restore_after_ms, Urgency::Awaited).await
}

async fn dispatch(
    app: &App,
    id: CommandId,
    to: &Destination,
    operation: Operation,
    restore_after_ms: Option<u64>,
    urgency: Urgency,
) -> Done {
    let (reach, route) = match reached(app, to).await {
        Ok(reached) => reached,
        Err(fault) => return Done { by: None, result: Err(fault) },
    };
    // What finishes to a safe state never expires.
    let safe = matches!(operation, Operation::SetOutlet { to: Switch::On });
    let expiry = u64::try_from(app.timings().command_expiry.as_millis()).unwrap_or(u64::MAX);
    let command = Command {
        id,
        endpoint: EndpointSpec {
            id: Some(to.endpoint),
            kind: reach.endpoint.kind,
            params: reach.endpoint.params,
            pinned: reach.pinned,
        },
        target: to.target.clone(),
        operation,
        expires_in_ms: (!safe).then_some(expiry),
        restore_after_ms,
        fence: 1,
        leased: false,
        urgency,
    };
    app.roster.execute(&route, command, reach.secrets).await
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
    let route = app.route(reach.tenant, to.endpoint, &via).await.map_err(failed)?;
    let nobody = || Fault::new(FaultCode::Exec, Reason::AgentOffline, "no agent serves this device");
    Ok((reach, route.ok_or_else(nobody)?))
}
