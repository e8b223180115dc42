//! Changing a connection: its place on the device, what is ticked, and, for a device of its own, how it is reached.

use leptos::prelude::*;
use rackhand_wire::{
    Feature, Field,
    api::{
        connection::{ChangeConnection, Connection},
        endpoint::{ChangeEndpoint, Endpoint, EndpointOutlets, FedOutlet},
        kind::Kind as Integration,
        page::Page,
        problem::Problem,
    },
    id::ServerId,
    power::OutletReading,
};
use std::sync::Arc;

use super::Scene;
use crate::{
    api,
    draw::live,
    form::Submit,
    load::{faces, load},
    page::endpoint::{AgentField, Draft, EndpointFields, TestPanel},
    part::{
        button::{Button, Kind},
        callout::ProblemNote,
        dialog::{Dialog, Side, open_for},
        feature_list::FeatureList,
        field::{FieldForm, PathOf, Values},
        skeleton::Skeleton,
        toast,
    },
};

/// The dialog; opened by naming the connection.
#[component]
pub fn EditConnection(scene: Scene, editing: RwSignal<Option<Connection>>) -> impl IntoView {
    let submit = Submit::new();
    let open = open_for(editing);
    let title = Signal::derive(move || {
        editing
            .with(|editing| editing.as_ref().map(|connection| connection.label.clone()).unwrap_or_default())
    });
    view! {
        <Dialog open title side=Side::Middle busy=submit.busy>
            {live(move || editing.get_untracked().map(|connection| view! { <Loading scene connection open submit/> }))}
        </Dialog>
    }
}

#[component]
fn Loading(scene: Scene, connection: Connection, open: RwSignal<bool>, submit: Submit) -> impl IntoView {
    submit.problem.set(None);
    let kinds = load::<Page<Integration>>(|| Some("kinds".to_owned()), |_| false);
    let id = connection.endpoint_id;
    let endpoint = load::<Endpoint>(move || Some(format!("endpoints/{id}")), |_| false);
    let shape = || view! { <div class="dialog-body"><Skeleton lines=4/></div> }.into_any();
    faces(endpoint, shape, move |endpoint| {
        let connection = connection.clone();
        faces(kinds, shape, move |kinds| {
            let kind = kinds.with_untracked(|page| {
                page.items.iter().find(|kind| kind.descriptor.kind == connection.kind).cloned()
            });
            kind.map(|kind| {
                let form = Form::new(scene, connection.clone(), endpoint.get_untracked(), kind, open, submit);
                view! { <Body form/> }
            })
            .into_any()
        })
    })
}

#[derive(Clone, Copy)]
struct Form {
    scene: Scene,
    connection: StoredValue<Connection>,
    endpoint: StoredValue<Endpoint>,
    kind: StoredValue<Integration>,
    draft: Draft,
    target: Values,
    ticked: RwSignal<Vec<Feature>>,
    open: RwSignal<bool>,
    submit: Submit,
}

impl Form {
    fn new(
        scene: Scene,
        connection: Connection,
        endpoint: Endpoint,
        kind: Integration,
        open: RwSignal<bool>,
        submit: Submit,
    ) -> Self {
        let draft = Draft::new(&kind, &endpoint.params);
        draft.reached_by(connection.agent_id, connection.agent_group.as_deref());
        Self {
            scene,
            draft,
            target: Values::new(&kind.descriptor.target_fields, &connection.target),
            ticked: RwSignal::new(connection.features.clone()),
            connection: StoredValue::new(connection),
            endpoint: StoredValue::new(endpoint),
            kind: StoredValue::new(kind),
            open,
            submit,
        }
    }
}

