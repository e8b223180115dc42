//! When each path was in use; proves the order.

use leptos::prelude::*;
use rackhand_wire::api::job::Step;

use super::{Tone, job_steps::effect_look};
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

struct Bar {
    from: i64,
    until: i64,
    tone: Option<Tone>,
    title: String,
}

fn bars(steps: &[Step], name: &str, start: i64, span: i64) -> Vec<AnyView> {
    let mut bars: Vec<Bar> = Vec::new();
    for step in steps.iter().filter(|step| lane_of(step) == Some(name)) {
        let from = (step.started_at.timestamp_millis() - start).max(0);
        let until = (end_of(step).unwrap_or_else(time::now) - start).max(from);
        let tone = if step.wait_ms.is_some() { Some(Tone::Off) } else { effect_look(step).0 };
        match bars.last_mut() {
            // What is read again and again is one stretch of time, not a fence.
            Some(last) if last.tone == tone && from - last.until <= span / 40 => last.until = until,
            _ => bars.push(Bar { from, until, tone, title: step.title.clone() }),
        }
    }
    let draw = |bar: Bar| {
        // Set through the style object, not as an attribute, which the content policy forbids.
        view! {
            <i
                data-tone=bar.tone.map(Tone::word)
                style:left=percent(bar.from, span)
                style:width=percent(bar.until - bar.from, span)
                title=bar.title
            ></i>
        }
        .into_any()
    };
    bars.into_iter().map(draw).collect()
}

fn percent(part: i64, whole: i64) -> String {
    format!("{}%", part * 1000 / whole / 10)
}
