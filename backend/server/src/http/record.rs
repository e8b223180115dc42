//! Jobs, events, audit, search and settings.

use actix_web::{HttpResponse, get, patch, post, web};
use rackhand_store::{audit as records, events, jobs, search, settings, users};
use rackhand_wire::{
    api::{
        audit::AuditRecord,
        event::Event,
        job::Job,
        live::Object,
        page::{ListQuery, Page},
        problem::Problem,
        search::{SearchQuery, SearchResult},
        settings::{ChangeSettings, Settings},
    },
    id::JobId,
};
use serde_json::json;

use super::{
    body::Body, caller::Caller, check::Check, once::Once, people::commit, problem::Refused, query::Query,
};
use crate::{app::App, audit, bus::Notice, work};

/// Lists jobs, newest first. Tokens of `q`: `server:ID`, `state:running`, `kind:power`, `action:off`.
#[utoipa::path(tag = "jobs", params(ListQuery), responses((status = 200, body = Page<Job>), (status = 401, body = Problem), (status = 422, body = Problem)))]
#[get("/jobs")]
pub async fn list_jobs(
    app: web::Data<App>,
    caller: Caller,
    query: Query<ListQuery>,
) -> Result<web::Json<Page<Job>>, Refused> {
    Ok(web::Json(jobs::list(app.db.reader(), &caller.scope, &query.0).await?))
}

/// Shows one job with its steps.
#[utoipa::path(tag = "jobs", params(("id" = JobId, Path)), responses((status = 200, body = Job), (status = 401, body = Problem), (status = 404, body = Problem)))]
#[get("/jobs/{id}")]
pub async fn view_job(
    app: web::Data<App>,
    caller: Caller,
    id: web::Path<JobId>,
) -> Result<web::Json<Job>, Refused> {
    Ok(web::Json(jobs::get(app.db.reader(), &caller.scope, id.into_inner()).await?))
}

/// Asks a job to stop. One that waits for its turn ends at once, another one between steps; after an outlet was
/// cut, only once it is on again.
#[utoipa::path(tag = "jobs", params(("id" = JobId, Path)), responses((status = 202, body = Job), (status = 401, body = Problem),
    (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
#[post("/jobs/{id}/cancel")]
pub async fn cancel_job(
    app: web::Data<App>,
    caller: Caller,
    once: Once,
    id: web::Path<JobId>,
) -> Result<HttpResponse, Refused> {
    let id = id.into_inner();
    let tx = app.db.begin().await?;
    if let Some(answer) = once.replay(&tx, &caller, &()).await? {
        return Ok(answer);
    }
    if !jobs::request_cancel(&tx, &caller.scope, id).await? {
        return Err(Refused::Conflict("job_is_over", "The job is over already.".into()));
    }
    work::queue::withdraw(&tx, id).await?;
    let job = jobs::get(&tx, &caller.scope, id).await?;
    audit::record(&tx, caller.tenant, &caller, "job.cancel", ("job", id, &job.title), json!({})).await?;
    let location = Some(format!("/api/v1/jobs/{id}"));
    let answer = once.commit(tx, &caller, &(), (202, location, job)).await?;
    app.engine.cancel_anywhere(id);
    app.live.tell(Object::Event, id);
    app.live.tell(Object::Job, id);
    Ok(answer)
}

/// Lists events, newest first. Tokens of `q`: `server:ID`, `endpoint:ID`, `agent:ID`, `job:ID`, `severity:alarm`, `kind:power`.
#[utoipa::path(tag = "events", params(ListQuery), responses((status = 200, body = Page<Event>), (status = 401, body = Problem), (status = 422, body = Problem)))]
#[get("/events")]
pub async fn list_events(
    app: web::Data<App>,
    caller: Caller,
    query: Query<ListQuery>,
) -> Result<web::Json<Page<Event>>, Refused> {
    Ok(web::Json(events::list(app.db.reader(), &caller.scope, &query.0).await?))
}

/// Lists audit records, newest first. Tokens of `q`: `object:server/ID`, `actor:NAME`, `action:server.`.
#[utoipa::path(tag = "audit", params(ListQuery), responses((status = 200, body = Page<AuditRecord>), (status = 401, body = Problem), (status = 422, body = Problem)))]
#[get("/audit")]
pub async fn list_audit(
    app: web::Data<App>,
    caller: Caller,
    query: Query<ListQuery>,
) -> Result<web::Json<Page<AuditRecord>>, Refused> {
    Ok(web::Json(records::list(app.db.reader(), &caller.scope, &query.0).await?))
}

/// Finds anything by name, address or id.
#[utoipa::path(tag = "search", params(SearchQuery), responses((status = 200, body = SearchResult), (status = 401, body = Problem), (status = 422, body = Problem)))]
#[get("/search")]
pub async fn find(
    app: web::Data<App>,
    caller: Caller,
    query: Query<SearchQuery>,
) -> Result<web::Json<SearchResult>, Refused> {
    let limit = query.0.limit.unwrap_or(12);
    Check::default().range("limit", limit, 1, 50).done()?;
    let text = query.0.q.unwrap_or_default();
    let hits = search::find(app.db.reader(), &caller.scope, &text, limit.into()).await?;
    Ok(web::Json(SearchResult { hits }))
}

/// Shows the settings.
#[utoipa::path(tag = "settings", responses((status = 200, body = Settings), (status = 401, body = Problem)))]
#[get("/settings")]
pub async fn view_settings(app: web::Data<App>, caller: Caller) -> Result<web::Json<Settings>, Refused> {
    all(&app, &caller).await.map(web::Json)
}

async fn all(app: &App, caller: &Caller) -> Result<Settings, Refused> {
    Ok(Settings {
        installation: app.settings(),
        user: users::settings(app.db.reader(), &caller.scope, caller.user.id).await?,
        version: env!("CARGO_PKG_VERSION").into(),
        public_url: app.config.public_url.clone(),
    })
}

/// Changes settings; absent groups stay.
#[utoipa::path(tag = "settings", request_body = ChangeSettings, responses((status = 200, body = Settings), (status = 400, body = Problem),
    (status = 401, body = Problem), (status = 403, body = Problem), (status = 422, body = Problem)))]
