//! Tells agents what becomes of what they cut: it stays off, or it is stored and may be forgotten.

use rackhand_store::steps;
use rackhand_wire::{
    Answer, Fault, FaultCode, Operation, OutletState, Reason,
    command::Outlet,
    id::{AgentId, CommandId},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    iter::once,
    time::{Duration, Instant},
};

use super::{
    command::{self, Destination, Order},
    plan::Blueprint,
};
use crate::{
    agents::{self, Route, Stage},
    app::App,
};
use tokio::sync::watch;

/// Which agent may have begun a write.
pub type Hand = (CommandId, AgentId);

/// Lets the outlets of a job stay off: nobody undoes what was cut, by this job or by an earlier one.
///
/// An agent that cut and does not hold the device any more may be cut off itself and undo its cut when its time
/// is up; so that time is waited out and the outlets are read once more.
///
/// # Errors
/// When a cut was undone, or nobody can tell.
pub async fn off(app: &App, blueprint: &Blueprint, cuts: &[CommandId], hands: &[Hand]) -> Result<(), Fault> {
    let begun = Instant::now();
    loop {
        match told_off(app, blueprint, cuts, hands).await {
            // A database that is away for a while is no reason to switch on what was proven off.
            Err(fault) if fault.reason == Reason::Internal && begun.elapsed() < app.timings().busy_budget => {
                tokio::time::sleep(app.timings().outlet_poll).await;
            }
            told => return told,
        }
    }
}

async fn told_off(app: &App, blueprint: &Blueprint, cuts: &[CommandId], hands: &[Hand]) -> Result<(), Fault> {
    let places: Vec<&Destination> = destinations(blueprint).collect();
    let mut holders = BTreeMap::<AgentId, Vec<Outlet>>::new();
    let mut members = BTreeSet::new();
    for to in &places {
        let (_, route) = command::reached(app, to).await?;
        if let Route::Group { members: all, .. } = &route {
            members.extend(all.iter().copied());
        }
        let patience = app.timings().agent_patience;
        let holder = agents::holder(&app.db, &app.roster, &route, patience).await?;
        holders.entry(holder.agent).or_default().push(outlet(to));
    }
    for (agent, outlets) in &holders {
        let patience = app.timings().agent_patience;
        app.roster.keep_off(*agent, cuts.to_vec(), outlets.clone(), patience).await?;
    }
    let former: BTreeSet<AgentId> = hands
        .iter()
        .filter(|(command, agent)| cuts.contains(command) && !holders.contains_key(agent))
        .map(|(_, agent)| *agent)
        .collect();
    let all: Vec<Outlet> = places.iter().map(|to| outlet(to)).collect();
    let mut is_sure = true;
    for agent in former.iter().copied() {
        let kept = app.roster.keep_off(agent, cuts.to_vec(), all.clone(), longest_cut(app)).await;
        match kept {
            Ok(()) => {}
            Err(fault) if fault.reason == Reason::AgentOffline => is_sure = false,
            Err(fault) => return Err(fault),
        }
    }
    // One that had an outlet long ago may mean to switch it on again for an earlier job. Whoever is away is told when
    // it comes.
    let others = members.into_iter().filter(|agent| !holders.contains_key(agent) && !former.contains(agent));
    for agent in others.filter(|agent| app.roster.is_here(*agent)) {
        let told = app.roster.keep_off(agent, cuts.to_vec(), all.clone(), Duration::ZERO);
        match tokio::time::timeout(longest_cut(app), told).await {
            Ok(Ok(())) | Err(_) => {}
            Ok(Err(fault)) if fault.reason == Reason::AgentOffline => {}
            Ok(Err(fault)) => return Err(fault),
        }
    }
    if !is_sure {
        still_off(app, &places).await?;
    }
    let servers: Vec<_> =
        once(blueprint.server.id).chain(blueprint.shared_with.iter().map(|other| other.id)).collect();
    let labels: Vec<_> = blueprint.plan.outlets.iter().map(|path| path.label.as_str()).collect();
    let settled = async {
        steps::settle(app.db.writer(), cuts).await?;
        steps::settle_earlier(app.db.writer(), &servers, &labels).await
    };
    settled.await.map_err(|error: rackhand_store::Error| {
        tracing::error!(%error, "could not note that outlets stay off");
        Fault::new(FaultCode::Exec, Reason::Internal, "the server could not note that they stay off")
    })
}

/// Lets agents forget what a job wrote, now that its outcome is stored.
pub async fn forget(app: &App, hands: &[Hand]) {
    let mut by_agent = BTreeMap::<AgentId, Vec<CommandId>>::new();
    for (command, agent) in hands {
        by_agent.entry(*agent).or_default().push(*command);
    }
    for (agent, commands) in by_agent {
        app.roster.acknowledge(agent, commands).await;
    }
}

/// After so long an agent has undone by itself whatever it cut just now.
fn longest_cut(app: &App) -> Duration {
    let timings = app.timings();
    timings.discharge + timings.restore_slack + timings.lease_slack
}

async fn still_off(app: &App, places: &[&Destination]) -> Result<(), Fault> {
    for to in places {
        let order = Order::new(app, Operation::ReadOutlet);
        match command::send(app, order, to, &watch::channel(Stage::Waiting).0).await.result? {
            Answer::Outlet(reading) if reading.state == OutletState::Off => {}
            Answer::Outlet(_) => return Err(Fault::new(FaultCode::Exec, Reason::Undone, "")),
            other @ (Answer::Done
            | Answer::Identity(_)
            | Answer::Power(_)
            | Answer::Outlets { .. }
            | Answer::BootDevice { .. }) => {
                let detail = format!("another question was answered: {other:?}");
                return Err(Fault::new(FaultCode::Proto, Reason::Malformed, detail));
            }
        }
    }
    Ok(())
}

fn destinations(blueprint: &Blueprint) -> impl Iterator<Item = &Destination> {
    let outlets = &blueprint.plan.outlets;
    outlets.iter().filter_map(|path| blueprint.destinations.get(&path.connection))
}

fn outlet(to: &Destination) -> Outlet {
    Outlet { endpoint: to.endpoint, target: to.target.clone() }
}
