//! Light, dark, or as the system says.

use rackhand_wire::api::settings::Theme;
use wasm_bindgen::JsValue;

const KEY: &str = "theme";

/// Applies a theme and remembers it for the next load, before the settings are known.
pub fn apply(theme: Theme) {
    let Some(window) = web_sys::window() else { return };
    let root = window.document().and_then(|document| document.document_element());
    let storage = window.local_storage().ok().flatten();
    let word = word(theme);
    // A browser that forbids storage only forgets the choice.
    let done: Result<(), JsValue> = match (word, root) {
        (Some(word), Some(root)) => root
            .set_attribute("data-theme", word)
            .and_then(|()| storage.map_or(Ok(()), |storage| storage.set_item(KEY, word))),
        (None, Some(root)) => root
            .remove_attribute("data-theme")
            .and_then(|()| storage.map_or(Ok(()), |storage| storage.remove_item(KEY))),
        (Some(_) | None, None) => Ok(()),
    };
    drop(done);
}

/// The theme in force as the page knows it.
pub fn current() -> Theme {
    let stored = web_sys::window()
        .and_then(|window| window.local_storage().ok().flatten())
        .and_then(|storage| storage.get_item(KEY).ok().flatten());
    match stored.as_deref() {
        Some("light") => Theme::Light,
        Some("dark") => Theme::Dark,
        Some(_) | None => Theme::System,
    }
}

fn word(theme: Theme) -> Option<&'static str> {
    match theme {
        Theme::System => None,
        Theme::Light => Some("light"),
        Theme::Dark => Some("dark"),
    }
}

/// Says whether the page is dark now.
pub fn is_dark() -> bool {
    match current() {
        Theme::Dark => true,
        Theme::Light => false,
        Theme::System => web_sys::window()
            .and_then(|window| window.match_media("(prefers-color-scheme: dark)").ok().flatten())
            .is_some_and(|query| query.matches()),
    }
}
