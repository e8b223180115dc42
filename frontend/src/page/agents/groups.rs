//! Groups of agents that stand in for one another: how they share, and who comes first.

use leptos::prelude::*;
use rackhand_wire::api::{
    agent::{Agent, AgentGroup, GroupPolicy},
    live::Object,
    page::Page,
};
use std::sync::Arc;

use crate::{
    api,
    draw::live,
    form::Submit,
    live,
    load::{Load, load},
    part::{
        callout::ProblemNote,
        card::Card,
        icon::Icon,
        icon_button::IconButton,
        segmented::{Choice, bar},
    },
};

/// The groups with more than one agent; nothing when there is none.
pub fn groups(agents: Load<Page<Agent>>) -> AnyView {
    let all = || Some("agent-groups?limit=500".to_owned());
    let list = load::<Page<AgentGroup>>(all, |change| change.object == Object::Agent);
    let submit = Submit::new();
    live(move || {
        let mut groups = list.value.get().map(|page| page.items).unwrap_or_default();
        groups.retain(|group| group.members.len() > 1);
        let known = agents.value.get().map(|page| page.items).unwrap_or_default();
        (!groups.is_empty()).then(|| {
            let lines: Vec<AnyView> = groups.into_iter().map(|group| line(group, &known, submit)).collect();
            view! {
                <Card title="Groups">
                    <p class="card-body meta">"The agents of a group reach the same devices and stand in for one another: when one goes, another takes its devices within 10 s."</p>
                    <ProblemNote problem=submit.problem/>
                    <div class="card-list">{lines}</div>
                </Card>
            }
        })
    })
}

fn line(group: AgentGroup, agents: &[Agent], submit: Submit) -> AnyView {
    let choice = |policy: GroupPolicy, text: &str| {
        let (is_so, group) = (group.policy == policy, AgentGroup { policy, ..group.clone() });
        Choice {
            text: text.to_owned(),
            pressed: Signal::derive(move || is_so),
            press: Arc::new(move || put(group.clone(), submit)),
        }
    };
    let ways = vec![
        choice(GroupPolicy::Ordered, "First takes all"),
        choice(GroupPolicy::Spread, "Each takes a share"),
    ];
    let mut members: Vec<AnyView> = Vec::new();
    for (at, id) in group.members.iter().enumerate() {
        let name = agents.iter().find(|agent| agent.id == *id).map_or("", |agent| &agent.name).to_owned();
        let earlier = (at > 0).then(|| {
            let mut moved = group.clone();
            moved.members.swap(at, at - 1);
            let label = format!("Put {name} earlier");
            view! { <IconButton label icon="arrow-up" small="sm" on_click=move || put(moved.clone(), submit)/> }
        });
        members.push(view! { <span class="token"><b>{name}</b> {earlier}</span> }.into_any());
    }
    view! {
        <div class="row" data-wrap="">
            <Icon name="agent"/>
            <span class="strong">{group.name.clone()}</span>
            <span class="row" data-wrap="">{members}</span>
            <span class="push">{bar(format!("How the agents of {} share", group.name), ways)}</span>
        </div>
    }
    .into_any()
}

fn put(group: AgentGroup, submit: Submit) {
    let path = format!("agent-groups/{}", api::encode(&group.name));
    submit.put(path, &group, |_: AgentGroup| live::announce(Object::Agent, ""));
}
