//! Agents: added, enrolled, replaced, revoked.

mod assignments;
mod firewall;
mod log;
mod probe;

pub use assignments::*;
pub use firewall::*;
pub use log::*;
pub use probe::*;

use actix_web::{HttpResponse, delete, get, patch, post, web};
use chrono::TimeDelta;
use rackhand_agent::proof::key_name;
use rackhand_store::{Scope, Tx, agent_groups, agent_tokens, agents, now, page_of, sites};
use rackhand_wire::{
    agent::close,
    api::{
        agent::{AddAgent, Agent, AgentState, ChangeAgent, Enrolment, ReplaceAgent},
        live::Object,
        page::{ListQuery, Page},
        problem::Problem,
    },
    id::{AgentId, TenantId},
};
use rcgen::PublicKeyData as _;
use serde_json::json;

use super::{
    body::Body, busy, caller::Caller, check::Check, once::Once, people::commit, problem::Refused,
    query::Query, servers::known_site,
};
use crate::{app::App, audit, secret};

/// A token may be used for so long.
const TOKEN_LIFE: TimeDelta = TimeDelta::hours(1);

/// Lists agents.
#[utoipa::path(tag = "agents", params(ListQuery), responses((status = 200, body = Page<Agent>), (status = 401, body = Problem), (status = 422, body = Problem)))]
#[get("/agents")]
pub async fn list(
    app: web::Data<App>,
    caller: Caller,
    query: Query<ListQuery>,
) -> Result<web::Json<Page<Agent>>, Refused> {
    let all = agents::list(app.db.reader(), &caller.scope).await?;
    let page = page_of(all, &query.0, |agent| (&agent.name, agent.id.0))?;
    let mut items = Vec::with_capacity(page.items.len());
    for agent in page.items {
        items.push(shown(&app, agent).await?);
    }
    Ok(web::Json(Page { items, next: page.next }))
}

/// Shows one agent.
#[utoipa::path(tag = "agents", params(("id" = AgentId, Path)), responses((status = 200, body = Agent), (status = 401, body = Problem), (status = 404, body = Problem)))]
#[get("/agents/{id}")]
pub async fn view(
    app: web::Data<App>,
    caller: Caller,
    id: web::Path<AgentId>,
) -> Result<web::Json<Agent>, Refused> {
    let agent = agents::get(app.db.reader(), &caller.scope, id.into_inner()).await?;
    Ok(web::Json(shown(&app, agent).await?))
}

/// Adds an agent and makes the single-use token with which it is enrolled, or registers the key that it has.
#[utoipa::path(tag = "agents", request_body = AddAgent, responses((status = 201, body = Enrolment), (status = 400, body = Problem),
    (status = 401, body = Problem), (status = 403, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
#[post("/agents")]
pub async fn add(
    app: web::Data<App>,
    caller: Caller,
    once: Once,
    body: Body<AddAgent>,
) -> Result<HttpResponse, Refused> {
    let Body(new) = body;
    let mut check = Check::default();
    check.name("name", &new.name);
    checked_group(&mut check, new.group.as_deref());
    checked_source(&mut check, new.source.as_deref());
    let key = checked_key(&mut check, new.public_key.as_deref());
    check.done()?;
    // Nobody stands in for it unless a person says so.
    let group = new.group.as_deref().unwrap_or(&new.name);
    let tx = app.db.begin().await?;
    once.replay(&tx, &caller, &new).await?;
    known_site(&tx, &caller, new.site_id).await?;
    busy::groups(&tx, caller.tenant, None, &[group.trim()]).await?;
    let add =
        agents::New { tenant: caller.tenant, name: &new.name, group, site: new.site_id, embedded: false };
    let agent = agents::add(&tx, add).await?;
    let token = match &key {
        Some(key) => {
            agents::register(&tx, agent.id, key).await?;
            None
        }
        None => Some(make_token(&tx, agent.id, new.source.clone()).await?),
    };
    once.note(&tx, &caller, &new).await?;
    audit::record(&tx, caller.tenant, &caller, "agent.add", ("agent", agent.id, &agent.name), json!({}))
        .await?;
    commit(tx).await?;
    app.live.tell(Object::Agent, agent.id);
    reseat_group(&app, agent.tenant, &agent.group).await?;
    let location = format!("/api/v1/agents/{}", agent.id);
    let enrolment = enrolment(&app, agent, token).await?;
    Ok(HttpResponse::Created().insert_header(("location", location)).json(enrolment))
}

/// Changes an agent.
#[utoipa::path(tag = "agents", params(("id" = AgentId, Path)), request_body = ChangeAgent, responses((status = 200, body = Agent),
    (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
    (status = 409, body = Problem), (status = 422, body = Problem)))]
