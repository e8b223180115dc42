//! The list of network devices, one tab per kind.

use leptos::prelude::*;
use leptos_router::{
    NavigateOptions,
    hooks::{use_navigate, use_query_map},
};
use rackhand_wire::{
    Group,
    api::{
        endpoint::Endpoint,
        kind::Kind as Integration,
        live::{Change, Object},
        page::Page,
    },
};

use super::{agent_names, dialogs::Dialogs, form::AddDevice, row::Row};
use crate::{
    api,
    draw::live,
    load::{faces, load},
    part::{
        button::{Button, Kind},
        crumbs,
        empty::Empty,
        filter_bar::FilterBar,
        page_head::PageHead,
        pager::{Cursor, Pager},
        segmented::Segmented,
        skeleton::Skeleton,
        table::{SortHead, follow, row_keys},
    },
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
            <Button label="Add device".to_owned() kind=Kind::Primary icon="plus" on_click=Callback::new(move |()| adding.set(true))/>
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
    let query = use_query_map();
    let q = Memo::new(move |_| query.with(|query| query.get("q").unwrap_or_default()));
    let at = RwSignal::new(0_usize);
    let names = StoredValue::new(kinds.iter().map(|kind| kind.descriptor.kind.clone()).collect::<Vec<_>>());
    let sort = RwSignal::new("name".to_owned());
    let cursor = Cursor::new();
    Effect::new(move |_| {
        q.track();
        sort.track();
        at.track();
        cursor.reset();
    });
    let path = move || {
        let kind = names.with_value(|names| names.get(at.get()).cloned())?;
        let cursor =
            cursor.get().map(|cursor| format!("&cursor={}", api::encode(&cursor))).unwrap_or_default();
        let (kind, q, sort) = (api::encode(&kind), api::encode(&q.get()), api::encode(&sort.get()));
        Some(format!("endpoints?limit=50&kind={kind}&q={q}&sort={sort}{cursor}"))
    };
    let list = load::<Page<Endpoint>>(path, |change: &Change| change.object == Object::Endpoint);
    let navigate = use_navigate();
    let search = Callback::new(move |q: String| {
        navigate(&format!("/devices?q={}", api::encode(&q)), NavigateOptions::default());
    });
    let tabs: Vec<_> = kinds.iter().enumerate().map(|(at, kind)| (at, title(kind))).collect();
    let shape = || view! { <Skeleton lines=8/> }.into_any();
    let known = kinds.clone();
    view! {
        {(tabs.len() > 1).then(|| view! {
            <div class="row"><Segmented label="Type of device" options=tabs chosen=at on_choose=move |chosen| at.set(chosen)/></div>
        })}
        <FilterBar filter=q on_change=search placeholder="Filter: name, address, model"/>
        {faces(list, shape, move |page| view! { <Table page kinds=known.clone() cursor sort adding q/> }.into_any())}
        <AddDevice kinds open=adding/>
    }
}

/// Tabs want text that lives as long as the page; kinds do not change while it runs.
fn title(kind: &Integration) -> &'static str {
    Box::leak(kind.descriptor.title.clone().into_boxed_str())
}

#[component]
fn Table(
    page: Signal<Page<Endpoint>>,
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
            {live(none)}
            <div class="table-foot">
                <span>{live(move || page.with(|page| page.items.len()))} " on this page"</span>
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
            <Button label="Add device".to_owned() kind=Kind::Primary icon="plus" on_click=add/>
        </Empty>
    }
    .into_any()
}
