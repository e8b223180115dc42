//! Health and metrics.

use actix_web::{HttpRequest, HttpResponse, get, web};
use rackhand_store::{Scope, endpoints, servers};
use rackhand_wire::api::page::ListQuery;
use std::{fmt::Write, net::IpAddr};

use super::{caller::Caller, problem::Refused};
use crate::app::App;

/// The process is alive.
#[get("/healthz")]
pub async fn healthz() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; charset=utf-8").body("ok\n")
}

/// The process can accept work: the database answers.
#[get("/readyz")]
pub async fn readyz(app: web::Data<App>) -> HttpResponse {
    match app.db.ping().await {
        Ok(()) => HttpResponse::Ok().content_type("text/plain; charset=utf-8").body("ready\n"),
        Err(error) => {
            tracing::error!(%error, "the database does not answer");
            HttpResponse::ServiceUnavailable()
                .content_type("text/plain; charset=utf-8")
                .body("the database does not answer\n")
        }
    }
}

/// Metrics for Prometheus: from loopback, or with a token.
#[get("/metrics")]
pub async fn metrics(
    app: web::Data<App>,
    request: HttpRequest,
    caller: Result<Caller, Refused>,
) -> Result<HttpResponse, Refused> {
    let peer = request.peer_addr().map(|peer| peer.ip());
    if !is_local(peer, &app.config.trusted_proxies) {
        caller?;
    }
    let everything = Scope::provider();
    let tally = servers::tally(app.db.reader(), &everything, None).await?;
    let mut text = String::new();
    let mut gauge = |name: &str, help: &str, rows: &[(&str, u64)]| {
        writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge").ok();
        for (labels, value) in rows {
            writeln!(text, "{name}{labels} {value}").ok();
        }
    };
    gauge("rackhand_uptime_seconds", "Seconds since the start.", &[("", app.started.elapsed().as_secs())]);
    gauge(
        "rackhand_servers",
        "Servers by power state.",
        &[
            ("{state=\"on\"}", tally.on),
            ("{state=\"off\"}", tally.off),
            ("{state=\"fed\"}", tally.fed),
            ("{state=\"unknown\"}", tally.unknown),
        ],
    );
    gauge("rackhand_servers_attention", "Servers that need a person.", &[("", tally.attention)]);
    let failing = ListQuery { q: Some("status:failing".into()), limit: Some(500), ..ListQuery::default() };
    let failing = endpoints::list(app.db.reader(), &everything, &failing).await?.items.len();
    gauge(
        "rackhand_endpoints_failing",
        "Endpoints that do not answer (counted up to 500).",
        &[("", u64::try_from(failing).unwrap_or(u64::MAX))],
    );
    if let Some(agent) = app.embedded {
        gauge("rackhand_agent_in_flight", "Commands under way.", &[("", app.roster.in_flight(agent))]);
    }
    Ok(HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(text))
}

/// Behind a trusted proxy every peer is loopback, so there only a token counts.
fn is_local(peer: Option<IpAddr>, trusted_proxies: &[IpAddr]) -> bool {
    trusted_proxies.is_empty() && peer.is_some_and(|peer| peer.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_without_a_proxy_in_front_needs_no_token() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        for (peer, expected) in [
            ("127.0.0.1", true),
            ("127.9.9.9", true),
            ("::1", true),
            ("::ffff:127.0.0.1", true),
            ("192.0.2.7", false),
            ("10.0.0.1", false),
            ("::ffff:192.0.2.7", false),
            ("fe80::1", false),
        ] {
            assert_eq!(is_local(Some(ip(peer)), &[]), expected, "{peer}");
            assert!(!is_local(Some(ip(peer)), &[ip("127.0.0.1")]), "{peer} behind a proxy");
        }
        assert!(!is_local(None, &[]));
    }
}