#[patch("/agents/{id}")]
pub async fn change(
    app: web::Data<App>,
    caller: Caller,
    id: web::Path<AgentId>,
    body: Body<ChangeAgent>,
) -> Result<web::Json<Agent>, Refused> {
    let (id, Body(change)) = (id.into_inner(), body);
    let mut check = Check::default();
    if let Some(name) = &change.name {
        check.name("name", name);
    }
    checked_group(&mut check, change.group.as_deref());
    check.done()?;
    let detail = serde_json::to_value(&change)?;
    let tx = app.db.begin().await?;
    known_site(&tx, &caller, change.site_id).await?;
    let change = agents::Change {
        name: change.name,
        group: change.group,
        site: change.site_id.map(Some),
        draining: change.draining,
    };
    let agents::Agent { tenant, group: before, .. } = agents::get(&tx, &caller.scope, id).await?;
    if let Some(group) = change.group.as_deref().map(str::trim).filter(|group| *group != before) {
        busy::groups(&tx, tenant, Some(id), &[&before, group]).await?;
    }
    let agent = agents::change(&tx, &caller.scope, id, change).await?;
    audit::record(&tx, caller.tenant, &caller, "agent.change", ("agent", id, &agent.name), detail).await?;
    commit(tx).await?;
    app.live.tell(Object::Agent, id);
    if before != agent.group {
        reseat_group(&app, agent.tenant, &before).await?;
        reseat_group(&app, agent.tenant, &agent.group).await?;
    }
    // Its devices may go to others now.
    app.engine.watch.replan();
    Ok(web::Json(shown(&app, agent).await?))
}

/// Makes a token that gives an agent a new identity; its id, and what names it, stays.
#[utoipa::path(tag = "agents", params(("id" = AgentId, Path)), request_body = ReplaceAgent, responses((status = 201, body = Enrolment),
    (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
    (status = 409, body = Problem), (status = 422, body = Problem)))]
#[post("/agents/{id}/replace")]
pub async fn replace(
    app: web::Data<App>,
    caller: Caller,
    once: Once,
    id: web::Path<AgentId>,
    body: Body<ReplaceAgent>,
) -> Result<HttpResponse, Refused> {
    let (id, Body(how)) = (id.into_inner(), body);
    let mut check = Check::default();
    checked_source(&mut check, how.source.as_deref());
    check.done()?;
    let tx = app.db.begin().await?;
    once.replay(&tx, &caller, &how).await?;
    let mut agent = remote(&tx, &caller, id).await?;
    if how.force {
        agent = agents::revoke(&tx, &caller.scope, id).await?;
    }
    let token = make_token(&tx, id, how.source.clone()).await?;
    once.note(&tx, &caller, &how).await?;
    let detail = serde_json::to_value(&how)?;
    audit::record(&tx, caller.tenant, &caller, "agent.replace", ("agent", id, &agent.name), detail).await?;
    commit(tx).await?;
    if how.force {
        crate::agents::deny(&app, id);
    }
    app.live.tell(Object::Agent, id);
    let location = ("location", format!("/api/v1/agents/{id}"));
    Ok(HttpResponse::Created().insert_header(location).json(enrolment(&app, agent, Some(token)).await?))
}

/// Refuses an agent at once, until it is enrolled again.
#[utoipa::path(tag = "agents", params(("id" = AgentId, Path)), responses((status = 200, body = Agent), (status = 401, body = Problem),
    (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
#[post("/agents/{id}/revoke")]
pub async fn revoke(
    app: web::Data<App>,
    caller: Caller,
    once: Once,
    id: web::Path<AgentId>,
) -> Result<HttpResponse, Refused> {
    let id = id.into_inner();
    let tx = app.db.begin().await?;
    if let Some(answer) = once.replay(&tx, &caller, &()).await? {
        return Ok(answer);
    }
    remote(&tx, &caller, id).await?;
    let agent = agents::revoke(&tx, &caller.scope, id).await?;
    agent_tokens::remove_of_agent(&tx, id).await?;
    audit::record(&tx, caller.tenant, &caller, "agent.revoke", ("agent", id, &agent.name), json!({})).await?;
    // Its token goes with this commit.
    let shown = Agent { token_until: None, ..shown(&app, agent).await? };
    let answer = once.commit(tx, &caller, &(), (200, None, shown)).await?;
    crate::agents::deny(&app, id);
    app.live.tell(Object::Agent, id);
    Ok(answer)
}

/// Removes an agent that no device and no connection names.
#[utoipa::path(tag = "agents", params(("id" = AgentId, Path)), responses((status = 204), (status = 401, body = Problem),
    (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)))]
