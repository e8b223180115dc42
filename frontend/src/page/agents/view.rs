//! One agent: what it is, what it serves, what happened to it, and whether it reaches a device.

use gloo_net::http::Method;
use leptos::prelude::*;
use rackhand_wire::api::{
    agent::{Agent, AgentState, Assignment, ChangeAgent, Firewall},
    endpoint::TestEndpoint,
    event::Event,
    live::{Change, Object},
    page::Page,
};

use super::{
    dialogs::{Dialogs, Task},
    firewall, heard, or_dash, state, version,
};
use crate::{
    api,
    draw::live,
    form::Submit,
    held::Held,
    live,
    load::{faces, load},
    page::{
        activity::event_line,
        confirm::{Confirm, Deed},
        endpoint::{Found, TestPanel},
    },
    part::{
        Tone,
        button::Button,
        callout::{Callout, ProblemNote},
        card::Card,
        crumbs,
        empty::Empty,
        facts::fact,
        field::SelectField,
        menu::{Item, Menu},
        page_head::PageHead,
        pager::{Cursor, Pager},
        skeleton::Skeleton,
        table::follow,
        toast,
    },
    route, time,
};

/// The page of one agent.
#[component]
pub fn AgentPage(id: String) -> impl IntoView {
    let concerns = {
        let id = id.clone();
        move |change: &Change| change.object == Object::Agent && change.id == id
    };
    let path = move |rest: &str| format!("agents/{id}{rest}");
    let own = path("");
    let agent = load::<Agent>(move || Some(own.clone()), concerns);
    let rules = path("/firewall");
    let served = path("/assignments");
    let devices = |change: &Change| matches!(change.object, Object::Endpoint | Object::Server);
    let firewall = load::<Firewall>(move || Some(rules.clone()), devices);
    let page = Cursor::new();
    let served = load::<Page<Assignment>>(move || Some(with_cursor(&served, 20, page)), devices);
    let cursor = Cursor::new();
    let log = path("/log");
    let log = load::<Page<Event>>(
        move || Some(with_cursor(&log, 20, cursor)),
        |change| matches!(change.object, Object::Event | Object::Agent),
    );
    let shape = || view! { <Skeleton lines=3/> }.into_any();
    faces(agent, shape, move |agent| {
        let assigned = Signal::derive(move || served.value.get().map(|page| page.items).unwrap_or_default());
        view! {
            <Head agent assigned/>
            <div class="columns">
                <div class="stack">
                    {faces(served, shape, move |list| assignments(list, page))}
                    {faces(log, shape, move |list| history(list, cursor))}
                    {faces(firewall, shape, firewall::rules)}
                </div>
                <div class="stack">
                    <Card title="Facts"><div class="card-body">{live(move || facts(agent.get()))}</div></Card>
                    <Probe agent assigned/>
                </div>
            </div>
        }
        .into_any()
    })
}

/// The path of a page with so many rows.
pub fn with_cursor(path: &str, limit: u32, cursor: Cursor) -> String {
    let cursor = cursor.get().map(|cursor| format!("&cursor={}", api::encode(&cursor))).unwrap_or_default();
    format!("{path}?limit={limit}{cursor}")
}

