//! One of a few, all in sight.

use leptos::prelude::*;
use std::sync::Arc;

use crate::focus;

/// Draws the choices; `chosen` holds the value of the pressed one.
#[component]
pub fn Segmented<T>(
    #[prop(into)] label: String,
    options: Vec<(T, &'static str)>,
    #[prop(into)] chosen: Signal<T>,
    on_choose: impl Fn(T) + Copy + Send + Sync + 'static,
) -> impl IntoView
where
    T: Copy + PartialEq + Send + Sync + 'static,
{
    let draw = |(value, text): (T, &'static str)| Choice {
        text: text.to_owned(),
        pressed: Signal::derive(move || chosen.get() == value),
        press: Arc::new(move || on_choose(value)),
    };
    bar(label, options.into_iter().map(draw).collect())
}

/// One choice with its value forgotten.
pub struct Choice {
    /// Its name.
    pub text: String,
    /// Whether it is the one.
    pub pressed: Signal<bool>,
    /// Chooses it.
    pub press: Arc<dyn Fn() + Send + Sync>,
}

/// Draws choices whatever they stand for.
pub fn bar(label: String, choices: Vec<Choice>) -> AnyView {
    let draw = |choice: Choice| {
        view! {
            <button
                type="button"
                aria-pressed=move || choice.pressed.get().to_string()
                on:click=move |_| (choice.press)()
            >
                {choice.text}
            </button>
        }
    };
    view! {
        <div class="segmented" role="group" aria-label=label on:keydown=|event| focus::by_arrows(&event, "button")>
            {choices.into_iter().map(draw).collect::<Vec<_>>()}
        </div>
    }
    .into_any()
}
