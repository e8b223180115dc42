//! A person's initials.

use leptos::prelude::*;

/// Draws the first two letters of a name.
#[component]
pub fn Avatar(#[prop(into)] name: String) -> impl IntoView {
    let letters: String = name.chars().filter(|c| c.is_alphanumeric()).take(2).collect();
    view! { <span class="avatar" aria-hidden="true">{letters.to_uppercase()}</span> }
}
