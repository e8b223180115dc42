//! The browser's files, embedded.

use actix_web::{HttpRequest, HttpResponse, http::Method};
use rust_embed::RustEmbed;

use super::problem::Refused;

#[derive(RustEmbed)]
#[folder = "../../frontend/dist/"]
#[allow_missing = true]
struct Files;

/// No inline script or style, nothing from elsewhere; `wasm-unsafe-eval` lets the browser compile the
/// application and nothing else.
const CSP: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' data:; \
                   connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// Serves a file, or the application's page for every address that is one of its pages.
pub async fn file(request: HttpRequest) -> Result<HttpResponse, Refused> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return Err(Refused::MethodNotAllowed);
    }
    let path = request.path().trim_start_matches('/');
    if path.starts_with("api/") {
        return Err(Refused::NotFound);
    }
    let is_file = path.contains('.');
    let name = if is_file { path } else { "index.html" };
    let brotli = accepts_brotli(&request).then(|| Files::get(&format!("{name}.br"))).flatten();
    let encoded = brotli.is_some();
    let Some(found) = brotli.or_else(|| Files::get(name)) else {
        return if is_file { Err(Refused::NotFound) } else { Ok(not_built()) };
    };
    let mut response = HttpResponse::Ok();
    response
        .content_type(content_type(name))
        .insert_header(("vary", "accept-encoding"))
        .insert_header(("content-security-policy", CSP))
        .insert_header(("x-content-type-options", "nosniff"))
        .insert_header(("referrer-policy", "same-origin"));
    // Names of files carry their hash, so they never change; the page names the files of the day.
    let cache = if name == "index.html" { "no-cache" } else { "public, max-age=31536000, immutable" };
    response.insert_header(("cache-control", cache));
    if encoded {
        response.insert_header(("content-encoding", "br"));
    }
    Ok(response.body(found.data.into_owned()))
}

fn accepts_brotli(request: &HttpRequest) -> bool {
    let accepted = request.headers().get("accept-encoding").and_then(|value| value.to_str().ok());
    accepted.is_some_and(|list| list.split(',').any(|one| one.trim().split(';').next() == Some("br")))
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("wasm") => "application/wasm",
        Some("svg") => "image/svg+xml",
        Some("json") => "application/json",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

fn not_built() -> HttpResponse {
    HttpResponse::ServiceUnavailable().content_type("text/plain; charset=utf-8").body(
        "This build has no web interface in it. Run `cargo xtask ui` and build again.\n\
         The API works: /api/docs\n",
    )
}
