//! The audit chain, newest first.

use leptos::prelude::*;
use rackhand_wire::api::{audit::AuditRecord, live::Object, page::Page};

use crate::{
    api,
    draw::live,
    held::Held,
    load::{faces, load},
    part::{
        empty::Empty,
        pager::{Cursor, Pager},
        skeleton::Skeleton,
        table::follow,
    },
    time,
};

/// The list.
#[component]
pub fn Audit() -> impl IntoView {
    let cursor = Cursor::kept();
    let path = move || {
        let cursor =
            cursor.get().map(|cursor| format!("&cursor={}", api::encode(&cursor))).unwrap_or_default();
        Some(format!("audit?limit=50{cursor}"))
    };
    let list =
        load::<Page<AuditRecord>>(path, |change| matches!(change.object, Object::Record | Object::Event));
    let draw = move |list: Held<Page<AuditRecord>>| {
        let none = move || {
            list.with(|list| list.items.is_empty())
                .then(|| view! { <Empty icon="shield" title="No record yet" text="Every change by a person or a script is kept here, chained by hashes."/> })
        };
        view! {
            <div class="table-card">
                <table class="table">
                    <thead>
                        <tr>
                            <th scope="col" class="num">"No."</th>
                            <th scope="col">"Who"</th>
                            <th scope="col">"When"</th>
                            <th class="break"></th>
                            <th scope="col">"Did"</th>
                            <th scope="col">"To"</th>
                            <th scope="col" data-p="2">"From"</th>
                            <th scope="col" data-p="2">"Hash"</th>
                        </tr>
                    </thead>
                    <tbody>
                        {follow(move || list.get().items, |record: &AuditRecord| record.seq, |_, record| row(&record.get_untracked()))}
                    </tbody>
                </table>
                {live(none)}
                <div class="table-foot">
                    <span>"Newest first; each record holds the hash of the one before"</span>
                    <Pager cursor next=Signal::derive(move || list.with(|list| list.next.clone()))/>
                </div>
            </div>
        }
        .into_any()
    };
    faces(list, || view! { <Skeleton lines=8/> }.into_any(), draw)
}

fn row(record: &AuditRecord) -> impl IntoView + use<> {
    let hash: String = record.hash.chars().take(12).collect();
    let detail = record.detail.to_string();
    view! {
        <tr title=detail>
            <td class="num dim">{record.seq}</td>
            <td data-m="title" class="strong">{record.actor.clone()}</td>
            <td data-m="end" class="dim">{time::moment(record.at)}</td>
            <td class="break"></td>
            <td data-m="line" class="mono">{record.action.clone()}</td>
            <td data-m="line">{record.object_name.clone()}</td>
            <td data-p="2" class="mono dim">{record.source_ip.clone()}</td>
            <td data-p="2" class="mono dim" title=record.hash.clone()>{hash}</td>
        </tr>
    }
}
