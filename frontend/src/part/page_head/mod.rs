//! Title, state and actions of a page.

use crate::draw::live;
use leptos::prelude::*;

/// Draws the head and names the browser's tab. `state` follows the title; `children` are the actions.
#[component]
pub fn PageHead(
    #[prop(into)] title: Signal<String>,
    #[prop(optional, into)] state: Option<ViewFn>,
    #[prop(optional)] children: Option<Children>,
) -> impl IntoView {
    Effect::new(move |_| {
        if let Some(page) = web_sys::window().and_then(|window| window.document()) {
            page.set_title(&format!("{} · Rackhand", title.get()));
        }
    });
    view! {
        <div class="page-head">
            <div class="title">
                <h1>{live(move || title.get())}</h1>
                {state.map(|state| state.run())}
            </div>
            {children.map(|children| view! { <div class="actions">{children()}</div> })}
        </div>
    }
}
