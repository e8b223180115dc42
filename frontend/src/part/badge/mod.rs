//! One short fact.

use leptos::prelude::*;

use super::{Tone, icon::Icon};

/// How loud a badge is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kind {
    /// With tint and edge.
    #[default]
    Tinted,
    /// Plain text with its icon: a good state stays quiet.
    Plain,
}

/// Draws a badge.
#[component]
pub fn Badge(
    #[prop(into)] text: String,
    #[prop(optional, into)] tone: Option<Tone>,
    #[prop(optional, into)] icon: Option<&'static str>,
    #[prop(optional)] kind: Kind,
    #[prop(optional, into)] title: Option<String>,
) -> impl IntoView {
    let kind = match kind {
        Kind::Tinted => None,
        Kind::Plain => Some("plain"),
    };
    view! {
        <span class="badge" data-tone=tone.map(Tone::word) data-kind=kind title=title>
            {icon.map(|name| view! { <Icon name=name/> })}
            {text}
        </span>
    }
}
