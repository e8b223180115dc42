//! Pages by cursor: forward by the list's own, back by those that were used.

use leptos::prelude::*;

use super::icon_button::IconButton;
use crate::route;

/// Where in a list one stands. Copy; lives with the page.
#[derive(Clone, Copy)]
pub struct Cursor {
    used: RwSignal<Vec<String>>,
    /// The history of the browser knows it: who comes back stands where they left.
    kept: bool,
}

impl Cursor {
    /// Stands at the first page.
    pub fn new() -> Self {
        Self { used: RwSignal::new(Vec::new()), kept: false }
    }

    /// Stands where the reader stood at this place of the browser's history. For the one list of a page.
    pub fn kept() -> Self {
        Self { used: RwSignal::new(route::noted()), kept: true }
    }

    /// Goes where the reader stood at this place of the browser's history: at the first page of what is new.
    pub fn recall(self) {
        let noted = route::noted();
        if self.used.with_untracked(|used| *used != noted) {
            self.used.set(noted);
        }
    }

    fn turn(self, how: impl FnOnce(&mut Vec<String>)) {
        self.used.update(how);
        if self.kept {
            self.used.with_untracked(|used| route::note(used));
        }
        route::to_top();
    }

    /// The cursor of the page in sight; none on the first.
    pub fn get(self) -> Option<String> {
        self.used.with(|used| used.last().cloned())
    }

    /// How many pages lie before.
    pub fn before(self) -> usize {
        self.used.with(Vec::len)
    }

    /// Stands at the first page of what is about to be shown at another place of the history.
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
            cursor.turn(|used| used.push(next));
        }
    };
    let back = move || cursor.turn(|used| drop(used.pop()));
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