#[component]
fn Head(agent: Held<Agent>, assigned: Signal<Vec<Assignment>>) -> impl IntoView {
    let name = Memo::new(move |_| agent.with(|agent| agent.name.clone()));
    crumbs::stand(move || (vec![("Agents".to_owned(), "/agents".to_owned())], name.get()));
    let task = RwSignal::new(None);
    let asked = RwSignal::new(None::<Deed>);
    let submit = Submit::new();
    let is_remote = agent.with_untracked(|agent| !agent.embedded);
    let drain = move || {
        let (id, draining) = agent.with_untracked(|agent| (agent.id, !agent.draining));
        let body = ChangeAgent { name: None, group: None, site_id: None, draining: Some(draining) };
        submit.patch(format!("agents/{id}"), &body, |agent: Agent| live::announce(Object::Agent, agent.id));
    };
    let items = move || {
        let agent = agent.get_untracked();
        let (word, help) = if agent.draining {
            ("Undrain", "It stands in for others of its group again")
        } else {
            ("Drain", "Others of its group take its devices as jobs end; what names it alone stays")
        };
        let mut items = vec![Item::new(word, "pause", drain).help(help)];
        let (replaced, revoked, removed) = (agent.clone(), agent.clone(), agent.clone());
        items.push(
            Item::new("New token", "key", move || task.set(Some(Task::Replace(replaced.clone()))))
                .help("For another machine, or when its key is lost; the agent stays what it is"),
        );
        if agent.state != AgentState::Revoked {
            let revoke = move || asked.set(Some(revocation(&revoked, &assigned.get_untracked())));
            items.push(Item::new("Revoke", "lock", revoke).caution());
        }
        items.push(Item::new("Remove", "trash", move || asked.set(Some(removal(&removed)))).caution());
        items
    };
    let on_done = Callback::new(move |()| {
        let removes =
            asked.with_untracked(|deed| deed.as_ref().is_some_and(|deed| deed.method == Method::DELETE));
        if removes {
            toast::done("Agent removed");
            route::go("/agents");
        } else {
            live::announce(Object::Agent, agent.with_untracked(|agent| agent.id));
        }
    });
    let change = Callback::new(move |()| task.set(Some(Task::Change(agent.get_untracked()))));
    let copies = move || {
        agent.with(|agent| agent.copies_at).map(|at| {
            let text = format!(
                "Last seen {}. Stop all but one, or make a new token for the copy.",
                time::moment(at)
            );
            view! { <Callout title="Two processes have the identity of this agent" text tone=Tone::Danger/> }
        })
    };
    view! {
        <PageHead title=name state=move || live(move || state(&agent.get()))>
            {is_remote.then(|| view! {
                <Button label="Change".to_owned() icon="pencil" refusal=Signal::derive(live::refusal) on_click=change/>
                <Menu label="More actions".to_owned() align="end" items/>
            })}
        </PageHead>
        <ProblemNote problem=submit.problem/>
        {live(copies)}
        <Dialogs task/>
        <Confirm asked on_done/>
    }
}

/// Says who loses its way with an agent.
fn revocation(agent: &Agent, assigned: &[Assignment]) -> Deed {
    let mut servers: Vec<&str> = Vec::new();
    for connection in assigned.iter().flat_map(|device| &device.connections) {
        if !servers.contains(&connection.server.name.as_str()) {
            servers.push(&connection.server.name);
        }
    }
    let more = if servers.len() > 6 { " …" } else { "" };
    servers.truncate(6);
    let lost = match agent.endpoints {
        0 => "It serves no device.".to_owned(),
        devices => format!("{}{more} and {devices} devices lose their path.", servers.join(", ")),
    };
    Deed {
        title: format!("Revoke {}", agent.name),
        consequence: format!(
            "Its connection ends at once and it is refused until it is enrolled again. {lost}"
        ),
        refusal: None,
        method: Method::POST,
        path: format!("agents/{}/revoke", agent.id),
    }
}

fn removal(agent: &Agent) -> Deed {
    let used = agent.endpoints;
    let refusal = (used > 0).then(|| format!("{used} devices use it: give them another agent first."));
    let lost = "Rackhand forgets it and refuses its identity. What it did stays in the audit chain.";
    let consequence = refusal.as_deref().unwrap_or(lost);
    let path = format!("agents/{}", agent.id);
    Deed { refusal: refusal.clone(), ..Deed::remove(&agent.name, consequence, path) }
}

fn facts(agent: Agent) -> AnyView {
    let day = |at: Option<chrono::DateTime<chrono::Utc>>| at.map_or_else(|| "—".to_owned(), time::moment);
    view! {
        <dl class="facts">
            {fact("Host", or_dash(agent.host.clone()))}
            {fact("Address", or_dash(agent.source_ip.clone()))}
            {fact("Version", version(&agent))}
            {fact("Site", or_dash(agent.site_name.clone()))}
            {fact("Group", agent.group.clone())}
            {fact("Kinds", or_dash(Some(agent.kinds.join(", "))))}
            {fact("Devices held", agent.holds.to_string())}
            {fact("In flight", agent.in_flight.to_string())}
            {fact("Certified", day(agent.certificate_at))}
            {fact("Valid until", day(agent.certificate_until))}
            {agent.token_until.map(|until| fact("Token ends", time::moment(until)))}
            {fact("Last heard", heard(&agent))}
            {fact("Added", time::day(agent.created_at))}
        </dl>
    }
    .into_any()
}

