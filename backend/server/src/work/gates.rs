//! Gathers what the gates of an automatic fallback want to know.

use rackhand_domain::power::{
    gates::{Facts, decide},
    plan::Refusal,
};
use rackhand_store::{Result, Scope, endpoints, fresh_id, jobs, now, servers};
use rackhand_wire::{
    FaultCode, Operation, PowerAction,
    api::{
        endpoint::{Endpoint, EndpointState},
        page::ListQuery,
    },
    id::{CommandId, EndpointId, JobId, TenantId},
};
use std::{net::IpAddr, time::Duration};

use super::{
    command::{self, Destination},
    plan::Blueprint,
};
use crate::app::App;

/// Neighbours that are asked at most.
const ASKED: usize = 8;

/// Checks the gates for a run whose controller is unreachable.
///
/// # Errors
/// When the database fails.
pub async fn check(app: &App, job: JobId, blueprint: &Blueprint) -> Result<std::result::Result<(), Refusal>> {
    let everything = Scope::provider();
    // The server as it is now: someone may have begun to work on it.
    let server = servers::get(app.db.reader(), &everything, blueprint.server.id).await?;
    let tenant = servers::owner(app.db.reader(), &everything, server.id).await?;
    let Some(own) = blueprint.plan.controllers.last().map(|path| path.endpoint) else { return Ok(Ok(())) };
    let all = neighbours(app).await?;
    let own = all.iter().find(|endpoint| endpoint.id == own).cloned();
    let near: Vec<&Endpoint> = match &own {
        Some(own) => all.iter().filter(|other| other.id != own.id && are_near(app, own, other)).collect(),
        None => Vec::new(),
    };
    let controllers: Vec<&&Endpoint> =
        near.iter().filter(|other| own.as_ref().is_some_and(|own| own.kind == other.kind)).collect();
    let silent = controllers.iter().filter(|other| is_silent(other)).count();
    // Servers without a label are one rack: nobody has said that they are not.
    let rack = servers::in_rack(app.db.reader(), tenant, &server.rack).await?;
    let facts = Facts {
        neighbour_answered: answered(app, &near).await,
        controllers_in_subnet: controllers.len() + 1,
        unreachable_in_subnet: silent + 1,
        maintenance: server.maintenance,
        servers_in_rack: usize::try_from(rack).unwrap_or(usize::MAX),
        recent_cuts_in_rack: 0,
        cuts: blueprint.plan.action.what != PowerAction::On,
    };
    turn(app, job, (tenant, &server.rack), blueprint, facts).await
}

/// Decides, and takes the job's place among the automatic cuts in the same transaction, so that two jobs
/// never both find the last free place. Cuts on one PDU keep a distance: a job waits for its turn.
async fn turn(
    app: &App,
    job: JobId,
    (tenant, rack): (TenantId, &str),
    blueprint: &Blueprint,
    mut facts: Facts,
) -> Result<std::result::Result<(), Refusal>> {
    let delta = |duration| chrono::TimeDelta::from_std(duration).unwrap_or_default();
    let (window, spacing) = (delta(app.timings().rack_window), delta(app.timings().cut_spacing));
    let pdus: Vec<EndpointId> = blueprint.plan.outlets.iter().map(|path| path.endpoint).collect();
    loop {
        let tx = app.db.begin().await?;
        let recent = jobs::cuts_in_rack(&tx, tenant, rack, now() - window, job).await?;
        facts.recent_cuts_in_rack = usize::try_from(recent).unwrap_or(usize::MAX);
        let decision = decide(&facts);
        if decision.is_err() || !facts.cuts {
            return Ok(decision);
        }
        let Some(last) = jobs::last_cut_on(&tx, &pdus, now() - spacing, job).await? else {
            jobs::reserve_cut(&tx, job).await?;
            tx.commit().await?;
            return Ok(decision);
        };
        drop(tx);
        let left = (last + spacing - now()).to_std().unwrap_or_default();
        tokio::time::sleep(left.max(Duration::from_millis(1))).await;
    }
}

async fn neighbours(app: &App) -> Result<Vec<Endpoint>> {
    let mut query = ListQuery { limit: Some(500), ..ListQuery::default() };
    let mut all = Vec::new();
    loop {
        let page = endpoints::list(app.db.reader(), &Scope::provider(), &query).await?;
        all.extend(page.items);
        match page.next {
            Some(next) => query.cursor = Some(next),
            None => return Ok(all),
        }
    }
}

/// Says whether a neighbour answered within a minute, or answers now.
async fn answered(app: &App, near: &[&Endpoint]) -> bool {
    let fresh = chrono::TimeDelta::from_std(app.timings().neighbour_fresh).unwrap_or_default();
    let lately = |endpoint: &&&Endpoint| {
        endpoint.status.state == EndpointState::Ok
            && endpoint.status.checked_at.is_some_and(|at| now() - at <= fresh)
    };
    if near.iter().any(|endpoint| lately(&endpoint)) {
        return true;
    }
    // Those that answered last time are the likeliest to answer now.
    let mut asked: Vec<&&Endpoint> = near.iter().collect();
    asked.sort_by_key(|endpoint| endpoint.status.state != EndpointState::Ok);
    let questions = asked.into_iter().take(ASKED).map(|endpoint| {
        let to =
            Destination { endpoint: endpoint.id, target: serde_json::json!({}), agent: endpoint.agent_id };
        Box::pin(async move {
            match command::send(app, CommandId(fresh_id()), &to, Operation::Identify, None).await {
                // A refusal is an answer too: the line is up.
                Ok(_) => Ok(()),
                Err(fault)
                    if !matches!(fault.code, FaultCode::Unreach | FaultCode::Exec | FaultCode::Lost) =>
                {
                    Ok(())
                }
                Err(fault) => Err(fault),
            }
        })
    });
    let questions: Vec<_> = questions.collect();
    !questions.is_empty() && futures::future::select_ok(questions).await.is_ok()
}

fn is_silent(endpoint: &Endpoint) -> bool {
    // A read over a session that stood before the silence began is "lost" rather than "unreachable".
    let silence = |code| matches!(code, FaultCode::Unreach | FaultCode::Lost);
    endpoint.status.fault.as_ref().is_some_and(|fault| silence(fault.code))
}

/// Reached by the same agent, named or not, and in the same /24, /64 or loopback.
fn are_near(app: &App, a: &Endpoint, b: &Endpoint) -> bool {
    if app.agent_for(a.agent_id) != app.agent_for(b.agent_id) {
        return false;
    }
    match (subnet(a), subnet(b)) {
        (Some(a), Some(b)) => a == b,
        (None, _) | (_, None) => false,
    }
}

fn subnet(endpoint: &Endpoint) -> Option<Vec<u8>> {
    let host = endpoint.params.get("host")?.as_str()?;
    let address = if host == "localhost" { IpAddr::from([127, 0, 0, 1]) } else { host.parse().ok()? };
    Some(match address {
        address if address.is_loopback() => vec![127],
        IpAddr::V4(v4) => v4.octets().into_iter().take(3).collect(),
        IpAddr::V6(v6) => v6.octets().into_iter().take(8).collect(),
    })
}
