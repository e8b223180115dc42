//! What "Add connection" and "Network devices" share: an endpoint in the making, and its test.

mod test;

use leptos::prelude::*;
use rackhand_wire::{
    Field, Input, Setting,
    api::{
        agent::{Agent, AgentState},
        endpoint::{AddEndpoint, TestEndpoint},
        kind::Kind,
        live::Object,
        page::Page,
    },
    id::{AgentId, EndpointId},
};
use serde_json::Value;
use std::sync::Arc;

use crate::{
    form::Submit,
    load::load,
    part::field::{FieldForm, PathOf, SelectField, TextField, Values},
};

pub use test::{Found, TestPanel};

/// An endpoint in the making. Copy; lives with its form.
#[derive(Clone, Copy)]
pub struct Draft {
    kind: StoredValue<Kind>,
    /// Parameters and secrets.
    pub values: Values,
    /// Who reaches it, as `AgentField` holds it.
    pub agent: RwSignal<String>,
    /// Name; empty for the address.
    pub name: RwSignal<String>,
}

impl Draft {
    /// Starts with what is saved, or with what a pasted text told.
    pub fn new(kind: &Kind, saved: &Value) -> Self {
        Self {
            kind: StoredValue::new(kind.clone()),
            values: Values::new(&kind.descriptor.endpoint_fields, saved),
            agent: RwSignal::new(String::new()),
            name: RwSignal::new(String::new()),
        }
    }

    /// The chosen agent.
    pub fn agent_id(self) -> Option<AgentId> {
        self.agent.get().parse().ok()
    }

    /// The chosen group of agents.
    pub fn agent_group(self) -> Option<String> {
        self.agent.get().strip_prefix(GROUP).map(str::to_owned)
    }

    /// Chooses what is saved.
    pub fn reached_by(self, agent: Option<AgentId>, group: Option<&str>) {
        let group = group.map(|group| format!("{GROUP}{group}"));
        self.agent.set(agent.map(|id| id.to_string()).or(group).unwrap_or_default());
    }

    /// The parameters that are filled in.
    pub fn params(self) -> Value {
        self.kind.with_value(|kind| self.values.params(&kind.descriptor.endpoint_fields))
    }

    /// The secrets that are filled in.
    pub fn secrets(self) -> std::collections::BTreeMap<String, String> {
        self.kind.with_value(|kind| self.values.secrets(&kind.descriptor.endpoint_fields))
    }

    /// The secrets that are filled in or to be forgotten, as a change: the others stay.
    pub fn changed_secrets(self) -> std::collections::BTreeMap<String, Option<String>> {
        let mut changed = std::collections::BTreeMap::new();
        self.kind.with_value(|kind| {
            for field in kind.descriptor.endpoint_fields.iter().filter(|field| field.is_secret()) {
                if self.values.forget(&field.name).get_untracked() {
                    changed.insert(field.name.clone(), None);
                }
            }
        });
        for (name, value) in self.secrets() {
            changed.insert(name, Some(value));
        }
        changed
    }

    /// What a value is called in the form.
    fn label(self, setting: &Setting) -> Option<String> {
        self.kind.with_value(|kind| {
            let field = kind.descriptor.endpoint_fields.iter().find(|field| field.name == setting.field)?;
            let Input::Choice { options } = &field.input else { return None };
            options.iter().find(|option| option.value == setting.value).map(|option| option.label.clone())
        })
    }

    /// The request that adds it.
    pub fn add(self) -> AddEndpoint {
        AddEndpoint {
            kind: self.kind.get_value().descriptor.kind,
            name: Some(self.name.get_untracked()).filter(|name| !name.trim().is_empty()),
            agent_id: self.agent_id(),
            agent_group: self.agent_group(),
            params: self.params(),
            secrets: self.secrets(),
        }
    }

    /// The request that tries it; of a saved endpoint the saved secrets stand in for empty ones.
    pub fn test(self, saved: Option<EndpointId>, target: Option<Value>) -> TestEndpoint {
        TestEndpoint {
            endpoint_id: saved,
            kind: Some(self.kind.get_value().descriptor.kind),
            agent_id: self.agent_id(),
            agent_group: self.agent_group(),
            params: Some(self.params()),
            secrets: self.secrets(),
            target,
        }
    }
}

