//! The power verbs, always in this order: On, Shut down, Force off, Power cycle, Reset; the rest in a menu.

use gloo_timers::future::TimeoutFuture;
use leptos::{prelude::*, task::spawn_local};
use rackhand_wire::{
    PowerAction, PowerValue, Role,
    api::{job::Job, live::Object, power::Via, server::Server},
    power::{Confidence, PathState, PowerFlag, ServerPower},
};

use super::{
    Scene,
    force::ForceDialog,
    power_dialog::{Ask, PowerDialog, icon},
};
use crate::{
    api, draw,
    held::Slot,
    live,
    load::load,
    part::{
        button::{Button, Kind},
        menu::{Item, Menu},
        toast,
    },
};

/// The five verbs in sight, in their order.
const VERBS: [PowerAction; 5] =
    [PowerAction::On, PowerAction::Shutdown, PowerAction::Off, PowerAction::Cycle, PowerAction::Reset];

/// Draws the verbs and holds their dialogs.
#[component]
pub fn Verbs(scene: Scene) -> impl IntoView {
    let ask = RwSignal::new(Ask { action: PowerAction::On, via: Via::Auto });
    let asking = RwSignal::new(false);
    let forcing = RwSignal::new(false);
    let press = move |action| {
        ask.set(Ask { action, via: Via::Auto });
        asking.set(true);
    };
    let job = present_job(scene);
    let draw = move |action: PowerAction| {
        let kind = if loses_data(action) { Kind::Caution } else { Kind::Plain };
        let refusal = Signal::derive(move || {
            live::refusal()
                .or_else(|| under_way(scene, job).filter(|_| present(scene, job) == Some(action)))
                .or_else(|| scene.server.with(|server| refusal(server, action)))
        });
        view! {
            <Button
                label=action.title().to_owned()
                kind
                icon=icon(action)
                refusal
                on_click=Callback::new(move |()| press(action))
            />
        }
    };
    let more = move || rest(scene, press, forcing);
    view! {
        <div class="button-group verbs" role="group" aria-label="Power">
            {VERBS.into_iter().map(draw).collect::<Vec<_>>()}
        </div>
        {draw::live(move || {
            let href = format!("/jobs/{}", scene.server.with(|server| server.active_job_id)?);
            Some(view! { <a href=href>{draw::live(move || under_way(scene, job))}</a> })
        })}
        <Menu label="More actions".to_owned() items=more/>
        <PowerDialog server=scene.server ask open=asking/>
        <ForceDialog server=scene.server open=forcing/>
    }
}

/// The job that works on the server now.
fn present_job(scene: Scene) -> Slot<Job> {
    let path = move || scene.server.with(|server| server.active_job_id).map(|id| format!("jobs/{id}"));
    load::<Job>(path, |_| false).value
}

/// What it does; another action can be started when it has ended.
fn present(scene: Scene, job: Slot<Job>) -> Option<PowerAction> {
    let id = scene.server.with(|server| server.active_job_id)?;
    job.with(|job| job.filter(|job| job.id == id).and_then(|job| job.action))
}

/// Names the job that works on the server now.
fn under_way(scene: Scene, job: Slot<Job>) -> Option<String> {
    scene.server.with(|server| server.active_job_id)?;
    Some(format!("{} is under way.", present(scene, job).map_or("A job", PowerAction::title)))
}

/// Says whether unsaved data is lost.
pub fn loses_data(action: PowerAction) -> bool {
    match action {
        PowerAction::On | PowerAction::Shutdown => false,
        PowerAction::Off | PowerAction::Cycle | PowerAction::Reset | PowerAction::Nmi => true,
    }
}

/// What the page knows by itself; the dialog shows what the backend says.
fn refusal(server: &Server, action: PowerAction) -> Option<String> {
    if server.power.paths.is_empty() {
        return Some("Nothing controls this server yet: add a connection.".to_owned());
    }
    if server.maintenance {
        return Some("Someone works on this server: it is marked as under maintenance.".to_owned());
    }
    // A job is about to change what it is.
    let sure = server.power.confidence == Confidence::High && server.active_job_id.is_none();
    match (action, server.power.value) {
        (PowerAction::On, PowerValue::On) if sure && is_whole(&server.power) => {
            Some("It is on already.".to_owned())
        }
        (PowerAction::Off | PowerAction::Shutdown, PowerValue::Off) if sure => {
            Some("It is off already.".to_owned())
        }
        (PowerAction::Reset, PowerValue::Off) if sure => {
            Some("It is off, and a reset restarts only what runs: choose On.".to_owned())
        }
        _ => None,
    }
}

/// Says whether every feed is live; On brings back those that are not.
fn is_whole(power: &ServerPower) -> bool {
    !power.flags.contains(&PowerFlag::Degraded)
        && power.paths.iter().all(|path| path.state != Some(PathState::FeedOff))
}

fn rest(
    scene: Scene,
    press: impl Fn(PowerAction) + Copy + Send + Sync + 'static,
    forcing: RwSignal<bool>,
) -> Vec<Item> {
    let fed =
        scene.server.with_untracked(|server| server.power.paths.iter().any(|path| path.role == Role::Feed));
    let mut items = vec![
        Item::new("Read all paths now", "refresh", move || refresh(scene))
            .help("Asks every device that knows something about its power"),
        Item::new("Send NMI", icon(PowerAction::Nmi), move || press(PowerAction::Nmi))
            .help("A diagnostic interrupt: most systems write a crash dump and restart")
            .caution(),
    ];
    if fed {
        items.push(
            Item::new("Force via PDU", "plug", move || forcing.set(true))
                .help("Goes to the outlets at once, past the BMC")
                .caution(),
        );
    }
    items
}

/// What was read is fetched after each of these.
const LOOKS_MS: [u32; 3] = [1_000, 3_000, 8_000];

/// Asks for a fresh look at every path.
pub fn refresh(scene: Scene) {
    spawn_local(async move {
        match api::poke(&scene.path("/power/refresh")).await {
            Ok(()) => {
                toast::done("Reading all paths");
                // A silent device takes longer than one that answers.
                for pause in LOOKS_MS {
                    TimeoutFuture::new(pause).await;
                    if let Some(id) = scene.server.try_with_untracked(|server| server.id) {
                        live::announce(Object::Server, id);
                    }
                }
            }
            Err(problem) => toast::failed(&problem),
        }
    });
}
