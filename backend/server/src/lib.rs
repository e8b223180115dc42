//! The backend: the REST API, the browser's files, jobs and the embedded agent.
//!
//! Handlers extract, authorise, make one call and map; decisions are in `rackhand-domain`, rows in
//! `rackhand-store`, devices behind the agent. Start with [`app`] (what is shared), [`http`] (the
//! routes) and [`work`] (performs what the power machine asks for).

mod agents;
mod app;
mod audit;
mod bus;
pub mod cli;
mod config;
mod http;
mod live;
mod logging;
mod peers;
mod secret;
mod serve;
mod tls;
mod work;

use std::fmt;

/// Why a command failed: what was tried, and the cause.
#[derive(Debug)]
pub struct Failure {
    what: String,
    cause: String,
}

impl Failure {
    /// Makes a failure: "could not WHAT: CAUSE".
    pub fn new(what: &str, cause: impl fmt::Display) -> Self {
        Self { what: what.to_owned(), cause: cause.to_string() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "could not {}: {}", self.what, self.cause)
    }
}

impl std::error::Error for Failure {}

impl From<rackhand_store::Error> for Failure {
    fn from(error: rackhand_store::Error) -> Self {
        let mut cause = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(error) = source {
            cause = format!("{cause}: {error}");
            source = error.source();
        }
        Self::new("use the database", cause)
    }
}
