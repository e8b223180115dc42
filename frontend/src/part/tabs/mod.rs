//! Links between the views of one thing.

use crate::draw::live;
use leptos::prelude::*;
use leptos_router::components::A;

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

/// Draws the tabs; the one whose address is open is marked by the router.
#[component]
pub fn Tabs(#[prop(into)] label: String, #[prop(into)] tabs: Signal<Vec<Tab>>) -> impl IntoView {
    let draw = |tab: Tab| {
        let count = tab.count.map(|count| view! { <span class="count">{count}</span> });
        view! { <A href=tab.href exact=true>{tab.label} {count}</A> }
    };
    view! {
        <nav class="tabs" aria-label=label>
            {live(move || tabs.get().into_iter().map(draw).collect::<Vec<_>>())}
        </nav>
    }
}
