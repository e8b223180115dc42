//! Jobs, newest first.

use leptos::prelude::*;
use rackhand_wire::{
    PowerAction,
    api::{
        job::{Job, JobState, Proof},
        live::Object,
        page::Page,
    },
};

use crate::{
    api,
    draw::live,
    held::Held,
    load::{faces, load},
    part::{
        Tone,
        empty::Empty,
        icon::Icon,
        pager::{Cursor, Pager},
        skeleton::Skeleton,
        table::follow,
    },
    time,
};

/// The list.
#[component]
pub fn Jobs() -> impl IntoView {
    let cursor = Cursor::kept();
    let path = move || {
        let cursor =
            cursor.get().map(|cursor| format!("&cursor={}", api::encode(&cursor))).unwrap_or_default();
        Some(format!("jobs?limit=50{cursor}"))
    };
    let list = load::<Page<Job>>(path, |change| change.object == Object::Job);
    let draw = move |list: Held<Page<Job>>| {
        let none = move || {
            list.with(|list| list.items.is_empty()).then(|| {
                view! { <Empty icon="activity" title="No job has run yet" text="Power actions and tests of devices become jobs; each keeps its steps."/> }
            })
        };
        view! {
            <div class="card">
                <div class="card-list">
                    {follow(move || list.get().items, |job: &Job| job.id, |_, job| move || job_line(&job.get()))}
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
    faces(list, || view! { <Skeleton lines=8/> }.into_any(), draw)
}

/// Tone, icon and word of how a job stands.
pub fn outcome(state: JobState) -> (Tone, &'static str, &'static str) {
    match state {
        JobState::Queued => (Tone::Unknown, "clock", "Waiting"),
        JobState::Running => (Tone::Transition, "state-transition", "Running"),
        JobState::Succeeded => (Tone::On, "check", "Succeeded"),
        JobState::SucceededDegraded => (Tone::Degraded, "warning", "Succeeded, redundancy lost"),
        JobState::Failed => (Tone::Danger, "x", "Failed"),
        JobState::FailedPartial => (Tone::Danger, "warning", "Failed halfway"),
        JobState::Indeterminate => (Tone::Degraded, "state-unknown", "Sent, outcome unknown"),
        JobState::Cancelled => (Tone::Off, "x", "Cancelled"),
        JobState::Expired => (Tone::Off, "clock", "Expired before it began"),
    }
}

/// The same of one job: outlets that feed a machine do not say that it runs.
pub fn outcome_of(job: &Job) -> (Tone, &'static str, &'static str) {
    let starts = matches!(job.action, Some(PowerAction::On | PowerAction::Cycle));
    if job.state == JobState::Succeeded && job.proof == Some(Proof::Feeds) && starts {
        return (Tone::Fed, "state-fed", "Succeeded, outlets only");
    }
    outcome(job.state)
}

/// One job as a line of a list.
pub fn job_line(job: &Job) -> impl IntoView + use<> {
    let (tone, icon, word) = outcome_of(job);
    let at = job.created_at;
    let (title, by) = (job.title.clone(), job.requested_by.clone());
    let summary = job.summary.clone().unwrap_or_else(|| word.to_owned());
    view! {
        <a href=format!("/jobs/{}", job.id) data-tone=tone.word()>
            <Icon name=icon/>
            <span class="flow">
                <span class="strong">{title.clone()}</span>
                " "
                <span class="dim">{summary.clone()}</span>
            </span>
            <span class="meta only-wide">{by.clone()}</span>
            <span class="meta num when" title=time::moment(at)>{live(move || format!("{} ago", time::age(at)))}</span>
        </a>
    }
}
