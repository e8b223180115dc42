//! The fleet in one line; each figure is a filter.

use crate::{draw::live, focus};
use leptos::prelude::*;

use super::{Tone, icon::Icon};

/// One figure.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// What it counts.
    pub label: &'static str,
    /// Its shape.
    pub icon: &'static str,
    /// Its meaning.
    pub tone: Option<Tone>,
    /// The filter that it stands for; empty for none.
    pub filter: &'static str,
    /// The count, once known.
    pub count: Option<u64>,
}

/// Draws the figures; `chosen` is the filter in force.
#[component]
pub fn TallyBar(
    #[prop(into)] figures: Signal<Vec<Figure>>,
    #[prop(into)] chosen: Signal<String>,
    on_choose: Callback<String>,
) -> impl IntoView {
    let count = move |filter: &'static str| {
        figures.with(|all| all.iter().find(|figure| figure.filter == filter).and_then(|figure| figure.count))
    };
    let label = move |filter: &'static str| {
        figures.with(|all| all.iter().find(|figure| figure.filter == filter).map(|figure| figure.label))
    };
    let draw = move |figure: Figure| {
        let filter = figure.filter;
        view! {
            <button
                type="button"
                data-tone=figure.tone.map(Tone::word)
                aria-pressed=move || (chosen.get() == filter).to_string()
                on:click=move |_| on_choose.run(filter.to_owned())
            >
                <Icon name=figure.icon/>
                <span>{live(move || label(filter))}</span>
                <b>{live(move || count(filter).map_or("–".to_owned(), |count| count.to_string()))}</b>
            </button>
        }
    };
    view! {
        <div class="tally" role="group" aria-label="Filter by state" on:keydown=|event| focus::by_arrows(&event, "button")>
            {figures.get_untracked().into_iter().map(draw).collect::<Vec<_>>()}
        </div>
    }
}
