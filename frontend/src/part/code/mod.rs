//! Text to copy.

use leptos::prelude::*;

use super::{icon_button::IconButton, toast};

/// Draws text with a button that copies it.
#[component]
pub fn Code(#[prop(into)] text: String) -> impl IntoView {
    let value = text.clone();
    view! {
        <div class="code">
            <pre>{text}</pre>
            <IconButton label="Copy".to_owned() icon="copy" small="sm" on_click=move || copy(&value)/>
        </div>
    }
}

/// Copies text. On plain http away from this machine the browser has no clipboard to offer.
pub fn copy(text: &str) {
    let Some(window) = web_sys::window() else { return };
    if window.is_secure_context() {
        // The browser answers later; it refuses only what the person forbade.
        drop(window.navigator().clipboard().write_text(text));
        toast::done("Copied");
    }
}
