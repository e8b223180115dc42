//! The steps of a job as they happen: what, why, through which path, how it went, how long it took.

mod group;

use leptos::prelude::*;
use rackhand_wire::api::job::{Step, StepOutcome};

use self::group::{Effect, Group, grouped};
use super::{Tone, badge::Badge, icon::Icon, table};
use crate::draw::live;
use crate::held::Held;
use crate::time;

/// Draws the steps of a job that began at `start` (milliseconds since 1970).
#[component]
pub fn JobSteps(#[prop(into)] steps: Signal<Vec<Step>>, #[prop(into)] start: Signal<i64>) -> impl IntoView {
    let groups = move || steps.with(|steps| grouped(steps));
    // Spoken once per step; the list itself changes every second.
    let newest = Memo::new(move |_| steps.with(|steps| steps.last().map(|step| step.title.clone())));
    view! {
        <p class="hide" role="status">{live(move || newest.get())}</p>
        <ol class="job-steps">
            {table::follow(groups, |group: &Group| group.seq, move |_, group| view! { <Line group start/> })}
        </ol>
    }
}

#[component]
fn Line(group: Held<Group>, start: Signal<i64>) -> impl IntoView {
    let look = Memo::new(move |_| group.with(Group::look));
    let since = move || time::offset(group.with(Group::began) - start.get());
    let took = move || {
        let group = group.get();
        time::took(group.ended().unwrap_or_else(time::now) - group.began())
    };
    let left = move || group.with(Group::wait).map(|until| (until - time::now()).max(0));
    let fault = move || {
        group.with(Group::fault).map(|code| view! { <Badge text=code tone=Tone::Danger icon="warning"/> })
    };
    let why = move || group.with(Group::why);
    let effects = move || group.with(Group::effects).into_iter().map(effect).collect::<Vec<_>>();
    view! {
        <li
            data-tone=move || look.get().0.map(Tone::word)
            aria-current=move || (look.get().0 == Some(Tone::Transition)).then_some("step")
        >
            <span class="mark"><Icon name=Signal::derive(move || look.get().1)/></span>
            <div class="what">
                {live(move || group.with(|group| group.title.clone()))}
                {live(fault)}
                {live(move || left().map(|left| view! { <span class="badge" data-tone="transition">{time::took(left)} " left"</span> }))}
            </div>
            <div class="time"><span class="meta only-wide">{live(since)}</span> " " <span class="strong">{live(took)}</span></div>
            {live(move || Some(why()).filter(|why| !why.is_empty()).map(|why| view! { <p class="why">{why}</p> }))}
            {live(move || Some(effects()).filter(|effects| !effects.is_empty()).map(|effects| view! { <ul class="effects">{effects}</ul> }))}
        </li>
    }
}

fn effect(Effect { step, times }: Effect) -> impl IntoView {
    let (tone, icon) = effect_look(&step);
    let took = step.finished_at.map(|end| time::took((end - step.started_at).num_milliseconds()));
    let mut text =
        if step.detail.is_empty() { step.title } else { format!("{}: {}", step.title, step.detail) };
    if times > 1 {
        text = format!("{text}, {times} times");
    }
    view! {
        <li data-tone=tone.map(Tone::word)>
            <Icon name=icon/>
            <span class="said">{text}</span>
            <span class="mono meta cut only-wide">{step.path}</span>
            <span class="num">{took}</span>
        </li>
    }
}

/// A read that finds the outlet as it was went well, but what was asked for has not happened yet.
fn effect_look(step: &Step) -> (Option<Tone>, &'static str) {
    let unmoved = match step.phase.as_str() {
        "Cut feeds" => "on",
        "Restore feeds" => "off",
        _ => return outcome_look(step.outcome),
    };
    let said = step.detail.split([',', ' ']).next();
    if step.outcome == Some(StepOutcome::Ok) && step.title.starts_with("Read ") && said == Some(unmoved) {
        return (Some(Tone::Degraded), "clock");
    }
    outcome_look(step.outcome)
}

/// Tone and shape of how a step went.
pub fn outcome_look(outcome: Option<StepOutcome>) -> (Option<Tone>, &'static str) {
    match outcome {
        None => (Some(Tone::Transition), "state-transition"),
        Some(StepOutcome::Ok) => (Some(Tone::On), "check"),
        Some(StepOutcome::Failed) => (Some(Tone::Danger), "x"),
        Some(StepOutcome::Unclear) => (Some(Tone::Unknown), "state-unknown"),
        Some(StepOutcome::Interrupted) => (Some(Tone::Degraded), "pause"),
    }
}
