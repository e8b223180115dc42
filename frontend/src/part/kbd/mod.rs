//! A key of the keyboard.

use leptos::prelude::*;

/// Draws a key.
#[component]
pub fn Kbd(key: &'static str) -> impl IntoView {
    view! { <span class="kbd">{key}</span> }
}
