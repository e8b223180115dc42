//! Servers.

use actix_web::{HttpResponse, delete, get, patch, post, web};
use rackhand_store::{Tx, connections, endpoints, readings, servers, sites};
use rackhand_wire::{
    api::{
        live::Object,
        page::{ListQuery, Page},
        problem::Problem,
        server::{AddServer, ChangeServer, Server, ServerRow, Tally},
    },
    id::{ServerId, SiteId},
};
use serde_json::json;

use super::{
    away, body::Body, busy, caller::Caller, check::Check, once::Once, people::commit, problem::Refused,
    query::Query,
};
use crate::{app::App, audit, work::weigh};

/// Lists servers.
#[utoipa::path(tag = "servers", params(ListQuery), responses((status = 200, body = Page<ServerRow>),
    (status = 401, body = Problem), (status = 422, body = Problem)))]
#[get("/servers")]
pub async fn list(
    app: web::Data<App>,
    caller: Caller,
    query: Query<ListQuery>,
) -> Result<web::Json<Page<ServerRow>>, Refused> {
    let mut page = servers::list(app.db.reader(), &caller.scope, &query.0).await?;
    away::of_rows(&app, &mut page.items).await?;
    Ok(web::Json(page))
}

/// Counts servers per state, under the list's filter `q`.
#[utoipa::path(tag = "servers", params(ListQuery), responses((status = 200, body = Tally),
    (status = 401, body = Problem), (status = 422, body = Problem)))]
#[get("/servers/tally")]
pub async fn tally(
    app: web::Data<App>,
    caller: Caller,
    query: Query<ListQuery>,
) -> Result<web::Json<Tally>, Refused> {
    Ok(web::Json(servers::tally(app.db.reader(), &caller.scope, query.0.q.as_deref()).await?))
}

/// Shows one server.
#[utoipa::path(tag = "servers", params(("id" = ServerId, Path)), responses((status = 200, body = Server),
    (status = 401, body = Problem), (status = 404, body = Problem)))]
#[get("/servers/{id}")]
pub async fn view(
    app: web::Data<App>,
    caller: Caller,
    id: web::Path<ServerId>,
) -> Result<web::Json<Server>, Refused> {
    shown(&app, &caller, id.into_inner()).await
}

async fn shown(app: &App, caller: &Caller, id: ServerId) -> Result<web::Json<Server>, Refused> {
    let mut server = servers::get(app.db.reader(), &caller.scope, id).await?;
    away::of_paths(app, caller, &mut server).await?;
    Ok(web::Json(server))
}

/// Adds a server.
#[utoipa::path(tag = "servers", request_body = AddServer, responses((status = 201, body = Server), (status = 400, body = Problem),
    (status = 401, body = Problem), (status = 403, body = Problem), (status = 422, body = Problem)))]
#[post("/servers")]
pub async fn add(
    app: web::Data<App>,
    caller: Caller,
    once: Once,
    body: Body<AddServer>,
) -> Result<HttpResponse, Refused> {
    let Body(new) = body;
    let mut check = Check::default();
    check.name("name", &new.name).text("rack", &new.rack, 60).tags("tags", &new.tags);
    check.lines("notes", &new.notes, 10_000).done()?;
    let tx = app.db.begin().await?;
    if let Some(answer) = once.replay(&tx, &caller, &new).await? {
        return Ok(answer);
    }
    known_site(&tx, &caller, new.site_id).await?;
    let server = servers::add(&tx, caller.tenant, new.clone()).await?;
    let object = ("server", server.id, server.name.as_str());
    audit::record(&tx, caller.tenant, &caller, "server.add", object, serde_json::to_value(&new)?).await?;
    let location = Some(format!("/api/v1/servers/{}", server.id));
    let id = server.id;
    let answer = once.commit(tx, &caller, &new, (201, location, server)).await?;
    app.live.tell(Object::Server, id);
    Ok(answer)
}