fn assignments(list: Held<Page<Assignment>>, cursor: Cursor) -> AnyView {
    let none = move || {
        list.with(|list| list.items.is_empty()).then(|| {
            view! { <Empty icon="network" title="It serves no device yet" text="Choose it as the agent of a device or of a connection."/> }
        })
    };
    view! {
        <Card title="Devices">
            <div class="card-list">
                {follow(move || list.get().items, |one: &Assignment| one.endpoint_id, |_, one| live(move || assignment(one.get())))}
            </div>
            {live(none)}
            {foot(cursor, Signal::derive(move || list.with(|list| list.next.clone())))}
        </Card>
    }
    .into_any()
}

fn assignment(device: Assignment) -> AnyView {
    let links: Vec<_> = device
        .connections
        .into_iter()
        .map(|one| view! { <a href=format!("/servers/{}", one.server.id) title=one.label>{one.server.name}</a> " " })
        .collect();
    view! {
        <div>
            <span class="cut flow">
                <a href=format!("/devices/{}", device.endpoint_id) class="strong">{device.name}</a>
                " "
                <span class="meta mono">{device.address}</span>
            </span>
            <span class="cut">{links}</span>
        </div>
    }
    .into_any()
}

fn history(list: Held<Page<Event>>, cursor: Cursor) -> AnyView {
    view! {
        <Card title="Log">
            <div class="card-list">
                {follow(move || list.get().items, |event: &Event| event.id, |_, event| event_line(&event.get_untracked()))}
            </div>
            {foot(cursor, Signal::derive(move || list.with(|list| list.next.clone())))}
        </Card>
    }
    .into_any()
}

/// The arrows, once there is more than a page.
/// The foot of a list that goes on; nothing where it does not.
pub fn foot(cursor: Cursor, next: Signal<Option<String>>) -> AnyView {
    live(move || {
        (cursor.before() > 0 || next.with(Option::is_some))
            .then(|| view! { <div class="table-foot"><span class="push"></span><Pager cursor next/></div> })
    })
}

/// Tries whether the agent reaches one of its devices.
#[component]
fn Probe(agent: Held<Agent>, assigned: Signal<Vec<Assignment>>) -> impl IntoView {
    let chosen = RwSignal::new(String::new());
    let found = RwSignal::new(None::<Found>);
    let submit = Submit::new();
    let devices = load::<Page<rackhand_wire::api::endpoint::Endpoint>>(
        || Some("endpoints?limit=500".to_owned()),
        |change| change.object == Object::Endpoint,
    );
    let options = Signal::derive(move || {
        let own: Vec<_> = assigned.get().into_iter().map(|device| device.endpoint_id).collect();
        let all = devices.value.get().map(|page| page.items).unwrap_or_default();
        let (own, others): (Vec<_>, Vec<_>) = all.into_iter().partition(|device| own.contains(&device.id));
        let named = own.into_iter().chain(others).map(|device| (device.id.to_string(), device.name));
        std::iter::once((String::new(), "Choose a device".to_owned())).chain(named).collect::<Vec<_>>()
    });
    let request = Callback::new(move |()| TestEndpoint {
        endpoint_id: chosen.get().parse().ok(),
        kind: None,
        agent_id: Some(agent.with_untracked(|agent| agent.id)),
        agent_group: None,
        params: None,
        secrets: std::collections::BTreeMap::new(),
        target: None,
    });
    let refusal =
        Signal::derive(move || chosen.with(String::is_empty).then(|| "Choose a device first.".to_owned()));
    view! {
        <Card title="Connectivity">
            <div class="card-body stack">
                <SelectField label="Device" name="endpoint_id" value=chosen options/>
                <TestPanel request found submit prefix="" refusal/>
                <ProblemNote problem=submit.problem/>
            </div>
        </Card>
    }
}
