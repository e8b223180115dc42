//! Opening and closing of what floats beside its opener: on Esc, on a press elsewhere, on leaving
//! with the keyboard.

use crate::{draw::live, focus};
use leptos::{ev, html, prelude::*};
use wasm_bindgen::JsCast;

/// Closes `open` when the person turns elsewhere than `host`.
pub fn close_outside(open: RwSignal<bool>, host: NodeRef<html::Span>) {
    let inside = move |target: Option<web_sys::EventTarget>| {
        let target = target.and_then(|target| target.dyn_into::<web_sys::Node>().ok());
        host.get_untracked().is_some_and(|host| host.contains(target.as_ref()))
    };
    let press = window_event_listener(ev::mousedown, move |event| {
        if open.get_untracked() && !inside(event.target()) {
            open.set(false);
        }
    });
    let focus = window_event_listener(ev::focusin, move |event| {
        if open.get_untracked() && !inside(event.target()) {
            open.set(false);
        }
    });
    on_cleanup(move || {
        press.remove();
        focus.remove();
    });
}

/// Draws an opener with its popover. `opener` gets a callback that opens and closes.
#[component]
pub fn Popover(
    open: RwSignal<bool>,
    #[prop(into)] opener: ViewFn,
    #[prop(into)] title: Signal<String>,
    children: ChildrenFn,
) -> impl IntoView {
    let host = NodeRef::<html::Span>::new();
    close_outside(open, host);
    let key = move |event: ev::KeyboardEvent| {
        if event.key() == "Escape" && open.get_untracked() {
            event.stop_propagation();
            open.set(false);
            refocus(host);
        }
    };
    let children = StoredValue::new(children);
    view! {
        <span class="popover-host" node_ref=host on:keydown=key>
            {opener.run()}
            {live(move || {
                open.get()
                    .then(|| {
                        view! {
                            <div class="popover" role="dialog" aria-label=move || title.get()>
                                {children.with_value(|children| children())}
                            </div>
                        }
                    })
            })}
        </span>
    }
}

/// Gives the focus back to the opener: the first button inside the host.
pub fn refocus(host: NodeRef<html::Span>) {
    focus::give(host.get_untracked().and_then(|host| host.query_selector("button").ok().flatten()));
}
