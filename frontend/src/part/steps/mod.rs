//! The steps of a form that goes on from top to bottom.

use crate::draw::live;
use leptos::prelude::*;

use super::icon::{Icon, Size};

/// How a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Progress {
    /// Filled in.
    Done,
    /// In hand.
    Now,
    /// Comes later; its body is not drawn.
    Later,
}

/// Draws the list around the steps.
#[component]
pub fn Steps(children: Children) -> impl IntoView {
    view! { <ol class="steps">{children()}</ol> }
}

/// Draws one step. `chosen` stands beside the title; `children` is the body.
#[component]
pub fn FormStep(
    number: u8,
    title: &'static str,
    #[prop(into)] progress: Signal<Progress>,
    #[prop(optional, into)] chosen: Signal<String>,
    #[prop(optional, into)] side: Option<ViewFn>,
    children: ChildrenFn,
) -> impl IntoView {
    let done = move || progress.get() == Progress::Done;
    let mark = move || {
        if done() { view! { <Icon name="check" size=Size::Small/> }.into_any() } else { number.into_any() }
    };
    let drawn = Memo::new(move |_| progress.get() != Progress::Later);
    view! {
        <li
            data-done=move || done().then_some("")
            aria-current=move || (progress.get() == Progress::Now).then_some("step")
        >
            <span class="step-mark">{live(mark)}</span>
            <div class="step-title">
                <b class="strong">{title}</b>
                <span class="meta cut">{live(move || chosen.get())}</span>
                {side.map(|side| view! { <span class="push row">{side.run()}</span> })}
            </div>
            {live(move || drawn.get().then(|| view! { <div class="step-body">{children()}</div> }))}
        </li>
    }
}