#[delete("/agents/{id}")]
pub async fn remove(
    app: web::Data<App>,
    caller: Caller,
    id: web::Path<AgentId>,
) -> Result<HttpResponse, Refused> {
    let id = id.into_inner();
    let tx = app.db.begin().await?;
    let agent = agents::get(&tx, &caller.scope, id).await?;
    busy::groups(&tx, agent.tenant, Some(id), &[&agent.group]).await?;
    agents::remove(&tx, &caller.scope, id).await?;
    agent_tokens::remove_of_agent(&tx, id).await?;
    audit::record(&tx, caller.tenant, &caller, "agent.remove", ("agent", id, &agent.name), json!({})).await?;
    commit(tx).await?;
    crate::agents::deny(&app, id);
    app.live.tell(Object::Agent, id);
    Ok(HttpResponse::NoContent().finish())
}

/// Has an agent begin anew that was alone in its group and is not any more, or is alone now: only those who share
/// need leases.
async fn reseat_group(app: &App, owner: TenantId, group: &str) -> Result<(), Refused> {
    let members = agents::of_group(app.db.reader(), owner, group).await?;
    for member in members.iter().filter(|member| !member.embedded && members.len() <= 2) {
        if members.len() == 2 && app.roster.in_flight(member.id) > 0 {
            app.roster.leases().hold(member.id, app.timings().dead_after);
        }
        app.roster.part(member.id, close::GOING_AWAY);
    }
    Ok(())
}

async fn remote(tx: &Tx, caller: &Caller, id: AgentId) -> Result<agents::Agent, Refused> {
    let agent = agents::get(tx, &caller.scope, id).await?;
    if agent.embedded {
        return Err(Refused::Conflict("embedded", "This agent is part of the server itself.".into()));
    }
    Ok(agent)
}

async fn make_token(
    tx: &Tx,
    agent: AgentId,
    source: Option<String>,
) -> Result<(String, chrono::DateTime<chrono::Utc>), Refused> {
    let value = secret::fresh_token().map_err(|_| Refused::Internal)?;
    Ok(keep_token(tx, agent, source, &value).await?)
}

/// Keeps the hash of a token with which an agent is enrolled; gives it as it is told, and when it ends.
///
/// # Errors
/// When the database fails.
pub async fn keep_token(
    tx: &Tx,
    agent: AgentId,
    source: Option<String>,
    fresh: &str,
) -> rackhand_store::Result<(String, chrono::DateTime<chrono::Utc>)> {
    let value = format!("rha_{fresh}");
    let expires_at = now() + TOKEN_LIFE;
    let token = agent_tokens::Token { agent, source, expires_at };
    agent_tokens::add(tx, &secret::token_hash(&value), token).await?;
    Ok((value, expires_at))
}

/// A token with the key that the server shows, where no authority vouches for it.
#[must_use]
pub fn pinned(token: &str, pin: Option<&str>) -> String {
    pin.map_or_else(|| token.to_owned(), |pin| format!("{token}.{pin}"))
}

/// What is to be run on the agent's machine.
#[must_use]
pub fn enrol_command(server: &str, token: &str) -> String {
    format!("rackhand-agent enroll --server {server} --token {token}")
}

async fn enrolment(
    app: &App,
    agent: agents::Agent,
    token: Option<(String, chrono::DateTime<chrono::Utc>)>,
) -> Result<Enrolment, Refused> {
    let server = &app.config.public_url;
    let pin = app.tls.as_ref().and_then(|tls| tls.pin());
    let (token, expires_at) = match token {
        Some((token, until)) => (Some(pinned(&token, pin.as_deref())), Some(until)),
        None => (None, None),
    };
    let command = match (&token, pin) {
        (Some(token), _) => enrol_command(server, token),
        (None, Some(pin)) => {
            let id = agent.id;
            format!("rackhand-agent enroll --server {server} --pin {pin} --agent {id} --key FILE")
        }
        (None, None) => format!("rackhand-agent enroll --server {server} --agent {} --key FILE", agent.id),
    };
    Ok(Enrolment { agent: shown(app, agent).await?, token, expires_at, command })
}

