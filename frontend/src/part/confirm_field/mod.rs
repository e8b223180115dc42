//! Typing the name arms the button.

use leptos::prelude::*;

use super::field::{Kind, TextField};

/// Asks for `expected` to be typed into `typed`.
#[component]
pub fn ConfirmField(
    #[prop(into)] expected: String,
    typed: RwSignal<String>,
    #[prop(optional, into)] error: Signal<Option<String>>,
) -> impl IntoView {
    view! {
        <div class="confirm-field">
            <p class="dim">"Type " <code>{expected.clone()}</code> " to go on."</p>
            <TextField
                label="Name of the server"
                name="confirm_name"
                value=typed
                error
                kind=Kind::Exact
                placeholder=expected
            />
        </div>
    }
}
