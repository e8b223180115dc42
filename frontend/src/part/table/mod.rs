//! Tables: rows that stay in place, heads that sort, keys that move.

use leptos::{ev, prelude::*};
use wasm_bindgen::JsCast;

use super::icon::{Icon, Size};
use crate::{
    focus,
    held::{Held, Thing},
};

/// Draws one row per item. A row stays while its key does and follows its item, so focus, ticks and
/// open popovers survive updates.
pub fn follow<T, K, V>(
    items: impl Fn() -> Vec<T> + Send + Sync + 'static,
    key: impl Fn(&T) -> K + Copy + Send + Sync + 'static,
    row: impl Fn(K, Held<T>) -> V + Send + Sync + 'static,
) -> AnyView
where
    T: Clone + PartialEq + Send + Sync + 'static,
    K: ToString + 'static,
    V: IntoView + 'static,
{
    let keyed = move || items().into_iter().map(|item| (key(&item).to_string(), Thing::new(item))).collect();
    let draw = move |item: Signal<Thing>| {
        let item = Held::<T>::new(item);
        row(item.with_untracked(key), item).into_any()
    };
    each(Box::new(keyed), Box::new(draw))
}

type Keyed = (String, Thing);

/// Not generic: compiled once for every list.
fn each(
    items: Box<dyn Fn() -> Vec<Keyed> + Send + Sync>,
    draw: Box<dyn Fn(Signal<Thing>) -> AnyView + Send + Sync>,
) -> AnyView {
    let all = Memo::new(move |_| items());
    let keys = move || all.with(|all| all.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>());
    let find = move |key: &str| {
        all.with(|all| all.iter().find(|(other, _)| other == key).map(|(_, item)| item.clone()))
    };
    let draw = StoredValue::new(draw);
    let row = move |key: String| {
        let Some(first) = untrack(|| find(&key)) else { return ().into_any() };
        let item = Memo::new(move |_| find(&key).unwrap_or_else(|| first.clone()));
        draw.with_value(|draw| draw(item.into()))
    };
    view! { <For each=keys key=Clone::clone children=row/> }.into_any()
}

/// Draws a head that sorts. `sort` is the API's word: the column, with `-` in front for descending.
#[component]
pub fn SortHead(
    label: &'static str,
    column: &'static str,
    #[prop(into)] sort: Signal<String>,
    on_sort: Callback<String>,
    #[prop(optional, into)] priority: Option<&'static str>,
    #[prop(optional, into)] class: Option<&'static str>,
) -> impl IntoView {
    let direction = move || {
        let sort = sort.get();
        if sort == column {
            Some("ascending")
        } else {
            (sort.strip_prefix('-') == Some(column)).then_some("descending")
        }
    };
    let icon = Signal::derive(move || match direction() {
        Some("ascending") => "arrow-up",
        Some(_) => "chevron-down",
        None => "sort",
    });
    let click = move |_| {
        let next = if direction() == Some("ascending") { format!("-{column}") } else { column.to_owned() };
        on_sort.run(next);
    };
    view! {
        <th scope="col" class=class data-p=priority aria-sort=direction>
            <button type="button" on:click=click>
                {label}
                <Icon name=icon size=Size::Small/>
            </button>
        </th>
    }
}

/// Moves the focus between the rows' links with the arrow keys, Home and End.
pub fn row_keys(event: &ev::KeyboardEvent) {
    let Some(target) = event.target().and_then(|target| target.dyn_into::<web_sys::Element>().ok()) else {
        return;
    };
    let Ok(Some(row)) = target.closest("tr") else { return };
    if !target.matches("a, button, input[type=checkbox]").unwrap_or(false) {
        return;
    }
    let next = match event.key().as_str() {
        "ArrowDown" => row.next_element_sibling(),
        "ArrowUp" => row.previous_element_sibling(),
        "Home" => row.parent_element().and_then(|body| body.first_element_child()),
        "End" => row.parent_element().and_then(|body| body.last_element_child()),
        _ => return,
    };
    event.prevent_default();
    focus::give(next.and_then(|row| row.query_selector("a.name, button").ok().flatten()));
}
