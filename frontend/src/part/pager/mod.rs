//! Pages by cursor: forward by the list's own, back by those that were used.

use leptos::prelude::*;

use super::icon_button::IconButton;
use crate::route;

/// Where in a list one stands. Copy; lives with the page.
#[derive(Clone, Copy)]
pub struct Cursor {
    used: RwSignal<Vec<String>>,
}

impl Cursor {
    /// Stands at the first page.
    pub fn new() -> Self {
        Self { used: RwSignal::new(Vec::new()) }
    }

    /// The cursor of the page in sight; none on the first.
    pub fn get(self) -> Option<String> {
        self.used.with(|used| used.last().cloned())
    }

    /// How many pages lie before.
    pub fn before(self) -> usize {
        self.used.with(Vec::len)
    }

    /// Goes back to the first page.
    pub fn reset(self) {
        if !self.used.with_untracked(Vec::is_empty) {
            self.used.set(Vec::new());
        }
    }
}

/// Draws the two arrows; `next` is the list's own cursor.
#[component]
pub fn Pager(cursor: Cursor, #[prop(into)] next: Signal<Option<String>>) -> impl IntoView {
    let forward = move || {
        if let Some(next) = next.get_untracked() {
            cursor.used.update(|used| used.push(next));
            route::to_top();
        }
    };
    let back = move || {
        cursor.used.update(|used| {
            used.pop();
        });
        route::to_top();
    };
    view! {
        <span class="pager">
            <IconButton
                label="Previous page".to_owned()
                icon="chevron-left"
                small="sm"
                disabled=Signal::derive(move || cursor.before() == 0)
                on_click=back
            />
            <IconButton
                label="Next page".to_owned()
                icon="chevron-right"
                small="sm"
                disabled=Signal::derive(move || next.with(Option::is_none))
                on_click=forward
            />
        </span>
    }
}