fn checked_group(check: &mut Check, group: Option<&str>) {
    let Some(group) = group else { return };
    check.name("group", group);
    if group.trim() == agents::LOCAL {
        check.refuse("group", "reserved", "“local” is the group of the agents that are part of the server.");
    }
}

fn checked_source(check: &mut Check, source: Option<&str>) {
    if source.is_some_and(|source| source.parse::<ipnet::IpNet>().is_err()) {
        check.refuse(
            "source",
            "not_a_network",
            "This is no network. Write it like 203.0.113.0/24 or 2001:db8::/48.",
        );
    }
}

fn checked_key(check: &mut Check, pem: Option<&str>) -> Option<String> {
    let pem = pem?;
    let key = agent_key(pem);
    if key.is_none() {
        let why = "This is no public key. Paste the PEM text of an Ed25519 or P-256 key.";
        check.refuse("public_key", "not_a_public_key", why);
    }
    key
}

/// Names the key of an agent by its PEM text. Line ends may be missing: a field of one line drops them.
#[must_use]
pub fn agent_key(pem: &str) -> Option<String> {
    let (open, close) = ("-----BEGIN PUBLIC KEY-----", "-----END PUBLIC KEY-----");
    let body: String = pem.trim().strip_prefix(open)?.strip_suffix(close)?.split_whitespace().collect();
    let key = rcgen::SubjectPublicKeyInfo::from_pem(&format!("{open}\n{body}\n{close}\n")).ok()?;
    Some(key_name(&key.subject_public_key_info()))
}

async fn shown(app: &App, agent: agents::Agent) -> Result<Agent, Refused> {
    let silence = app.roster.silence(agent.id);
    let state = match silence {
        _ if agent.revoked_at.is_some() => AgentState::Revoked,
        Some(silence) if crate::agents::presence::is_late(app, silence) && !agent.embedded => {
            AgentState::Late
        }
        Some(_) => AgentState::Online,
        None if agent.identity.is_none() && !agent.embedded => AgentState::Waiting,
        None => AgentState::Offline,
    };
    let heard = silence.and_then(|silence| TimeDelta::from_std(silence).ok()).map(|silence| now() - silence);
    let identity = agent.identity.as_ref();
    let site_name = match agent.site_id {
        Some(site) => Some(sites::get(app.db.reader(), &Scope::provider(), site).await?.name),
        None => None,
    };
    Ok(Agent {
        site_name,
        is_outdated: is_older(&agent.version, env!("CARGO_PKG_VERSION")),
        endpoints: agents::endpoints(app.db.reader(), &agent).await?,
        holds: agent_groups::held_by(app.db.reader(), agent.id).await?,
        in_flight: app.roster.in_flight(agent.id),
        token_until: agent_tokens::waiting(app.db.reader(), agent.id).await?,
        certificate_at: identity.map(|identity| identity.certificate_at),
        certificate_until: identity.map(|identity| identity.certificate_until),
        renewable_until: identity.map(|identity| {
            identity.certificate_until + TimeDelta::days(app.settings().agent_renewal_days.into())
        }),
        // An embedded agent is seen all the time while its process runs.
        last_seen_at: if agent.embedded && silence.is_some() {
            Some(now())
        } else {
            heard.or(agent.last_seen_at)
        },
        state,
        id: agent.id,
        name: agent.name,
        group: agent.group,
        site_id: agent.site_id,
        embedded: agent.embedded,
        draining: agent.draining,
        host: agent.host,
        source_ip: agent.source_ip,
        version: agent.version,
        kinds: agent.kinds.into_keys().collect(),
        copies_at: agent.copies_at.filter(|at| now() - *at < FLAGGED),
        created_at: agent.created_at,
    })
}

/// An agent of which copies were seen is flagged for so long: one that was stopped comes back no more.
const FLAGGED: chrono::TimeDelta = chrono::TimeDelta::days(1);

/// Compares versions by their numbers. One that tells none is not called old.
fn is_older(theirs: &str, ours: &str) -> bool {
    let numbers = |version: &str| -> Option<Vec<u64>> {
        version.split(['-', '+']).next()?.split('.').map(|part| part.parse().ok()).collect()
    };
    numbers(theirs).zip(numbers(ours)).is_some_and(|(theirs, ours)| theirs < ours)
}

#[cfg(test)]
mod tests {
    use super::is_older;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert!(is_older("0.9.0", "0.10.0") && is_older("1.2.3", "1.2.4-rc1"));
        assert!(!is_older("0.10.0", "0.9.0") && !is_older("1.0.0", "1.0.0") && !is_older("", "1.0.0"));
    }
}
