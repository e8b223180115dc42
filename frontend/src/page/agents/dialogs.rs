//! Adding, changing and re-enrolling an agent. A new one is waited for.

use leptos::prelude::*;
use rackhand_wire::{
    api::{
        agent::{AddAgent, Agent, AgentState, ChangeAgent, Enrolment, ReplaceAgent},
        live::Object,
    },
    id::AgentId,
};

use crate::{
    draw::live,
    form::Submit,
    held::Held,
    live,
    load::{faces, load},
    page::sites::site_options,
    part::{
        Tone,
        button::{Button, Kind},
        callout::{Callout, ProblemNote},
        code::Code,
        dialog::{Dialog, open_for},
        field::{CheckField, SelectField, TextField},
        icon::Icon,
        skeleton::Skeleton,
        toast,
    },
};

/// Which dialog is open.
#[derive(Debug, Clone, PartialEq)]
pub enum Task {
    Add,
    Change(Agent),
    Replace(Agent),
}

impl Task {
    fn agent(&self) -> Option<&Agent> {
        match self {
            Self::Add => None,
            Self::Change(agent) | Self::Replace(agent) => Some(agent),
        }
    }

    fn title(&self) -> String {
        match self {
            Self::Add => "Add agent".to_owned(),
            Self::Change(agent) => format!("Change {}", agent.name),
            Self::Replace(agent) => format!("New token for {}", agent.name),
        }
    }
}

/// Holds the dialog; it opens when `task` names one.
#[component]
pub fn Dialogs(task: RwSignal<Option<Task>>) -> impl IntoView {
    let open = open_for(task);
    let made = RwSignal::new(None::<Enrolled>);
    Effect::new(move |_| {
        if !open.get() {
            made.set(None);
        }
    });
    let title = Signal::derive(move || task.with(|task| task.as_ref().map(Task::title)).unwrap_or_default());
    let body = move || match (made.get(), task.get_untracked()) {
        (Some(made), _) => waiting(made),
        (None, Some(task)) => view! { <Form task open made/> }.into_any(),
        (None, None) => ().into_any(),
    };
    view! { <Dialog open title>{live(body)}</Dialog> }
}

/// What there is to run, and whom to wait for.
#[derive(Debug, Clone, PartialEq)]
struct Enrolled {
    id: AgentId,
    command: String,
    /// It brings its own key.
    is_known: bool,
}

