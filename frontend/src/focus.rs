//! Moving the focus within a group by keys, giving it back, and keeping it when its element goes.

use leptos::{ev, ev::KeyboardEvent, prelude::*};
use std::cell::RefCell;
use wasm_bindgen::{JsCast, JsValue, closure::Closure};
use web_sys::{Document, Element, FocusOptions, HtmlElement, MutationObserver, MutationObserverInit};

/// What one fills in.
const FIELDS: &str = "input:not([type=checkbox], [type=radio]), select, textarea";
/// Whatever else takes the focus.
const CONTROLS: &str = "a[href], button, input";

thread_local! {
    /// Where the focus was last: its element and all that stand around it, from the inside out.
    static TRAIL: RefCell<Vec<Element>> = const { RefCell::new(Vec::new()) };
}

/// From now on the keyboard goes on nearby when the element goes at which it stood; without this it
/// would begin at the top of the page again. Called once, at start.
pub fn keep() {
    let follow = window_event_listener(ev::focusin, |_| {
        let out = std::iter::successors(active(), |inner| inner.parent_element());
        TRAIL.replace(out.collect());
    });
    // Who presses beside everything gives the focus up.
    let give_up = window_event_listener(ev::pointerup, |_| {
        if is_lost() {
            TRAIL.take();
        }
    });
    on_cleanup(move || {
        follow.remove();
        give_up.remove();
    });
    let look = Closure::<dyn FnMut()>::new(|| {
        if is_lost() && TRAIL.with_borrow(|trail| trail.first().is_some_and(|last| !last.is_connected())) {
            request_animation_frame(rescue);
        }
    });
    let watch = MutationObserver::new(look.as_ref().unchecked_ref());
    if let (Ok(watch), Some(body)) = (watch, document().and_then(|page| page.body())) {
        let what = MutationObserverInit::new();
        what.set_child_list(true);
        what.set_subtree(true);
        // Refused only to a request that watches nothing.
        drop(watch.observe_with_options(&body, &what));
        // It watches for as long as the page stands.
        look.forget();
    }
}

/// Puts the focus into the nearest that is left of what stood around it.
fn rescue() {
    if !is_lost() {
        return;
    }
    for around in TRAIL.take().into_iter().filter(|element| element.is_connected()) {
        let is_page = around.matches("main, body").unwrap_or(true);
        if is_page || put_into(&around, FIELDS) || put_into(&around, CONTROLS) {
            break;
        }
    }
    if is_lost() {
        give_still(document().and_then(|page| page.get_element_by_id("main")).as_ref());
    }
}

/// What a window asks for came after it was opened: the browser had only the button that closes.
pub fn enter_window() {
    let waits = format!("dialog[{WAITS}]:has(.dialog-head :focus)");
    let window = active().and_then(|element| element.closest(&waits).ok().flatten());
    if let Some(window) = window
        && put_into(&window, FIELDS)
    {
        drop(window.remove_attribute(WAITS));
    }
}

/// Notes that a window holds nothing yet that could be filled in.
pub fn wait_to_enter(window: &Element) {
    drop(window.set_attribute(WAITS, ""));
}

const WAITS: &str = "data-waits";

/// Gives the focus to the first of `selector` that takes it.
fn put_into(around: &Element, selector: &str) -> bool {
    let Ok(all) = around.query_selector_all(selector) else { return false };
    (0..all.length()).any(|at| {
        let one = all.get(at);
        give_still(one.as_ref());
        active().as_deref() == one.as_ref()
    })
}

/// Gives the focus and leaves the page where it is scrolled to.
fn give_still(to: Option<&impl JsCast>) {
    if let Some(to) = to.and_then(|to| to.dyn_ref::<HtmlElement>()) {
        let how = FocusOptions::new();
        how.set_prevent_scroll(true);
        drop(to.focus_with_options(&how));
    }
}

fn is_lost() -> bool {
    active().is_none_or(|element| element.tag_name() == "BODY")
}

fn document() -> Option<Document> {
    web_sys::window()?.document()
}

/// Leads to the first field that was refused, once that is drawn: it is the next to be worked on. Whoever has gone on
/// from where it was `sent` stays there.
pub fn lead_to_refused(sent: Option<Element>) {
    if !is_lost() && active() != sent {
        return;
    }
    request_animation_frame(|| {
        let form = active().and_then(|element| element.closest("dialog, form").ok().flatten());
        let refused = form.map_or_else(
            || document().and_then(|page| page.query_selector(REFUSED).ok().flatten()),
            |form| form.query_selector(REFUSED).ok().flatten(),
        );
        if let Some(refused) = refused {
            bring_into_sight(&refused);
            give(Some(refused));
        }
    });
}

const REFUSED: &str = "[aria-invalid=true]";

/// Moves the focus with the arrow keys, Home and End among the elements of `selector` inside the one
/// that hears the event.
pub fn by_arrows(event: &KeyboardEvent, selector: &str) {
    let Some(group) = event.current_target().and_then(|group| group.dyn_into::<Element>().ok()) else {
        return;
    };
    let step = match event.key().as_str() {
        "ArrowRight" | "ArrowDown" => Step::By(1),
        "ArrowLeft" | "ArrowUp" => Step::By(-1),
        "Home" => Step::To(0),
        "End" => Step::To(-1),
        _ => return,
    };
    event.prevent_default();
    move_in(&group, selector, step);
}

/// Where the focus goes.
#[derive(Debug, Clone, Copy)]
pub enum Step {
    /// So many further, round the ends.
    By(i32),
    /// To this one; -1 is the last.
    To(i32),
}

/// Moves the focus among the elements of `selector` inside `group`.
pub fn move_in(group: &Element, selector: &str, step: Step) {
    let Ok(all) = group.query_selector_all(selector) else { return };
    let count = i32::try_from(all.length()).unwrap_or(i32::MAX);
    let focused = active();
    let here =
        (0..count).find(|at| all.get(at.unsigned_abs()).as_ref() == focused.as_ref().map(AsRef::as_ref));
    let next = match (step, here) {
        (Step::By(by), Some(here)) => here + by,
        (Step::By(_), None) => 0,
        (Step::To(at), _) => at,
    };
    give(all.get(next.rem_euclid(count.max(1)).unsigned_abs()));
}

/// The element that has the focus.
pub fn active() -> Option<Element> {
    document()?.active_element()
}

/// Gives the focus to an element; one that went meanwhile needs none.
pub fn give(to: Option<impl JsCast>) {
    if let Some(to) = to.and_then(|to| to.dyn_into::<HtmlElement>().ok()) {
        drop(to.focus());
    }
}

/// Scrolls as little as brings the element into sight.
pub fn bring_into_sight(element: &Element) {
    let how = js_sys::Object::new();
    let scroll = js_sys::Reflect::set(&how, &"block".into(), &"nearest".into())
        .and_then(|_| js_sys::Reflect::get(element, &"scrollIntoView".into()));
    if let Some(scroll) = scroll.ok().as_ref().and_then(JsValue::dyn_ref::<js_sys::Function>) {
        // Whoever cannot scroll shows it where it is.
        drop(scroll.call1(element, &how));
    }
}

/// Leads to the first element of `selector`: brings it into sight and gives it the focus.
pub fn lead_to(selector: &str) {
    if let Some(element) = document().and_then(|page| page.query_selector(selector).ok().flatten()) {
        bring_into_sight(&element);
        give(Some(element));
    }
}
