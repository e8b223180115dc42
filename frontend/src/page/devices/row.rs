//! One device as a row.

use leptos::prelude::*;
use rackhand_wire::{
    Fault, FaultCode, Reason,
    api::{
        agent::Agent,
        endpoint::{Endpoint, EndpointState},
        kind::Kind as Integration,
    },
};

use super::{Task, agent_of, device::unknown};
use crate::{
    draw::live,
    held::Held,
    part::{
        Tone,
        connection_card::status_badge,
        evidence::fault_word,
        icon::Icon,
        kind_list::group_icon,
        menu::{Item, Menu},
        popover::Popover,
    },
    time,
};

/// Draws the row.
#[component]
pub fn Row(
    endpoint: Held<Endpoint>,
    agents: Signal<Vec<Agent>>,
    task: RwSignal<Option<Task>>,
    kinds: Vec<Integration>,
) -> impl IntoView {
    let id = endpoint.with_untracked(|endpoint| endpoint.id);
    let name = move || endpoint.with(|endpoint| endpoint.name.clone());
    let kind = endpoint
        .with_untracked(|endpoint| kinds.iter().find(|kind| kind.descriptor.kind == endpoint.kind).cloned());
    let (title, icon) = kind.map_or_else(
        || (endpoint.with_untracked(|endpoint| endpoint.kind.clone()), "network"),
        |kind| (kind.descriptor.title, group_icon(kind.descriptor.group)),
    );
    let cells = move || {
        let endpoint = endpoint.get();
        let agent = agents.with(|agents| agent_of(&endpoint, agents));
        let identity = endpoint.status.identity.unwrap_or_else(unknown);
        let has_model = identity.model.is_some();
        let told = |value: Option<String>| value.unwrap_or_else(|| "—".to_owned());
        view! {
            <td data-m=has_model.then_some("line")>{told(identity.model)}</td>
            <td data-p="3" class="mono">{told(identity.firmware)}</td>
            <td data-m="line" class="mono">{told(endpoint.address)}</td>
            <td data-p="3">{told(identity.protocol)}</td>
            <td data-p="1" data-m="line" data-label="agent">{agent}</td>
            <td data-p="2" class="num">{endpoint.connections}</td>
            <td class="num dim">{endpoint.status.checked_at.map_or_else(|| "never".to_owned(), time::age)}</td>
        }
    };
    let items = move || {
        let set = move |make: fn(Endpoint) -> Task| move || task.set(Some(make(endpoint.get_untracked())));
        vec![
            Item::new("Test now", "refresh", set(Task::Test)),
            Item::new("Change", "pencil", set(Task::Change)),
            Item::new("Remove", "trash", set(Task::Remove)).caution(),
        ]
    };
    view! {
        <tr>
            <td data-m="title">
                <span class="row">
                    <Icon name=icon/>
                    <span>
                        <a href=format!("/devices/{id}") class="name">{live(name)}</a>
                        <span class="under">{title}</span>
                    </span>
                </span>
            </td>
            <td data-m="end"><Status endpoint/></td>
            <td class="break"></td>
            {live(cells)}
            <td class="menu-cell"><Menu label=Signal::derive(move || format!("Actions for {}", name())) small="sm" items/></td>
        </tr>
    }
}

/// The status; a failure opens with its exact words on hover, focus or press.
#[component]
pub fn Status(endpoint: Held<Endpoint>) -> impl IntoView {
    let status = Memo::new(move |_| endpoint.with(|endpoint| endpoint.status.clone()));
    // Kept here: the next reading must not shut what is being read.
    let open = RwSignal::new(false);
    live(move || {
        let status = status.get();
        match (status.state, status.fault.clone()) {
            (EndpointState::Failing, Some(fault)) if !status.agent_away => {
                let address =
                    endpoint.with_untracked(|endpoint| endpoint.address.clone()).unwrap_or_default();
                let at = status.checked_at.map(time::moment).unwrap_or_default();
                view! { <FaultBadge open fault place=format!("{address}, {at}")/> }.into_any()
            }
            _ => {
                open.set(false);
                status_badge(&status).into_any()
            }
        }
    })
}

/// What a fault means in a word, with its sentence behind it.
#[component]
pub fn FaultBadge(open: RwSignal<bool>, fault: Fault, place: String) -> impl IntoView {
    let (word, tone, icon) = if fault.reason == Reason::WithoutPower {
        ("Without power", Tone::Off, "state-off")
    } else {
        (fault_word(fault.code), Tone::Danger, "x")
    };
    let (sentence, remedy, code) = (fault.to_string(), remedy(&fault), fault.code.code());
    let opener = move || {
        view! {
            <button
                class="badge"
                data-tone=tone.word()
                type="button"
                aria-expanded=move || open.get().to_string()
                on:focus=move |_| open.set(true)
                on:click=move |_| open.set(true)
            >
                <Icon name=icon/>
                {word}
            </button>
        }
    };
    view! {
        <span on:mouseenter=move |_| open.set(true) on:mouseleave=move |_| open.set(false)>
            <Popover open opener title=word.to_owned()>
                <div class="stack" data-gap="2">
                    <b class="strong ink" data-tone=tone.word()>{sentence.clone()}</b>
                    <span class="dim">{remedy}</span>
                    <span class="meta mono">{code} ", " {place.clone()}</span>
                </div>
            </Popover>
        </span>
    }
}

/// What a person can do about it.
pub fn remedy(fault: &Fault) -> &'static str {
    match fault.code {
        FaultCode::Unreach if fault.reason == Reason::WithoutPower => {
            "It answers again some time after its server has power."
        }
        FaultCode::Unreach if fault.reason == Reason::TimeoutOrCredentials => {
            "Check the address, the network, and the community or user: SNMP is silent to a wrong one."
        }
        FaultCode::Config if fault.reason == Reason::NotAllowed => {
            "Whoever runs the agent decides this, in the configuration on its machine."
        }
        FaultCode::Auth => {
            "The device was reached: check the user and the secret. It is not asked again until they change, so that it does not lock the account."
        }
        FaultCode::Config => "Check the settings of the device here and on the device itself.",
        FaultCode::State => "Look at the state of the device first.",
        FaultCode::Unsupported => "This model cannot do it.",
        FaultCode::Busy => "It is asked again in a while.",
        FaultCode::Updating => "Wait until its firmware is updated.",
        FaultCode::Unreach => {
            "Check the address, the cable and the network between the agent and the device."
        }
        FaultCode::Lost | FaultCode::Dup => {
            "The command may have arrived: read the state before doing anything again."
        }
        FaultCode::Proto => "Something else may answer at this address.",
        FaultCode::Exec => "Check the agent; the device was not asked.",
    }
}
