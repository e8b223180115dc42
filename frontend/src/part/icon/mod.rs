//! A symbol of the sprite in the page.

use leptos::prelude::*;

/// How big an icon is, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Size {
    /// 14
    Small,
    /// 16
    #[default]
    Normal,
    /// 20
    Large,
}

/// Draws an icon; the words beside it carry the meaning.
#[component]
pub fn Icon(#[prop(into)] name: Signal<&'static str>, #[prop(optional)] size: Size) -> impl IntoView {
    let size = match size {
        Size::Small => Some("14"),
        Size::Normal => None,
        Size::Large => Some("20"),
    };
    let spins = move || (name.get() == "state-transition").then_some("");
    view! {
        <svg class="icon" data-size=size data-spin=spins aria-hidden="true">
            <use href=move || format!("#{}", name.get())></use>
        </svg>
    }
}
