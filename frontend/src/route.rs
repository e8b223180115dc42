//! Where the reader stands: the address as a signal, and going elsewhere without loading the page anew.
//! Links are plain `<a href>`; a press on one that leads into this page is taken here.

use leptos::{ev, prelude::*};
use std::cell::Cell;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{Element, MouseEvent};

/// The part of the address that the page follows.
#[derive(Debug, Clone, PartialEq, Default)]
struct Address {
    path: String,
    query: String,
}

thread_local! {
    static HERE: Cell<Option<RwSignal<Address>>> = const { Cell::new(None) };
}

/// Follows the address from now on; called once, at start.
pub fn start() {
    let here = RwSignal::new(read());
    HERE.set(Some(here));
    let back = window_event_listener(ev::popstate, move |_| here.set(read()));
    let press = window_event_listener(ev::click, |event| {
        if let Some(href) = inner_link(&event) {
            event.prevent_default();
            go(&href);
        }
    });
    on_cleanup(move || {
        back.remove();
        press.remove();
    });
}

fn read() -> Address {
    let Some(window) = web_sys::window() else { return Address::default() };
    let location = window.location();
    let query = location.search().unwrap_or_default();
    Address { path: location.pathname().unwrap_or_default(), query: query.trim_start_matches('?').to_owned() }
}

/// The path, followed.
pub fn path() -> String {
    HERE.get().map(|here| here.with(|here| here.path.clone())).unwrap_or_default()
}

/// The address of the list that is in sight, without its filter and order.
pub fn unfiltered() -> String {
    let here = HERE.get().map(|here| here.get_untracked()).unwrap_or_default();
    match value(&here.query, "of") {
        of if of.is_empty() => here.path,
        of => format!("{}?of={}", here.path, crate::api::encode(&of)),
    }
}

/// What the page at `base` follows of its address. Once the reader went elsewhere the last word
/// stands, so that a page on its way out does not draw or fetch another one's.
fn while_at(base: &str, pick: impl Fn(&Address) -> String + Send + Sync + 'static) -> Memo<String> {
    let base = base.to_owned();
    Memo::new(move |last: Option<&String>| {
        let now = HERE.get().and_then(|here| here.with(|here| below(&here.path, &base).map(|_| pick(here))));
        now.or_else(|| last.cloned()).unwrap_or_default()
    })
}

fn below<'path>(path: &'path str, base: &str) -> Option<&'path str> {
    let rest = path.strip_prefix(base)?;
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix('/') }
}

/// The word behind `base` in the path: the tab of a page.
pub fn tab(base: &str) -> Memo<String> {
    let own = base.to_owned();
    while_at(base, move |here| below(&here.path, &own).unwrap_or_default().to_owned())
}

/// A value of the query of the page at `base`; empty when absent.
pub fn query(base: &str, name: &'static str) -> Memo<String> {
    while_at(base, move |here| value(&here.query, name))
}

fn value(query: &str, name: &str) -> String {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let found = pairs.filter(|(key, _)| *key == name).map(|(_, value)| value.replace('+', " ")).next();
    let decoded = found.and_then(|value| js_sys::decode_uri_component(&value).ok());
    decoded.map(String::from).unwrap_or_default()
}

/// Shows the page from its top.
pub fn to_top() {
    if let Some(window) = web_sys::window() {
        window.scroll_to_with_x_and_y(0.0, 0.0);
    }
}

/// What was noted at this place of the browser's history.
pub fn noted() -> Vec<String> {
    let state = web_sys::window().and_then(|window| window.history().ok()?.state().ok()?.as_string());
    state.map(|state| state.split_whitespace().map(str::to_owned).collect()).unwrap_or_default()
}

/// Notes words at this place of the browser's history.
pub fn note(words: &[String]) {
    if let Some(Ok(history)) = web_sys::window().map(|window| window.history()) {
        // Refused only to a page that calls it hundreds of times a second.
        drop(history.replace_state(&words.join(" ").into(), ""));
    }
}

/// Goes to a page.
pub fn go(href: &str) {
    turn(href, true);
}

/// Goes to a page and forgets this one.
pub fn replace(href: &str) {
    turn(href, false);
}

fn turn(href: &str, keep: bool) {
    let Some(window) = web_sys::window() else { return };
    let Ok(history) = window.history() else { return };
    // Refused only to a page that calls it hundreds of times a second.
    drop(if keep {
        history.push_state_with_url(&JsValue::NULL, "", Some(href))
    } else {
        history.replace_state_with_url(&JsValue::NULL, "", Some(href))
    });
    let (Some(here), now) = (HERE.get(), read()) else { return };
    if here.with_untracked(|here| here.path != now.path) {
        to_top();
    }
    here.set(now);
}

/// The address of a pressed link that leads to another page of this one, and is not asked to open
/// elsewhere.
fn inner_link(event: &MouseEvent) -> Option<String> {
    let plain = event.button() == 0
        && !event.default_prevented()
        && !(event.meta_key() || event.ctrl_key() || event.shift_key() || event.alt_key());
    let target = event.target().filter(|_| plain)?.dyn_into::<Element>().ok()?;
    let link = target.closest("a[href^='/']:not([target]):not([download]):not([rel])").ok()??;
    link.get_attribute("href")
}
