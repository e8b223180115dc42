//! A verb. One that cannot be used says why and stays reachable by keyboard.

use crate::draw::live;
use leptos::prelude::*;

use super::icon::{self, Icon};

/// What weight a button has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kind {
    /// The one filled button of a view.
    Primary,
    /// Any other.
    #[default]
    Plain,
    /// Opens something that loses unsaved data.
    Caution,
    /// Does it, in the confirming dialog.
    Danger,
    /// Without an edge.
    Quiet,
}

impl Kind {
    fn word(self) -> Option<&'static str> {
        match self {
            Self::Primary => Some("primary"),
            Self::Plain => None,
            Self::Caution => Some("caution"),
            Self::Danger => Some("danger"),
            Self::Quiet => Some("quiet"),
        }
    }
}

/// How tall a button is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Size {
    /// 28 px.
    Small,
    /// 32 px.
    #[default]
    Normal,
    /// 40 px.
    Large,
}

impl Size {
    fn word(self) -> Option<&'static str> {
        match self {
            Self::Small => Some("sm"),
            Self::Normal => None,
            Self::Large => Some("lg"),
        }
    }
}

/// Draws a button. `refusal` names the reason when it cannot be used, told beside it once it is pressed;
/// with `on_refused`, its owner tells it instead. `busy` while it works.
/// Without `on_click` it submits its form.
#[component]
pub fn Button(
    #[prop(into)] label: Signal<String>,
    #[prop(optional)] kind: Kind,
    #[prop(optional)] size: Size,
    #[prop(optional, into)] icon: Option<&'static str>,
    #[prop(optional, into)] refusal: Signal<Option<String>>,
    #[prop(optional, into)] busy: Signal<bool>,
    #[prop(optional, into)] on_click: Option<Callback<()>>,
    #[prop(optional, into)] on_refused: Option<Callback<()>>,
) -> impl IntoView {
    let blocked = move || busy.get() || refusal.with(Option::is_some);
    let pressed = RwSignal::new(false);
    let told = move || {
        refusal
            .get()
            .filter(|_| pressed.get())
            .map(|why| view! { <span class="refusal" role="alert">{why}</span> })
    };
    let click = move |event: leptos::ev::MouseEvent| {
        if blocked() {
            event.prevent_default();
            match on_refused {
                Some(on_refused) => on_refused.run(()),
                None => pressed.set(true),
            }
        } else if let Some(on_click) = on_click {
            on_click.run(());
        }
    };
    let glyph = move || {
        let name = if busy.get() { Some("state-transition") } else { icon };
        name.map(|name| view! { <Icon name=name size=if size == Size::Small { icon::Size::Small } else { icon::Size::Normal }/> })
    };
    view! {
        <button
            class="button"
            type=if on_click.is_some() { "button" } else { "submit" }
            data-kind=kind.word()
            data-size=size.word()
            aria-disabled=move || blocked().then_some("true")
            title=move || refusal.get()
            on:click=click
        >
            {live(glyph)}
            {live(move || label.get())}
        </button>
        {live(told)}
    }
}
