//! A button that is only an icon; its label is spoken and shown on hover.

use leptos::prelude::*;

use super::icon::Icon;

/// Draws an icon button.
#[component]
pub fn IconButton(
    #[prop(into)] label: Signal<String>,
    #[prop(into)] icon: Signal<&'static str>,
    on_click: impl Fn() + 'static,
    #[prop(optional, into)] small: Option<&'static str>,
    #[prop(optional, into)] class: Option<&'static str>,
    #[prop(optional, into)] disabled: Signal<bool>,
) -> impl IntoView {
    view! {
        <button
            class=format!("icon-button {}", class.unwrap_or_default())
            type="button"
            data-size=small
            aria-label=move || label.get()
            title=move || label.get()
            disabled=move || disabled.get()
            on:click=move |_| on_click()
        >
            <Icon name=icon/>
        </button>
    }
}
