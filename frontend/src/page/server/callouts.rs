//! What needs a person, each with its remedy.

use leptos::{prelude::*, task::spawn_local};
use rackhand_wire::{
    PowerValue, Role,
    api::server::{ChangeServer, Server},
    power::{PathState, PowerFlag},
};

use super::{Scene, edit::nothing};
use crate::{
    api,
    draw::live,
    part::{
        Tone,
        button::{Button, Size},
        callout::Callout,
        toast,
    },
};

/// What is worth a callout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Matter {
    Flag(PowerFlag),
    Maintenance,
    /// The outlets feed it and the controller is silent.
    Fed,
    NoPath,
    FeedsOpen,
}

/// Draws the callouts of the server.
#[component]
pub fn Callouts(scene: Scene) -> impl IntoView {
    let matters = Memo::new(move |_| scene.server.with(matters));
    live(move || matters.get().into_iter().map(|matter| draw(matter, scene)).collect::<Vec<_>>())
}

fn matters(server: &Server) -> Vec<Matter> {
    // A job switches one outlet after the other: what is missing meanwhile is missing on purpose.
    let is_switched = |flag: &PowerFlag| *flag == PowerFlag::Degraded && server.active_job_id.is_some();
    let flags = server.power.flags.iter().copied().filter(|flag| !is_switched(flag));
    let mut found: Vec<_> = flags.map(Matter::Flag).collect();
    if server.maintenance {
        found.push(Matter::Maintenance);
    }
    if server.power.paths.is_empty() {
        found.push(Matter::NoPath);
    }
    let has = |role| server.power.paths.iter().any(|path| path.role == role);
    // What nobody asks because its agent is away may answer.
    let is_away = server.power.paths.iter().any(|path| path.role == Role::Controller && path.agent_away);
    // A job that is under way may yet wake the controller.
    let is_left = server.active_job_id.is_none();
    if server.power.value == PowerValue::Fed && has(Role::Controller) && is_left && !is_away {
        found.push(Matter::Fed);
    }
    if has(Role::Feed) && has(Role::Controller) && !server.feeds_complete {
        found.push(Matter::FeedsOpen);
    }
    found
}

fn draw(matter: Matter, scene: Scene) -> AnyView {
    let change = move |label: &str, body: fn() -> ChangeServer| {
        let act = Callback::new(move |()| patch(scene, body(), || {}));
        view! { <Button label=label.to_owned() size=Size::Small on_click=act/> }
    };
    let configuration = move || {
        let href = scene.server.with_untracked(|server| format!("/servers/{}/configuration", server.id));
        view! { <a href=href class="button" data-size="sm">"Open configuration"</a> }
    };
    match matter {
        Matter::Flag(PowerFlag::Degraded) => view! {
            <Callout tone=Tone::Degraded title="One feed is missing: the server runs without redundancy" text=scene.server.with_untracked(missing)>
                {configuration()}
            </Callout>
        }
        .into_any(),
        Matter::Flag(PowerFlag::WiringMismatch) => view! {
            <Callout
                tone=Tone::Danger
                icon="state-conflict"
                title="The outlets belong to another machine"
                text="The BMC answered after its outlets were read off, so the mapping is wrong. Fallback to the outlets is off until the connections are corrected and the wiring is confirmed."
            >
                {configuration()}
                {change("The wiring is right now", || ChangeServer { confirm_wiring: true, ..nothing() })}
            </Callout>
        }
        .into_any(),
        Matter::Flag(PowerFlag::IdentityMismatch) => view! {
            <Callout
                tone=Tone::Danger
                icon="state-conflict"
                title="Another BMC answers at this address"
                text="Nothing is sent to it. If the board was replaced, accept the new identity in the menu of the connection."
            >
                {configuration()}
            </Callout>
        }
        .into_any(),
        Matter::Flag(PowerFlag::StaysOffAfterFeed) => view! {
            <Callout
                tone=Tone::Degraded
                title="The server stays off when its power returns"
                text="Its restore policy is \"stay off\", so after a cut of the outlets it must be switched on through the BMC. Set the policy to \"always on\" or \"as before\" in the firmware."
            />
        }
        .into_any(),
        Matter::Flag(PowerFlag::FirmwareUpdate) => updating(),
        Matter::Maintenance => view! {
            <Callout title="Under maintenance" text="Someone works on this server: power actions are refused.">
                {change("End maintenance", || ChangeServer { maintenance: Some(false), ..nothing() })}
            </Callout>
        }
        .into_any(),
        Matter::Fed => view! {
            <Callout
                tone=Tone::Fed
                title="Its outlets feed it; whether it runs is not known"
                text="Its controller is silent. If it was off when its feeds returned, its restore policy may keep it off: then press its power button on site, or switch it on once the controller answers."
            />
        }
        .into_any(),
        Matter::NoPath => no_path(scene),
        Matter::FeedsOpen => view! {
            <Callout
                tone=Tone::Fed
                title="Force off and Power cycle cannot fall back to the outlets"
                text="Nobody has said that the connected outlets feed all power supplies. If one were missing, the machine would keep running on it."
            >
                {change("They feed all supplies", || ChangeServer { feeds_complete: Some(true), ..nothing() })}
            </Callout>
        }
        .into_any(),
    }
}

fn updating() -> AnyView {
    view! {
        <Callout
            tone=Tone::Degraded
            title="The firmware of its BMC is being written"
            text="Power actions are refused until the BMC answers again, or has been silent for an hour."
        />
    }
    .into_any()
}

fn no_path(scene: Scene) -> AnyView {
    let add = Callback::new(move |()| scene.adding.set(true));
    view! {
        <Callout
            tone=Tone::Unknown
            title="Nothing controls this server yet"
            text="Connect its BMC and the outlets that feed it; then its state shows and power is one click."
        >
            <Button label="Add connection".to_owned() size=Size::Small icon="plus" refusal=Signal::derive(crate::live::refusal) on_click=add/>
        </Callout>
    }
    .into_any()
}

fn missing(server: &Server) -> String {
    let dead = server.power.paths.iter().filter(|path| {
        path.role == Role::Feed && (path.fault.is_some() || path.state == Some(PathState::FeedOff))
    });
    let names: Vec<_> = dead.map(|path| path.label.as_str()).collect();
    if names.is_empty() {
        return "Read all paths to see which.".to_owned();
    }
    format!(
        "{} does not feed it. “On” switches an outlet on that is off; else look at it and its cable before the next cycle.",
        names.join(" and ")
    )
}

/// Changes the server and shows it as it is then. When that fails, `back` shows it as it was.
pub fn patch(scene: Scene, body: ChangeServer, back: impl FnOnce() + 'static) {
    spawn_local(async move {
        match api::patch::<_, Server>(&scene.path(""), &body).await {
            Ok(_) => {
                toast::done("Saved");
                scene.again.try_run(());
            }
            Err(problem) => {
                back();
                toast::failed(&problem);
            }
        }
    });
}
