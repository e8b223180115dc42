//! Pairs of name and value.

use leptos::prelude::*;

/// Draws a list of facts; each is made with [`fact`].
#[component]
pub fn Facts(children: Children) -> impl IntoView {
    view! { <dl class="facts">{children()}</dl> }
}

/// One fact.
pub fn fact(name: &'static str, value: impl IntoView) -> impl IntoView {
    view! {
        <dt>{name}</dt>
        <dd>{value}</dd>
    }
}
