//! Sites.

use actix_web::{HttpResponse, delete, get, patch, post, web};
use rackhand_store::{page_of, sites};
use rackhand_wire::{
    api::{
        live::Object,
        page::{ListQuery, Page},
        problem::Problem,
        site::{AddSite, ChangeSite, Site},
    },
    id::SiteId,
};
use serde_json::json;

use super::{
    body::Body, caller::Caller, check::Check, once::Once, people::commit, problem::Refused, query::Query,
};
use crate::{app::App, audit};

/// Lists sites.
#[utoipa::path(tag = "sites", params(ListQuery), responses((status = 200, body = Page<Site>), (status = 401, body = Problem), (status = 422, body = Problem)))]
#[get("/sites")]
pub async fn list_sites(
    app: web::Data<App>,
    caller: Caller,
    query: Query<ListQuery>,
) -> Result<web::Json<Page<Site>>, Refused> {
    let all = sites::list(app.db.reader(), &caller.scope).await?;
    Ok(web::Json(page_of(all, &query.0, |site| (&site.name, site.id.0))?))
}

/// Shows one site.
#[utoipa::path(tag = "sites", params(("id" = SiteId, Path)), responses((status = 200, body = Site), (status = 401, body = Problem), (status = 404, body = Problem)))]
#[get("/sites/{id}")]
pub async fn view_site(
    app: web::Data<App>,
    caller: Caller,
    id: web::Path<SiteId>,
) -> Result<web::Json<Site>, Refused> {
    Ok(web::Json(sites::get(app.db.reader(), &caller.scope, id.into_inner()).await?))
}

/// Adds a site.
#[utoipa::path(tag = "sites", request_body = AddSite, responses((status = 201, body = Site), (status = 400, body = Problem),
    (status = 401, body = Problem), (status = 403, body = Problem), (status = 422, body = Problem)))]
#[post("/sites")]
pub async fn add_site(
    app: web::Data<App>,
    caller: Caller,
    once: Once,
    body: Body<AddSite>,
) -> Result<HttpResponse, Refused> {
    let Body(new) = body;
    let zone = new.time_zone.clone().unwrap_or_else(|| "UTC".into());
    checked(Some(&new.name), Some(&zone))?;
    let tx = app.db.begin().await?;
    if let Some(answer) = once.replay(&tx, &caller, &new).await? {
        return Ok(answer);
    }
    let site = sites::add(&tx, caller.tenant, &new.name, &zone).await?;
    audit::record(&tx, caller.tenant, &caller, "site.add", ("site", site.id, &site.name), json!({})).await?;
    let (id, location) = (site.id, Some(format!("/api/v1/sites/{}", site.id)));
    let answer = once.commit(tx, &caller, &new, (201, location, site)).await?;
    app.live.tell(Object::Site, id);
    Ok(answer)
}

/// Changes a site.
#[utoipa::path(tag = "sites", params(("id" = SiteId, Path)), request_body = ChangeSite, responses((status = 200, body = Site),
    (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 422, body = Problem)))]
#[patch("/sites/{id}")]
pub async fn change_site(
    app: web::Data<App>,
    caller: Caller,
    id: web::Path<SiteId>,
    body: Body<ChangeSite>,
) -> Result<web::Json<Site>, Refused> {
    let (id, Body(change)) = (id.into_inner(), body);
    checked(change.name.as_deref(), change.time_zone.as_deref())?;
    let tx = app.db.begin().await?;
    let site =
        sites::change(&tx, &caller.scope, id, change.name.as_deref(), change.time_zone.as_deref()).await?;
    let detail = serde_json::to_value(&change)?;
    audit::record(&tx, caller.tenant, &caller, "site.change", ("site", id, &site.name), detail).await?;
    commit(tx).await?;
    app.live.tell(Object::Site, id);
    Ok(web::Json(site))
}

/// Removes a site that no server names.
#[utoipa::path(tag = "sites", params(("id" = SiteId, Path)), responses((status = 204), (status = 401, body = Problem),
    (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)))]
#[delete("/sites/{id}")]
pub async fn remove_site(
    app: web::Data<App>,
    caller: Caller,
    id: web::Path<SiteId>,
) -> Result<HttpResponse, Refused> {
    let id = id.into_inner();
    let tx = app.db.begin().await?;
    let site = sites::get(&tx, &caller.scope, id).await?;
    sites::remove(&tx, &caller.scope, id).await?;
    audit::record(&tx, caller.tenant, &caller, "site.remove", ("site", id, &site.name), json!({})).await?;
    commit(tx).await?;
    app.live.tell(Object::Site, id);
    Ok(HttpResponse::NoContent().finish())
}

fn checked(name: Option<&str>, zone: Option<&str>) -> Result<(), Refused> {
    let mut check = Check::default();
    if let Some(name) = name {
        check.name("name", name);
    }
    if zone.is_some_and(|zone| zone.parse::<chrono_tz::Tz>().is_err()) {
        check.refuse(
            "time_zone",
            "not_a_time_zone",
            "There is no such time zone. Use a name like Europe/Berlin.",
        );
    }
    check.done()
}
