//! Endpoints: network devices and controllers.

use actix_web::{HttpResponse, delete, get, patch, post, web};
use rackhand_driver::Integration;
use rackhand_store::{Tx, connections, endpoints, events, jobs, servers};
use rackhand_wire::{
    Role, Secret, Secrets,
    api::{
        endpoint::{AddEndpoint, ChangeEndpoint, Endpoint, EndpointOutlets, FedOutlet, TestEndpoint},
        event::Severity,
        job::{Job, JobKind},
        live::Object,
        page::{ListQuery, Page},
        problem::Problem,
        server::ServerBrief,
    },
    id::{EndpointId, ServerId},
};
use serde_json::{Value, json};
use std::collections::BTreeSet;

use super::{
    away, body::Body, busy, caller::Caller, check::Check, hosts, kinds, moved, once::Once, people::commit,
    problem::Refused, query::Query,
};
use crate::{agents::Via, app::App, audit, work};

/// Lists endpoints. Tokens of `q`: `kind:snmp_pdu`, any of several kinds as `kind:snmp_pdu,ipmi`, `status:failing` and `agent:ID`.
#[utoipa::path(tag = "endpoints", params(ListQuery), responses((status = 200, body = Page<Endpoint>), (status = 401, body = Problem), (status = 422, body = Problem)))]
#[get("/endpoints")]
pub async fn list(
    app: web::Data<App>,
    caller: Caller,
    query: Query<ListQuery>,
) -> Result<web::Json<Page<Endpoint>>, Refused> {
    let mut page = endpoints::list(app.db.reader(), &caller.scope, &query.0).await?;
    away::of_endpoints(&app, &mut page.items).await?;
    Ok(web::Json(page))
}

/// Shows one endpoint.
#[utoipa::path(tag = "endpoints", params(("id" = EndpointId, Path)), responses((status = 200, body = Endpoint), (status = 401, body = Problem), (status = 404, body = Problem)))]
#[get("/endpoints/{id}")]
pub async fn view(
    app: web::Data<App>,
    caller: Caller,
    id: web::Path<EndpointId>,
) -> Result<web::Json<Endpoint>, Refused> {
    let mut endpoint = endpoints::get(app.db.reader(), &caller.scope, id.into_inner()).await?;
    away::of_endpoints(&app, std::slice::from_mut(&mut endpoint)).await?;
    Ok(web::Json(endpoint))
}

/// Adds an endpoint.
#[utoipa::path(tag = "endpoints", request_body = AddEndpoint, responses((status = 201, body = Endpoint), (status = 400, body = Problem),
    (status = 401, body = Problem), (status = 403, body = Problem), (status = 422, body = Problem)))]
#[post("/endpoints")]
pub async fn add(
    app: web::Data<App>,
    caller: Caller,
    once: Once,
    body: Body<AddEndpoint>,
) -> Result<HttpResponse, Refused> {
    let Body(new) = body;
    if let Some(answer) = once.answered(&caller, &new).await? {
        return Ok(answer);
    }
    let prepared = prepare(&app, &caller, &new).await?;
    let tx = app.db.begin().await?;
    if let Some(answer) = once.replay(&tx, &caller, &new).await? {
        return Ok(answer);
    }
    let endpoint = store(&app, &tx, &caller, prepared).await?;
    let id = endpoint.id;
    let location = Some(format!("/api/v1/endpoints/{id}"));
    let answer = once.commit(tx, &caller, &new, (201, location, endpoint)).await?;
    app.live.tell(Object::Endpoint, id);
    app.engine.look_now([id]);
    Ok(answer)
}

/// Checks a new endpoint.
///
/// # Errors
/// Every wrong field.
pub async fn prepare(app: &App, caller: &Caller, new: &AddEndpoint) -> Result<endpoints::New, Refused> {
    let integration = kinds::find("kind", &new.kind)?;
    let secrets = kinds::wrap(new.secrets.clone());
    let params = kinds::checked(integration, &new.params, &secrets)?;
    let via = Via { agent: new.agent_id, group: new.agent_group.clone() };
    kinds::reached_by(app, caller, &via, Some(&new.kind)).await?;
    hosts::known(app, integration, &params, &via).await?;
    let address = integration.address(&params);
    let name = new.name.clone().filter(|name| !name.trim().is_empty());
    let name = name.unwrap_or_else(|| default_name(integration, address.as_deref()));
    Check::default().name("name", &name).done()?;
    Ok(endpoints::New {
        tenant: caller.tenant,
        kind: new.kind.clone(),
        name,
        agent_id: new.agent_id,
        agent_group: new.agent_group.clone(),
        params,
        secrets,
        address,
    })
}

