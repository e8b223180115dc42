//! Every agent with what it does now.

use leptos::prelude::*;
use rackhand_wire::api::{agent::Agent, live::Object, page::Page};

use super::{
    dialogs::{Dialogs, Task},
    groups::groups,
    heard, or_dash, state, version,
    view::{foot, with_cursor},
};
use crate::{
    draw::live,
    held::Held,
    live,
    load::{faces, load},
    part::{
        button::{Button, Kind},
        crumbs,
        empty::Empty,
        icon::Icon,
        page_head::PageHead,
        pager::Cursor,
        skeleton::Skeleton,
        table::{follow, row_keys},
    },
};

/// The page.
#[component]
pub fn AgentsPage() -> impl IntoView {
    crumbs::stand(|| (Vec::new(), "Agents".to_owned()));
    let cursor = Cursor::kept();
    let list = load::<Page<Agent>>(
        move || Some(with_cursor("agents", 500, cursor)),
        |change| change.object == Object::Agent,
    );
    let task = RwSignal::new(None);
    let add = Callback::new(move |()| task.set(Some(Task::Add)));
    view! {
        <PageHead title="Agents".to_owned() state=|| view! { <span class="meta">"They reach the devices; the rest of Rackhand never does"</span> }>
            <Button label="Add agent".to_owned() kind=Kind::Primary icon="plus" refusal=Signal::derive(live::refusal) on_click=add/>
        </PageHead>
        {faces(list, || view! { <Skeleton lines=3/> }.into_any(), move |list| table(list, cursor))}
        {groups(list)}
        <Dialogs task/>
    }
}

fn table(list: Held<Page<Agent>>, cursor: Cursor) -> AnyView {
    let none = move || {
        list.with(|list| list.items.is_empty()).then(|| {
            view! { <Empty icon="agent" title="No agent is known" text="Add one for each site that this server cannot reach by itself."/> }
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
                        <th scope="col">"Site"</th>
                        <th scope="col">"Group"</th>
                        <th scope="col" data-p="1">"Version"</th>
                        <th scope="col" class="num">"Devices"</th>
                        <th scope="col" class="num" data-p="2">"In flight"</th>
                        <th scope="col" class="num">"Last heard"</th>
                    </tr>
                </thead>
                <tbody on:keydown=move |event| row_keys(&event)>
                    {follow(move || list.get().items, |agent: &Agent| agent.id, |_, agent| live(move || row(&agent.get())))}
                </tbody>
            </table>
            {live(none)}
            {foot(cursor, Signal::derive(move || list.with(|list| list.next.clone())))}
        </div>
    }
    .into_any()
}

fn row(agent: &Agent) -> AnyView {
    let seen = agent.clone();
    view! {
        <tr>
            <td data-m="title">
                <span class="row">
                    <Icon name="agent"/>
                    <span>
                        <a href=format!("/agents/{}", agent.id) class="name">{agent.name.clone()}</a>
                        <span class="under">{agent.host.clone()}</span>
                    </span>
                </span>
            </td>
            <td data-m="end">{state(agent)}</td>
            <td class="break"></td>
            <td data-m=agent.site_name.is_some().then_some("line")>{or_dash(agent.site_name.clone())}</td>
            <td data-m="line">{agent.group.clone()}</td>
            <td data-p="1">{version(agent)}</td>
            <td class="num" data-m="line" data-label="devices">{agent.endpoints}</td>
            <td class="num" data-p="2">{agent.in_flight}</td>
            <td class="num dim">{live(move || heard(&seen))}</td>
        </tr>
    }
    .into_any()
}
