//! Where the page stands.

use crate::draw::live;
use leptos::prelude::*;
use std::cell::Cell;

use super::icon::{Icon, Size};

/// A step on the way to the page; the last one has no address.
#[derive(Debug, Clone, PartialEq)]
pub struct Crumb {
    /// Its name.
    pub label: String,
    /// Where it leads.
    pub href: Option<String>,
}

thread_local! {
    static WAY: Cell<Option<RwSignal<Vec<Crumb>>>> = const { Cell::new(None) };
}

/// Tells the top bar where the calling page stands; pairs of label and address, then the page's name.
pub fn stand(way: impl Fn() -> (Vec<(String, String)>, String) + 'static) {
    Effect::new(move |_| {
        let (before, here) = way();
        let mut crumbs: Vec<_> =
            before.into_iter().map(|(label, href)| Crumb { label, href: Some(href) }).collect();
        crumbs.push(Crumb { label: here, href: None });
        if let Some(signal) = WAY.get() {
            signal.set(crumbs);
        }
    });
}

/// Draws the way that the page told.
#[component]
pub fn Crumbs() -> impl IntoView {
    let way = RwSignal::new(Vec::<Crumb>::new());
    WAY.set(Some(way));
    let draw = |crumb: Crumb| match crumb.href {
        Some(href) => view! {
            <span class="only-wide row">
                <a href=href>{crumb.label}</a>
                <Icon name="chevron-right" size=Size::Small/>
            </span>
        }
        .into_any(),
        None => view! { <span aria-current="page">{crumb.label}</span> }.into_any(),
    };
    view! {
        <nav class="crumbs" aria-label="Breadcrumb">
            {live(move || way.get().into_iter().map(draw).collect::<Vec<_>>())}
        </nav>
    }
}