/// The name of a device that nobody gave one: a later address goes into it as well.
fn default_name(integration: &dyn Integration, address: Option<&str>) -> String {
    format!("{} {}", integration.descriptor().title, address.unwrap_or_default())
}

/// Stores a checked endpoint with its audit record.
///
/// # Errors
/// A field error when name or address is taken.
pub async fn store(app: &App, tx: &Tx, caller: &Caller, new: endpoints::New) -> Result<Endpoint, Refused> {
    let detail = json!({"kind": new.kind, "params": new.params, "agent_id": new.agent_id, "agent_group": new.agent_group});
    let endpoint = endpoints::add(tx, app.db.keys(), new).await?;
    let object = ("endpoint", endpoint.id, endpoint.name.as_str());
    audit::record(tx, caller.tenant, caller, "endpoint.add", object, detail).await?;
    Ok(endpoint)
}

/// Changes an endpoint. Secrets that are not named stay; null removes one.
#[utoipa::path(tag = "endpoints", params(("id" = EndpointId, Path)), request_body = ChangeEndpoint, responses((status = 200, body = Endpoint),
    (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem),
    (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
#[patch("/endpoints/{id}")]
pub async fn change(
    app: web::Data<App>,
    caller: Caller,
    id: web::Path<EndpointId>,
    body: Body<ChangeEndpoint>,
) -> Result<web::Json<Endpoint>, Refused> {
    let (id, Body(change)) = (id.into_inner(), body);
    let reach = endpoints::reach(&app.db, &caller.scope, id).await?;
    let integration = kinds::find("kind", &reach.endpoint.kind)?;
    if let Some(name) = &change.name {
        Check::default().name("name", name).done()?;
    }
    let own = Via::from(&reach.endpoint);
    let via = Via {
        agent: change.agent_id.unwrap_or(own.agent),
        group: change.agent_group.clone().unwrap_or_else(|| own.group.clone()),
    };
    let is_other = via != own;
    kinds::reached_by(&app, &caller, &via, is_other.then_some(reach.endpoint.kind.as_str())).await?;
    let mut secrets = reach.secrets.clone();
    for (name, value) in &change.secrets {
        match value.as_deref() {
            Some("") => {}
            Some(value) => secrets.set(name, Secret::new(value)),
            None => secrets.remove(name),
        }
    }
    let params = change.params.clone().unwrap_or_else(|| reach.endpoint.params.clone());
    let params = kinds::checked(integration, &params, &secrets)?;
    let entered = |name: &str| change.secrets.get(name).is_some_and(|value| value.as_deref() != Some(""));
    moved::entered_again(integration, &reach, &params, &mut secrets, entered)?;
    if change.params.is_some() {
        hosts::known(&app, integration, &params, &via).await?;
    }
    let address = integration.address(&params);
    let unnamed = reach.endpoint.name == default_name(integration, reach.endpoint.address.as_deref());
    let renewed = unnamed.then(|| default_name(integration, address.as_deref()));
    let detail = json!({
        "name": change.name, "params": change.params, "agent_id": change.agent_id, "agent_group": change.agent_group,
        "secrets_changed": change.secrets.keys().collect::<Vec<_>>(), "accept_identity": change.accept_identity,
    });
    let model = |params: &Value| params.get("model").cloned();
    let is_another = integration.descriptor().role == Role::Feed
        && (address != reach.endpoint.address || model(&params) != model(&reach.endpoint.params));
    // What stays is not written, so a new name undoes nothing that somebody else changes at the same time.
    let values = endpoints::Change {
        name: change.name.or(renewed),
        agent_id: change.agent_id.filter(|agent| *agent != own.agent),
        agent_group: change.agent_group.filter(|group| *group != own.group),
        params: (params != reach.endpoint.params).then_some((params, address)),
        secrets: (secrets != reach.secrets).then_some(secrets),
        unpin: change.accept_identity,
        version: change.version,
    };
    let tx = app.db.begin().await?;
    if is_more_than_a_name(&values) {
        busy::endpoint(&tx, id).await?;
    }
    let endpoint = endpoints::change(&tx, app.db.keys(), &caller.scope, id, values).await?;
    let object = ("endpoint", id, endpoint.name.as_str());
    audit::record(&tx, caller.tenant, &caller, "endpoint.change", object, detail).await?;
    let led_to = connections::of_endpoint(&tx, id).await?;
    let led_to: BTreeSet<_> = led_to.into_iter().map(|connection| connection.server_id).collect();
    if is_another {
        unmap(&tx, &caller, &led_to, &endpoint.name).await?;
    }
    commit(tx).await?;
    app.live.tell(Object::Endpoint, id);
    // Their pages name the device and its agent.
    for server in led_to {
        app.live.tell(Object::Server, server);
    }
    app.engine.look_now([id]);
    Ok(web::Json(endpoint))
}

/// Asks anew whether the outlets feed all supplies: who vouched for it vouched for those of another device.
async fn unmap(tx: &Tx, caller: &Caller, of: &BTreeSet<ServerId>, device: &str) -> Result<(), Refused> {
    for id in of {
        let server = servers::get(tx, &caller.scope, *id).await?;
        if !server.feeds_complete {
            continue;
        }
        let unsure = servers::Change { feeds_complete: Some(false), ..Default::default() };
        servers::change(tx, &caller.scope, *id, unsure).await?;
        let event = events::New {
            kind: "server.feeds_unconfirmed".into(),
            severity: Some(Severity::Warning),
            message: format!(
                "{device} leads to another device: confirm again that the connected outlets feed all supplies of {}.",
                server.name
            ),
            actor: Some(caller.actor()),
            server: Some((*id, server.name)),
            ..Default::default()
        };
        events::add(tx, caller.tenant, event).await?;
    }
    Ok(())
}

/// Says whether commands would reach another device, by another way or with other credentials.
fn is_more_than_a_name(values: &endpoints::Change) -> bool {
    values.params.is_some()
        || values.secrets.is_some()
        || values.agent_id.is_some()
        || values.agent_group.is_some()
        || values.unpin
}

/// Removes an endpoint that no connection uses.
#[utoipa::path(tag = "endpoints", params(("id" = EndpointId, Path)), responses((status = 204), (status = 401, body = Problem),
    (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)))]
