//! One device: what it is and which servers it serves; of one that feeds them, its outlets.

use leptos::prelude::*;
use rackhand_wire::{
    OutletState, Reason, Role,
    api::{
        endpoint::{Endpoint, EndpointOutlets, FedOutlet},
        kind::Kind as Integration,
        live::{Change, Object},
        page::Page,
    },
    operation::Identity,
};

use super::{
    Task, agent_names, agent_of,
    dialogs::Dialogs,
    row::{Status, remedy},
};
use crate::{
    draw::{live, tenths, whole},
    held::Held,
    load::{faces, load},
    part::{
        Tone,
        badge::{Badge, Kind as Loudness},
        button::{Button, Kind},
        callout::Callout,
        card::Card,
        crumbs,
        empty::Empty,
        facts::fact,
        field::outlet_state,
        page_head::PageHead,
        skeleton::Skeleton,
        table::follow,
    },
    time,
};

/// The page of one device.
#[component]
pub fn DevicePage(id: String) -> impl IntoView {
    let path = format!("endpoints/{id}");
    let concerns = {
        let id = id.clone();
        move |change: &Change| {
            change.object == Object::Agent || change.object == Object::Endpoint && change.id == id
        }
    };
    let device = {
        let path = path.clone();
        load::<Endpoint>(move || Some(path.clone()), concerns.clone())
    };
    let outlets = load::<EndpointOutlets>(move || Some(format!("{path}/outlets")), concerns);
    let kinds = load::<Page<Integration>>(|| Some("kinds".to_owned()), |_| false);
    let shape = || view! { <Skeleton lines=3/> <Skeleton/> }.into_any();
    faces(device, shape, move |device| {
        faces(kinds, shape, move |kinds| {
            let feeds = device.with_untracked(|device| {
                kinds.with_untracked(|kinds| {
                    let all = kinds.items.iter();
                    all.map(|kind| &kind.descriptor)
                        .any(|kind| kind.kind == device.kind && kind.role == Role::Feed)
                })
            });
            let shape = || view! { <Skeleton lines=8/> }.into_any();
            let fed = feeds.then(|| {
                view! { <div class="stack">{faces(outlets, shape, |outlets| view! { <Outlets outlets/> }.into_any())}</div> }
            });
            view! {
                <Head device kinds=Signal::derive(move || kinds.get().items) feeds/>
                <div class="columns">
                    {fed}
                    <div class="stack"><About device/></div>
                </div>
            }
            .into_any()
        })
    })
}

#[component]
fn Head(device: Held<Endpoint>, kinds: Signal<Vec<Integration>>, feeds: bool) -> impl IntoView {
    let name = Memo::new(move |_| device.with(|device| device.name.clone()));
    crumbs::stand(move || {
        let list = if feeds { "/devices" } else { "/devices?of=controllers" };
        (vec![("Network devices".to_owned(), list.to_owned())], name.get())
    });
    let task = RwSignal::new(None);
    let press = move |make: fn(Endpoint) -> Task| {
        Callback::new(move |()| task.set(Some(make(device.get_untracked()))))
    };
    let fault = move || {
        device.with(|device| device.status.fault.clone()).map(|fault| {
            let tone = if fault.reason == Reason::WithoutPower { Tone::Unknown } else { Tone::Danger };
            view! { <Callout title=fault.to_string() text=remedy(&fault) tone/> }
        })
    };
    view! {
        <PageHead title=name state=move || view! { <Status endpoint=device/> }>
            <Button label="Test now".to_owned() icon="refresh" on_click=press(Task::Test)/>
            <Button label="Change".to_owned() icon="pencil" on_click=press(Task::Change)/>
            <Button label="Remove".to_owned() kind=Kind::Caution icon="trash" on_click=press(Task::Remove)/>
        </PageHead>
        {live(fault)}
        {live(move || view! { <Dialogs task kinds=kinds.get()/> })}
    }
}

