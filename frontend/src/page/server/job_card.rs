//! The job that is under way, step by step, and what became of it.

use leptos::prelude::*;
use rackhand_wire::{
    api::{job::Job, live::Object},
    id::JobId,
};

use crate::{
    draw::live,
    load::{faces, load},
    page::activity::outcome_of,
    part::{Tone, badge::Badge, icon_button::IconButton, job_steps::JobSteps, skeleton::Skeleton},
    time,
};

/// Shows the job of `active`, and keeps it in sight after it ended until it is put away.
#[component]
pub fn JobCard(#[prop(into)] active: Signal<Option<JobId>>) -> impl IntoView {
    let kept = RwSignal::new(None::<JobId>);
    Effect::new(move |_| {
        if let Some(id) = active.get() {
            kept.set(Some(id));
        }
    });
    let kept_id = Memo::new(move |_| kept.get());
    live(move || kept_id.get().map(|id| view! { <One id kept/> }))
}

#[component]
fn One(id: JobId, kept: RwSignal<Option<JobId>>) -> impl IntoView {
    let job = load::<Job>(
        move || Some(format!("jobs/{id}")),
        move |change| change.object == Object::Job && change.id == id.to_string(),
    );
    let shape = || view! { <Skeleton lines=3/> }.into_any();
    faces(job, shape, move |job| {
        let start = Signal::derive(move || job.with(|job| job.created_at.timestamp_millis()));
        let steps = Signal::derive(move || job.with(|job| job.steps.clone()));
        let over = Memo::new(move |_| job.with(|job| job.state.is_over()));
        let summary = move || job.with(|job| job.summary.clone());
        view! {
            <section class="card" aria-label="Present job">
                <header class="card-head">
                    <h2>{live(move || job.with(|job| job.title.clone()))}</h2>
                    {live(move || job.with(state_badge))}
                    <span class="push row">
                        <a href=format!("/jobs/{id}")>"Open job"</a>
                        {live(move || over.get().then(|| view! {
                            <IconButton label="Put away".to_owned() icon="x" small="sm" on_click=move || kept.set(None)/>
                        }))}
                    </span>
                </header>
                <JobSteps steps start/>
                {live(move || summary().map(|summary| view! { <footer class="card-foot">{summary}</footer> }))}
            </section>
        }
        .into_any()
    })
}

/// How a job stands, with how long it has taken.
pub fn state_badge(job: &Job) -> impl IntoView + use<> {
    let (tone, icon, word) = outcome_of(job);
    let (began, ended) = (job.started_at, job.finished_at);
    let took = move || {
        let end = ended.map_or_else(time::now, |end| end.timestamp_millis());
        began.map(|began| format!(", {}", time::took(end - began.timestamp_millis())))
    };
    let quiet = tone == Tone::On;
    view! {
        {live(move || {
            let text = format!("{word}{}", took().unwrap_or_default());
            if quiet {
                view! { <Badge text tone icon kind=crate::part::badge::Kind::Plain/> }.into_any()
            } else {
                view! { <Badge text tone icon/> }.into_any()
            }
        })}
    }
}
