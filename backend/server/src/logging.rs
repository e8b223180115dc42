//! Logs on standard error: for people on a terminal, JSON otherwise.

use std::io::IsTerminal;
use tracing_subscriber::{EnvFilter, fmt};

/// What is logged unless told otherwise: PostgreSQL remarks on every table that exists already.
const USUAL: &str = "info,sqlx::postgres::notice=warn";

/// Starts logging; `RACKHAND_LOG` takes the usual directives (`info,rackhand_server=debug`).
pub fn start() {
    let filter = EnvFilter::try_from_env("RACKHAND_LOG").unwrap_or_else(|_| EnvFilter::new(USUAL));
    let base = fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let result = if std::io::stderr().is_terminal() {
        base.with_target(false).compact().try_init()
    } else {
        base.json().flatten_event(true).try_init()
    };
    // Only tests start twice.
    if let Err(error) = result {
        tracing::debug!(%error, "logging was started before");
    }
}
