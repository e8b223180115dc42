//! A server's state: shape, word and age, never colour alone.

use chrono::{DateTime, Utc};
use leptos::prelude::*;
use rackhand_wire::power::{Confidence, PowerFlag, PowerValue};

use super::{Tone, icon::Icon};
use crate::draw::live;
use crate::time;

/// What is drawn of a state.
#[derive(Debug, Clone, PartialEq)]
pub struct Shown {
    /// On, off, fed, unknown.
    pub value: PowerValue,
    /// How sure.
    pub confidence: Confidence,
    /// It rests on what nobody has told for long, or asks for now.
    pub unsure: bool,
    /// What needs a person.
    pub flags: Vec<PowerFlag>,
    /// When a path last answered.
    pub checked_at: Option<DateTime<Utc>>,
    /// A job is under way.
    pub in_job: bool,
}

/// Tone, shape and word of a state.
pub fn look(shown: &Shown) -> (Tone, &'static str, &'static str) {
    let has = |flag| shown.flags.contains(&flag);
    if shown.in_job {
        return (Tone::Transition, "state-transition", "In a job");
    }
    if has(PowerFlag::WiringMismatch) {
        return (Tone::Danger, "state-conflict", "Wiring mismatch");
    }
    if has(PowerFlag::IdentityMismatch) {
        return (Tone::Danger, "state-conflict", "Another BMC");
    }
    let degraded = has(PowerFlag::Degraded);
    let (tone, icon, word) = match shown.value {
        PowerValue::On if degraded => (Tone::Degraded, "state-degraded", "On, degraded"),
        PowerValue::Fed if degraded => (Tone::Degraded, "state-degraded", "Fed, degraded"),
        PowerValue::Off if degraded => (Tone::Degraded, "state-degraded", "Off, degraded"),
        PowerValue::On => (Tone::On, "state-on", "On"),
        PowerValue::Off => (Tone::Off, "state-off", "Off"),
        PowerValue::Fed => (Tone::Fed, "state-fed", "Fed"),
        PowerValue::Unknown => (Tone::Unknown, "state-unknown", "Unknown"),
    };
    if shown.unsure { (Tone::Unknown, "state-unknown", word) } else { (tone, icon, word) }
}

/// How sure, in a word for beside the state.
pub fn sureness(confidence: Confidence) -> &'static str {
    match confidence {
        Confidence::High => "confirmed",
        Confidence::Medium => "likely",
        Confidence::Low => "not confirmed",
    }
}

/// Draws the chip as plain text.
#[component]
pub fn PowerState(#[prop(into)] shown: Signal<Shown>, #[prop(optional, into)] large: bool) -> impl IntoView {
    let age = move || {
        let shown = shown.get();
        let read = shown.checked_at.map(time::age);
        match (large && !shown.in_job, read) {
            (true, Some(read)) => format!("{}, read {read} ago", sureness(shown.confidence)),
            (false, Some(read)) => format!("read {read} ago"),
            (_, None) => String::new(),
        }
    };
    view! {
        <span
            class="power-state"
            data-tone=move || look(&shown.get()).0.word()
            data-size=large.then_some("lg")
        >
            <Icon name=Signal::derive(move || look(&shown.get()).1)/>
            {live(move || look(&shown.get()).2)}
            <span class="age">{live(age)}</span>
        </span>
    }
}

/// Draws the chip as the opener of its evidence.
#[component]
pub fn PowerStateButton(#[prop(into)] shown: Signal<Shown>, open: RwSignal<bool>) -> impl IntoView {
    view! {
        <button
            class="power-state"
            type="button"
            data-tone=move || look(&shown.get()).0.word()
            aria-expanded=move || open.get().to_string()
            aria-label=move || format!("{}, show evidence", look(&shown.get()).2)
            on:click=move |_| open.update(|open| *open = !*open)
        >
            <Icon name=Signal::derive(move || look(&shown.get()).1)/>
            {live(move || look(&shown.get()).2)}
            <span class="age">{live(move || shown.get().checked_at.map(|at| format!("read {} ago", time::age(at))))}</span>
        </button>
    }
}
