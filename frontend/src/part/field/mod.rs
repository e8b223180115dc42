//! What a person fills in: a caption, the input, one sentence of help, and the refusal at the field.

mod choice;
mod form;
mod text;
mod values;

pub use choice::{CheckField, SelectField};
pub use form::{FieldForm, PathOf, outlet_state};
pub use text::{Kind, SecretField, TextField};
pub use values::Values;

use crate::draw::live;
use leptos::prelude::*;
use std::cell::Cell;

use super::icon::{Icon, Size};

thread_local! {
    static LAST: Cell<u32> = const { Cell::new(0) };
}

/// Names an element that a label or a description points at.
fn fresh_id() -> String {
    LAST.set(LAST.get() + 1);
    format!("f{}", LAST.get())
}

/// Draws the caption above and the help or the refusal below an input named `id`.
#[component]
fn Frame(
    id: String,
    label: String,
    note: String,
    help: String,
    error: Signal<Option<String>>,
    wide: bool,
    children: Children,
) -> impl IntoView {
    let describe = format!("{id}-help");
    let below = move || match error.get() {
        Some(message) => view! {
            <span class="error" id=describe.clone()>
                <Icon name="warning" size=Size::Small/>
                <span>{message}</span>
            </span>
        }
        .into_any(),
        None if help.is_empty() => ().into_any(),
        None => view! { <span class="help" id=describe.clone()>{help.clone()}</span> }.into_any(),
    };
    view! {
        <div class="field" data-wide=wide.then_some("")>
            <label for=id.clone()>{label} {(!note.is_empty()).then(|| view! { " " <i>{note.clone()}</i> })}</label>
            {children()}
            {live(below)}
        </div>
    }
}