#[delete("/endpoints/{id}")]
pub async fn remove(
    app: web::Data<App>,
    caller: Caller,
    id: web::Path<EndpointId>,
) -> Result<HttpResponse, Refused> {
    let id = id.into_inner();
    let tx = app.db.begin().await?;
    let endpoint = endpoints::get(&tx, &caller.scope, id).await?;
    busy::endpoint(&tx, id).await?;
    endpoints::remove(&tx, &caller.scope, id).await?;
    let object = ("endpoint", id, endpoint.name.as_str());
    audit::record(&tx, caller.tenant, &caller, "endpoint.remove", object, json!({})).await?;
    commit(tx).await?;
    app.live.tell(Object::Endpoint, id);
    Ok(HttpResponse::NoContent().finish())
}

/// Lists the outlets of an endpoint as last read, with the servers that they feed.
#[utoipa::path(tag = "endpoints", params(("id" = EndpointId, Path)), responses((status = 200, body = EndpointOutlets), (status = 401, body = Problem), (status = 404, body = Problem)))]
#[get("/endpoints/{id}/outlets")]
pub async fn outlets(
    app: web::Data<App>,
    caller: Caller,
    id: web::Path<EndpointId>,
) -> Result<web::Json<EndpointOutlets>, Refused> {
    let id = id.into_inner();
    let (readings, checked_at) = endpoints::outlets(app.db.reader(), &caller.scope, id).await?;
    let used = connections::of_endpoint(app.db.reader(), id).await?;
    let mut fed: Vec<(String, ServerBrief)> = Vec::new();
    for connection in used {
        let Some(outlet) = connection.target.get("outlet").and_then(Value::as_str) else { continue };
        if let Ok(server) = servers::get(app.db.reader(), &caller.scope, connection.server_id).await {
            fed.push((outlet.to_owned(), ServerBrief { id: server.id, name: server.name }));
        }
    }
    let outlets = readings
        .into_iter()
        .map(|reading| FedOutlet {
            servers: fed
                .iter()
                .filter(|(outlet, _)| *outlet == reading.outlet)
                .map(|(_, server)| server.clone())
                .collect(),
            reading,
        })
        .collect();
    Ok(web::Json(EndpointOutlets { outlets, checked_at }))
}

