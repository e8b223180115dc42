//! The words of steps and plans.

use rackhand_domain::power::{Effect, Path, Run, Signal, plan::Refusal};
use rackhand_store::steps::Outcome;
use rackhand_wire::{
    Fault, FaultCode, OutletState, PowerAction, PowerValue, Reason,
    api::{job::StepOutcome, power::PowerPlan},
    id::ConnectionId,
    power::{Native, PathState, PowerFlag, Switch},
};

use super::plan::Blueprint;

/// What is told of a step while it runs.
pub struct Told {
    /// What is done.
    pub title: String,
    /// The path it goes through.
    pub path: Option<String>,
    /// How long it waits at most, in milliseconds.
    pub wait_ms: Option<u64>,
}

/// Finds the device that a step writes to.
pub fn device<'a>(run: &'a Run, effect: &Effect) -> Option<&'a Path> {
    match effect {
        Effect::Command { controller, .. } => run.controller(*controller),
        Effect::SwitchOutlet { outlet, .. } => run.outlet(*outlet),
        Effect::Read { .. }
        | Effect::ReadOutlet { .. }
        | Effect::KeepOff
        | Effect::CheckGates
        | Effect::Wait { .. }
        | Effect::Finish(_) => None,
    }
}

/// Tells what a step does.
pub fn step(run: &Run, effect: &Effect, now: u64) -> Told {
    let (title, path) = title(run, effect);
    let Effect::Wait { ms } = effect else { return Told { title, path, wait_ms: None } };
    match run.starting(now) {
        Some((controller, left)) => {
            let at_most = seconds(run.plan().rhythm.warm_up);
            let title = format!("Wait for {} to start, at most {at_most}", controller.label);
            Told { title, path, wait_ms: Some(left.max(*ms)) }
        }
        None => Told { title, path, wait_ms: Some(*ms) },
    }
}

fn title(run: &Run, effect: &Effect) -> (String, Option<String>) {
    let controller = |index: usize| run.controller(index).map(|path| path.label.clone());
    let outlet = |index: usize| run.outlet(index).map(|path| path.label.clone());
    let on = |label: &Option<String>| label.clone().unwrap_or_default();
    match effect {
        Effect::Read { controller: index } => {
            let label = controller(*index);
            (format!("Read the power of {}", on(&label)), label)
        }
        Effect::Command { controller: index, command } => {
            let label = controller(*index);
            (format!("Send “{}” to {}", native(*command), on(&label)), label)
        }
        Effect::ReadOutlet { outlet: index } => {
            let label = outlet(*index);
            (format!("Read {}", on(&label)), label)
        }
        Effect::SwitchOutlet { outlet: index, to, .. } => {
            let label = outlet(*index);
            let word = match to {
                Switch::On => "on",
                Switch::Off => "off",
            };
            (format!("Switch {word} {}", on(&label)), label)
        }
        Effect::KeepOff => ("Tell the agents that the outlets stay off".into(), None),
        Effect::CheckGates => ("Check whether the outlets may be used instead".into(), None),
        Effect::Wait { ms } => (format!("Wait {}", seconds(*ms)), None),
        Effect::Finish(_) => ("Finish".into(), None),
    }
}

fn seconds(ms: u64) -> String {
    match ms {
        0..1000 => format!("{ms} ms"),
        ms if ms % 60_000 == 0 => format!("{} min", ms / 60_000),
        ms if ms % 1000 == 0 => format!("{} s", ms / 1000),
        ms => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
    }
}

fn native(command: Native) -> &'static str {
    match command {
        Native::On => "on",
        Native::Off => "off",
        Native::Shutdown => "shut down",
        Native::Reset => "reset",
        Native::Nmi => "NMI",
        Native::Cycle => "cycle",
    }
}

