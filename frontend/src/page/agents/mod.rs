//! The processes that touch devices.

use leptos::prelude::*;
use rackhand_wire::api::{
    agent::{Agent, AgentState},
    live::Object,
    page::Page,
};

use crate::{
    draw::live,
    held::Held,
    load::{faces, load},
    part::{
        Tone,
        badge::{Badge, Kind},
        crumbs,
        empty::Empty,
        icon::Icon,
        page_head::PageHead,
        skeleton::Skeleton,
        table::{follow, row_keys},
    },
    time,
};

/// Every agent with what it does now.
#[component]
pub fn AgentsPage() -> impl IntoView {
    crumbs::stand(|| (Vec::new(), "Agents".to_owned()));
    let list =
        load::<Page<Agent>>(|| Some("agents?limit=500".to_owned()), |change| change.object == Object::Agent);
    view! {
        <PageHead title="Agents".to_owned() state=|| view! { <span class="meta">"They reach the devices; the rest of Rackhand never does"</span> }/>
        {faces(list, || view! { <Skeleton lines=3/> }.into_any(), table)}
    }
}

fn table(list: Held<Page<Agent>>) -> AnyView {
    let none = move || {
        list.with(|list| list.items.is_empty()).then(|| {
            view! { <Empty icon="agent" title="No agent is known" text="The agent inside of this Rackhand appears as soon as it has started."/> }
        })
    };
    view! {
        <div class="table-card">
            <table class="table">
                <thead>
                    <tr>
                        <th scope="col">"Agent"</th>
                        <th scope="col">"State"</th>
                        <th class="break"></th>
                        <th scope="col">"Group"</th>
                        <th scope="col" data-p="2">"Kinds"</th>
                        <th scope="col" class="num">"Devices"</th>
                        <th scope="col" class="num">"In flight"</th>
                        <th scope="col" data-p="1">"Version"</th>
                        <th scope="col" class="num">"Last heard"</th>
                    </tr>
                </thead>
                <tbody on:keydown=move |event| row_keys(&event)>
                    {follow(move || list.get().items, |agent: &Agent| agent.id, |_, agent| row(agent))}
                </tbody>
            </table>
            {live(none)}
        </div>
    }
    .into_any()
}

fn row(agent: Held<Agent>) -> impl IntoView {
    move || {
        let agent = agent.get();
        let seen = agent.last_seen_at;
        view! {
            <tr>
                <td data-m="title">
                    <span class="row">
                        <Icon name="agent"/>
                        <span class="strong">{agent.name.clone()}</span>
                    </span>
                </td>
                <td data-m="end">{state(agent.state)}</td>
                <td class="break"></td>
                <td data-m="line">{agent.group.clone()}</td>
                <td data-p="2" class="dim">{agent.kinds.join(", ")}</td>
                <td class="num" data-m="line" data-label="devices">{agent.endpoints}</td>
                <td class="num" data-m="line" data-label="in flight">{agent.in_flight}</td>
                <td data-p="1" class="mono">{agent.version.clone()}</td>
                <td class="num dim">{live(move || seen.map_or("never".to_owned(), |at| format!("{} ago", time::age(at))))}</td>
            </tr>
        }
    }
}

fn state(state: AgentState) -> impl IntoView {
    match state {
        AgentState::Online => view! { <Badge text="Online" tone=Tone::On icon="check" kind=Kind::Plain/> },
        AgentState::Late => {
            view! { <Badge text="Late" tone=Tone::Degraded icon="warning" title="Silent for a while; commands wait for it"/> }
        }
        AgentState::Waiting => {
            view! { <Badge text="Not enrolled yet" tone=Tone::Off icon="clock" kind=Kind::Plain/> }
        }
        AgentState::Revoked => {
            view! { <Badge text="Revoked" tone=Tone::Danger icon="x"/> }
        }
        AgentState::Offline => {
            view! { <Badge text="Offline" tone=Tone::Danger icon="x" title="Gone; commands to its devices fail"/> }
        }
    }
}
