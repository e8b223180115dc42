//! The dialogs about one device: change, test, remove.

use leptos::prelude::*;
use rackhand_wire::api::{
    endpoint::{Endpoint, TestEndpoint},
    kind::Kind as Integration,
    live::Object,
};

use super::{Task, form::ChangeDevice};
use crate::{
    form::Submit,
    live,
    page::{
        confirm::{Deed, Question},
        endpoint::{Found, TestPanel},
    },
    part::{
        button::Button,
        callout::ProblemNote,
        dialog::{Dialog, Side, open_for},
        toast,
    },
};

/// Holds the dialogs; one opens when `task` names it.
#[component]
pub fn Dialogs(task: RwSignal<Option<Task>>, kinds: Vec<Integration>) -> impl IntoView {
    let submit = Submit::new();
    let open = open_for(task);
    let title = Signal::derive(move || match task.get() {
        Some(Task::Change(endpoint)) => format!("Change {}", endpoint.name),
        Some(Task::Test(endpoint)) => format!("Test {}", endpoint.name),
        Some(Task::Remove(endpoint)) => format!("Remove {}", endpoint.name),
        None => String::new(),
    });
    let kinds = StoredValue::new(kinds);
    let body = move || {
        submit.problem.set(None);
        match task.get_untracked() {
            Some(Task::Change(endpoint)) => {
                let kind = kinds.with_value(|kinds| {
                    kinds.iter().find(|kind| kind.descriptor.kind == endpoint.kind).cloned()
                });
                kind.map(|kind| view! { <ChangeDevice endpoint kind open submit/> }).into_any()
            }
            Some(Task::Test(endpoint)) => view! { <TestDevice endpoint open submit/> }.into_any(),
            Some(Task::Remove(endpoint)) => {
                let (id, deed) = (endpoint.id, removal(&endpoint));
                let on_done = Callback::new(move |()| {
                    toast::done(format!("{} removed", endpoint.name));
                    live::announce(Object::Endpoint, id);
                });
                view! { <Question deed open on_done/> }.into_any()
            }
            None => ().into_any(),
        }
    };
    view! { <Dialog open title side=Side::Middle busy=submit.busy>{body()}</Dialog> }
}

#[component]
fn TestDevice(endpoint: Endpoint, open: RwSignal<bool>, submit: Submit) -> impl IntoView {
    let found = RwSignal::new(None::<Found>);
    let id = endpoint.id;
    let request = Callback::new(move |()| TestEndpoint {
        endpoint_id: Some(id),
        kind: None,
        agent_id: None,
        agent_group: None,
        params: None,
        secrets: std::collections::BTreeMap::new(),
        target: None,
    });
    Effect::new(move |_| {
        if found.with(Option::is_some) {
            live::announce(Object::Endpoint, id);
        }
    });
    view! {
        <div class="dialog-body">
            <p class="dim">"It is asked who it is and what it offers. Nothing is changed on it."</p>
            <TestPanel request found submit prefix="" at_once=true/>
            <ProblemNote problem=submit.problem/>
        </div>
        <footer class="dialog-foot">
            <span class="push"></span>
            <Button label="Close".to_owned() on_click=Callback::new(move |()| open.set(false))/>
        </footer>
    }
}

/// What is lost with a device, or why it has to stay.
fn removal(endpoint: &Endpoint) -> Deed {
    let used = endpoint.connections;
    let refusal =
        (used > 0).then(|| format!("{used} connections use it: remove them from their servers first."));
    let lost = "Rackhand forgets its address and credentials. The device itself keeps running as it is.";
    let consequence = refusal.as_deref().unwrap_or(lost);
    let path = format!("endpoints/{}", endpoint.id);
    Deed { refusal: refusal.clone(), ..Deed::remove(&endpoint.name, consequence, path) }
}
