//! One of a few, all in sight.

use leptos::prelude::*;

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
    let draw = move |(value, text): (T, &'static str)| {
        view! {
            <button type="button" aria-pressed=move || (chosen.get() == value).to_string() on:click=move |_| on_choose(value)>
                {text}
            </button>
        }
    };
    view! {
        <div class="segmented" role="group" aria-label=label>
            {options.into_iter().map(draw).collect::<Vec<_>>()}
        </div>
    }
}
