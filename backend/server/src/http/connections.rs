//! Connections: what ties a server to an endpoint.

use actix_web::{HttpResponse, delete, get, patch, post, web};
use rackhand_agent::catalogue;
use rackhand_store::{Scope, Tx, connections, endpoints, events, page_by, servers, tenants};
use rackhand_wire::{
    Feature, FieldError, Role,
    api::{
        connection::{AddConnection, ChangeConnection, Connection},
        endpoint::Endpoint,
        event::Severity,
        live::Object,
        page::{ListQuery, Page},
        problem::Problem,
    },
    id::{ConnectionId, EndpointId, EventId, ServerId, TenantId},
};
use serde_json::{Value, json};

use super::{
    away, body::Body, busy, caller::Caller, endpoints as endpoint_routes, kinds, once::Once, people::commit,
    problem::Refused, query::Query, servers::remove_unused_controller,
};
use crate::{agents::Via, app::App, audit, work::weigh};

/// Lists the connections of a server: controllers first.
#[utoipa::path(tag = "connections", params(("id" = ServerId, Path), ListQuery), responses((status = 200, body = Page<Connection>),
    (status = 401, body = Problem), (status = 404, body = Problem), (status = 422, body = Problem)))]
#[get("/servers/{id}/connections")]
pub async fn list(
    app: web::Data<App>,
    caller: Caller,
    id: web::Path<ServerId>,
    query: Query<ListQuery>,
) -> Result<web::Json<Page<Connection>>, Refused> {
    let id = id.into_inner();
    servers::get(app.db.reader(), &caller.scope, id).await?;
    let all = connections::list(app.db.reader(), &caller.scope, id).await?;
    let mut all: Vec<Connection> = all.into_iter().map(titled).collect();
    away::of_connections(&app, &mut all).await?;
    // Controllers before feeds, each in the order in which they were added, which is that of their ids.
    let key = |connection: &Connection| {
        let role = match connection.role {
            Role::Controller => "controller",
            Role::Feed => "feed",
        };
        (role.to_owned(), connection.id.0)
    };
    Ok(web::Json(page_by(all, &query.0, "role", key, |connection| connection.label.to_lowercase())?))
}

/// Shows one connection of a server.
#[utoipa::path(tag = "connections", params(("id" = ServerId, Path), ("connection" = ConnectionId, Path)),
    responses((status = 200, body = Connection), (status = 401, body = Problem), (status = 404, body = Problem)))]
#[get("/servers/{id}/connections/{connection}")]
pub async fn view(
    app: web::Data<App>,
    caller: Caller,
    ids: web::Path<(ServerId, ConnectionId)>,
) -> Result<web::Json<Connection>, Refused> {
    let (server, id) = ids.into_inner();
    let mut found = [titled(connections::get(app.db.reader(), &caller.scope, server, id).await?)];
    away::of_connections(&app, &mut found).await?;
    let [connection] = found;
    Ok(web::Json(connection))
}

fn titled(mut connection: Connection) -> Connection {
    if let Some(integration) = catalogue::find(&connection.kind) {
        connection.kind_title.clone_from(&integration.descriptor().title);
    }
    connection
}

