//! The routes: one file per resource. A handler extracts, authorises, makes one call and maps.

mod agent_groups;
mod agent_line;
mod agents;
mod away;
mod body;
mod busy;
pub mod caller;
mod check;
mod connections;
pub mod crowd;
mod endpoints;
mod health;
mod hosts;
mod kinds;
pub mod limit;
mod live;
mod moved;
mod once;
mod openapi;
pub mod people;
mod places;
mod power;
pub mod problem;
mod query;
mod record;
mod servers;
mod session;
mod ui;

use actix_web::{
    Error,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::header::{HeaderName, HeaderValue},
    middleware::Next,
    web,
};
use problem::{REQUEST_ID, Refused};
use rackhand_wire::api::live::Object;

use crate::app::App;

pub use agents::{agent_key, enrol_command, keep_token, pinned};
pub use openapi::document;

/// Adds every route.
pub fn routes(config: &mut web::ServiceConfig) {
    config
        .app_data(web::PayloadConfig::new(256 * 1024))
        // An id that is none names nothing.
        .app_data(web::PathConfig::default().error_handler(|_, _| Refused::NotFound.into()))
        .service(health::healthz)
        .service(health::readyz)
        .service(health::metrics)
        .service(openapi::raw)
        .service(openapi::docs)
        .service(openapi::swagger())
        .service(agent_line::enrol)
        .service(agent_line::link)
        .service(web::scope("/api/v1").configure(api).default_service(web::to(unknown)))
        .default_service(web::to(ui::file));
}

async fn unknown() -> Result<actix_web::HttpResponse, Refused> {
    Err(Refused::NotFound)
}

fn api(config: &mut web::ServiceConfig) {
    config
        .service(session::view)
        .service(session::sign_in)
        .service(session::sign_out)
        .service(session::setup_state)
        .service(session::setup)
        .service(people::list_users)
        .service(people::add_user)
        .service(people::view_user)
        .service(people::change_user)
        .service(people::remove_user)
        .service(people::list_tokens)
        .service(people::add_token)
        .service(people::view_token)
        .service(people::remove_token)
        .service(places::list_sites)
        .service(places::view_site)
        .service(places::add_site)
        .service(places::change_site)
        .service(places::remove_site)
        .service(agent_groups::list_groups)
        .service(agent_groups::describe_group)
        .service(agents::list)
        .service(agents::view)
        .service(agents::add)
        .service(agents::change)
        .service(agents::replace)
        .service(agents::revoke)
        .service(agents::remove)
        .service(agents::log)
        .service(agents::assignments)
        .service(agents::probe)
        .service(agents::firewall)
        .service(kinds::list)
        .service(kinds::suggest)
        .service(servers::list)
        .service(servers::tally)
        .service(servers::view)
        .service(servers::add)
        .service(servers::change)
        .service(servers::remove)
        .service(connections::list)
        .service(connections::view)
        .service(connections::add)
        .service(connections::change)
        .service(connections::remove)
        .service(power::plan)
        .service(power::refresh)
        .service(power::view)
        .service(power::start)
        .service(endpoints::test)
        .service(endpoints::list)
        .service(endpoints::view)
        .service(endpoints::add)
        .service(endpoints::change)
        .service(endpoints::remove)
        .service(endpoints::outlets)
        .service(record::list_jobs)
        .service(record::view_job)
        .service(record::cancel_job)
        .service(record::list_events)
        .service(record::list_audit)
        .service(record::find)
        .service(record::view_settings)
        .service(record::change_settings)
        .service(live::live);
}

/// Gives every request an id, logs how it went, keeps answers of the API out of caches, and tells pages that show who
/// did what of every deed.
///
/// # Errors
/// Those of the request.
pub async fn observed(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let id = rackhand_store::fresh_id().to_string();
    let (method, path) = (request.method().clone(), request.path().to_owned());
    let begun = std::time::Instant::now();
    let header = HeaderValue::from_str(&id).ok();
    let app = request.app_data::<web::Data<App>>().cloned();
    let mut response = REQUEST_ID.scope(id.clone(), next.call(request)).await?;
    if let Some(header) = header {
        response.headers_mut().insert(HeaderName::from_static("x-request-id"), header);
    }
    if path.starts_with("/api/") && !response.headers().contains_key("cache-control") {
        let value = HeaderValue::from_static("no-store");
        response.headers_mut().insert(HeaderName::from_static("cache-control"), value);
    }
    if let Some(app) = app.filter(|_| !method.is_safe() && response.status().is_success()) {
        app.live.tell(Object::Record, &id);
    }
    let status = response.status().as_u16();
    let ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    if status >= 500 {
        tracing::error!(%method, path, status, ms, request_id = id, "request");
    } else {
        tracing::debug!(%method, path, status, ms, request_id = id, "request");
    }
    Ok(response)
}
