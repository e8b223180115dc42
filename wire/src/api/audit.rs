//! Who did what, hash-chained.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// One audit record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuditRecord {
    /// Position in the tenant's chain, from 1.
    pub seq: u64,
    /// When.
    pub at: DateTime<Utc>,
    /// Who: user name, `token:prefix` or `system`.
    pub actor: String,
    /// From where.
    pub source_ip: Option<String>,
    /// Stable word: `server.power.off`, `endpoint.change` …
    pub action: String,
    /// What it was done to: `server/0190…`.
    pub object: String,
    /// Its name then.
    pub object_name: String,
    /// Details without secrets.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>, required))]
    pub detail: serde_json::Value,
    /// Request that caused it.
    pub request_id: Option<String>,
    /// Hash of the record before, in hex.
    pub previous_hash: String,
    /// Hash of this record, in hex.
    pub hash: String,
}
