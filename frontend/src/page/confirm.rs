//! Asking before something is removed, with what that means.

use leptos::prelude::*;

use crate::{
    api,
    draw::live,
    form::Submit,
    part::{
        button::{Button, Kind},
        callout::ProblemNote,
        dialog::{Dialog, Side},
    },
};

/// What is about to be removed.
#[derive(Debug, Clone, PartialEq)]
pub struct Removal {
    /// Heading and button: `Remove site Berlin`.
    pub title: String,
    /// What happens then.
    pub consequence: String,
    /// Path of the API.
    pub path: String,
}

/// Draws the question while `asked` holds a removal.
#[component]
pub fn ConfirmRemoval(asked: RwSignal<Option<Removal>>, on_done: Callback<()>) -> impl IntoView {
    let open = RwSignal::new(false);
    Effect::new(move |_| {
        if asked.with(Option::is_some) {
            open.set(true);
        }
    });
    Effect::new(move |_| {
        if !open.get() {
            asked.set(None);
        }
    });
    let title = Signal::derive(move || asked.get().map(|removal| removal.title).unwrap_or_default());
    view! {
        <Dialog open title side=Side::Narrow>
            {live(move || asked.get_untracked().map(|removal| view! { <Question removal open on_done/> }))}
        </Dialog>
    }
}

#[component]
fn Question(removal: Removal, open: RwSignal<bool>, on_done: Callback<()>) -> impl IntoView {
    let submit = Submit::new();
    let path = removal.path;
    let remove = Callback::new(move |()| {
        let path = path.clone();
        submit.run(async move { api::delete(&path).await }, move |()| {
            open.set(false);
            on_done.run(());
        });
    });
    view! {
        <div class="dialog-body">
            <p>{removal.consequence}</p>
            <ProblemNote problem=submit.problem/>
        </div>
        <footer class="dialog-foot">
            <span class="push"></span>
            <Button label="Cancel".to_owned() on_click=Callback::new(move |()| open.set(false))/>
            <Button label=removal.title kind=Kind::Danger busy=submit.busy on_click=remove/>
        </footer>
    }
}
