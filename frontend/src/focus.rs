//! Moving the focus within a group by keys, and giving it back.

use leptos::ev::KeyboardEvent;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{Element, HtmlElement};

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
    web_sys::window()?.document()?.active_element()
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
    let page = web_sys::window().and_then(|window| window.document());
    if let Some(element) = page.and_then(|page| page.query_selector(selector).ok().flatten()) {
        bring_into_sight(&element);
        give(Some(element));
    }
}
