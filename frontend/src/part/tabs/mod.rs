//! Links between the views of one thing.

use crate::{draw::live, focus, route};
use leptos::prelude::*;

/// One tab.
#[derive(Debug, Clone, PartialEq)]
pub struct Tab {
    /// Its name.
    pub label: &'static str,
    /// Where it leads.
    pub href: String,
    /// A count beside the name.
    pub count: Option<u64>,
}

/// Draws the tabs; the one whose address is open is marked.
#[component]
pub fn Tabs(#[prop(into)] label: String, #[prop(into)] tabs: Signal<Vec<Tab>>) -> impl IntoView {
    let draw = |tab: Tab| {
        let count = tab.count.map(|count| view! { <span class="count">{count}</span> });
        let href = tab.href.clone();
        let here = move || (route::path() == href).then_some("page");
        view! { <a href=tab.href aria-current=here>{tab.label} {count}</a> }
    };
    view! {
        <nav class="tabs" aria-label=label on:keydown=|event| focus::by_arrows(&event, "a")>
            {live(move || tabs.get().into_iter().map(draw).collect::<Vec<_>>())}
        </nav>
    }
}