#[component]
fn Body(form: Form) -> impl IntoView {
    let descriptor = form.kind.with_value(|kind| kind.descriptor.clone());
    let endpoint_id = form.endpoint.with_value(|endpoint| endpoint.id);
    let kept = form.endpoint.with_value(|endpoint| endpoint.secrets_set.clone());
    let path: PathOf = Arc::new(|field: &Field| format!("target.{}", field.name));
    let outlets = outlets(form, descriptor.target_fields.is_empty());
    let found = RwSignal::new(None);
    let request = Callback::new(move |()| {
        let target = form.kind.with_value(|kind| form.target.params(&kind.descriptor.target_fields));
        form.draft.test(Some(endpoint_id), Some(target))
    });
    let own = descriptor
        .inline
        .then(|| view! { <EndpointFields draft=form.draft submit=form.submit prefix="" kept/> });
    let place = (!descriptor.target_fields.is_empty()).then(|| {
        view! { <FieldForm fields=descriptor.target_fields.clone() values=form.target submit=form.submit path outlets/> }
    });
    let shown = |field: &str| ["params.", "secrets.", "target."].iter().any(|group| field.starts_with(group));
    let open = form.open;
    view! {
        <div class="dialog-body">
            {own}
            {place}
            <AgentField agent=form.draft.agent kind=form.kind.get_value() default="The agent of the device"/>
            <TestPanel request found submit=form.submit prefix="" draft=form.draft/>
            <FeatureList offered=descriptor.features role=descriptor.role ticked=form.ticked/>
            <ProblemNote problem=form.submit.rest(shown)/>
        </div>
        <footer class="dialog-foot">
            <span class="push"></span>
            <Button label="Cancel".to_owned() on_click=Callback::new(move |()| open.set(false))/>
            <Button label="Save".to_owned() kind=Kind::Primary busy=form.submit.busy on_click=Callback::new(move |()| save(form))/>
        </footer>
    }
}

/// An outlet that feeds other servers than `own` says so beside its name.
fn told(outlet: FedOutlet, own: ServerId) -> OutletReading {
    let others = outlet.servers.into_iter().filter(|server| server.id != own).map(|server| server.name);
    let others = others.collect::<Vec<_>>().join(" and ");
    let mut reading = outlet.reading;
    if !others.is_empty() {
        let name = std::mem::take(&mut reading.name);
        let feeds = format!("feeds {others}");
        reading.name = if name.is_empty() { feeds } else { format!("{name} {feeds}") };
    }
    reading
}

/// The outlets of the device, where the connection names one.
fn outlets(form: Form, none: bool) -> Signal<Vec<OutletReading>> {
    let id = form.endpoint.with_value(|endpoint| endpoint.id);
    let read = load::<EndpointOutlets>(move || (!none).then(|| format!("endpoints/{id}/outlets")), |_| false);
    Signal::derive(move || {
        let outlets = read.value.get().map(|read| read.outlets).unwrap_or_default();
        let own = form.scene.server.with(|server| server.id);
        outlets.into_iter().map(|outlet| told(outlet, own)).collect()
    })
}

fn save(form: Form) {
    let (inline, target) = form
        .kind
        .with_value(|kind| (kind.descriptor.inline, form.target.params(&kind.descriptor.target_fields)));
    let (endpoint_id, version) = form.endpoint.with_value(|endpoint| (endpoint.id, endpoint.version));
    let (params, secrets) = (form.draft.params(), form.draft.changed_secrets());
    let is_same = form.endpoint.with_value(|endpoint| endpoint.params == params) && secrets.is_empty();
    let device = (inline && !is_same).then_some(ChangeEndpoint {
        name: None,
        agent_id: None,
        agent_group: None,
        params: Some(params),
        secrets,
        accept_identity: false,
        version: Some(version),
    });
    let body = ChangeConnection {
        target: Some(target),
        features: Some(form.ticked.get_untracked()),
        agent_id: Some(form.draft.agent_id()),
        agent_group: Some(form.draft.agent_group()),
    };
    let path =
        form.scene.path(&format!("/connections/{}", form.connection.with_value(|connection| connection.id)));
    let work = async move {
        if let Some(device) = device {
            let changed = api::patch::<_, Endpoint>(&format!("endpoints/{endpoint_id}"), &device).await?;
            // The rest may be refused: the next try begins where this one ended.
            form.endpoint.try_set_value(changed);
        }
        api::patch::<_, Connection>(&path, &body).await
    };
    form.submit.run::<Connection>(async move { work.await as Result<_, Problem> }, move |connection| {
        form.open.try_set(false);
        toast::done(format!("{} saved", connection.label));
        form.scene.again.try_run(());
    });
}
