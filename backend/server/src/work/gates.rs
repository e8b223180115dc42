//! Gathers what the gates of an automatic fallback want to know.

use rackhand_domain::power::{
    gates::{Facts, decide},
    plan::Refusal,
};
use rackhand_store::{
    Result, Scope, Tx, jobs, now,
    servers::{self, Rack},
};
use rackhand_wire::{
    PowerAction,
    id::{EndpointId, JobId, StepId},
    power::PowerFlag,
};
use std::time::Duration;

use super::{
    neighbours, patience,
    plan::{self, Blueprint},
    weigh,
};
use crate::app::App;

/// What a step waits for whose job is not the only one to cut.
pub const TURN: &str = "waiting for its turn: on the same PDU another server was cut a moment ago";

/// Checks the gates for a run whose controller is unreachable.
///
/// # Errors
/// When the database fails.
pub async fn check(
    app: &App,
    (job, step): (JobId, StepId),
    blueprint: &Blueprint,
) -> Result<std::result::Result<(), Refusal>> {
    let everything = Scope::provider();
    // The server as it is now: someone may have begun to work on it.
    let mut server = servers::get(app.db.reader(), &everything, blueprint.server.id).await?;
    weigh::let_go(app, &mut server.power);
    let tenant = servers::owner(app.db.reader(), &everything, server.id).await?;
    let controller = blueprint.plan.controllers.last();
    let Some(own) = controller.and_then(|path| blueprint.destinations.get(&path.connection)) else {
        return Ok(Ok(()));
    };
    let near = neighbours::ask(app, own).await?;
    let rack = Rack { tenant, site: server.site_id, label: &server.rack };
    let of_rack = servers::in_rack(app.db.reader(), rack).await?;
    let facts = Facts {
        neighbour_answered: near.answered,
        controllers_in_subnet: near.controllers + 1,
        unreachable_in_subnet: near.silent + 1,
        identity_mismatch: server.power.flags.contains(&PowerFlag::IdentityMismatch),
        shared: plan::shared_by_now(app, blueprint).await?,
        maintenance: server.maintenance,
        updating: server.power.flags.contains(&PowerFlag::FirmwareUpdate),
        servers_in_rack: usize::try_from(of_rack).unwrap_or(usize::MAX),
        recent_cuts_in_rack: 0,
        cuts: blueprint.plan.action.what != PowerAction::On,
    };
    turn(app, (job, step), rack, blueprint, facts).await
}

/// Says whether the rack's limit of automatic cuts would forbid one now.
///
/// # Errors
/// When the database fails.
pub async fn rack_refusal(app: &App, blueprint: &Blueprint) -> Result<Option<Refusal>> {
    let (db, server) = (app.db.reader(), &blueprint.server);
    let tenant = servers::owner(db, &Scope::provider(), server.id).await?;
    let window = now() - delta(app.timings().rack_window);
    let rack = Rack { tenant, site: server.site_id, label: &server.rack };
    let recent = jobs::cuts_in_rack(db, rack, window, JobId(uuid::Uuid::nil())).await?;
    let of_rack = servers::in_rack(db, rack).await?;
    let count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    let facts = Facts {
        // What else there is shows only when it is asked.
        neighbour_answered: true,
        servers_in_rack: count(of_rack),
        recent_cuts_in_rack: count(recent),
        cuts: matches!(blueprint.plan.action.what, PowerAction::Off | PowerAction::Cycle),
        ..Facts::default()
    };
    Ok(decide(&facts).err())
}

/// Decides, and takes the job's place among the automatic cuts in the same transaction, so that two jobs
/// never both find the last free place. Cuts on one PDU keep a distance: a job waits for its turn.
async fn turn(
    app: &App,
    (job, step): (JobId, StepId),
    rack: Rack<'_>,
    blueprint: &Blueprint,
    mut facts: Facts,
) -> Result<std::result::Result<(), Refusal>> {
    let window = delta(app.timings().rack_window);
    loop {
        let tx = app.db.begin().await?;
        let recent = jobs::cuts_in_rack(&tx, rack, now() - window, job).await?;
        facts.recent_cuts_in_rack = usize::try_from(recent).unwrap_or(usize::MAX);
        let decision = decide(&facts);
        if decision.is_err() || !facts.cuts {
            return Ok(decision);
        }
        let Some(left) = until_turn(&tx, app, job, blueprint).await? else {
            jobs::reserve_cut(&tx, job).await?;
            tx.commit().await?;
            return Ok(decision);
        };
        drop(tx);
        patience::note(app, job, step, TURN).await;
        // Whoever stands right before a cut goes first.
        tokio::time::sleep(left + app.timings().cut_spacing / 8).await;
    }
}

/// Takes the turn for one automatic cut right before it is made, where `is_late` whether or not others were cut on its
/// PDUs just now; gives how long to wait else. A place that was taken at the gates says nothing of the moment: outlets
/// are read in between, for one job longer than for another.
///
/// # Errors
/// When the database fails.
pub async fn take_turn(
    app: &App,
    job: JobId,
    blueprint: &Blueprint,
    is_late: bool,
) -> Result<Option<Duration>> {
    let tx = app.db.begin().await?;
    if let Some(left) = until_turn(&tx, app, job, blueprint).await?.filter(|_| !is_late) {
        return Ok(Some(left));
    }
    jobs::reserve_cut(&tx, job).await?;
    tx.commit().await?;
    Ok(None)
}

/// How long another job's automatic cut on the same PDUs still holds this one up.
async fn until_turn(tx: &Tx, app: &App, job: JobId, blueprint: &Blueprint) -> Result<Option<Duration>> {
    let spacing = delta(app.timings().cut_spacing);
    let pdus: Vec<EndpointId> = blueprint.plan.outlets.iter().map(|path| path.endpoint).collect();
    // A cut that lies in the future was made before the clock was set back: nobody waits until then.
    let near = now() - spacing..now() + spacing;
    let last = jobs::last_cut_on(tx, &pdus, near, job).await?;
    Ok(last.map(|last| (last + spacing - now()).to_std().unwrap_or_default().max(Duration::from_millis(1))))
}

fn delta(duration: Duration) -> chrono::TimeDelta {
    chrono::TimeDelta::from_std(duration).unwrap_or_default()
}
