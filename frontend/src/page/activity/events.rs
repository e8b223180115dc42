//! Events, newest first.

use leptos::prelude::*;
use rackhand_wire::api::{
    event::{Event, Severity},
    live::Object,
    page::Page,
};

use crate::{
    api,
    draw::live,
    held::Held,
    load::{faces, load},
    part::{
        Tone,
        empty::Empty,
        filter_bar::FilterBar,
        icon::Icon,
        pager::{Cursor, Pager},
        skeleton::Skeleton,
        table::follow,
    },
    route, time,
};

/// The list with its filter.
#[component]
pub fn Events(filter: Memo<String>) -> impl IntoView {
    let cursor = Cursor::kept();
    Effect::new(move |_| {
        filter.with(|_| ());
        cursor.recall();
    });
    let path = move || {
        let q = api::encode(&filter.get());
        let cursor =
            cursor.get().map(|cursor| format!("&cursor={}", api::encode(&cursor))).unwrap_or_default();
        Some(format!("events?limit=50&q={q}{cursor}"))
    };
    let list = load::<Page<Event>>(path, |change| change.object == Object::Event);
    let search = Callback::new(|q: String| route::go(&format!("/activity?q={}", api::encode(&q))));
    let draw = move |list: Held<Page<Event>>| {
        let none = move || {
            list.with(|list| list.items.is_empty()).then(|| {
                view! { <Empty icon="clock" title="Nothing happened yet" text="Changes of power, failing devices and finished jobs appear here."/> }
            })
        };
        view! {
            <div class="card">
                <div class="card-list">
                    {follow(move || list.get().items, |event: &Event| event.id, |_, event| event_line(&event.get_untracked()))}
                </div>
                {live(none)}
                <div class="table-foot">
                    <span>"Newest first"</span>
                    <Pager cursor next=Signal::derive(move || list.with(|list| list.next.clone()))/>
                </div>
            </div>
        }
        .into_any()
    };
    view! {
        <FilterBar filter on_change=search placeholder="Filter: severity:warning, kind:job.failed"/>
        {faces(list, || view! { <Skeleton lines=8/> }.into_any(), draw)}
    }
}

/// One event as a line of a list.
pub fn event_line(event: &Event) -> impl IntoView + use<> {
    let (icon, tone) = match event.severity {
        Severity::Info => ("info", None),
        Severity::Warning => ("warning", Some(Tone::Degraded)),
        Severity::Alarm => ("warning", Some(Tone::Danger)),
    };
    let href = match (event.job_id, event.server_id, event.endpoint_id) {
        (Some(job), _, _) => format!("/jobs/{job}"),
        (None, Some(server), _) => format!("/servers/{server}"),
        (None, None, Some(endpoint)) => format!("/devices/{endpoint}"),
        (None, None, None) => match event.agent_id {
            Some(agent) => format!("/agents/{agent}"),
            None => "/activity".to_owned(),
        },
    };
    let at = event.at;
    let server = event.server_name.clone();
    let actor = event.actor.clone();
    // The name stands in front already.
    let bare = server.as_deref().and_then(|name| event.message.strip_prefix(name));
    let message = bare.unwrap_or(&event.message).trim_start().to_owned();
    view! {
        <a href=href data-tone=tone.map(Tone::word)>
            <Icon name=icon/>
            <span class="cut flow">
                {server.clone().map(|name| view! { <span class="strong">{name}</span> " " })}
                <span class="dim">{message.clone()}</span>
            </span>
            <span class="meta only-wide">{actor.clone()}</span>
            <span class="meta num when" title=time::moment(at)>{live(move || format!("{} ago", time::age(at)))}</span>
        </a>
    }
}
