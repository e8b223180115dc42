//! Makes commands and sends them to the right agent.

use rackhand_store::{Scope, endpoints, fresh_id};
use rackhand_wire::{
    Answer, Command, Fault, FaultCode, Operation, Reason,
    command::{EndpointSpec, Urgency},
    id::{AgentId, CommandId, EndpointId},
    power::Switch,
};
use serde_json::Value;

use crate::app::App;

/// Where a command goes.
#[derive(Debug, Clone)]
pub struct Destination {
    /// The device.
    pub endpoint: EndpointId,
    /// The server's place on it.
    pub target: Value,
    /// Agent of the connection, when it names one.
    pub agent: Option<AgentId>,
}

/// Asks something that nobody waits for.
pub async fn look(app: &App, to: &Destination, operation: Operation) -> Result<Answer, Fault> {
    dispatch(app, CommandId(fresh_id()), to, operation, None, Urgency::Background).await
}

/// Has an operation executed. Repeating it with the same id never repeats its effect.
pub async fn send(
    app: &App,
    id: CommandId,
    to: &Destination,
    operation: Operation,
    restore_after_ms: Option<u64>,
) -> Result<Answer, Fault> {
    dispatch(app, id, to, operation, restore_after_ms, Urgency::Awaited).await
}

async fn dispatch(
    app: &App,
    id: CommandId,
    to: &Destination,
    operation: Operation,
    restore_after_ms: Option<u64>,
    urgency: Urgency,
) -> Result<Answer, Fault> {
    let reach = match endpoints::reach(&app.db, &Scope::provider(), to.endpoint).await {
        Ok(reach) => reach,
        Err(rackhand_store::Error::NotFound) => {
            return Err(Fault::config(Reason::NoSuchTarget, "the device was removed"));
        }
        Err(error) => {
            tracing::error!(%error, endpoint = %to.endpoint, "cannot reach a device");
            return Err(Fault::new(FaultCode::Exec, Reason::Internal, "its settings cannot be read"));
        }
    };
    let agent = app.agent_for(to.agent.or(reach.endpoint.agent_id));
    let Some(agent) = agent else {
        return Err(Fault::new(FaultCode::Exec, Reason::AgentOffline, "no agent serves this device"));
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
        urgency,
    };
    app.roster.execute(agent, command, reach.secrets).await
}
