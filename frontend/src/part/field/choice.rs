//! Fields that are chosen.

use crate::draw::live;
use leptos::prelude::*;

use super::{Frame, fresh_id};

/// Draws one choice of several. `options` are pairs of stored and shown; `value` holds the stored one.
#[component]
pub fn SelectField(
    #[prop(into)] label: String,
    #[prop(into)] name: String,
    value: RwSignal<String>,
    #[prop(into)] options: Signal<Vec<(String, String)>>,
    #[prop(optional, into)] error: Signal<Option<String>>,
    #[prop(optional, into)] help: String,
    #[prop(optional, into)] note: String,
    #[prop(optional)] wide: bool,
) -> impl IntoView {
    let id = fresh_id();
    let describe = format!("{id}-help");
    let draw = move |(stored, shown): (String, String)| {
        let same = stored.clone();
        view! { <option value=stored selected=move || value.get() == same>{shown}</option> }
    };
    let input = view! {
        <select
            class="input"
            id=id.clone()
            name=name
            aria-invalid=move || error.with(Option::is_some).then_some("true")
            aria-describedby=describe
            on:change=move |event| value.set(event_target_value(&event))
        >
            {live(move || options.get().into_iter().map(draw).collect::<Vec<_>>())}
        </select>
    };
    view! { <Frame id label note help error wide>{input}</Frame> }
}

/// Draws a yes or no with its caption beside it.
#[component]
pub fn CheckField(
    #[prop(into)] label: String,
    #[prop(into)] name: String,
    value: RwSignal<bool>,
    #[prop(optional, into)] help: String,
    #[prop(optional)] wide: bool,
) -> impl IntoView {
    let describe = format!("{}-help", fresh_id());
    let below =
        (!help.is_empty()).then(|| view! { <span class="help" id=describe.clone()>{help.clone()}</span> });
    view! {
        <div class="field" data-wide=wide.then_some("")>
            <label class="switch-line">
                <input
                    class="check"
                    type="checkbox"
                    name=name
                    aria-describedby=describe.clone()
                    prop:checked=move || value.get()
                    on:change=move |event| value.set(event_target_checked(&event))
                />
                {label}
            </label>
            {below}
        </div>
    }
}
