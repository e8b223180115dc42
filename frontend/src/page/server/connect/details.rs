//! The details: the device, saved or new, and the server's place on it.

use leptos::prelude::*;
use rackhand_wire::{
    Field,
    api::{
        endpoint::{Endpoint, EndpointOutlets, FedOutlet},
        page::Page,
    },
};
use std::sync::Arc;

use super::{Making, Pick};
use crate::{
    api,
    draw::live,
    load::load,
    page::endpoint::{EndpointFields, NameField},
    part::{
        Tone,
        button::{Button, Size},
        callout::Callout,
        field::{FieldForm, Kind, PathOf, SelectField, TextField},
        icon_button::IconButton,
        outlet_picker::OutletPicker,
    },
};

/// Draws the fields of the kind.
#[component]
pub fn Details(making: Making) -> impl IntoView {
    let inline = making.kind.with_value(|kind| kind.descriptor.inline);
    let saved = Memo::new(move |_| making.saved.with(|saved| !saved.is_empty()));
    let outlet = making.outlet_field();
    let others: Vec<Field> = making.kind.with_value(|kind| {
        kind.descriptor
            .target_fields
            .iter()
            .filter(|field| Some(&field.name) != outlet.as_ref())
            .cloned()
            .collect()
    });
    let path: PathOf = Arc::new(|field: &Field| format!("target.{}", field.name));
    let own = move || {
        (!saved.get()).then(|| {
            view! {
                <EndpointFields draft=making.draft submit=making.submit prefix="endpoint."/>
                {(!inline).then(|| view! { <NameField draft=making.draft submit=making.submit prefix="endpoint."/> })}
            }
        })
    };
    view! {
        {(!inline).then(|| view! { <ChooseSaved making/> })}
        {live(own)}
        {(!others.is_empty()).then(|| view! { <FieldForm fields=others values=making.target submit=making.submit path/> })}
        {outlet.map(|_| view! { <Outlets making/> })}
    }
}

/// Offers the devices of this kind that are known already.
#[component]
fn ChooseSaved(making: Making) -> impl IntoView {
    let kind = making.kind.with_value(|kind| kind.descriptor.kind.clone());
    let find = RwSignal::new(String::new());
    let known = load::<Page<Endpoint>>(
        move || {
            let q = format!("kind:{kind} {}", find.get());
            Some(format!("endpoints?limit=500&q={}", api::encode(q.trim())))
        },
        |_| false,
    );
    let more = |page: Option<&Page<Endpoint>>| page.is_some_and(|page| page.next.is_some());
    let many = Memo::new(move |before: Option<&bool>| before == Some(&true) || known.value.with(more));
    // The first known device is the likeliest; a new one is a choice beside it, which a longer list does not undo.
    let mut is_chosen = false;
    Effect::new(move |_| {
        known.value.with(|page| {
            let Some(page) = page else { return };
            let saved = making.saved.get_untracked();
            let is_listed = || page.items.iter().any(|known| known.id.to_string() == saved);
            let fits = if saved.is_empty() { is_chosen } else { is_listed() };
            if !fits {
                making.saved.set(page.items.first().map(|first| first.id.to_string()).unwrap_or_default());
            }
            // What a search does not find was not chosen against.
            is_chosen = !page.items.is_empty();
        });
    });
    let options = Signal::derive(move || {
        // While nothing is known of them, the one in hand stays what is chosen.
        let Some(page) = known.value.get() else { return vec![(making.saved.get(), "…".to_owned())] };
        let named = page.items.into_iter().map(|endpoint| {
            let address = endpoint.address.filter(|address| *address != endpoint.name);
            let words = address
                .map_or_else(|| endpoint.name.clone(), |address| format!("{}, {address}", endpoint.name));
            (endpoint.id.to_string(), words)
        });
        named.chain([(String::new(), "Another device, added now".to_owned())]).collect::<Vec<_>>()
    });
    let search =
        move || {
            many.get().then(|| view! {
            <TextField
                label="Find the device"
                name="find"
                value=find
                help="There are more than the list below can show. Type a part of its name or address."
            />
        })
        };
    view! {
        {live(search)}
        <SelectField label="Device" name="endpoint_id" value=making.saved options/>
    }
}