#[patch("/settings")]
pub async fn change_settings(
    app: web::Data<App>,
    caller: Caller,
    body: Body<ChangeSettings>,
) -> Result<web::Json<Settings>, Refused> {
    let Body(change) = body;
    check(&change)?;
    let tx = app.db.begin().await?;
    if let Some(installation) = &change.installation {
        settings::set_installation(&tx, installation).await?;
        let detail = serde_json::to_value(installation)?;
        let object = ("settings", "installation", "installation");
        audit::record(&tx, caller.tenant, &caller, "settings.change", object, detail).await?;
    }
    if let Some(user) = &change.user {
        users::set_settings(&tx, &caller.scope, caller.user.id, user).await?;
    }
    commit(tx).await?;
    if let Some(installation) = change.installation {
        app.use_settings(installation);
        app.peers.bus.tell(Notice::Settings);
    }
    app.live.tell(Object::Settings, caller.user.id);
    all(&app, &caller).await.map(web::Json)
}

fn check(change: &ChangeSettings) -> Result<(), Refused> {
    let mut check = Check::default();
    if let Some(installation) = &change.installation {
        check
            .range("installation.poll_interval_s", installation.poll_interval_s, 30, 3600)
            .range("installation.soft_deadline_s", installation.soft_deadline_s, 30, 600)
            .range("installation.discharge_s", installation.discharge_s, 5, 60)
            .range("installation.agent_renewal_days", installation.agent_renewal_days, 1, 365);
    }
    if let Some(user) = &change.user {
        if user.saved_filters.len() > 50 {
            check.refuse("user.saved_filters", "too_many", "At most 50 filters can be saved.");
        }
        for (at, filter) in user.saved_filters.iter().enumerate() {
            check.name(&format!("user.saved_filters[{at}].name"), &filter.name).text(
                &format!("user.saved_filters[{at}].q"),
                &filter.q,
                500,
            );
        }
    }
    check.done()
}
