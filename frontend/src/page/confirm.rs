//! Asking before something is lost, with what that means.

use gloo_net::http::Method;
use leptos::prelude::*;

use crate::{
    draw::live,
    form::Submit,
    part::{
        button::{Button, Kind},
        callout::ProblemNote,
        dialog::{Dialog, Side, open_for},
    },
};

/// What is about to be done.
#[derive(Debug, Clone, PartialEq)]
pub struct Deed {
    /// Heading and button: `Remove site Berlin`.
    pub title: String,
    /// What happens then.
    pub consequence: String,
    /// Why it cannot be done now.
    pub refusal: Option<String>,
    /// How it is asked for.
    pub method: Method,
    /// Path of the API.
    pub path: String,
}

impl Deed {
    /// A removal that nothing stands against.
    pub fn remove(name: &str, consequence: &str, path: String) -> Self {
        Self {
            title: format!("Remove {name}"),
            consequence: consequence.to_owned(),
            refusal: None,
            method: Method::DELETE,
            path,
        }
    }
}

/// Draws the question while `asked` holds a deed.
#[component]
pub fn Confirm(asked: RwSignal<Option<Deed>>, on_done: Callback<()>) -> impl IntoView {
    let open = open_for(asked);
    let title = Signal::derive(move || asked.get().map(|deed| deed.title).unwrap_or_default());
    view! {
        <Dialog open title side=Side::Narrow>
            {live(move || asked.get_untracked().map(|deed| view! { <Question deed open on_done/> }))}
        </Dialog>
    }
}

/// Draws what the dialog says and its buttons.
#[component]
pub fn Question(deed: Deed, open: RwSignal<bool>, on_done: Callback<()>) -> impl IntoView {
    let submit = Submit::new();
    let (method, path) = (deed.method, deed.path);
    let act = Callback::new(move |()| {
        submit.ask(method.clone(), path.clone(), move || {
            open.try_set(false);
            on_done.try_run(());
        });
    });
    view! {
        <div class="dialog-body">
            <p>{deed.consequence}</p>
            <ProblemNote problem=submit.problem/>
        </div>
        <footer class="dialog-foot">
            <span class="push"></span>
            <Button label="Cancel".to_owned() on_click=Callback::new(move |()| open.set(false))/>
            <Button label=deed.title kind=Kind::Danger refusal=Signal::stored(deed.refusal) busy=submit.busy on_click=act/>
        </footer>
    }
}
