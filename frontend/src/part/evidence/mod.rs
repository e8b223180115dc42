//! One line per path: what it says, what that proves, how old it is.

use leptos::prelude::*;
use rackhand_wire::{
    FaultCode, PowerValue, Role,
    power::{PathEvidence, PathState, ServerPower},
};

use super::{
    Tone,
    icon::{Icon, Size},
};
use crate::draw::{live, whole};
use crate::time;

/// Draws the lines, narrow for a popover.
#[component]
pub fn Evidence(#[prop(into)] paths: Signal<Vec<PathEvidence>>) -> impl IntoView {
    let line = |path: PathEvidence| {
        let age = path.checked_at;
        view! {
            <li data-tone=tone(&path).map(Tone::word)>
                <Icon name=glyph(&path)/>
                <span class="cut">{path.label.clone()}</span>
                <span class="says">{says(&path)} " " <span class="meta">{live(move || age.map(time::age))}</span></span>
            </li>
        }
    };
    view! { <ul class="evidence">{live(move || paths.get().into_iter().map(line).collect::<Vec<_>>())}</ul> }
}

/// Draws the lines with what each proves.
#[component]
pub fn EvidenceTable(#[prop(into)] paths: Signal<Vec<PathEvidence>>) -> impl IntoView {
    let line = |path: PathEvidence| {
        let at = path.checked_at;
        let mark = if path.fault.is_some() || path.agent_away || path.outdated { "x" } else { "check" };
        view! {
            <li data-tone=tone(&path).map(Tone::word)>
                <Icon name=glyph(&path)/>
                <span class="cut strong" title=path.label.clone()>{path.label.clone()}</span>
                <span class="row">
                    <span class="ink"><Icon name=mark size=Size::Small/></span>
                    {says(&path)}
                </span>
                <span class="dim proves">{proves(&path)}</span>
                <span class="meta age">{live(move || at.map_or("never".to_owned(), |at| format!("{} ago", time::age(at))))}</span>
            </li>
        }
    };
    view! { <ul class="evidence" data-wide="">{live(move || paths.get().into_iter().map(line).collect::<Vec<_>>())}</ul> }
}

fn glyph(path: &PathEvidence) -> &'static str {
    match path.role {
        Role::Controller => "cpu",
        Role::Feed => "plug",
    }
}

fn tone(path: &PathEvidence) -> Option<Tone> {
    if path.agent_away || path.outdated {
        return Some(Tone::Unknown);
    }
    if path.fault.is_some() {
        return Some(Tone::Danger);
    }
    path.state.map(|state| match state {
        PathState::On | PathState::FeedOn => Tone::On,
        PathState::Off | PathState::FeedOff => Tone::Off,
        PathState::Unclear => Tone::Unknown,
    })
}

/// What a path said, in a few words.
pub fn says(path: &PathEvidence) -> String {
    if path.agent_away {
        return "agent away".to_owned();
    }
    if let Some(fault) = &path.fault {
        return fault_word(fault.code).to_ascii_lowercase();
    }
    let word = match path.state {
        Some(PathState::On | PathState::FeedOn) => "on",
        Some(PathState::Off | PathState::FeedOff) => "off",
        Some(PathState::Unclear) => "unclear",
        None => "not read",
    };
    path.watts.map_or_else(|| word.to_owned(), |watts| format!("{word}, {} W", whole(watts)))
}

/// What that proves, or why it proves nothing.
pub fn proves(path: &PathEvidence) -> String {
    if path.agent_away {
        return "Nobody asks it at the moment".to_owned();
    }
    if let Some(fault) = &path.fault {
        return fault.to_string();
    }
    match path.state {
        Some(PathState::On) if path.outdated => "From before its feeds were cut",
        Some(PathState::On) => "Machine is on. Source of record.",
        Some(PathState::Off) => "Machine is off. Source of record.",
        Some(PathState::FeedOn) => "This feed is live",
        Some(PathState::FeedOff) => "This feed is cut",
        Some(PathState::Unclear) => "It answers without telling",
        None => "Nothing yet",
    }
    .to_owned()
}

/// What says that it runs when no controller does: the watts on its outlets.
pub fn metered(power: &ServerPower) -> Option<String> {
    let told = power.paths.iter().any(|path| path.state == Some(PathState::On));
    let idle = power.idle_watts.filter(|_| power.value == PowerValue::On && !told)?;
    let feeding = power.paths.iter().filter(|path| path.state == Some(PathState::FeedOn));
    let drawn: f64 = feeding.filter_map(|path| path.watts).sum();
    Some(format!(
        "It draws {} W. Idle it drew {} W, and a machine that is off draws far less: so it is on.",
        whole(drawn),
        whole(idle)
    ))
}

/// A fault in a word or two.
pub fn fault_word(code: FaultCode) -> &'static str {
    match code {
        FaultCode::Auth => "Refused",
        FaultCode::Config => "Wrong settings",
        FaultCode::State => "Wrong state",
        FaultCode::Unsupported => "Not supported",
        FaultCode::Busy => "Busy",
        FaultCode::Updating => "Updating",
        FaultCode::Unreach => "Unreachable",
        FaultCode::Lost | FaultCode::Dup => "Answer lost",
        FaultCode::Proto => "Garbled answer",
        FaultCode::Exec => "Agent failed",
    }
}
