//! The list of network devices, one tab per kind.

use leptos::prelude::*;
use rackhand_wire::{
    Group,
    api::{
        endpoint::Endpoint,
        kind::Kind as Integration,
        live::{Change, Object},
        page::Page,
    },
};
use std::sync::Arc;

use super::{agent_names, dialogs::Dialogs, form::AddDevice, row::Row};
use crate::{
    api, draw,
    held::Held,
    live,
    load::{faces, load},
    part::{
        button::{Button, Kind},
        crumbs,
        empty::Empty,
        filter_bar::FilterBar,
        page_head::PageHead,
        pager::{Cursor, Pager},
        segmented::{self, Choice},
        skeleton::Skeleton,
        table::{SortHead, follow, row_keys},
    },
    route,
};

/// The page.
#[component]
pub fn DevicesPage() -> impl IntoView {
    crumbs::stand(|| (Vec::new(), "Network devices".to_owned()));
    let kinds = load::<Page<Integration>>(|| Some("kinds".to_owned()), |_| false);
    let shape = || view! { <Skeleton lines=8/> }.into_any();
    let adding = RwSignal::new(false);
    view! {
        <PageHead title="Network devices".to_owned()>
            <Button label="Add device".to_owned() kind=Kind::Primary icon="plus" refusal=Signal::derive(live::refusal) on_click=Callback::new(move |()| adding.set(true))/>
        </PageHead>
        {faces(kinds, shape, move |kinds| {
            let network = kinds.with_untracked(|page| {
                page.items.iter().filter(|kind| kind.descriptor.group == Group::NetworkDevice).cloned().collect::<Vec<_>>()
            });
            view! { <Devices kinds=network adding/> }.into_any()
        })}
    }
}

#[component]
fn Devices(kinds: Vec<Integration>, adding: RwSignal<bool>) -> impl IntoView {
    let q = route::query("/devices", "q");
    let all = kinds.iter().map(|kind| kind.descriptor.kind.as_str()).collect::<Vec<_>>().join(",");
    let chosen = RwSignal::new(all.clone());
    let sort = RwSignal::new("name".to_owned());
    let cursor = Cursor::new();
    Effect::new(move |_| {
        q.track();
        sort.track();
        chosen.track();
        cursor.reset();
    });
    let path = move || {
        let cursor =
            cursor.get().map(|cursor| format!("&cursor={}", api::encode(&cursor))).unwrap_or_default();
        let q = api::encode(&format!("kind:{} {}", chosen.get(), q.get()));
        Some(format!("endpoints?limit=50&sort={}&q={q}{cursor}", sort.get()))
    };
    let list = load::<Page<Endpoint>>(path, concerns);
    let search = Callback::new(|q: String| route::go(&format!("/devices?q={}", api::encode(&q))));
    let named = kinds.iter().map(|kind| (kind.descriptor.kind.clone(), kind.descriptor.title.clone()));
    let tabs: Vec<_> = std::iter::once((all, "All".to_owned()))
        .chain(named)
        .map(|(kinds, text)| tab(text, kinds, chosen))
        .collect();
    let shape = || view! { <Skeleton lines=8/> }.into_any();
    let known = kinds.clone();
    view! {
        {(tabs.len() > 2).then(|| view! { <div class="row">{segmented::bar("Type of device".to_owned(), tabs)}</div> })}
        <FilterBar filter=q on_change=search placeholder="Filter: name, address, model"/>
        {faces(list, shape, move |page| view! { <Table page kinds=known.clone() cursor sort adding q/> }.into_any())}
        <AddDevice kinds open=adding/>
    }
}

/// Whether agents are here is part of how devices stand.
fn concerns(change: &Change) -> bool {
    matches!(change.object, Object::Endpoint | Object::Agent)
}

/// A tab that lists devices of the `kinds` that it names.
fn tab(text: String, kinds: String, chosen: RwSignal<String>) -> Choice {
    let same = kinds.clone();
    Choice {
        text,
        pressed: Signal::derive(move || chosen.with(|chosen| *chosen == same)),
        press: Arc::new(move || chosen.set(kinds.clone())),
    }
}

#[component]
fn Table(
    page: Held<Page<Endpoint>>,
    kinds: Vec<Integration>,
    cursor: Cursor,
    sort: RwSignal<String>,
    adding: RwSignal<bool>,
    q: Memo<String>,
) -> impl IntoView {
    let task = RwSignal::new(None);
    let agents = agent_names();
    let on_sort = Callback::new(move |next: String| sort.set(next));
    let none = move || page.with(|page| page.items.is_empty()).then(|| nothing(q, adding));
    let shown = kinds.clone();
    view! {
        <div class="table-card">
            <table class="table">
                <thead>
                    <tr>
                        <SortHead label="Device" column="name" sort on_sort/>
                        <th scope="col">"Status"</th>
                        <th class="break"></th>
                        <th scope="col">"Model"</th>
                        <th scope="col" data-p="3">"Firmware"</th>
                        <th scope="col">"Address"</th>
                        <th scope="col" data-p="3">"Protocol"</th>
                        <th scope="col" data-p="1">"Agent"</th>
                        <th scope="col" class="num" data-p="2">"Connections"</th>
                        <th scope="col" class="num">"Read"</th>
                        <th class="menu-cell"><span class="hide">"Actions"</span></th>
                    </tr>
                </thead>
                <tbody on:keydown=move |event| row_keys(&event)>
                    {follow(
                        move || page.get().items,
                        |endpoint: &Endpoint| endpoint.id,
                        move |_, endpoint| view! { <Row endpoint agents task kinds=shown.clone()/> },
                    )}
                </tbody>
            </table>
            {draw::live(none)}
            <div class="table-foot">
                <span>{draw::live(move || page.with(|page| page.items.len()))} " on this page"</span>
                <Pager cursor next=Signal::derive(move || page.with(|page| page.next.clone()))/>
            </div>
        </div>
        <Dialogs task kinds/>
    }
}

fn nothing(q: Memo<String>, adding: RwSignal<bool>) -> AnyView {
    if !q.get_untracked().is_empty() {
        return view! { <Empty icon="filter" title="No device fits this filter" text="Take a word away to see more."/> }.into_any();
    }
    let add = Callback::new(move |()| adding.set(true));
    view! {
        <Empty icon="network" title="No devices yet" text="Add the PDUs first: then their outlets can be connected to servers.">
            <Button label="Add device".to_owned() kind=Kind::Primary icon="plus" refusal=Signal::derive(live::refusal) on_click=add/>
        </Empty>
    }
    .into_any()
}
