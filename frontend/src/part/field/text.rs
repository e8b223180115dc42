//! Fields that are typed.

use leptos::prelude::*;

use super::{Frame, fresh_id};
use crate::part::icon_button::IconButton;

/// What is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kind {
    /// Words.
    #[default]
    Text,
    /// What one copies or types exactly.
    Exact,
    /// A whole number.
    Number,
    /// Several lines.
    Lines,
}

/// Draws a field of text. `name` is the path that the API gives the field.
#[component]
pub fn TextField(
    #[prop(into)] label: String,
    #[prop(into)] name: String,
    value: RwSignal<String>,
    #[prop(optional, into)] error: Signal<Option<String>>,
    #[prop(optional, into)] help: String,
    #[prop(optional, into)] placeholder: String,
    #[prop(optional, into)] note: String,
    #[prop(optional)] kind: Kind,
    #[prop(optional)] wide: bool,
    #[prop(default = "off", into)] autocomplete: &'static str,
) -> impl IntoView {
    let id = fresh_id();
    let describe = format!("{id}-help");
    let invalid = move || error.with(Option::is_some).then_some("true");
    let input = if kind == Kind::Lines {
        view! {
            <textarea
                class="input"
                id=id.clone()
                name=name
                rows="4"
                placeholder=placeholder
                aria-invalid=invalid
                aria-describedby=describe
                prop:value=move || value.get()
                on:input=move |event| value.set(event_target_value(&event))
            ></textarea>
        }
        .into_any()
    } else {
        view! {
            <input
                class=if kind == Kind::Exact { "input mono" } else { "input" }
                id=id.clone()
                name=name
                inputmode=(kind == Kind::Number).then_some("numeric")
                autocomplete=autocomplete
                autocapitalize="none"
                placeholder=placeholder
                aria-invalid=invalid
                aria-describedby=describe
                prop:value=move || value.get()
                on:input=move |event| value.set(event_target_value(&event))
            />
        }
        .into_any()
    };
    view! { <Frame id label note help error wide>{input}</Frame> }
}

/// Draws a masked field with a button that shows what was typed.
#[component]
pub fn SecretField(
    #[prop(into)] label: String,
    #[prop(into)] name: String,
    value: RwSignal<String>,
    #[prop(optional, into)] error: Signal<Option<String>>,
    #[prop(optional, into)] help: String,
    #[prop(optional, into)] placeholder: String,
    #[prop(optional, into)] note: String,
    #[prop(optional)] wide: bool,
    #[prop(default = "new-password", into)] autocomplete: &'static str,
) -> impl IntoView {
    let id = fresh_id();
    let describe = format!("{id}-help");
    let shown = RwSignal::new(false);
    let input = view! {
        <div class="secret">
            <input
                class="input"
                id=id.clone()
                name=name
                type=move || if shown.get() { "text" } else { "password" }
                autocomplete=autocomplete
                autocapitalize="none"
                placeholder=placeholder
                aria-invalid=move || error.with(Option::is_some).then_some("true")
                aria-describedby=describe
                prop:value=move || value.get()
                on:input=move |event| value.set(event_target_value(&event))
            />
            <IconButton
                label=Signal::derive(move || if shown.get() { "Hide" } else { "Show" }.to_owned())
                icon=Signal::derive(move || if shown.get() { "eye-off" } else { "eye" })
                small="sm"
                on_click=move || shown.update(|shown| *shown = !*shown)
            />
        </div>
    };
    view! { <Frame id label note help error wide>{input}</Frame> }
}
