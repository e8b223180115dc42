//! What happened to this server, what was worked on, who did what.

use leptos::prelude::*;
use rackhand_wire::{
    api::{audit::AuditRecord, event::Event, job::Job, live::Object, page::Page},
    id::ServerId,
};

use crate::{
    api,
    draw::live,
    held::Held,
    load::{faces, load},
    page::activity::{event_line, job_line},
    part::{
        empty::Empty,
        icon::Icon,
        pager::{Cursor, Pager},
        segmented::Segmented,
        skeleton::Skeleton,
        table::follow,
    },
    time,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Events,
    Jobs,
    Audit,
}

/// Draws the tab.
#[component]
pub fn Activity(server: ServerId) -> impl IntoView {
    let kind = RwSignal::new(Kind::Events);
    let options = vec![(Kind::Events, "Events"), (Kind::Jobs, "Jobs"), (Kind::Audit, "Audit")];
    let draw = move || match kind.get() {
        Kind::Events => events(server),
        Kind::Jobs => jobs(server),
        Kind::Audit => audit(server),
    };
    view! {
        <div class="row"><Segmented label="Kind of activity" options chosen=kind on_choose=move |chosen| kind.set(chosen)/></div>
        {live(draw)}
    }
}

fn path(
    list: &'static str,
    server: ServerId,
    cursor: Cursor,
) -> impl Fn() -> Option<String> + Send + Sync + 'static {
    move || {
        let cursor =
            cursor.get().map(|cursor| format!("&cursor={}", api::encode(&cursor))).unwrap_or_default();
        let of = if list == "audit" { "object:server/" } else { "server:" };
        Some(format!("{list}?limit=50&q={of}{server}{cursor}"))
    }
}

fn events(server: ServerId) -> AnyView {
    let cursor = Cursor::new();
    let list = load::<Page<Event>>(path("events", server, cursor), |change| change.object == Object::Event);
    faces(list, shape, move |list| {
        let rows = follow(
            move || list.get().items,
            |event: &Event| event.id,
            |_, event| event.with_untracked(event_line),
        );
        card(rows.into_any(), list, cursor, "Nothing happened to this server yet")
    })
}

fn jobs(server: ServerId) -> AnyView {
    let cursor = Cursor::new();
    let list = load::<Page<Job>>(path("jobs", server, cursor), |change| change.object == Object::Job);
    faces(list, shape, move |list| {
        let rows =
            follow(move || list.get().items, |job: &Job| job.id, |_, job| live(move || job.with(job_line)));
        card(rows.into_any(), list, cursor, "No job has run on this server yet")
    })
}

fn audit(server: ServerId) -> AnyView {
    let cursor = Cursor::new();
    let list = load::<Page<AuditRecord>>(path("audit", server, cursor), |change| {
        matches!(change.object, Object::Record | Object::Event)
    });
    faces(list, shape, move |list| {
        let rows = follow(
            move || list.get().items,
            |record: &AuditRecord| record.seq,
            |_, record| record.with_untracked(record_line),
        );
        card(rows.into_any(), list, cursor, "Nobody has changed this server yet")
    })
}

fn shape() -> AnyView {
    view! { <Skeleton lines=8/> }.into_any()
}

fn card<T>(rows: AnyView, list: Held<Page<T>>, cursor: Cursor, nothing: &'static str) -> AnyView
where
    T: Clone + Send + Sync + 'static,
{
    let none = move || {
        list.with(|list| list.items.is_empty())
            .then(|| view! { <Empty icon="clock" title=nothing text="It appears here as it happens."/> })
    };
    view! {
        <div class="card">
            <div class="card-list">{rows}</div>
            {live(none)}
            <div class="table-foot">
                <span>"Newest first"</span>
                <Pager cursor next=Signal::derive(move || list.with(|list| list.next.clone()))/>
            </div>
        </div>
    }
    .into_any()
}

fn record_line(record: &AuditRecord) -> impl IntoView + use<> {
    let at = record.at;
    view! {
        <div title=record.detail.to_string()>
            <Icon name="shield"/>
            <span class="cut flow"><span class="strong">{record.actor.clone()}</span> " " <span class="mono">{record.action.clone()}</span></span>
            <span class="meta only-wide mono">{record.source_ip.clone()}</span>
            <span class="meta num when" title=time::moment(at)>{live(move || format!("{} ago", time::age(at)))}</span>
        </div>
    }
}
