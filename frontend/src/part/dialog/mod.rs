//! Modal windows. The browser keeps the focus inside, closes on Esc and gives the focus back.

use crate::{draw::live, focus};
use leptos::{ev, html, prelude::*};

use super::icon_button::IconButton;

/// Where a window stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Side {
    /// In the middle.
    #[default]
    Middle,
    /// In the middle, narrow.
    Narrow,
}

/// Draws a window while `open`. `children` are built anew each time it opens; `foot` holds the
/// buttons. A window whose `busy` is true cannot be closed by Esc or the scrim.
#[component]
pub fn Dialog(
    open: RwSignal<bool>,
    #[prop(into)] title: Signal<String>,
    #[prop(optional)] side: Side,
    #[prop(optional, into)] busy: Signal<bool>,
    children: ChildrenFn,
) -> impl IntoView {
    let children = StoredValue::new(children);
    let frame = move || {
        open.get().then(|| {
            view! { <Frame open title side busy>{children.with_value(|children| children())}</Frame> }
        })
    };
    frame.into_any()
}

/// Opens a window when `task` names what it is about, and forgets that when the window is closed.
pub fn open_for<T: Send + Sync + 'static>(task: RwSignal<Option<T>>) -> RwSignal<bool> {
    follow(Box::new(move || task.with(Option::is_some)), Box::new(move || task.set(None)))
}

/// Not generic: compiled once for every window.
fn follow(named: Box<dyn Fn() -> bool>, forget: Box<dyn Fn()>) -> RwSignal<bool> {
    let open = RwSignal::new(false);
    Effect::new(move |_| {
        if named() {
            open.set(true);
        }
    });
    Effect::new(move |_| {
        if !open.get() {
            forget();
        }
    });
    open
}

#[component]
fn Frame(
    open: RwSignal<bool>,
    title: Signal<String>,
    side: Side,
    busy: Signal<bool>,
    children: Children,
) -> impl IntoView {
    let node = NodeRef::<html::Dialog>::new();
    hold_open(node);
    let leave = move || {
        if !busy.get_untracked() {
            open.set(false);
        }
    };
    let cancel = move |event: ev::Event| {
        event.prevent_default();
        leave();
    };
    // A second Esc closes it whatever is answered to the first.
    let closed = move |_| {
        let Some(Some(dialog)) = node.try_get_untracked() else { return };
        if busy.get_untracked() { drop(dialog.show_modal()) } else { open.set(false) }
    };
    let press = move |event: ev::MouseEvent| {
        if on_scrim(&event, node) {
            leave();
        }
    };
    view! {
        <dialog
            class="overlay"
            node_ref=node
            aria-label=move || title.get()
            on:cancel=cancel
            on:close=closed
            on:mousedown=press
        >
            <div class="dialog" data-size=(side == Side::Narrow).then_some("sm")>
                <header class="dialog-head">
                    <h2 class="flow">{live(move || title.get())}</h2>
                    <IconButton label="Close".to_owned() icon="x" small="sm" on_click=leave/>
                </header>
                {children()}
            </div>
        </dialog>
    }
}

const FIRST: &str = ".dialog-body :is(input:not([type=checkbox], [type=radio]), select, textarea)";

/// Opens a dialog as modal as soon as it stands in the page, and closes it before it goes, so that
/// the browser gives the focus back.
pub fn hold_open(node: NodeRef<html::Dialog>) {
    Effect::new(move |_| {
        if let Some(dialog) = node.get() {
            // Fails only when it is open already.
            drop(dialog.show_modal());
            // What is asked for comes before the button that closes.
            match dialog.query_selector(FIRST).ok().flatten() {
                Some(first) => focus::give(Some(first)),
                None => focus::wait_to_enter(&dialog),
            }
        }
    });
    on_cleanup(move || {
        if let Some(Some(dialog)) = node.try_get_untracked() {
            dialog.close();
        }
    });
}

/// Says whether a press hit the scrim around the window.
pub fn on_scrim(event: &ev::MouseEvent, node: NodeRef<html::Dialog>) -> bool {
    node.get_untracked().is_some_and(|dialog| {
        let dialog: &web_sys::EventTarget = dialog.as_ref();
        event.target().as_ref() == Some(dialog)
    })
}
