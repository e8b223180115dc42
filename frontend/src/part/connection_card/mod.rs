//! A connection: what it leads to, how it stands, what it is used for.

use leptos::prelude::*;
use rackhand_wire::{
    Fault, Reason, Role,
    api::{
        connection::Connection,
        endpoint::{EndpointState, EndpointStatus},
    },
    operation::Identity,
};

use super::{
    Tone,
    badge::{Badge, Kind},
    feature_list::usable,
    icon::{Icon, Size},
};
use crate::{draw::live, held::Held, time};

/// Draws the card; `children` are its actions. They stay as they are while it changes, so that the next
/// reading doesn't shut a menu under the hand.
#[component]
pub fn ConnectionCard(connection: Held<Connection>, children: Children) -> impl IntoView {
    view! {
        <article class="card" aria-label=move || connection.with(|connection| connection.label.clone())>
            <div class="connection">{live(move || told(connection.get()))} {children()}</div>
        </article>
    }
}

fn told(connection: Connection) -> impl IntoView {
    let glyph = match connection.role {
        Role::Controller => "cpu",
        Role::Feed => "plug",
    };
    let ticked = connection.features.iter().filter(|feature| usable(**feature));
    let features: Vec<_> = ticked.map(|feature| view! { <Badge text=feature.title()/> }).collect();
    let chips = if features.is_empty() {
        view! { <span class="meta">"Nothing is ticked: it is only kept."</span> }.into_any()
    } else {
        features.into_any()
    };
    view! {
        <span class="glyph"><Icon name=glyph size=Size::Large/></span>
        <div class="flow">
            <h3 class="cut" title=connection.label.clone()>{connection.label.clone()}</h3>
            <p class="meta cut">{under(&connection)}</p>
        </div>
        <div class="row">{status_badge(&connection.status)}</div>
        {sentence(connection.status)}
        <div class="chips">{chips}</div>
    }
}

fn under(connection: &Connection) -> String {
    let device = connection.status.identity.as_ref().map(identity_words).filter(|words| !words.is_empty());
    let words = [Some(connection.kind_title.clone()), device];
    words.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// Maker, model and firmware in a line.
pub fn identity_words(identity: &Identity) -> String {
    let name: Vec<_> =
        [&identity.vendor, &identity.model].into_iter().flatten().map(String::as_str).collect();
    let mut words = name.join(" ");
    if let Some(firmware) = &identity.firmware {
        if !words.is_empty() {
            words.push_str(", ");
        }
        words.push_str("firmware ");
        words.push_str(firmware);
    }
    words
}

/// The status in a word, quiet while it is good.
pub fn status_badge(status: &EndpointStatus) -> impl IntoView + use<> {
    let title = status.fault.as_ref().map(ToString::to_string).unwrap_or_default();
    if status.agent_away {
        return view! { <Badge text="Agent away" tone=Tone::Unknown icon="state-unknown" title/> };
    }
    match status.state {
        EndpointState::Ok => {
            view! { <Badge text="Answering" tone=Tone::On icon="check" kind=Kind::Plain title/> }
        }
        EndpointState::Failing if is_dark(status.fault.as_ref()) => {
            view! { <Badge text="Without power" tone=Tone::Off icon="state-off" title/> }
        }
        EndpointState::Failing => view! { <Badge text="Failing" tone=Tone::Danger icon="x" title/> },
        EndpointState::Unchecked => {
            view! { <Badge text="Not read yet" tone=Tone::Unknown icon="state-unknown" title/> }
        }
    }
}

fn is_dark(fault: Option<&Fault>) -> bool {
    fault.is_some_and(|fault| fault.reason == Reason::WithoutPower)
}

fn sentence(status: EndpointStatus) -> impl IntoView {
    let read = status.checked_at;
    let fault = status.fault.map(|fault| {
        let tone = if is_dark(Some(&fault)) { Tone::Off } else { Tone::Danger };
        view! { <span class="ink" data-tone=tone.word()>{fault.to_string()} ", "</span> }
    });
    let protocol =
        status.identity.and_then(|identity| identity.protocol).map(|protocol| format!("{protocol}, "));
    let age =
        move || read.map_or_else(|| "never read".to_owned(), |at| format!("read {} ago", time::age(at)));
    view! { <p class="dim sentence">{fault} {protocol} {age}</p> }
}
