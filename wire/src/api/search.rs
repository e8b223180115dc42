//! Search over everything.

use serde::{Deserialize, Serialize};

use crate::power::{PowerFlag, PowerValue};

/// What was found, best first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SearchResult {
    /// Hits.
    pub hits: Vec<Hit>,
}

/// One hit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Hit {
    /// What it is.
    pub kind: HitKind,
    /// Its id.
    pub id: String,
    /// Name.
    pub title: String,
    /// Where it matched or what it is: `R1 · IPMI 10.0.0.7`.
    pub subtitle: String,
    /// State, for servers.
    pub power: Option<PowerValue>,
    /// What is wrong with it, for servers.
    pub flags: Vec<PowerFlag>,
}

/// What a hit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum HitKind {
    /// A server.
    Server,
    /// An endpoint.
    Endpoint,
    /// An agent.
    Agent,
    /// A site.
    Site,
    /// A user.
    User,
    /// A job.
    Job,
}

/// What to search for.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams))]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
#[serde(deny_unknown_fields)]
pub struct SearchQuery {
    /// Words, an address, an id.
    pub q: Option<String>,
    /// Hits at most, 1 to 50; 12 when absent.
    pub limit: Option<u32>,
}
