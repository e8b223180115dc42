//! "Add connection": type, agent, details, test, features, in one dialog from top to bottom.

mod details;
mod feeds;
mod kind;
mod send;
mod steps;

use leptos::prelude::*;
use rackhand_wire::{
    Feature, Field, Input, Role,
    api::kind::{Kind, Suggested},
    id::EndpointId,
};
use serde_json::Value;

use super::Scene;
use crate::{
    draw::live,
    form::Submit,
    page::endpoint::{Draft, Found},
    part::{
        button::Button,
        dialog::{Dialog, Side},
        field::Values,
    },
};

/// One outlet that shall be connected.
#[derive(Debug, Clone, PartialEq)]
struct Pick {
    /// Its device; none for the one that is being added.
    endpoint: Option<EndpointId>,
    /// The device's name.
    on: String,
    /// As the device counts it.
    outlet: String,
}

impl Pick {
    fn words(&self) -> String {
        format!("Outlet {} on {}", self.outlet, self.on)
    }
}

/// A chosen kind with what the paste told.
#[derive(Debug, Clone, PartialEq)]
struct Choice {
    kind: Kind,
    params: Value,
    target: Value,
}

/// A connection in the making. Copy; lives with its form.
#[derive(Clone, Copy)]
struct Making {
    scene: Scene,
    kind: StoredValue<Kind>,
    draft: Draft,
    /// Values of the target fields that are not outlets.
    target: Values,
    /// Id of a saved endpoint; empty for a new one.
    saved: RwSignal<String>,
    picks: RwSignal<Vec<Pick>>,
    ticked: RwSignal<Vec<Feature>>,
    complete: RwSignal<Option<bool>>,
    found: RwSignal<Option<Found>>,
    submit: Submit,
}

impl Making {
    fn new(scene: Scene, choice: &Choice, submit: Submit) -> Self {
        let descriptor = &choice.kind.descriptor;
        Self {
            scene,
            kind: StoredValue::new(choice.kind.clone()),
            draft: Draft::new(&choice.kind, &choice.params),
            target: Values::new(&descriptor.target_fields, &choice.target),
            saved: RwSignal::new(String::new()),
            picks: RwSignal::new(Vec::new()),
            ticked: RwSignal::new(descriptor.features.clone()),
            complete: RwSignal::new(None),
            found: RwSignal::new(None),
            submit,
        }
    }

    fn role(self) -> Role {
        self.kind.with_value(|kind| kind.descriptor.role)
    }

    fn saved_id(self) -> Option<EndpointId> {
        self.saved.get().parse().ok()
    }

    /// The name of the target field that is an outlet.
    fn outlet_field(self) -> Option<String> {
        let is_outlet = |field: &&Field| match field.input {
            Input::Outlet => true,
            Input::Text { .. }
            | Input::Host
            | Input::Number { .. }
            | Input::Secret { .. }
            | Input::Choice { .. }
            | Input::Check => false,
        };
        self.kind.with_value(|kind| {
            kind.descriptor.target_fields.iter().find(is_outlet).map(|field| field.name.clone())
        })
    }

    /// Feeds with power ticked must be told to be all, or not.
    fn asks_feeds(self) -> bool {
        self.role() == Role::Feed && self.ticked.with(|ticked| ticked.contains(&Feature::Power))
    }
}

/// The dialog; opened by the scene.
#[component]
pub fn AddConnection(scene: Scene) -> impl IntoView {
    let submit = Submit::new();
    let title = Signal::derive(move || {
        format!("Add connection to {}", scene.server.with(|server| server.name.clone()))
    });
    view! {
        <Dialog open=scene.adding title side=Side::Middle busy=submit.busy>
            <Body scene submit/>
        </Dialog>
    }
}

#[component]
fn Body(scene: Scene, submit: Submit) -> impl IntoView {
    submit.begin();
    let choice = RwSignal::new(None::<Choice>);
    let choose = Callback::new(move |(kind, told): (Kind, Option<Suggested>)| {
        let (params, target) = told.map_or((Value::Null, Value::Null), |told| (told.params, told.target));
        submit.problem.set(None);
        choice.set(Some(Choice { kind, params, target }));
    });
    let back = Callback::new(move |()| choice.set(None));
    let close = Callback::new(move |()| scene.adding.set(false));
    live(move || match choice.get() {
        Some(choice) => {
            let making = Making::new(scene, &choice, submit);
            view! { <steps::StepsOf making back/> }.into_any()
        }
        None => view! {
            <div class="dialog-body"><kind::PickKind choose pasted=scene.pasted/></div>
            <footer class="dialog-foot">
                <span class="push"></span>
                <Button label="Cancel".to_owned() on_click=close/>
            </footer>
        }
        .into_any(),
    })
}