#[component]
fn About(device: Held<Endpoint>) -> impl IntoView {
    let agents = agent_names();
    let facts = move || {
        let device = device.get();
        let agent = agents.with(|agents| agent_of(&device, agents));
        let identity = device.status.identity.unwrap_or_else(unknown);
        let read = device
            .status
            .checked_at
            .map_or_else(|| "never".to_owned(), |at| format!("{} ago", time::age(at)));
        let servers = (device.connections > 0).then(|| {
            let href = format!("/servers?q=device:{}", device.id);
            view! { <a href=href>"Show servers"</a> }
        });
        let told = |name, value: Option<String>| fact(name, value.unwrap_or_else(|| "—".to_owned()));
        view! {
            <dl class="facts">
                {told("Maker", identity.vendor)}
                {told("Model", identity.model)}
                {told("Firmware", identity.firmware)}
                {told("Serial", identity.unique)}
                {told("Driver", identity.profile)}
                {told("Protocol", identity.protocol)}
                {told("Address", device.address)}
                {fact("Agent", agent)}
                {fact("Connections", view! { {device.connections} " " {servers} })}
                {fact("Read", read)}
                {fact("Added", time::day(device.created_at))}
            </dl>
        }
    };
    let notes = move || {
        let notes =
            device.with(|device| device.status.identity.as_ref().map(|identity| identity.notes.clone()));
        let note = |text: String| view! { <Callout title=text tone=Tone::Degraded/> };
        notes.unwrap_or_default().into_iter().map(note).collect::<Vec<_>>()
    };
    view! {
        <Card title="Facts"><div class="card-body">{live(facts)}</div></Card>
        {live(notes)}
    }
}

/// An identity of which nothing is known yet.
pub fn unknown() -> Identity {
    Identity {
        vendor: None,
        model: None,
        firmware: None,
        unique: None,
        profile: None,
        protocol: None,
        notes: Vec::new(),
    }
}

#[component]
fn Outlets(outlets: Held<EndpointOutlets>) -> impl IntoView {
    let read = move || outlets.with(|outlets| outlets.checked_at);
    let age = move || {
        let words = move || {
            read().map_or_else(|| "Never read".to_owned(), |at| format!("Read {} ago", time::age(at)))
        };
        view! { <span class="meta">{live(words)}</span> }
    };
    let none = move || {
        outlets.with(|outlets| outlets.outlets.is_empty()).then(|| {
            view! { <Empty icon="plug" title="No outlet is known" text="They appear once the device has been read."/> }
        })
    };
    view! {
        <Card title="Outlets" actions=age>
            <table class="table">
                <thead>
                    <tr>
                        <th scope="col">"Outlet"</th>
                        <th scope="col">"State"</th>
                        <th class="break"></th>
                        <th scope="col">"Feeds"</th>
                        <th scope="col" class="num">"Power"</th>
                        <th scope="col" class="num" data-p="2">"Current"</th>
                    </tr>
                </thead>
                <tbody>
                    {follow(
                        move || outlets.get().outlets,
                        |outlet: &FedOutlet| outlet.reading.outlet.clone(),
                        |_, outlet| view! { <OutletRow outlet/> },
                    )}
                </tbody>
            </table>
            {live(none)}
        </Card>
    }
}

#[component]
fn OutletRow(outlet: Held<FedOutlet>) -> impl IntoView {
    let cells = move || {
        let FedOutlet { reading, servers } = outlet.get();
        let state = state_badge(reading.state, outlet_state(&reading));
        let locked = reading.locked.map(|why| view! { <Badge text=why icon="lock" tone=Tone::Degraded/> });
        let link = |server: rackhand_wire::api::server::ServerBrief| {
            view! { <a href=format!("/servers/{}", server.id)>{server.name}</a> " " }
        };
        let unit = |value: Option<f64>, draw: fn(f64) -> String, unit| {
            value.map_or_else(|| "—".to_owned(), |value| format!("{} {unit}", draw(value)))
        };
        view! {
            <td data-m="title"><span class="name">{reading.outlet}</span><span class="under">{reading.name}</span></td>
            <td data-m="end"><span class="row">{state} {locked}</span></td>
            <td class="break"></td>
            <td data-m="line">{servers.into_iter().map(link).collect::<Vec<_>>()}</td>
            <td data-m="line" class="num">{unit(reading.watts, whole, "W")}</td>
            <td data-p="2" class="num">{unit(reading.amps, tenths, "A")}</td>
        }
    };
    view! { <tr>{live(cells)}</tr> }
}

fn state_badge(state: OutletState, word: &'static str) -> impl IntoView {
    let (tone, icon) = match state {
        OutletState::On => (Tone::On, "state-on"),
        OutletState::Off => (Tone::Off, "state-off"),
        OutletState::PendingOn | OutletState::PendingOff => (Tone::Transition, "state-transition"),
        OutletState::Unknown => (Tone::Unknown, "state-unknown"),
    };
    view! { <Badge text=word tone icon kind=Loudness::Plain/> }
}