/// How a step went.
pub fn outcome(signal: &Signal) -> Outcome {
    let ok = |detail: String| Outcome { outcome: StepOutcome::Ok, fault: None, detail };
    match signal {
        Signal::Read(Ok(reading)) => ok(match reading.power {
            Switch::On => "on".into(),
            Switch::Off => "off".into(),
        }),
        Signal::Outlet(Ok(seen)) => {
            let state = match seen.state {
                OutletState::On => "on",
                OutletState::Off => "off",
                OutletState::PendingOn => "switching on",
                OutletState::PendingOff => "switching off",
                OutletState::Unknown => "state unknown",
            };
            ok(match &seen.locked {
                Some(why) => format!("{state}, {why}"),
                None => state.into(),
            })
        }
        Signal::Commanded(Ok(())) | Signal::Switched(Ok(())) => ok("acknowledged".into()),
        Signal::Kept(Ok(())) => ok("noted".into()),
        Signal::Waited => ok(String::new()),
        Signal::Gates(answer) => {
            let (outcome, detail) = gate_words(answer);
            Outcome { outcome, fault: None, detail }
        }
        Signal::Read(Err(fault))
        | Signal::Outlet(Err(fault))
        | Signal::Commanded(Err(fault))
        | Signal::Switched(Err(fault))
        | Signal::Kept(Err(fault)) => failed(fault),
    }
}

/// How it is told whether the outlets may be used.
fn gate_words(answer: &std::result::Result<(), Refusal>) -> (StepOutcome, String) {
    match answer {
        Ok(()) => (StepOutcome::Ok, "nothing speaks against it".into()),
        Err(refusal) => (StepOutcome::Failed, refusal.sentence.clone()),
    }
}

/// Says whether an agent has begun what this answers.
pub fn has_begun(signal: &Signal) -> bool {
    match signal {
        Signal::Read(Ok(_))
        | Signal::Outlet(Ok(_))
        | Signal::Commanded(Ok(()))
        | Signal::Switched(Ok(()))
        | Signal::Kept(Ok(())) => true,
        Signal::Read(Err(fault))
        | Signal::Outlet(Err(fault))
        | Signal::Commanded(Err(fault))
        | Signal::Switched(Err(fault))
        | Signal::Kept(Err(fault)) => !fault.never_begun(),
        Signal::Gates(_) | Signal::Waited => false,
    }
}

fn failed(fault: &Fault) -> Outcome {
    if fault.reason == Reason::NotWanted {
        // Nobody failed.
        return Outcome { outcome: StepOutcome::Interrupted, fault: None, detail: fault.to_string() };
    }
    let outcome = match fault.code {
        FaultCode::Lost | FaultCode::Dup => StepOutcome::Unclear,
        FaultCode::Auth
        | FaultCode::Config
        | FaultCode::State
        | FaultCode::Unsupported
        | FaultCode::Busy
        | FaultCode::Updating
        | FaultCode::Unreach
        | FaultCode::Proto
        | FaultCode::Exec => StepOutcome::Failed,
    };
    Outcome { outcome, fault: Some(fault.code), detail: fault.to_string() }
}

/// What an action would do now, for the dialog.
pub fn plan_of(blueprint: &Blueprint) -> PowerPlan {
    let plan = &blueprint.plan;
    let (action, via) = (plan.action.what, plan.action.via);
    let cuts: Vec<String> = plan.outlets.iter().map(|path| path.label.clone()).collect();
    let refusal = refusal(blueprint);
    let cutting = matches!(action, PowerAction::Off | PowerAction::Cycle);
    let by_outlets = plan.is_by_outlets();
    let (fallback, fallback_possible) = if by_outlets { (None, false) } else { fallback(blueprint) };
    let involved = by_outlets || fallback_possible;
    let mut steps = if by_outlets { outlet_steps(action, &cuts) } else { controller_steps(blueprint) };
    if refusal.is_none() {
        steps.splice(0..0, awaited(blueprint, by_outlets));
    }
    PowerPlan {
        action,
        via,
        allowed: refusal.is_none(),
        refusal,
        steps,
        fallback,
        fallback_possible,
        cuts: if cutting && involved { cuts } else { Vec::new() },
        shared_with: if by_outlets || may_feed_others(blueprint) {
            blueprint.shared_with.clone()
        } else {
            Vec::new()
        },
    }
}