/// Changes a server.
#[utoipa::path(tag = "servers", params(("id" = ServerId, Path)), request_body = ChangeServer, responses((status = 200, body = Server),
    (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem),
    (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
#[patch("/servers/{id}")]
pub async fn change(
    app: web::Data<App>,
    caller: Caller,
    id: web::Path<ServerId>,
    body: Body<ChangeServer>,
) -> Result<web::Json<Server>, Refused> {
    let (id, Body(change)) = (id.into_inner(), body);
    let mut check = Check::default();
    if let Some(name) = &change.name {
        check.name("name", name);
    }
    check.text("rack", change.rack.as_deref().unwrap_or_default(), 60);
    check.tags("tags", change.tags.as_deref().unwrap_or_default());
    check.lines("notes", change.notes.as_deref().unwrap_or_default(), 10_000).done()?;
    let detail = serde_json::to_value(&change)?;
    let tx = app.db.begin().await?;
    known_site(&tx, &caller, change.site_id.flatten()).await?;
    let values = servers::Change {
        name: change.name,
        rack: change.rack,
        site_id: change.site_id,
        tags: change.tags,
        notes: change.notes,
        feeds_complete: change.feeds_complete,
        fallback_enabled: change.fallback_enabled,
        maintenance: change.maintenance,
        mismatch_seen: change.confirm_wiring.then_some(false),
        version: change.version,
    };
    let server = servers::change(&tx, &caller.scope, id, values).await?;
    let object = ("server", id, server.name.as_str());
    audit::record(&tx, caller.tenant, &caller, "server.change", object, detail).await?;
    commit(tx).await?;
    if change.confirm_wiring {
        // What was read before the wiring was mended would prove the mismatch again.
        readings::forget(app.db.writer(), id).await?;
        let paths = connections::list(app.db.reader(), &caller.scope, id).await?;
        app.engine.look_now(paths.into_iter().map(|connection| connection.endpoint_id));
    }
    weigh::server(&app, id).await?;
    app.live.tell(Object::Server, id);
    shown(&app, &caller, id).await
}

/// Removes a server, its connections, and the BMCs that only it used.
#[utoipa::path(tag = "servers", params(("id" = ServerId, Path)), responses((status = 204), (status = 401, body = Problem),
    (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)))]
#[delete("/servers/{id}")]
pub async fn remove(
    app: web::Data<App>,
    caller: Caller,
    id: web::Path<ServerId>,
) -> Result<HttpResponse, Refused> {
    let id = id.into_inner();
    let tx = app.db.begin().await?;
    let server = servers::get(&tx, &caller.scope, id).await?;
    busy::server(&tx, id).await?;
    let used = connections::remove_of_server(&tx, id).await?;
    for endpoint in used {
        remove_unused_controller(&tx, &caller, endpoint).await?;
    }
    servers::remove(&tx, &caller.scope, id).await?;
    let object = ("server", id, server.name.as_str());
    audit::record(&tx, caller.tenant, &caller, "server.remove", object, json!({})).await?;
    commit(tx).await?;
    app.live.tell(Object::Server, id);
    Ok(HttpResponse::NoContent().finish())
}

/// Removes an endpoint that was made with its connection and that nothing uses any more.
///
/// # Errors
/// When the database fails.
pub async fn remove_unused_controller(
    tx: &Tx,
    caller: &Caller,
    id: rackhand_wire::id::EndpointId,
) -> Result<(), Refused> {
    let endpoint = match endpoints::get(tx, &caller.scope, id).await {
        Err(rackhand_store::Error::NotFound) => return Ok(()),
        endpoint => endpoint?,
    };
    let inline = rackhand_agent::catalogue::find(&endpoint.kind).is_some_and(|kind| kind.descriptor().inline);
    if inline && endpoint.connections == 0 {
        endpoints::remove(tx, &caller.scope, id).await?;
    }
    Ok(())
}

/// Refuses a site that the caller does not see.
///
/// # Errors
/// The field that names it.
pub async fn known_site(tx: &Tx, caller: &Caller, site: Option<SiteId>) -> Result<(), Refused> {
    let Some(site) = site else { return Ok(()) };
    match sites::get(tx, &caller.scope, site).await {
        Err(rackhand_store::Error::NotFound) => {
            Err(Refused::field("site_id", "unknown", "There is no such site."))
        }
        found => found.map(|_| ()).map_err(Refused::from),
    }
}
