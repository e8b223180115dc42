//! The shape of what comes.

use leptos::prelude::*;

/// Draws a card with so many breathing lines.
#[component]
pub fn Skeleton(#[prop(default = 6)] lines: usize) -> impl IntoView {
    let lines: Vec<_> =
        (0..lines).map(|_| view! { <div><span class="skeleton flow"></span></div> }).collect();
    view! {
        <div class="card" role="status" aria-label="Loading">
            <div class="card-list">{lines}</div>
        </div>
    }
}
