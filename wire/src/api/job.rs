//! Jobs: durable work with steps that a person can watch.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use serde_json::Value;

use super::{power::Via, server::ServerBrief};
use crate::{
    PowerAction,
    fault::FaultCode,
    id::{EndpointId, JobId, StepId},
};

/// Durable work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Job {
    /// Id.
    pub id: JobId,
    /// What kind of work.
    pub kind: JobKind,
    /// How it stands.
    pub state: JobState,
    /// The server, for power.
    pub server: Option<ServerBrief>,
    /// The endpoint, for a test.
    pub endpoint_id: Option<EndpointId>,
    /// The action, for power.
    pub action: Option<PowerAction>,
    /// Which paths, for power.
    pub via: Option<Via>,
    /// `Power cycle srv-03`.
    pub title: String,
    /// Who asked.
    pub requested_by: String,
    /// Stable word for the outcome: `soft_timeout`, `feeds_restored` …
    pub reason: Option<String>,
    /// One sentence on how it ended.
    pub summary: Option<String>,
    /// What the success rests on.
    pub proof: Option<Proof>,
    /// Result of work that answers something (a test's `TestResult`).
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub result: Option<Value>,
    /// Whether cancel would still do something.
    pub cancellable: bool,
    /// Cancel was asked for; the job finishes to a safe state.
    pub cancel_requested: bool,
    /// Steps, in order; only when one job is asked for.
    pub steps: Vec<Step>,
    /// When accepted.
    pub created_at: DateTime<Utc>,
    /// When begun.
    pub started_at: Option<DateTime<Utc>>,
    /// When over.
    pub finished_at: Option<DateTime<Utc>>,
    /// Rises with each change.
    pub version: u64,
}

impl Job {
    /// The title without the server's name, for where that is named anyway.
    #[must_use]
    pub fn deed(&self) -> &str {
        let named = self.server.as_ref().and_then(|server| self.title.strip_suffix(server.name.as_str()));
        named.and_then(|rest| rest.strip_suffix(' ')).unwrap_or(&self.title)
    }
}

/// What kind of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum JobKind {
    /// A power action.
    Power,
    /// A test of an endpoint.
    EndpointTest,
}

/// How a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Waits for its turn.
    Queued,
    /// Under way.
    Running,
    /// Done, and read back.
    Succeeded,
    /// Done, but redundancy is lost.
    SucceededDegraded,
    /// Not done; everything is as it was.
    Failed,
    /// Not done, and not everything could be put back.
    FailedPartial,
    /// Sent, but nobody can tell whether it happened.
    Indeterminate,
    /// Ended by a person before it changed anything, or after it was put back.
    Cancelled,
    /// Too old before it could begin.
    Expired,
}

impl JobState {
    /// Says whether nothing more will happen.
    #[must_use]
    pub fn is_over(self) -> bool {
        match self {
            Self::Queued | Self::Running => false,
            Self::Succeeded
            | Self::SucceededDegraded
            | Self::Failed
            | Self::FailedPartial
            | Self::Indeterminate
            | Self::Cancelled
            | Self::Expired => true,
        }
    }

    /// Every state, in the order of a job's life.
    pub const ALL: [Self; 9] = [
        Self::Queued,
        Self::Running,
        Self::Succeeded,
        Self::SucceededDegraded,
        Self::Failed,
        Self::FailedPartial,
        Self::Indeterminate,
        Self::Cancelled,
        Self::Expired,
    ];

    /// The word of the API.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::SucceededDegraded => "succeeded_degraded",
            Self::Failed => "failed",
            Self::FailedPartial => "failed_partial",
            Self::Indeterminate => "indeterminate",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
        }
    }
}

/// What a success rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Proof {
    /// A controller read the state after the last write.
    Controller,
    /// The outlets were read; the machine itself could not be asked.
    Feeds,
    /// Only the acknowledgement (NMI has no state to read).
    Acknowledged,
}

/// One step of a job: decided, stored, then done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Step {
    /// Id.
    pub id: StepId,
    /// Position, from 1.
    pub seq: u32,
    /// Phase that it belongs to: `Controller`, `Check feeds`, `Cut feeds`, `Wait`, `Restore feeds`, `Verify`.
    pub phase: String,
    /// What is done: `Read outlet 7 on pdu-a`.
    pub title: String,
    /// Why: `BMC silent for 20 s, command never sent`.
    pub reason: String,
    /// Label of the path it goes through; absent for waits.
    pub path: Option<String>,
    /// How it went; absent while it runs.
    pub outcome: Option<StepOutcome>,
    /// Fault code, when it failed.
    pub fault: Option<FaultCode>,
    /// What came back, in words.
    pub detail: String,
    /// When begun.
    pub started_at: DateTime<Utc>,
    /// When over.
    pub finished_at: Option<DateTime<Utc>>,
    /// For a wait: how long at most, in milliseconds.
    pub wait_ms: Option<u64>,
}

/// How a step went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum StepOutcome {
    /// As hoped.
    Ok,
    /// Failed.
    Failed,
    /// Nobody can tell.
    Unclear,
    /// Ended before its end: by a restart of the backend, or by a person who stopped it before it was sent.
    Interrupted,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn job(title: &str, server: &Value) -> Job {
        let id = "0193a6a0-0000-7000-8000-000000000001";
        serde_json::from_value(json!({
            "id": id, "kind": "power", "state": "running", "server": server, "endpoint_id": null, "action": null,
            "via": null, "title": title, "requested_by": "ada", "reason": null, "summary": null, "proof": null,
            "result": null, "cancellable": false, "cancel_requested": false, "steps": [],
            "created_at": "2026-11-27T00:00:00Z", "started_at": null, "finished_at": null, "version": 1
        }))
        .unwrap()
    }

    #[test]
    fn a_deed_leaves_the_name_of_its_server_out() {
        let server = json!({"id": "0193a6a0-0000-7000-8000-000000000002", "name": "srv-03"});
        assert_eq!(job("Power cycle srv-03", &server).deed(), "Power cycle");
        assert_eq!(job("Test pdu-a", &Value::Null).deed(), "Test pdu-a");
        assert_eq!(job("Power cycle old-srv-03", &server).deed(), "Power cycle old-srv-03", "renamed since");
    }
}
