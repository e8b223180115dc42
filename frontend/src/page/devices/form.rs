//! Adding and changing a device.

use leptos::prelude::*;
use rackhand_wire::api::{
    endpoint::{ChangeEndpoint, Endpoint},
    kind::Kind as Integration,
    live::Object,
};
use serde_json::Value;

use crate::{
    draw::live,
    form::Submit,
    live,
    page::endpoint::{AgentField, Draft, EndpointFields, Found, NameField, OWN, TestPanel},
    part::{
        button::{Button, Kind},
        callout::ProblemNote,
        dialog::{Dialog, Side},
        field::SelectField,
        toast,
    },
};

fn shown(field: &str) -> bool {
    field == "name" || field.starts_with("params.") || field.starts_with("secrets.")
}

/// The dialog that adds a device.
#[component]
pub fn AddDevice(kinds: Vec<Integration>, open: RwSignal<bool>) -> impl IntoView {
    let submit = Submit::new();
    let kinds = StoredValue::new(kinds);
    view! {
        <Dialog open title="Add device".to_owned() side=Side::Middle busy=submit.busy>
            <ChooseKind kinds open submit/>
        </Dialog>
    }
}

#[component]
fn ChooseKind(kinds: StoredValue<Vec<Integration>>, open: RwSignal<bool>, submit: Submit) -> impl IntoView {
    submit.begin();
    let options = kinds.with_value(|kinds| {
        let named = kinds.iter().map(|kind| (kind.descriptor.kind.clone(), kind.descriptor.title.clone()));
        named.collect::<Vec<_>>()
    });
    let kind = RwSignal::new(options.first().map(|(kind, _)| kind.clone()).unwrap_or_default());
    let several = options.len() > 1;
    let chosen = move || {
        let name = kind.get();
        kinds.with_value(|kinds| kinds.iter().find(|kind| kind.descriptor.kind == name).cloned())
    };
    view! {
        {live(move || chosen().map(|integration| {
            let options = options.clone();
            let draft = Draft::new(&integration, &Value::Null);
            view! {
                <div class="dialog-body">
                    <p class="dim">{integration.descriptor.summary.clone()}</p>
                    <div class="fields">
                        {several.then(|| view! { <SelectField label="Type" name="kind" value=kind options=options/> })}
                        <NameField draft submit prefix=""/>
                        <AgentField agent=draft.agent kind=integration default=OWN/>
                    </div>
                    <Rest draft submit/>
                </div>
                <AddFoot draft open submit/>
            }
        }))}
    }
}

#[component]
fn Rest(draft: Draft, submit: Submit) -> impl IntoView {
    let found = RwSignal::new(None::<Found>);
    let request = Callback::new(move |()| draft.test(None, None));
    view! {
        <EndpointFields draft submit prefix=""/>
        <TestPanel request found submit prefix="" draft/>
        <ProblemNote problem=submit.rest(shown)/>
    }
}

#[component]
fn AddFoot(draft: Draft, open: RwSignal<bool>, submit: Submit) -> impl IntoView {
    let add = Callback::new(move |()| {
        let body = draft.add();
        submit.post("endpoints", &body, move |endpoint: Endpoint| {
            open.try_set(false);
            toast::done(format!("{} added", endpoint.name));
            live::announce(Object::Endpoint, endpoint.id);
        });
    });
    view! {
        <footer class="dialog-foot">
            <span class="push"></span>
            <Button label="Cancel".to_owned() on_click=Callback::new(move |()| open.set(false))/>
            <Button label="Add device".to_owned() kind=Kind::Primary busy=submit.busy on_click=add/>
        </footer>
    }
}

/// The body of the dialog that changes a device.
#[component]
pub fn ChangeDevice(
    endpoint: Endpoint,
    kind: Integration,
    open: RwSignal<bool>,
    submit: Submit,
) -> impl IntoView {
    let draft = Draft::new(&kind, &endpoint.params);
    draft.name.set(endpoint.name.clone());
    draft.reached_by(endpoint.agent_id, endpoint.agent_group.as_deref());
    let (id, version) = (endpoint.id, endpoint.version);
    let found = RwSignal::new(None::<Found>);
    let request = Callback::new(move |()| draft.test(Some(id), None));
    let save = Callback::new(move |()| {
        let body = ChangeEndpoint {
            name: Some(draft.name.get_untracked()),
            agent_id: Some(draft.agent_id()),
            agent_group: Some(draft.agent_group()),
            params: Some(draft.params()),
            secrets: draft.changed_secrets(),
            accept_identity: false,
            version: Some(version),
        };
        submit.patch(format!("endpoints/{id}"), &body, move |endpoint: Endpoint| {
            open.try_set(false);
            toast::done(format!("{} saved", endpoint.name));
            live::announce(Object::Endpoint, endpoint.id);
        });
    });
    view! {
        <div class="dialog-body">
            <div class="fields">
                <NameField draft submit prefix=""/>
                <AgentField agent=draft.agent kind default=OWN/>
            </div>
            <EndpointFields draft submit prefix="" kept=endpoint.secrets_set/>
            <TestPanel request found submit prefix="" draft/>
            <ProblemNote problem=submit.rest(shown)/>
        </div>
        <footer class="dialog-foot">
            <span class="push"></span>
            <Button label="Cancel".to_owned() on_click=Callback::new(move |()| open.set(false))/>
            <Button label="Save".to_owned() kind=Kind::Primary busy=submit.busy on_click=save/>
        </footer>
    }
}