/// What is waited for before anything is done: an agent that is away.
fn awaited(blueprint: &Blueprint, by_outlets: bool) -> Option<String> {
    let plan = &blueprint.plan;
    let asked = if by_outlets { &plan.outlets[..] } else { plan.controllers.get(..1).unwrap_or_default() };
    let is_away = |connection: ConnectionId| {
        let mut said = blueprint.server.power.paths.iter();
        said.any(|path| path.connection_id == connection && path.agent_away)
    };
    let away = asked.iter().find(|path| is_away(path.connection))?;
    Some(format!("Waits for the agent that reaches {}: it is offline.", away.label))
}

/// Says whether an On by the controller switches dark outlets on first once the others on them are named.
fn may_feed_others(blueprint: &Blueprint) -> bool {
    let mut named = blueprint.plan.clone();
    named.switch_refusal = named.switch_refusal.filter(|refusal| refusal.code != "shared_outlet");
    named.action.what == PowerAction::On && !blueprint.shared_with.is_empty() && named.feeds_come_first()
}

fn refusal(blueprint: &Blueprint) -> Option<String> {
    let plan = &blueprint.plan;
    let action = plan.action.what;
    if blueprint.server.maintenance {
        return Some("The server is in maintenance.".into());
    }
    if blueprint.server.power.flags.contains(&PowerFlag::FirmwareUpdate) {
        return Some(Refusal::firmware_update().sentence);
    }
    if plan.controllers.is_empty() && plan.outlets.is_empty() {
        return Some("No connection of this server has power ticked.".into());
    }
    let by_outlets = plan.is_by_outlets();
    if by_outlets && plan.outlets.is_empty() {
        return Some("No outlets are connected to this server.".into());
    }
    match action {
        PowerAction::Shutdown | PowerAction::Reset | PowerAction::Nmi if by_outlets => {
            Some(format!("Outlets cannot stand in for “{}”.", action.title()))
        }
        PowerAction::On | PowerAction::Off | PowerAction::Cycle if by_outlets => {
            plan.outlet_refusal(action.into()).map(|refusal| refusal.sentence.clone())
        }
        PowerAction::Reset if blueprint.server.power.value == PowerValue::Off => {
            Some("The server is off, so there is nothing to reset. Use On.".into())
        }
        PowerAction::On
        | PowerAction::Off
        | PowerAction::Cycle
        | PowerAction::Shutdown
        | PowerAction::Reset
        | PowerAction::Nmi => None,
    }
}

fn controller_steps(blueprint: &Blueprint) -> Vec<String> {
    feeds_first(blueprint).into_iter().chain(asked_of_controller(blueprint)).collect()
}

/// What happens to dark outlets before the controller is asked.
fn feeds_first(blueprint: &Blueprint) -> Vec<String> {
    let plan = &blueprint.plan;
    let is_agreed = plan.feeds_come_first();
    if !is_agreed && !may_feed_others(blueprint) {
        return Vec::new();
    }
    let paths = &blueprint.server.power.paths;
    let is_dark = |connection: ConnectionId| {
        let mut said = paths.iter().filter(|path| path.connection_id == connection);
        said.any(|path| path.state == Some(PathState::FeedOff))
    };
    let dark = plan.outlets.iter().filter(|path| is_dark(path.connection));
    let dark: Vec<String> = dark.map(|path| path.label.clone()).collect();
    if !is_agreed {
        let others: Vec<String> = blueprint.shared_with.iter().map(|other| other.name.clone()).collect();
        return vec![format!(
            "Switches {} on first, if you agree to feed {} too.",
            join(&dark),
            join(&others)
        )];
    }
    let mut steps = vec![format!("Switches {} on first.", join(&dark))];
    if plan.feeds_dark {
        let label = plan.controllers.first().map_or("", |path| path.label.as_str());
        steps.push(format!("Waits for {label} to start, at most {}.", seconds(plan.rhythm.warm_up)));
    }
    steps
}

