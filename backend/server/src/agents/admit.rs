//! Decides whether a hello begins a session.

use chrono::{DateTime, Utc};
use rackhand_agent::proof;
use rackhand_store::{Scope, agents, now};
use rackhand_wire::{
    agent::{Hello, Refusal, Signed},
    id::AgentId,
};
use std::time::Duration;

use super::protocols;
use crate::app::App;

/// An agent that may begin a session.
pub struct Admitted {
    /// Who it is.
    pub hello: Hello,
    /// The key that it has proven.
    pub key: String,
    /// When two copies of it were last seen.
    pub copies_at: Option<DateTime<Utc>>,
    /// The version that both sides speak.
    pub protocol: u16,
    /// The key to which its credentials are sealed.
    pub sealing_key: String,
    /// When its certificate shall be renewed.
    pub renew_in: Duration,
    /// Others of its group reach the same devices.
    pub shares: bool,
    /// Nothing but the renewal is served.
    pub renew_only: bool,
}

/// A refusal in words for the agent's log.
pub type Refused = (Refusal, String);

/// Checks certificate, key and signature of a hello.
///
/// # Errors
/// Why it is refused.
pub async fn admit(
    app: &App,
    signed: &Signed,
    nonce: &str,
    binding: proof::Binding,
) -> Result<Admitted, Refused> {
    let no = |refusal: Refusal, message: &str| (refusal, message.to_owned());
    let checked = app.authority.check(&signed.certificate);
    let checked = checked.map_err(|refusal| no(refusal, "the certificate was not made by this server"))?;
    let hello: Hello = serde_json::from_str(&signed.hello)
        .map_err(|_| no(Refusal::Protocol, "the hello cannot be read by this server"))?;
    let fits = checked.with_key(|key| proof::fits(key, nonce, binding, signed));
    if hello.agent != checked.agent || !fits.unwrap_or(false) {
        return Err(no(Refusal::WrongSignature, "the hello was not signed by the key of its certificate"));
    }
    let agent = match agents::get(app.db.reader(), &Scope::provider(), hello.agent).await {
        Ok(agent) => agent,
        Err(rackhand_store::Error::NotFound) => {
            return Err(no(Refusal::Unknown, "this agent was removed"));
        }
        Err(error) => {
            tracing::error!(%error, agent = %hello.agent, "cannot look an agent up");
            return Err(no(Refusal::Busy, "the server cannot look the agent up just now"));
        }
    };
    if agent.revoked_at.is_some() {
        return Err(no(Refusal::Revoked, "this agent was revoked; enrol it again"));
    }
    let Some(identity) = agent.identity.as_ref() else {
        return Err(no(Refusal::Revoked, "this agent has no identity any more; enrol it again"));
    };
    let is_next = identity.next_key.as_ref() == Some(&checked.key);
    if identity.key != checked.key && !is_next {
        return Err(no(Refusal::Revoked, "the key of this agent was replaced"));
    }
    let overdue = now() - checked.until;
    let days = app.settings().agent_renewal_days;
    if overdue > chrono::Duration::days(days.into()) {
        let why =
            format!("the certificate ended more than {days} days ago; replace the agent on the Agents page");
        return Err((Refusal::Expired, why));
    }
    let ours = protocols::offered();
    let protocol = ours.common(hello.protocols).ok_or_else(|| {
        let why = format!(
            "the agent speaks protocol {} to {}, this server {} to {}",
            hello.protocols.oldest, hello.protocols.newest, ours.oldest, ours.newest
        );
        (Refusal::Protocol, why)
    })?;
    if is_next {
        match agents::settle_key(app.db.writer(), agent.id, &checked.key).await {
            Ok(true) => {}
            Ok(false) => return Err(no(Refusal::Revoked, "the key of this agent was replaced")),
            Err(error) => {
                tracing::error!(%error, agent = %agent.id, "cannot note that a renewed key is in use");
                return Err(no(Refusal::Busy, "the server cannot note the renewed key just now"));
            }
        }
    }
    let shares = agents::is_shared(app.db.reader(), &agent).await.map_err(|error| {
        tracing::error!(%error, agent = %agent.id, "cannot tell who is in an agent's group");
        no(Refusal::Busy, "the server cannot look the group up just now")
    })?;
    let half = app.authority.life() / 2;
    let left = (checked.until - now()).to_std().unwrap_or_default();
    Ok(Admitted {
        protocol,
        sealing_key: identity.sealing_key.clone(),
        renew_in: left.saturating_sub(half),
        shares,
        renew_only: overdue > chrono::Duration::zero(),
        hello,
        key: checked.key,
        copies_at: agent.copies_at,
    })
}

/// Says whether an agent is still known by this key, and not revoked.
pub async fn is_welcome(app: &App, agent: AgentId, key: &str) -> bool {
    let found = agents::get(app.db.reader(), &Scope::provider(), agent).await;
    // A database that fails in this moment has not revoked anybody.
    found.map_or_else(
        |error| !matches!(error, rackhand_store::Error::NotFound),
        |agent| {
            let counts = |identity: &agents::Identity| {
                identity.key == key || identity.next_key.as_deref() == Some(key)
            };
            agent.revoked_at.is_none() && agent.identity.as_ref().is_some_and(counts)
        },
    )
}
