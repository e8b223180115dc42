//! Errors (RFC 9457 `application/problem+json`).

use serde::{Deserialize, Serialize};

use crate::FieldError;

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Problem {
    /// URI of the kind of problem.
    #[serde(rename = "type")]
    pub kind: String,
    /// One sentence for a person.
    pub title: String,
    /// HTTP status.
    pub status: u16,
    /// Stable word: `not_found`, `validation_failed`, `conflict` …
    pub code: String,
    /// More, where there is more; never a stack or an internal message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Quote it to find the log line.
    pub request_id: String,
    /// One entry per wrong field.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// The job that stands in the way, for `power_conflict`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_id: Option<crate::id::JobId>,
}