/// Draws the endpoint's own fields. `prefix` stands before their paths: `endpoint.` within a connection.
#[component]
pub fn EndpointFields(
    draft: Draft,
    submit: Submit,
    prefix: &'static str,
    #[prop(optional)] kept: Vec<String>,
) -> impl IntoView {
    let path: PathOf = Arc::new(move |field: &Field| {
        let group = if field.is_secret() { "secrets" } else { "params" };
        format!("{prefix}{group}.{}", field.name)
    });
    let fields = draft.kind.get_value().descriptor.endpoint_fields;
    view! { <FieldForm fields values=draft.values submit path kept/> }
}

/// Draws the endpoint's name.
#[component]
pub fn NameField(draft: Draft, submit: Submit, prefix: &'static str) -> impl IntoView {
    let name = format!("{prefix}name");
    view! {
        <TextField
            label="Name"
            note="optional"
            name=name.clone()
            value=draft.name
            error=submit.at(name)
            placeholder="pdu-r1-a"
            help="As it is called in lists; its address when left empty."
        />
    }
}

/// Before the name of a group, where an agent's id could stand as well.
const GROUP: &str = "group:";

/// What an empty choice means for a device: the agent that is part of Rackhand.
pub const OWN: &str = "Rackhand itself";

/// Draws the choice of the agent or the group of agents that reaches the device: of those that know the kind,
/// and what does it now. `default` says what an empty choice means.
#[component]
pub fn AgentField(
    agent: RwSignal<String>,
    kind: Kind,
    #[prop(into)] default: Signal<&'static str>,
) -> impl IntoView {
    let agents =
        load::<Page<Agent>>(|| Some("agents?limit=500".to_owned()), |change| change.object == Object::Agent);
    let present = agent.get_untracked();
    let all = move || agents.value.get().map(|page| page.items).unwrap_or_default();
    let knows = StoredValue::new(kind.agents);
    let knows = move |agent: &Agent| knows.with_value(|knows| knows.contains(&agent.id));
    let options = Signal::derive(move || {
        // The only one that is part of Rackhand is the choice above already.
        let is_alone = default.get() == OWN && all().iter().filter(|agent| agent.embedded).count() == 1;
        let fits = |agent: &Agent| {
            (knows(agent) && !(is_alone && agent.embedded)) || agent.id.to_string() == present
        };
        let mut options = vec![(String::new(), default.get().to_owned())];
        let mut groups: Vec<(String, String, usize)> = Vec::new();
        for agent in all() {
            if fits(&agent) {
                options.push((agent.id.to_string(), agent_words(&agent)));
            }
            if !knows(&agent) || agent.embedded {
                continue;
            }
            match groups.iter_mut().find(|(group, ..)| *group == agent.group) {
                Some((_, names, members)) => {
                    *names = format!("{names}, {}", agent.name);
                    *members += 1;
                }
                None => groups.push((agent.group, agent.name, 1)),
            }
        }
        for (group, names, members) in groups {
            let value = format!("{GROUP}{group}");
            // A group of one is that agent, unless it was chosen as a group.
            if members > 1 || value == present {
                options.push((value, format!("Group {group}: {names}")));
            }
        }
        options
    });
    let error = Signal::derive(move || {
        let online: Vec<_> = all().into_iter().filter(|agent| agent.state == AgentState::Online).collect();
        let none = !online.is_empty() && !online.iter().any(knows);
        none.then(|| "No agent that is online knows this kind in this version: upgrade the agent.".to_owned())
    });
    view! { <SelectField label="Agent" name="agent_id" value=agent options error/> }
}

fn agent_words(agent: &Agent) -> String {
    let state = match agent.state {
        AgentState::Online => "",
        AgentState::Late => ", late",
        AgentState::Offline => ", offline",
        AgentState::Waiting => ", not enrolled yet",
        AgentState::Revoked => ", revoked",
    };
    format!("{}{state}", agent.name)
}