/// Lists the outlets of the device in hand, and those picked so far, also on other devices.
#[component]
fn Outlets(making: Making) -> impl IntoView {
    let read = load::<EndpointOutlets>(
        move || making.saved_id().map(|id| format!("endpoints/{id}/outlets")),
        |_| false,
    );
    let listed = Signal::derive(move || match making.saved_id() {
        Some(_) => read.value.get().map(|read| read.outlets).unwrap_or_default(),
        None => tested(making),
    });
    let picked = Signal::derive(move || {
        let on = making.saved_id();
        making.picks.with(|picks| {
            picks
                .iter()
                .filter(|pick| pick.endpoint == on)
                .map(|pick| pick.outlet.clone())
                .collect::<Vec<_>>()
        })
    });
    let server = Signal::derive(move || making.scene.server.with(|server| server.name.clone()));
    let some = Memo::new(move |_| !listed.with(Vec::is_empty));
    let toggle = Callback::new(move |outlet: String| toggle(making, outlet));
    let body = move || {
        if some.get() {
            view! { <OutletPicker outlets=listed picked on_toggle=toggle server/> }.into_any()
        } else {
            view! { <TypedOutlet making/> }.into_any()
        }
    };
    // Whoever shares an outlet is switched by a person alone, on either side.
    let shared = move || {
        let picked = picked.get();
        let servers = listed.with(|all| {
            let taken = all.iter().filter(|outlet| picked.contains(&outlet.reading.outlet));
            let own = making.scene.server.with(|server| server.id);
            let others = taken.flat_map(|outlet| &outlet.servers).filter(|server| server.id != own);
            let mut names: Vec<String> = others.map(|server| server.name.clone()).collect();
            names.dedup();
            names
        });
        (!servers.is_empty()).then(|| {
            let names = servers.join(", ");
            let title = format!("Feeds {names} as well");
            let text = format!("Then neither this server nor {names} falls back to its outlets automatically: what switches both is up to a person.");
            view! { <Callout title text tone=Tone::Degraded/> }
        })
    };
    let error = making.submit.at("target.outlet");
    // Where it is typed, it stands at the field.
    let refused = move || some.get().then(|| error.get()).flatten();
    view! {
        <div class="field" data-wide="">
            <span class="field-label">"Outlets that feed this server"</span>
            {live(body)}
            {live(shared)}
            {live(move || refused().map(|message| view! { <span class="error" role="alert">{message}</span> }))}
        </div>
        <Picked making/>
    }
}

fn tested(making: Making) -> Vec<FedOutlet> {
    let found = making.found.with(|found| found.as_ref().map(|found| found.result.outlets.clone()));
    let fed = |reading| FedOutlet { reading, servers: Vec::new() };
    found.unwrap_or_default().into_iter().map(fed).collect()
}

fn toggle(making: Making, outlet: String) {
    let endpoint = untrack(|| making.saved_id());
    let on = untrack(|| device_name(making));
    making.picks.update(|picks| {
        let before = picks.len();
        picks.retain(|pick| pick.endpoint != endpoint || pick.outlet != outlet);
        if picks.len() == before {
            picks.push(Pick { endpoint, on, outlet });
        }
    });
}

/// The name under which an outlet of the device in hand is told; the saved one's is in the list.
fn device_name(making: Making) -> String {
    let selector = "select[name=endpoint_id] option:checked";
    let shown = web_sys::window()
        .and_then(|window| window.document())
        .and_then(|page| page.query_selector(selector).ok().flatten())
        .and_then(|option| option.text_content());
    match (making.saved_id(), shown) {
        (Some(_), Some(words)) => words.split(',').next().unwrap_or_default().to_owned(),
        _ => Some(making.draft.name.get())
            .filter(|name| !name.is_empty())
            .unwrap_or_else(|| "the new device".to_owned()),
    }
}

/// For a device that lists no outlets yet.
#[component]
fn TypedOutlet(making: Making) -> impl IntoView {
    let typed = RwSignal::new(String::new());
    let add = Callback::new(move |()| {
        let outlet = typed.get_untracked().trim().to_owned();
        if !outlet.is_empty() {
            toggle(making, outlet);
            typed.set(String::new());
        }
    });
    view! {
        <TextField
            label="Outlet number"
            name="target.outlet"
            value=typed
            error=making.submit.at("target.outlet")
            kind=Kind::Exact
            placeholder="7"
            help="Test the device to choose from its outlets, or type the number."
        />
        <div class="row"><Button label="Take this outlet".to_owned() size=Size::Small icon="plus" on_click=add/></div>
    }
}

#[component]
fn Picked(making: Making) -> impl IntoView {
    let draw = move |pick: Pick| {
        let words = pick.words();
        let drop_it = move || making.picks.update(|picks| picks.retain(|other| *other != pick));
        view! {
            <span class="token">
                <b>{words.clone()}</b>
                <IconButton label=format!("Leave out {words}") icon="x" small="sm" on_click=drop_it/>
            </span>
        }
    };
    let hint = move || {
        (making.picks.with(Vec::len) == 1).then(|| view! {
            <p class="meta">"A second supply on another PDU? Choose that device above and tick its outlet too."</p>
        })
    };
    view! {
        <div class="row" data-wrap="" aria-live="polite">{live(move || making.picks.get().into_iter().map(draw).collect::<Vec<_>>())}</div>
        {live(hint)}
    }
}