/// Adds a connection, with a new endpoint where one is given.
#[utoipa::path(tag = "connections", params(("id" = ServerId, Path)), request_body = AddConnection, responses((status = 201, body = Connection),
    (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem),
    (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
#[post("/servers/{id}/connections")]
pub async fn add(
    app: web::Data<App>,
    caller: Caller,
    once: Once,
    id: web::Path<ServerId>,
    body: Body<AddConnection>,
) -> Result<HttpResponse, Refused> {
    let (id, Body(new)) = (id.into_inner(), body);
    servers::get(app.db.reader(), &caller.scope, id).await?;
    if let Some(answer) = once.answered(&caller, &new).await? {
        return Ok(answer);
    }
    let kind = match (&new.endpoint, new.endpoint_id) {
        (Some(endpoint), _) => Some(endpoint.kind.clone()),
        (None, Some(id)) => match endpoints::get(app.db.reader(), &caller.scope, id).await {
            // That it is not there is told below.
            Err(rackhand_store::Error::NotFound) => None,
            found => Some(found?.kind),
        },
        (None, None) => None,
    };
    let via = Via { agent: new.agent_id, group: new.agent_group.clone() };
    kinds::reached_by(&app, &caller, &via, kind.as_deref()).await?;
    // The form of a new endpoint is a part of this one.
    let inside = |refused: Refused| refused.under("endpoint");
    let fresh = match (&new.endpoint, new.endpoint_id) {
        (Some(endpoint), None) => {
            Some(endpoint_routes::prepare(&app, &caller, endpoint).await.map_err(inside)?)
        }
        (None, Some(_)) => None,
        (None, None) => {
            return Err(Refused::field("endpoint_id", "required", "Name an endpoint, or send a new one."));
        }
        (Some(_), Some(_)) => {
            return Err(Refused::field(
                "endpoint_id",
                "contradiction",
                "Name an endpoint or send one, not both.",
            ));
        }
    };
    let tx = app.db.begin().await?;
    if let Some(answer) = once.replay(&tx, &caller, &new).await? {
        return Ok(answer);
    }
    let endpoint = match (fresh, new.endpoint_id) {
        (Some(fresh), _) => endpoint_routes::store(&app, &tx, &caller, fresh).await.map_err(inside)?,
        (None, Some(endpoint)) => match endpoints::get(&tx, &caller.scope, endpoint).await {
            Err(rackhand_store::Error::NotFound) => {
                return Err(Refused::field("endpoint_id", "unknown", "There is no such endpoint."));
            }
            endpoint => endpoint?,
        },
        (None, None) => return Err(Refused::Internal),
    };
    let connection = bind(&tx, &caller, id, &endpoint, &new).await?;
    let news = tell_sharers(&tx, &caller, id, &connection).await?;
    let (endpoint, location) =
        (endpoint.id, Some(format!("/api/v1/servers/{id}/connections/{}", connection.id)));
    let answer = once.commit(tx, &caller, &new, (201, location, titled(connection))).await?;
    told(&app, id, endpoint).await?;
    for event in news {
        app.live.tell(Object::Event, event);
    }
    Ok(answer)
}

/// Tells of every other server that hangs on the same place of a feed: from now on nothing switches it
/// automatically.
async fn tell_sharers(
    tx: &Tx,
    caller: &Caller,
    server: ServerId,
    new: &Connection,
) -> Result<Vec<EventId>, Refused> {
    let mut told = Vec::new();
    let powers = |features: &[Feature]| features.contains(&Feature::Power);
    if new.role != Role::Feed || !powers(&new.features) {
        return Ok(told);
    }
    let name = servers::get(tx, &caller.scope, server).await?.name;
    for other in connections::of_endpoint(tx, new.endpoint_id).await? {
        if other.target != new.target || other.server_id == server || !powers(&other.features) {
            continue;
        }
        let other = servers::get(tx, &Scope::provider(), other.server_id).await?;
        let message = format!(
            "{name} hangs on {} as well as {}: what hangs on a shared outlet is not cut automatically.",
            new.label, other.name
        );
        let event = events::New {
            kind: "server.shares_outlet".into(),
            severity: Some(Severity::Warning),
            message,
            actor: Some(caller.actor()),
            server: Some((other.id, other.name)),
            ..Default::default()
        };
        told.push(events::add(tx, caller.tenant, event).await?.id);
    }
    Ok(told)
}

/// Whose a connection is: whoever's the server is. The device is theirs, too, or of somebody above them.
async fn owner(tx: &Tx, scope: &Scope, server: ServerId, endpoint: EndpointId) -> Result<TenantId, Refused> {
    let tenant = servers::owner(tx, scope, server).await?;
    let theirs = tenants::lineage(tx, tenant).await?;
    if !theirs.contains(&tenants::of_endpoint(tx, endpoint).await?) {
        return Err(Refused::field("endpoint_id", "foreign", "This device belongs to another customer."));
    }
    Ok(tenant)
}

async fn bind(
    tx: &Tx,
    caller: &Caller,
    server: ServerId,
    endpoint: &Endpoint,
    new: &AddConnection,
) -> Result<Connection, Refused> {
    let integration = kinds::find("endpoint.kind", &endpoint.kind)?;
    let descriptor = integration.descriptor();
    let target = kinds::checked_target(integration, &new.target)?;
    exists(tx, caller, endpoint, &target).await?;
    let features = offered(descriptor, new.features.clone())?;
    let values = connections::New {
        tenant: owner(tx, &caller.scope, server, endpoint.id).await?,
        server,
        endpoint: endpoint.id,
        role: descriptor.role,
        target_label: integration.target_label(&target).to_lowercase(),
        target,
        features,
        agent: new.agent_id,
        group: new.agent_group.clone(),
    };
    let connection = connections::add(tx, values).await?;
    let object = ("server", server, connection.label.as_str());
    let detail =
        json!({"connection": connection.id, "label": connection.label, "features": connection.features});
    audit::record(tx, caller.tenant, caller, "connection.add", object, detail).await?;
    // The mapping has changed: only a person who sees the new one can vouch for it.
    let feeds_complete = (descriptor.role == Role::Feed).then_some(new.feeds_complete.unwrap_or(false));
    let mapping = servers::Change { feeds_complete, ..Default::default() };
    servers::change(tx, &caller.scope, server, mapping).await?;
    Ok(connection)
}

/// Refuses an outlet that the device does not have, once its outlets are known.
async fn exists(tx: &Tx, caller: &Caller, endpoint: &Endpoint, target: &Value) -> Result<(), Refused> {
    let Some(outlet) = target.get("outlet").and_then(Value::as_str) else { return Ok(()) };
    let (outlets, _) = endpoints::outlets(tx, &caller.scope, endpoint.id).await?;
    if outlets.is_empty() || outlets.iter().any(|known| known.outlet == outlet) {
        return Ok(());
    }
    let why = format!("{} has {} outlets; there is no outlet {outlet}.", endpoint.name, outlets.len());
    Err(Refused::field("target.outlet", "no_such_outlet", why))
}

fn offered(
    descriptor: &rackhand_wire::Descriptor,
    ticked: Option<Vec<Feature>>,
) -> Result<Vec<Feature>, Refused> {
    let Some(mut ticked) = ticked else { return Ok(descriptor.features.clone()) };
    ticked.sort();
    ticked.dedup();
    let wrong: Vec<FieldError> = ticked
        .iter()
        .filter(|feature| !descriptor.features.contains(feature))
        .map(|feature| {
            let why = format!("{} does not offer “{}”.", descriptor.title, feature.title());
            FieldError::new("features", "not_offered", why)
        })
        .collect();
    if wrong.is_empty() { Ok(ticked) } else { Err(Refused::Invalid(wrong)) }
}

/// Changes a connection.
#[utoipa::path(tag = "connections", params(("id" = ServerId, Path), ("connection" = ConnectionId, Path)), request_body = ChangeConnection,
    responses((status = 200, body = Connection), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
#[patch("/servers/{id}/connections/{connection}")]
pub async fn change(
    app: web::Data<App>,
    caller: Caller,
    ids: web::Path<(ServerId, ConnectionId)>,
    body: Body<ChangeConnection>,
) -> Result<web::Json<Connection>, Refused> {
    let ((server, id), Body(change)) = (ids.into_inner(), body);
    let old = connections::get(app.db.reader(), &caller.scope, server, id).await?;
    let via = Via { agent: change.agent_id.flatten(), group: change.agent_group.clone().flatten() };
    kinds::reached_by(&app, &caller, &via, Some(&old.kind)).await?;
    let tx = app.db.begin().await?;
    let old = connections::get(&tx, &caller.scope, server, id).await?;
    busy::server(&tx, server).await?;
    let integration = kinds::find("kind", &old.kind)?;
    let target = match &change.target {
        Some(target) => {
            let target = kinds::checked_target(integration, target)?;
            let endpoint = endpoints::get(&tx, &caller.scope, old.endpoint_id).await?;
            exists(&tx, &caller, &endpoint, &target).await?;
            let label = integration.target_label(&target).to_lowercase();
            Some((target, label))
        }
        None => None,
    };
    let features = change.features.clone().map(|ticked| offered(integration.descriptor(), Some(ticked)));
    let features = features.transpose()?;
    let powers = |features: &[Feature]| features.contains(&Feature::Power);
    // Only a person who sees the new mapping can vouch for it; where nothing moved, their word holds.
    let moved = old.role == Role::Feed
        && (target.as_ref().is_some_and(|(target, _)| *target != old.target)
            || features.as_ref().is_some_and(|ticked| powers(ticked) != powers(&old.features)));
    let values =
        connections::Change { target, features, agent: change.agent_id, group: change.agent_group.clone() };
    let connection = connections::change(&tx, &caller.scope, server, id, values).await?;
    let feeds_complete = moved.then_some(false);
    let touched = servers::Change { feeds_complete, ..Default::default() };
    servers::change(&tx, &caller.scope, server, touched).await?;
    let object = ("server", server, connection.label.as_str());
    let detail = serde_json::to_value(&change)?;
    audit::record(&tx, caller.tenant, &caller, "connection.change", object, detail).await?;
    let news = if moved { tell_sharers(&tx, &caller, server, &connection).await? } else { Vec::new() };
    commit(tx).await?;
    told(&app, server, connection.endpoint_id).await?;
    for event in news {
        app.live.tell(Object::Event, event);
    }
    Ok(web::Json(titled(connection)))
}

/// Removes a connection, and its endpoint when it was made with it and nothing else uses it.
#[utoipa::path(tag = "connections", params(("id" = ServerId, Path), ("connection" = ConnectionId, Path)), responses((status = 204),
    (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)))]
