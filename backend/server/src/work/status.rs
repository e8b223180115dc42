//! Whether a device answers, as it is shown, and what is told when that turns.

use chrono::{DateTime, TimeDelta, Utc};
use rackhand_store::{
    Result, endpoints, events, now,
    weighed::{self, Spans},
};
use rackhand_wire::{
    Fault, FaultCode, Reason,
    api::{event::Severity, live::Object},
    id::{EndpointId, TenantId},
};

use crate::app::App;

/// Stores what a job met when it asked a controller. That the agent could not ask says nothing of the device.
pub async fn answered(app: &App, name: &str, id: EndpointId, fault: Option<&Fault>) -> Result<()> {
    if fault.is_some_and(|fault| fault.code == FaultCode::Exec) {
        return Ok(());
    }
    let at = now();
    let fault = match fault {
        Some(fault) => Some(weighed::explained(app.db.reader(), id, (fault.clone(), at), spans(app)).await?),
        None => None,
    };
    let identity = fault.clone().map_or(Ok(None), Err);
    let look = endpoints::Look { identity, outlets: None, at };
    if endpoints::looked(app.db.writer(), id, look).await? {
        app.live.tell(Object::Endpoint, id);
        super::tell(app, TenantId::PROVIDER, turned(name, id, fault.as_ref(), at)).await;
    }
    Ok(())
}

/// How long things may take around a loss of power.
pub fn spans(app: &App) -> Spans {
    let delta = |time| TimeDelta::from_std(time).unwrap_or(TimeDelta::MAX);
    Spans { fresh: delta(app.timings().poll * 3), start: delta(app.timings().bmc_warm_up) }
}

/// What is told when a device begins or ceases to answer.
pub fn turned(name: &str, id: EndpointId, fault: Option<&Fault>, at: DateTime<Utc>) -> events::New {
    let (kind, severity, message) = match fault {
        // Silence that was to be expected is nobody's work.
        Some(fault) if fault.reason == Reason::WithoutPower => {
            ("endpoint.dark", Severity::Info, format!("{name} does not answer: {fault}."))
        }
        Some(fault) => ("endpoint.failing", Severity::Warning, format!("{name}: {fault}.")),
        None => ("endpoint.ok", Severity::Info, format!("{name} answers.")),
    };
    events::New {
        kind: kind.into(),
        severity: Some(severity),
        message,
        endpoint_id: Some(id),
        at: Some(at),
        ..Default::default()
    }
}
