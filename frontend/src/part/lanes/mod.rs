//! What each path was over time; proves the order.

use leptos::prelude::*;
use rackhand_wire::api::job::{Step, StepOutcome};

use super::{Tone, evidence::fault_word};
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

fn paths(steps: &[Step]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for name in steps.iter().filter_map(|step| step.path.as_ref()) {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    names
}

/// What a path was, from then until the next one begins.
struct Stretch {
    from: i64,
    word: String,
    tone: Tone,
}

/// What a step has found out. A write says nothing before it is read back.
fn found(step: &Step) -> Option<(String, Tone)> {
    let Some(outcome) = step.outcome else { return Some(("asked".to_owned(), Tone::Transition)) };
    if outcome != StepOutcome::Ok {
        return step.fault.map(|fault| (fault_word(fault).to_ascii_lowercase(), Tone::Danger));
    }
    let word = step.detail.split(',').next().filter(|_| step.title.starts_with("Read "))?;
    let tone = match word {
        "on" if step.phase.ends_with("feeds") => Tone::Fed,
        "on" => Tone::On,
        "off" => Tone::Off,
        _ => Tone::Transition,
    };
    Some((word.to_owned(), tone))
}

fn stretches(steps: &[Step], name: &str, start: i64) -> Vec<Stretch> {
    let mut all: Vec<Stretch> = Vec::new();
    for step in steps.iter().filter(|step| step.path.as_deref() == Some(name)) {
        let Some((word, tone)) = found(step) else { continue };
        // What is known stands until something else is.
        let is_news = all.last().is_none_or(|last| last.word != word && step.outcome.is_some());
        if is_news {
            let from = (step.started_at.timestamp_millis() - start).max(0);
            all.push(Stretch { from, word, tone });
        }
    }
    all
}

fn bars(steps: &[Step], name: &str, start: i64, span: i64) -> Vec<AnyView> {
    let all = stretches(steps, name, start);
    let ends = all.iter().skip(1).map(|next| next.from).chain([span]).collect::<Vec<_>>();
    let draw = |(Stretch { from, word, tone }, end): (Stretch, i64)| {
        // The style sheet writes the title into the bar. Its place is set through the style object, not as an
        // attribute, which the content policy forbids.
        view! {
            <i
                data-tone=tone.word()
                style:left=percent(from, span)
                style:width=percent(end - from, span)
                title=word
            ></i>
        }
        .into_any()
    };
    all.into_iter().zip(ends).map(draw).collect()
}

fn percent(part: i64, whole: i64) -> String {
    let share = part * 1000 / whole;
    format!("{}.{}%", share / 10, share % 10)
}