/// Tries an endpoint before or after it is saved. The job's `result` is a `TestResult`.
#[utoipa::path(tag = "endpoints", request_body = TestEndpoint, responses((status = 202, body = Job), (status = 400, body = Problem),
    (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 422, body = Problem)))]
#[post("/endpoints/test")]
pub async fn test(
    app: web::Data<App>,
    caller: Caller,
    once: Once,
    body: Body<TestEndpoint>,
) -> Result<HttpResponse, Refused> {
    try_out(app, caller, once, body.0, None).await
}

/// Begins a test; `from` names the agent that a person chose for it.
///
/// # Errors
/// Every wrong field.
pub async fn try_out(
    app: web::Data<App>,
    caller: Caller,
    once: Once,
    asked: TestEndpoint,
    from: Option<&str>,
) -> Result<HttpResponse, Refused> {
    if let Some(answer) = once.answered(&caller, &asked).await? {
        return Ok(answer);
    }
    let trial = trial(&app, &caller, asked.clone()).await?;
    let integration = kinds::find("kind", &trial.kind)?;
    let name = match trial.endpoint {
        Some(saved) => endpoints::get(app.db.reader(), &caller.scope, saved).await?.name,
        None => default_name(integration, integration.address(&trial.params).as_deref()),
    };
    let from = from.map(|agent| format!(" from {agent}")).unwrap_or_default();
    let title = format!("Test {name}{from}");
    let new = jobs::New {
        tenant: caller.tenant,
        kind: JobKind::EndpointTest,
        server: None,
        waits: false,
        endpoint: trial.endpoint,
        power: None,
        title,
        requested_by: caller.actor(),
        source_ip: caller.source_ip.clone(),
        request: json!({"kind": trial.kind, "params": trial.params, "target": trial.target}),
        node: app.peers.id(),
    };
    let tx = app.db.begin().await?;
    if let Some(answer) = once.replay(&tx, &caller, &asked).await? {
        return Ok(answer);
    }
    let job = jobs::add(&tx, new).await?;
    let id = job.id;
    let location = Some(format!("/api/v1/jobs/{id}"));
    let answer = once.commit(tx, &caller, &asked, (202, location, job)).await?;
    app.engine.keep_trial(id, trial);
    work::launch(&app.into_inner(), id);
    Ok(answer)
}

async fn trial(app: &App, caller: &Caller, asked: TestEndpoint) -> Result<work::Trial, Refused> {
    let saved = match asked.endpoint_id {
        Some(id) => match endpoints::reach(&app.db, &caller.scope, id).await {
            Err(rackhand_store::Error::NotFound) => {
                return Err(Refused::field("endpoint_id", "unknown", "There is no such endpoint."));
            }
            reach => Some(reach?),
        },
        None => None,
    };
    let kind = asked.kind.or_else(|| saved.as_ref().map(|saved| saved.endpoint.kind.clone()));
    let kind = kind.ok_or_else(|| Refused::field("kind", "required", "Say the kind, or an endpoint_id."))?;
    let integration = kinds::find("kind", &kind)?;
    let mut secrets = saved.as_ref().map_or_else(Secrets::default, |saved| saved.secrets.clone());
    let entered = kinds::wrap(asked.secrets);
    for (name, value) in entered.expose_all() {
        secrets.set(name, Secret::new(value));
    }
    let params = asked.params.or_else(|| saved.as_ref().map(|saved| saved.endpoint.params.clone()));
    let params = kinds::checked(integration, &params.unwrap_or(Value::Null), &secrets)?;
    if let Some(saved) = &saved {
        let entered = |name: &str| entered.find(name).is_some();
        moved::entered_again(integration, saved, &params, &mut secrets, entered)?;
    }
    let target = match asked.target {
        Some(target) if !integration.descriptor().target_fields.is_empty() => {
            Some(kinds::checked_target(integration, &target)?)
        }
        Some(_) | None => None,
    };
    let asked_via = Via { agent: asked.agent_id, group: asked.agent_group };
    // What it does not know it says itself.
    kinds::reached_by(app, caller, &asked_via, None).await?;
    let via = asked_via.or(saved.as_ref().map(|saved| Via::from(&saved.endpoint)).unwrap_or_default());
    hosts::known(app, integration, &params, &via).await?;
    Ok(work::Trial { endpoint: asked.endpoint_id, kind, params, secrets, via, target })
}
