//! A titled surface.

use leptos::prelude::*;

/// Draws a card; `actions` stand at the right of its head.
#[component]
pub fn Card(
    #[prop(into)] title: String,
    #[prop(optional, into)] actions: Option<ViewFn>,
    children: Children,
) -> impl IntoView {
    let name = title.clone();
    view! {
        <section class="card" aria-label=name>
            <header class="card-head">
                <h2>{title}</h2>
                {actions.map(|actions| view! { <span class="push row">{actions.run()}</span> })}
            </header>
            {children()}
        </section>
    }
}