fn asked_of_controller(blueprint: &Blueprint) -> Vec<String> {
    let label = blueprint.plan.controllers.first().map_or("", |path| path.label.as_str());
    let hold = seconds(blueprint.plan.rhythm.hold);
    let off = blueprint.server.power.value == PowerValue::Off;
    match blueprint.plan.action.what {
        PowerAction::On => vec![format!("Asks {label} to switch on, and reads that it is on.")],
        PowerAction::Shutdown => vec![
            format!("Asks the operating system, through {label}, to shut down."),
            format!(
                "Waits up to {} for it. Outlets are never switched.",
                seconds(blueprint.plan.rhythm.soft_deadline)
            ),
        ],
        PowerAction::Off => {
            vec![format!("Tells {label} to cut the server's power at once. Unsaved data is lost.")]
        }
        PowerAction::Cycle if off => vec![format!("The server is off: asks {label} to switch on.")],
        // It is refused.
        PowerAction::Reset if off => Vec::new(),
        PowerAction::Cycle => vec![
            format!("Tells {label} to cut the server's power at once. Unsaved data is lost."),
            format!("Reads that it is off, waits {hold}, and switches on again."),
        ],
        PowerAction::Reset => {
            vec![format!("Tells {label} to restart the server at once, sent once. Unsaved data is lost.")]
        }
        PowerAction::Nmi => vec![format!("Sends a diagnostic interrupt through {label}, once.")],
    }
}

fn outlet_steps(action: PowerAction, cuts: &[String]) -> Vec<String> {
    let list = join(cuts);
    match action {
        PowerAction::On => vec![format!("Switches on {list}.")],
        PowerAction::Off => vec![
            "Reads every outlet before anything is switched.".into(),
            format!("Cuts {list}. The BMC loses power too."),
            "Waits for the supplies to discharge, then reads every outlet again.".into(),
        ],
        PowerAction::Cycle => vec![
            "Reads every outlet before anything is switched.".into(),
            format!("Cuts {list}. The BMC loses power too."),
            "Waits for the supplies to discharge, then switches every outlet on again.".into(),
        ],
        PowerAction::Shutdown | PowerAction::Reset | PowerAction::Nmi => Vec::new(),
    }
}

fn fallback(blueprint: &Blueprint) -> (Option<String>, bool) {
    let plan = &blueprint.plan;
    let action = plan.action.what;
    let cuts: Vec<String> = plan.outlets.iter().map(|path| path.label.clone()).collect();
    let list = join(&cuts);
    let what = match action {
        PowerAction::On => format!("switches on {list}"),
        PowerAction::Off => format!("cuts {list}"),
        PowerAction::Cycle => {
            let them = if cuts.len() == 1 { "it" } else { "them" };
            format!("cuts {list}, and switches {them} on again once the supplies have discharged")
        }
        PowerAction::Shutdown | PowerAction::Reset | PowerAction::Nmi => return (None, false),
    };
    if cuts.is_empty() {
        return (Some("No fallback: no outlets are connected to this server.".into()), false);
    }
    let refusal = plan.fallback_refusal.as_ref().or(plan.outlet_refusal(action.into()));
    if let Some(refusal) = refusal {
        return (Some(format!("No fallback to the outlets. {}", refusal.sentence)), false);
    }
    (Some(format!("If the BMC cannot be reached: {what}.")), true)
}

fn join(labels: &[String]) -> String {
    match labels.split_last() {
        None => String::new(),
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
    }
}
