//! Logs on standard error. Those of the server are for people on a terminal, JSON otherwise; a command that
//! ends by itself is run by a person or a script, and says only what needs attention, as plain lines.

use std::io::IsTerminal;
use tracing_subscriber::{EnvFilter, fmt};

/// What is logged unless told otherwise: PostgreSQL remarks on every table that exists already.
const USUAL: &str = "info,sqlx::postgres::notice=warn";

/// Starts the server's log; `RACKHAND_LOG` takes the usual directives (`info,rackhand_server=debug`).
pub fn start() {
    let base = fmt().with_env_filter(filter(USUAL)).with_writer(std::io::stderr);
    started(if std::io::stderr().is_terminal() {
        base.with_target(false).compact().try_init()
    } else {
        base.json().flatten_event(true).try_init()
    });
}

/// Starts the log of a command that ends by itself.
pub fn start_plain() {
    let base = fmt().with_env_filter(filter("warn")).with_writer(std::io::stderr);
    started(
        base.without_time()
            .with_target(false)
            .with_ansi(std::io::stderr().is_terminal())
            .compact()
            .try_init(),
    );
}

fn filter(usual: &str) -> EnvFilter {
    EnvFilter::try_from_env("RACKHAND_LOG").unwrap_or_else(|_| EnvFilter::new(usual))
}

fn started(result: Result<(), Box<dyn std::error::Error + Send + Sync>>) {
    // Only tests start twice.
    if let Err(error) = result {
        tracing::debug!(%error, "logging was started before");
    }
}