#[delete("/servers/{id}/connections/{connection}")]
pub async fn remove(
    app: web::Data<App>,
    caller: Caller,
    ids: web::Path<(ServerId, ConnectionId)>,
) -> Result<HttpResponse, Refused> {
    let (server, id) = ids.into_inner();
    let tx = app.db.begin().await?;
    let old = connections::get(&tx, &caller.scope, server, id).await?;
    busy::server(&tx, server).await?;
    connections::remove(&tx, &caller.scope, server, id).await?;
    remove_unused_controller(&tx, &caller, old.endpoint_id).await?;
    let feeds_complete = (old.role == Role::Feed).then_some(false);
    let touched = servers::Change { feeds_complete, ..Default::default() };
    servers::change(&tx, &caller.scope, server, touched).await?;
    let object = ("server", server, old.label.as_str());
    audit::record(&tx, caller.tenant, &caller, "connection.remove", object, json!({"connection": id}))
        .await?;
    commit(tx).await?;
    told(&app, server, old.endpoint_id).await?;
    Ok(HttpResponse::NoContent().finish())
}

async fn told(app: &App, server: ServerId, endpoint: rackhand_wire::id::EndpointId) -> Result<(), Refused> {
    weigh::server(app, server).await?;
    app.live.tell(Object::Server, server);
    app.live.tell(Object::Endpoint, endpoint);
    app.engine.look_now([endpoint]);
    Ok(())
}
