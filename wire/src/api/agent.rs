//! Agents.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::id::{AgentId, SiteId};

/// A process that touches devices.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Agent {
    /// Id.
    pub id: AgentId,
    /// Name: `local-node1`.
    pub name: String,
    /// Group that connections may name.
    pub group: String,
    /// Where it stands.
    pub site_id: Option<SiteId>,
    /// Is it there?
    pub state: AgentState,
    /// Its software.
    pub version: String,
    /// Kinds of device that it knows.
    pub kinds: Vec<String>,
    /// Endpoints that it serves.
    pub endpoints: u64,
    /// Commands that it is executing or has queued.
    pub in_flight: u64,
    /// When it was last heard.
    pub last_seen_at: Option<DateTime<Utc>>,
    /// When added.
    pub created_at: DateTime<Utc>,
}

/// Is an agent there?
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum AgentState {
    /// Connected.
    Online,
    /// Silent for a while.
    Late,
    /// Gone.
    Offline,
}
