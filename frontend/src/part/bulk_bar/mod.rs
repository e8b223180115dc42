//! What can be done with the chosen rows.

use crate::draw::live;
use leptos::{ev, prelude::*};

use super::{
    button::{Button, Kind},
    kbd::Kbd,
};

/// Draws the bar while something is chosen; Esc clears.
#[component]
pub fn BulkBar(
    #[prop(into)] count: Signal<usize>,
    #[prop(into)] label: String,
    on_clear: Callback<()>,
    children: ChildrenFn,
) -> impl IntoView {
    let children = StoredValue::new(children);
    let esc = window_event_listener(ev::keydown, move |event| {
        if event.key() == "Escape"
            && !event.default_prevented()
            && count.get_untracked() > 0
            && !modal_is_open()
        {
            on_clear.run(());
        }
    });
    on_cleanup(move || esc.remove());
    let some = Memo::new(move |_| count.get() > 0);
    live(move || {
        some.get().then(|| {
            view! {
                <div class="bulk-bar" role="toolbar" aria-label=label.clone()>
                    <b class="strong">{live(move || format!("{} selected", count.get()))}</b>
                    <span class="rule only-wide"></span>
                    {children.with_value(|children| children())}
                    <span class="rule only-wide"></span>
                    <Button label="Clear".to_owned() kind=Kind::Quiet on_click=on_clear/>
                    <span class="only-wide"><Kbd key="Esc"/></span>
                </div>
            }
        })
    })
}

fn modal_is_open() -> bool {
    let open = web_sys::window()
        .and_then(|window| window.document())
        .and_then(|page| page.query_selector("dialog[open]").ok().flatten());
    open.is_some()
}
