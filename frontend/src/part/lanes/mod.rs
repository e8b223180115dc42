//! When each path was in use; proves the order.

use leptos::prelude::*;
use rackhand_wire::api::job::Step;

use super::{Tone, job_steps::outcome_look};
use crate::draw::live;
use crate::time;

/// Draws one lane per path from `start` until the last step's end, or until now (milliseconds).
#[component]
pub fn Lanes(#[prop(into)] steps: Signal<Vec<Step>>, #[prop(into)] start: Signal<i64>) -> impl IntoView {
    let span = Signal::derive(move || {
        let end = steps.with(|steps| steps.iter().map(|step| end_of(step).unwrap_or_else(time::now)).max());
        (end.unwrap_or_else(time::now) - start.get()).max(1)
    });
    let names = Memo::new(move |_| steps.with(|steps| paths(steps)));
    let lanes = move || {
        let lane = |name: String| {
            let bars = {
                let name = name.clone();
                move || bars(&steps.get(), &name, start.get(), span.get())
            };
            view! { <span class="dim cut" title=name.clone()>{name.clone()}</span> <div class="lane">{bars}</div> }
        };
        names.get().into_iter().map(lane).collect::<Vec<_>>()
    };
    let mark = move |share: i64| time::offset(span.get() * share / 3);
    view! {
        <div class="lanes">
            {live(lanes)}
            <div class="lane-axis">
                {(0..4).map(|share| view! { <span>{live(move || mark(share))}</span> }).collect::<Vec<_>>()}
            </div>
        </div>
    }
}

fn end_of(step: &Step) -> Option<i64> {
    step.finished_at.map(|end| end.timestamp_millis())
}

fn lane_of(step: &Step) -> Option<&str> {
    step.path.as_deref().or_else(|| step.wait_ms.map(|_| "Wait"))
}

fn paths(steps: &[Step]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for name in steps.iter().filter_map(lane_of) {
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    names
}

fn bars(steps: &[Step], name: &str, start: i64, span: i64) -> Vec<AnyView> {
    let of_lane = steps.iter().filter(|step| lane_of(step) == Some(name));
    let draw = |step: &Step| {
        let from = (step.started_at.timestamp_millis() - start).max(0);
        let until = (end_of(step).unwrap_or_else(time::now) - start).max(from);
        let (tone, _) = outcome_look(step.outcome);
        let tone = if step.wait_ms.is_some() { Some(Tone::Off) } else { tone };
        // Set through the style object, not as an attribute, which the content policy forbids.
        view! {
            <i
                data-tone=tone.map(Tone::word)
                style:left=percent(from, span)
                style:width=percent(until - from, span)
                title=step.title.clone()
            ></i>
        }
        .into_any()
    };
    of_lane.map(draw).collect()
}

fn percent(part: i64, whole: i64) -> String {
    format!("{}%", part * 1000 / whole / 10)
}
