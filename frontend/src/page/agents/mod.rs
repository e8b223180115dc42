//! The processes that touch devices.

mod dialogs;
mod firewall;
mod groups;
mod list;
mod view;

use leptos::prelude::*;
use rackhand_wire::api::agent::{Agent, AgentState};

use crate::{
    part::{
        Tone,
        badge::{Badge, Kind},
    },
    time,
};

pub use list::AgentsPage;
pub use view::AgentPage;

/// Says whether an agent is there, and what is wrong with it otherwise.
fn state(agent: &Agent) -> AnyView {
    let loud = |text: &'static str, tone, title: &'static str| {
        view! { <Badge text tone icon="warning" title/> }.into_any()
    };
    let quiet = |text: &'static str, tone, icon: &'static str| {
        view! { <Badge text tone icon kind=Kind::Plain/> }.into_any()
    };
    let presence = match agent.state {
        AgentState::Revoked => loud("Revoked", Tone::Danger, "Refused until it is enrolled again"),
        _ if has_expired(agent, agent.renewable_until) => {
            loud("Expired", Tone::Danger, "Its certificate ended too long ago: make a new token")
        }
        _ if has_expired(agent, agent.certificate_until) => {
            loud("Expired, renewing", Tone::Degraded, "Its certificate has ended; it may connect to renew it")
        }
        AgentState::Online => quiet("Online", Tone::On, "check"),
        AgentState::Late => loud("Late", Tone::Degraded, "Silent for a while; commands wait for it"),
        AgentState::Waiting => quiet("Not enrolled yet", Tone::Off, "clock"),
        AgentState::Offline => loud("Offline", Tone::Danger, "Gone; commands to its devices fail"),
    };
    let copies = agent
        .copies_at
        .map(|_| loud("Two copies", Tone::Danger, "Two processes with this identity were seen: stop one"));
    let draining = agent.draining.then(|| quiet("Draining", Tone::Off, "pause"));
    view! { <span class="row">{presence} {copies} {draining}</span> }.into_any()
}

fn has_expired(agent: &Agent, until: Option<chrono::DateTime<chrono::Utc>>) -> bool {
    agent.state != AgentState::Online && until.is_some_and(|until| until.timestamp_millis() < time::now())
}

/// The version, with a hint when it is an old one.
fn version(agent: &Agent) -> AnyView {
    let old = agent
        .is_outdated
        .then(|| view! { " " <Badge text="Upgrade" icon="arrow-up" title="The server is newer"/> });
    view! { <span class="mono">{agent.version.clone()}</span> {old} }.into_any()
}

/// When an agent was heard last. One that is online is heard all the time.
fn heard(agent: &Agent) -> String {
    if agent.state == AgentState::Online {
        return "now".to_owned();
    }
    agent.last_seen_at.map_or_else(|| "never".to_owned(), |at| format!("{} ago", time::age(at)))
}

fn or_dash(text: Option<String>) -> String {
    text.filter(|text| !text.is_empty()).unwrap_or_else(|| "—".to_owned())
}