#[component]
fn Form(task: Task, open: RwSignal<bool>, made: RwSignal<Option<Enrolled>>) -> impl IntoView {
    let agent = task.agent();
    let name = RwSignal::new(agent.map(|agent| agent.name.clone()).unwrap_or_default());
    let group = RwSignal::new(agent.map(|agent| agent.group.clone()).unwrap_or_default());
    let site =
        RwSignal::new(agent.and_then(|agent| agent.site_id).map(|id| id.to_string()).unwrap_or_default());
    let (source, key) = (RwSignal::new(String::new()), RwSignal::new(String::new()));
    let force = RwSignal::new(false);
    let id = agent.map(|agent| agent.id);
    let names = !matches!(task, Task::Replace(_));
    let tokens = !matches!(task, Task::Change(_));
    let verb = match task {
        Task::Add => "Add agent",
        Task::Change(_) => "Save",
        Task::Replace(_) => "Make token",
    };
    let submit = Submit::new();
    let send = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        let filled = |field: RwSignal<String>| {
            Some(field.get_untracked().trim().to_owned()).filter(|text| !text.is_empty())
        };
        let enrolled = move |enrolment: Enrolment| {
            live::announce(Object::Agent, enrolment.agent.id);
            let is_known = enrolment.token.is_none();
            made.set(Some(Enrolled { id: enrolment.agent.id, command: enrolment.command, is_known }));
        };
        let (name, site_id) = (name.get_untracked(), site.get_untracked().parse().ok());
        match (id, tokens) {
            (Some(id), false) => {
                let body = ChangeAgent { name: Some(name), group: filled(group), site_id, draining: None };
                submit.patch(format!("agents/{id}"), &body, move |agent: Agent| {
                    live::announce(Object::Agent, agent.id);
                    toast::done(format!("{} saved", agent.name));
                    open.set(false);
                });
            }
            (Some(id), true) => {
                let body = ReplaceAgent { force: force.get_untracked(), source: filled(source) };
                submit.post(format!("agents/{id}/replace"), &body, enrolled);
            }
            (None, _) => {
                let (group, source) = (filled(group), filled(source));
                let body = AddAgent { name, group, site_id, source, public_key: filled(key) };
                submit.post("agents", &body, enrolled);
            }
        }
    };
    let shown = |field: &str| matches!(field, "name" | "group" | "source" | "public_key");
    view! {
        <form on:submit=send>
            <div class="dialog-body">
                <div class="fields">
                    {names.then(|| view! {
                        <TextField label="Name" name="name" value=name error=submit.at("name") placeholder="fra-1"/>
                        <SelectField label="Site" name="site_id" value=site options=site_options() note="optional"/>
                        <TextField label="Group" name="group" value=group error=submit.at("group") note="optional" placeholder="its own name"/>
                    })}
                    {tokens.then(|| view! {
                        <TextField label="Source network" name="source" value=source error=submit.at("source") note="optional" placeholder="203.0.113.0/24" help="The token works from these addresses alone."/>
                    })}
                    {id.is_none().then(|| view! {
                        <TextField label="Public key" name="public_key" value=key error=submit.at("public_key") note="optional" placeholder="-----BEGIN PUBLIC KEY-----" help="Of an agent that has its key already (PEM); then no token is made."/>
                    })}
                </div>
                {(!names).then(|| view! {
                    <CheckField label="Refuse the present identity at once" name="force" value=force help="Otherwise the agent works on until the new token is used."/>
                })}
                <ProblemNote problem=submit.rest(shown)/>
            </div>
            <footer class="dialog-foot">
                <span class="push"></span>
                <Button label="Cancel".to_owned() on_click=Callback::new(move |()| open.set(false))/>
                <Button label=verb.to_owned() kind=Kind::Primary busy=submit.busy/>
            </footer>
        </form>
    }
}

/// The command, and whether the agent has come.
fn waiting(made: Enrolled) -> AnyView {
    let id = made.id;
    let agent = load::<Agent>(
        move || Some(format!("agents/{id}")),
        move |change| change.object == Object::Agent && change.id == id.to_string(),
    );
    // An agent that gets a new identity may be online with the one of before.
    let came = |agent: &Agent| agent.state == AgentState::Online && agent.token_until.is_none();
    let stand = move |agent: Held<Agent>| {
        live(move || {
            let agent = agent.get();
            if came(&agent) {
                let host = agent.host.clone().unwrap_or_default();
                view! {
                    <Callout title=format!("{} is online", agent.name) text=host tone=Tone::On>
                        <a href=format!("/agents/{}", agent.id) class="button" data-kind="primary">"Open agent"</a>
                    </Callout>
                }
                .into_any()
            } else {
                view! { <p class="row"><Icon name="state-transition"/> {format!("Waiting for {} to connect", agent.name)}</p> }
                    .into_any()
            }
        })
    };
    let is_near = ["//localhost", "//127.", "//[::1]"].iter().any(|host| made.command.contains(host));
    view! {
        <div class="dialog-body">
            <h3>"Run this on a Linux machine at the site"</h3>
            <Code text=made.command/>
            <p class="meta">
                {if made.is_known { "FILE is its private key, which stays there." } else { "It works once, for one hour. Its key is made on site." }}
                " Then start the agent: systemctl enable --now rackhand-agent, or rackhand-agent run. No inbound port is needed."
                {is_near.then_some(" This address is reached from this machine only; set public_url to enrol an agent elsewhere.")}
            </p>
            <div role="status">{faces(agent, || view! { <Skeleton lines=1/> }.into_any(), stand)}</div>
        </div>
    }
    .into_any()
}
