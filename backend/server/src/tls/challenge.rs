//! Answers the authority's question (RFC 8555 section 8.3) on plain HTTP, and sends everybody else to https.

use actix_web::{App as Actix, HttpRequest, HttpResponse, HttpServer, get, http::header, web};
use rackhand_store::settings;
use rackhand_wire::{Secret, Secrets};
use std::{net::SocketAddr, sync::Arc};

use crate::{Failure, app::App};

/// In the database, so that whichever replica is asked knows the answer.
const SETTING: &str = "acme_challenge";

/// Keeps the answer to a question that is about to be asked.
///
/// # Errors
/// When the database fails.
pub async fn prepare(app: &App, token: &str, answer: &str) -> rackhand_store::Result<()> {
    let mut answers = Secrets::default();
    answers.set(token, Secret::new(answer.to_owned()));
    settings::seal(app.db.writer(), app.db.keys(), SETTING, &answers).await
}

/// Serves until the process ends.
///
/// # Errors
/// When the address cannot be listened on.
pub fn listen(app: &Arc<App>, at: SocketAddr) -> Result<(), Failure> {
    let data = web::Data::from(Arc::clone(app));
    let server = HttpServer::new(move || {
        Actix::new().app_data(data.clone()).service(respond).default_service(web::to(elsewhere))
    })
    .workers(1)
    .disable_signals()
    .bind(at)
    .map_err(|error| {
        let why = format!(
            "{error}. The authority asks on port 80: free it, or name another address in acme_http_listen and \
             have port 80 forwarded there"
        );
        Failure::new(&format!("answer the ACME authority on {at}"), why)
    })?;
    actix_web::rt::spawn(server.run());
    Ok(())
}

#[get("/.well-known/acme-challenge/{token}")]
async fn respond(app: web::Data<App>, token: web::Path<String>) -> HttpResponse {
    match settings::sealed(app.db.reader(), app.db.keys(), SETTING).await {
        Ok(answers) => match answers.as_ref().and_then(|answers| answers.find(&token)) {
            Some(answer) => {
                HttpResponse::Ok().content_type("application/octet-stream").body(answer.to_owned())
            }
            None => HttpResponse::NotFound().finish(),
        },
        Err(error) => {
            tracing::error!(%error, "cannot look up the answer for the ACME authority");
            HttpResponse::ServiceUnavailable().finish()
        }
    }
}

async fn elsewhere(app: web::Data<App>, request: HttpRequest) -> HttpResponse {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let target = format!("{}{path}", app.config.public_url.trim_end_matches('/'));
    HttpResponse::PermanentRedirect().insert_header((header::LOCATION, target)).finish()
}
