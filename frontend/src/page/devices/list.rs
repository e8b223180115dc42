//! The list of network devices, one tab per kind, and of the controllers inside servers.

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
            view! { <Devices kinds=kinds.get_untracked().items adding/> }.into_any()
        })}
    }
}

#[component]
fn Devices(kinds: Vec<Integration>, adding: RwSignal<bool>) -> impl IntoView {
    let (of, q) = (route::query("/devices", "of"), route::query("/devices", "q"));
    let tabs = StoredValue::new(tabs_of(&kinds));
    let chosen = Memo::new(move |_| {
        let of = of.get();
        tabs.with_value(|tabs| tabs.iter().find(|tab| tab.of == of).or(tabs.first()).cloned())
    });
    let asked = route::query("/devices", "sort");
    let sort = Memo::new(move |_| if asked.with(String::is_empty) { "name".to_owned() } else { asked.get() });
    let cursor = Cursor::kept();
    Effect::new(move |_| {
        q.track();
        of.track();
        sort.track();
        cursor.recall();
    });
    let path = move || {
        let cursor =
            cursor.get().map(|cursor| format!("&cursor={}", api::encode(&cursor))).unwrap_or_default();
        let q = api::encode(&format!("kind:{} {}", chosen.get()?.kinds, q.get()));
        Some(format!("endpoints?limit=50&sort={}&q={q}{cursor}", sort.get()))
    };
    let list = load::<Page<Endpoint>>(path, concerns);
    // Another list begins at its first page.
    let go = move |of: &str, q: &str, sort: &str| {
        cursor.reset();
        route::go(&format!("/devices?of={}&q={}&sort={sort}", api::encode(of), api::encode(q)));
    };
    let search = Callback::new(move |q: String| go(&of.get_untracked(), &q, &sort.get_untracked()));
    let on_sort = Callback::new(move |sort: String| go(&of.get_untracked(), &q.get_untracked(), &sort));
    let choices = tabs.get_value().into_iter().map(|tab| {
        let (own, to) = (tab.of.clone(), tab.of);
        Choice {
            text: tab.text,
            pressed: Signal::derive(move || chosen.with(|tab| tab.as_ref().is_some_and(|tab| tab.of == own))),
            press: Arc::new(move || go(&to, &q.get_untracked(), &sort.get_untracked())),
        }
    });
    let bar = segmented::bar("Type of device".to_owned(), choices.collect());
    let is_network = |kind: &&Integration| kind.descriptor.group == Group::NetworkDevice;
    let network: Vec<_> = kinds.iter().filter(is_network).cloned().collect();
    let shape = || view! { <Skeleton lines=8/> }.into_any();
    let known = kinds.clone();
    view! {
        <div class="row">{bar}</div>
        <FilterBar filter=q on_change=search placeholder="Filter: name, address, model"/>
        {faces(list, shape, move |page| view! { <Table page kinds=known.clone() cursor sort on_sort adding q of/> }.into_any())}
        <AddDevice kinds=network open=adding/>
    }
}

/// Whether agents are here is part of how devices stand.
fn concerns(change: &Change) -> bool {
    matches!(change.object, Object::Endpoint | Object::Agent)
}

/// The word for the controllers inside servers in the address.
const CONTROLLERS: &str = "controllers";

/// One of the lists that the page shows.
#[derive(Debug, Clone, PartialEq)]
struct Tab {
    /// Its word in the address.
    of: String,
    text: String,
    /// The kinds that it lists, as the filter takes them.
    kinds: String,
}

/// All network devices, each of their kinds where there are several, and the controllers inside servers.
fn tabs_of(kinds: &[Integration]) -> Vec<Tab> {
    let of_group =
        |group: Group| kinds.iter().map(|kind| &kind.descriptor).filter(move |kind| kind.group == group);
    let names = |group| of_group(group).map(|kind| kind.kind.as_str()).collect::<Vec<_>>().join(",");
    let tab = |of: &str, text: &str, kinds: String| Tab { of: of.to_owned(), text: text.to_owned(), kinds };
    let mut tabs = vec![tab("", "Network devices", names(Group::NetworkDevice))];
    if of_group(Group::NetworkDevice).count() > 1 {
        tabs.extend(
            of_group(Group::NetworkDevice).map(|kind| tab(&kind.kind, &kind.title, kind.kind.clone())),
        );
    }
    tabs.push(tab(CONTROLLERS, "Controllers of servers", names(Group::ManagementController)));
    tabs
}

#[component]
fn Table(
    page: Held<Page<Endpoint>>,
    kinds: Vec<Integration>,
    cursor: Cursor,
    sort: Memo<String>,
    on_sort: Callback<String>,
    adding: RwSignal<bool>,
    q: Memo<String>,
    of: Memo<String>,
) -> impl IntoView {
    let task = RwSignal::new(None);
    let agents = agent_names();
    let none = move || page.with(|page| page.items.is_empty()).then(|| nothing(q, of, adding));
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

fn nothing(q: Memo<String>, of: Memo<String>, adding: RwSignal<bool>) -> AnyView {
    if !q.get_untracked().is_empty() {
        return view! { <Empty icon="filter" title="No device fits this filter" text="Take a word away to see more."/> }.into_any();
    }
    if of.with_untracked(|of| of == CONTROLLERS) {
        return view! { <Empty icon="cpu" title="No controllers yet" text="Each is added with the connection of its server."/> }.into_any();
    }
    let add = Callback::new(move |()| adding.set(true));
    view! {
        <Empty icon="network" title="No devices yet" text="Add the PDUs first: then their outlets can be connected to servers.">
            <Button label="Add device".to_owned() kind=Kind::Primary icon="plus" refusal=Signal::derive(live::refusal) on_click=add/>
        </Empty>
    }
    .into_any()
}
