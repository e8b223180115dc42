//! Short notes at the corner: done, failed, undo.

use leptos::prelude::*;
use rackhand_wire::api::problem::Problem;
use std::{cell::Cell, sync::Arc, time::Duration};

use super::{
    Tone,
    button::{Button, Size},
    icon::Icon,
    icon_button::IconButton,
    table::follow,
};

const STAYS: Duration = Duration::from_secs(8);

/// More would cover the page.
const AT_ONCE: usize = 3;

#[derive(Clone)]
struct Note {
    id: u64,
    tone: Tone,
    text: String,
    more: String,
    undo: Option<Undo>,
}

impl PartialEq for Note {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

/// Outlives whatever offered it: a menu goes as soon as one of its verbs is chosen.
type Undo = Arc<dyn Fn() + Send + Sync>;

thread_local! {
    static NOTES: Cell<Option<RwSignal<Vec<Note>>>> = const { Cell::new(None) };
    /// Never given twice: a note would be taken away by the clock of an earlier one.
    static NEXT: Cell<u64> = const { Cell::new(0) };
}

/// Says that something is done.
pub fn done(text: impl Into<String>) {
    push(Tone::On, text.into(), String::new(), None);
}

/// Says that something is done and offers to take it back.
pub fn undoable(text: impl Into<String>, undo: impl Fn() + Send + Sync + 'static) {
    push(Tone::On, text.into(), String::new(), Some(Arc::new(undo)));
}

/// Says why something failed.
pub fn failed(problem: &Problem) {
    let mut more = problem.detail.clone().unwrap_or_default();
    if !problem.request_id.is_empty() {
        format!("{more} Request {}", problem.request_id).trim().clone_into(&mut more);
    }
    let first = problem.errors.first().map(|error| error.message.clone());
    push(Tone::Danger, first.unwrap_or_else(|| problem.title.clone()), more, None);
}

fn push(tone: Tone, text: String, more: String, undo: Option<Undo>) {
    let Some(notes) = NOTES.get() else { return };
    let id = NEXT.replace(NEXT.get() + 1);
    notes.update(|notes| {
        notes.push(Note { id, tone, text, more, undo });
        if notes.len() > AT_ONCE {
            notes.remove(0);
        }
    });
    if tone != Tone::Danger {
        set_timeout(move || drop_note(id), STAYS);
    }
}

fn drop_note(id: u64) {
    if let Some(notes) = NOTES.get() {
        notes.update(|notes| notes.retain(|note| note.id != id));
    }
}

/// Draws the notes; once per page.
#[component]
pub fn Toasts() -> impl IntoView {
    let notes = RwSignal::new(Vec::new());
    NOTES.set(Some(notes));
    view! {
        <div class="toasts" role="status" aria-live="polite">
            {follow(move || notes.get(), |note| note.id, |_, shown| note(shown.get_untracked()))}
        </div>
    }
}

fn note(note: Note) -> impl IntoView {
    let id = note.id;
    let icon = if note.tone == Tone::Danger { "warning" } else { "check" };
    let undo = note.undo.map(|undo| {
        let take_back = move |()| {
            drop_note(id);
            undo();
        };
        view! { <Button label="Undo".to_owned() size=Size::Small on_click=Callback::new(take_back)/> }
    });
    view! {
        <div class="toast" data-tone=note.tone.word()>
            <Icon name=icon/>
            <span>{note.text}</span>
            <span class="row">
                {undo}
                <IconButton label="Dismiss".to_owned() icon="x" small="sm" on_click=move || drop_note(id)/>
            </span>
            {(!note.more.is_empty()).then(|| view! { <span class="meta">{note.more.clone()}</span> })}
        </div>
    }
}
