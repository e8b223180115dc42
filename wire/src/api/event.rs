//! What happened, for people.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::id::{AgentId, EndpointId, EventId, JobId, ServerId};

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Event {
    /// Id; grows with time.
    pub id: EventId,
    /// When.
    pub at: DateTime<Utc>,
    /// Stable word: `power.on`, `job.failed`, `endpoint.failing`, `server.wiring_mismatch` …
    pub kind: String,
    /// How much it matters.
    pub severity: Severity,
    /// One sentence.
    pub message: String,
    /// Who did it; absent for what happened by itself.
    pub actor: Option<String>,
    /// The server.
    pub server_id: Option<ServerId>,
    /// Its name then.
    pub server_name: Option<String>,
    /// The endpoint.
    pub endpoint_id: Option<EndpointId>,
    /// The agent.
    pub agent_id: Option<AgentId>,
    /// The job.
    pub job_id: Option<JobId>,
}

/// How much an event matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Good to know.
    Info,
    /// Someone should look.
    Warning,
    /// Someone must look now.
    Alarm,
}
