//! Kinds of integration, and checks of what is entered for one.

use actix_web::{get, post, web};
use rackhand_agent::catalogue;
use rackhand_driver::{Integration, check};
use rackhand_store::{agents, page_of};
use rackhand_wire::{
    FieldError, Secret, Secrets,
    api::{
        kind::{Kind, Paste, Suggested},
        page::{ListQuery, Page},
        problem::Problem,
    },
};
use serde_json::Value;
use std::collections::BTreeMap;
use uuid::Uuid;

use super::{body::Body, caller::Caller, problem::Refused, query::Query};
use crate::{agents::Via, app::App};

/// Lists kinds and the agents that know each.
#[utoipa::path(tag = "kinds", params(ListQuery), responses((status = 200, body = Page<Kind>), (status = 401, body = Problem), (status = 422, body = Problem)))]
#[get("/kinds")]
pub async fn list(
    app: web::Data<App>,
    caller: Caller,
    query: Query<ListQuery>,
) -> Result<web::Json<Page<Kind>>, Refused> {
    let agents = agents::list(app.db.reader(), &caller.scope).await?;
    let hashes = catalogue::hashes();
    let all = catalogue::all()
        .iter()
        .map(|integration| {
            let descriptor = integration.descriptor().clone();
            let knows =
                |agent: &&agents::Agent| agent.kinds.get(&descriptor.kind) == hashes.get(&descriptor.kind);
            Kind { agents: agents.iter().filter(knows).map(|agent| agent.id).collect(), descriptor }
        })
        .collect();
    // A title names one kind, so no id is needed to tell two rows apart.
    Ok(web::Json(page_of(all, &query.0, |kind: &Kind| (&kind.descriptor.title, Uuid::nil()))?))
}

/// Says what a pasted address may be, best first.
#[utoipa::path(tag = "kinds", request_body = Paste, responses((status = 200, body = Page<Suggested>), (status = 400, body = Problem),
    (status = 401, body = Problem), (status = 403, body = Problem), (status = 422, body = Problem)))]
#[post("/kinds/suggest")]
pub async fn suggest(_: Caller, body: Body<Paste>) -> Result<web::Json<Page<Suggested>>, Refused> {
    let text = body.0.text.trim();
    if text.is_empty() || text.chars().count() > 2000 {
        return Err(Refused::field("text", "out_of_range", "Paste 1 to 2000 characters."));
    }
    let mut found: Vec<(u8, Suggested)> = catalogue::all()
        .iter()
        .filter_map(|integration| {
            let suggestion = integration.suggest(text)?;
            let kind = integration.descriptor().kind.clone();
            let suggested = Suggested { kind, params: suggestion.params, target: suggestion.target };
            Some((suggestion.certainty, suggested))
        })
        .collect();
    found.sort_by_key(|(certainty, _)| std::cmp::Reverse(*certainty));
    Ok(web::Json(Page { items: found.into_iter().map(|(_, suggested)| suggested).collect(), next: None }))
}

/// Finds a kind or says at which field it is unknown.
///
/// # Errors
/// A field error.
pub fn find(field: &str, kind: &str) -> Result<&'static dyn Integration, Refused> {
    let known = || {
        let kinds: Vec<&str> = catalogue::hashes().keys().map(String::as_str).collect();
        Refused::field(
            field,
            "unknown_choice",
            format!("There is no such kind. Known: {}.", kinds.join(", ")),
        )
    };
    catalogue::find(kind).ok_or_else(known)
}

/// Checks parameters and secrets of an endpoint; fields are named `params.host`, `secrets.password`.
///
/// # Errors
/// Every wrong field.
pub fn checked(integration: &dyn Integration, params: &Value, secrets: &Secrets) -> Result<Value, Refused> {
    let descriptor = integration.descriptor();
    let place = |error: FieldError| {
        let secret = descriptor.endpoint_field(&error.field).is_some_and(rackhand_wire::Field::is_secret)
            || secrets.find(&error.field).is_some();
        if error.field.is_empty() {
            FieldError { field: "params".into(), ..error }
        } else {
            error.under(if secret { "secrets" } else { "params" })
        }
    };
    let refuse = |errors: Vec<FieldError>| Refused::Invalid(errors.into_iter().map(place).collect());
    let params = check::endpoint(descriptor, params, secrets).map_err(refuse)?;
    let errors = integration.check(&params, secrets);
    if errors.is_empty() { Ok(params) } else { Err(refuse(errors)) }
}

/// Checks a server's place on an endpoint; fields are named `target.outlet`.
///
/// # Errors
/// Every wrong field.
pub fn checked_target(integration: &dyn Integration, target: &Value) -> Result<Value, Refused> {
    let refuse = |errors: Vec<FieldError>| {
        Refused::Invalid(errors.into_iter().map(|error| error.under("target")).collect())
    };
    let target = check::target(integration.descriptor(), target).map_err(refuse)?;
    integration.parse_target(&target).map_err(|error| refuse(vec![error]))
}

/// Wraps secrets as they come in.
pub fn wrap(secrets: BTreeMap<String, String>) -> Secrets {
    let mut wrapped = Secrets::default();
    for (name, value) in secrets {
        // An empty secret is one that was not entered.
        if !value.is_empty() {
            wrapped.set(name, Secret::new(value));
        }
    }
    wrapped
}

/// Refuses an agent or a group of agents that is not there or does not know the kind, and one beside the other.
/// What kinds an agent knows is not known before it has come once.
///
/// # Errors
/// A field error.
pub async fn reached_by(app: &App, caller: &Caller, via: &Via, kind: Option<&str>) -> Result<(), Refused> {
    let serves = |agent: &agents::Agent| {
        agent.kinds.is_empty() || kind.is_none_or(|kind| agent.kinds.contains_key(kind))
    };
    if let Some(agent) = via.agent {
        let agent = match agents::get(app.db.reader(), &caller.scope, agent).await {
            Err(rackhand_store::Error::NotFound) => {
                return Err(Refused::field("agent_id", "unknown", "There is no such agent."));
            }
            found => found?,
        };
        if !serves(&agent) {
            let why = "This agent does not know the kind in its version: upgrade it, or choose another one.";
            return Err(Refused::field("agent_id", "unknown_kind", why));
        }
    }
    let Some(group) = via.group.as_deref() else { return Ok(()) };
    if via.agent.is_some() {
        return Err(Refused::field("agent_group", "one_of_both", "Name an agent or a group, not both."));
    }
    let known = agents::list(app.db.reader(), &caller.scope).await?;
    let mut members = known.iter().filter(|agent| agent.group == group).peekable();
    if members.peek().is_none() && group != agents::LOCAL {
        return Err(Refused::field("agent_group", "unknown", "No agent is in this group."));
    }
    if members.peek().is_some() && !members.any(serves) {
        let why =
            "No agent of this group knows the kind in its version: upgrade one, or choose another group.";
        return Err(Refused::field("agent_group", "unknown_kind", why));
    }
    Ok(())
}
