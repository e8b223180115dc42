//! Servers.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    id::{AgentId, JobId, ServerId, SiteId},
    power::{Confidence, PowerFlag, PowerValue, ServerPower},
};

/// A machine, as a row of the list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ServerRow {
    /// Id.
    pub id: ServerId,
    /// Name, unique within the tenant.
    pub name: String,
    /// Label of the rack.
    pub rack: String,
    /// Where it stands.
    pub site_id: Option<SiteId>,
    /// Name of the site.
    pub site_name: Option<String>,
    /// Free words.
    pub tags: Vec<String>,
    /// State.
    pub power: PowerValue,
    /// How sure.
    pub confidence: Confidence,
    /// What needs a person.
    pub flags: Vec<PowerFlag>,
    /// When the path that the state rests on last answered.
    pub checked_at: Option<DateTime<Utc>>,
    /// Labels of its power paths: `IPMI 10.0.0.7`, `Outlet 7 on pdu-a`, with their trouble.
    pub paths: Vec<PathBrief>,
    /// The job that is under way.
    pub active_job_id: Option<JobId>,
    /// Rises with each change of configuration.
    pub version: u64,
}

/// A power path in a row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PathBrief {
    /// Label.
    pub label: String,
    /// Whether it answered at the last look; absent when it was never asked.
    pub ok: Option<bool>,
    /// Whether it is an outlet that read off then.
    pub is_off: bool,
    /// Whether nobody asks it at the moment, because its agent is away.
    pub agent_away: bool,
}

/// Name and id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ServerBrief {
    /// Id.
    pub id: ServerId,
    /// Name.
    pub name: String,
}

/// A machine with everything about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Server {
    /// Id.
    pub id: ServerId,
    /// Name, unique within the tenant.
    pub name: String,
    /// Label of the rack.
    pub rack: String,
    /// Where it stands.
    pub site_id: Option<SiteId>,
    /// Name of the site.
    pub site_name: Option<String>,
    /// Free words.
    pub tags: Vec<String>,
    /// Free text for colleagues.
    pub notes: String,
    /// State and what it rests on.
    pub power: ServerPower,
    /// A person said that the connected outlets feed all power supplies.
    pub feeds_complete: bool,
    /// Automatic fallback to the outlets is allowed.
    pub fallback_enabled: bool,
    /// Power actions are refused: someone works on it.
    pub maintenance: bool,
    /// The one remote agent through which every path goes; absent when there are others.
    pub only_agent: Option<OnlyAgent>,
    /// The job that is under way.
    pub active_job_id: Option<JobId>,
    /// Rises with each change of configuration; send it back to refuse lost updates.
    pub version: u64,
    /// When added.
    pub created_at: DateTime<Utc>,
}

/// The only agent that reaches a machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OnlyAgent {
    /// Id.
    pub id: AgentId,
    /// Name.
    pub name: String,
}

/// Adds a machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct AddServer {
    /// Name, unique within the tenant.
    pub name: String,
    /// Label of the rack.
    #[serde(default)]
    pub rack: String,
    /// Where it stands.
    #[serde(default)]
    pub site_id: Option<SiteId>,
    /// Free words.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Free text for colleagues.
    #[serde(default)]
    pub notes: String,
}

/// Changes a machine; absent fields stay.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ChangeServer {
    /// Name.
    #[serde(default)]
    pub name: Option<String>,
    /// Label of the rack.
    #[serde(default)]
    pub rack: Option<String>,
    /// Where it stands; null for nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "super::present")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<SiteId>))]
    pub site_id: Option<Option<SiteId>>,
    /// Free words.
    #[serde(default)]
    pub tags: Option<Vec<String>>,
    /// Free text.
    #[serde(default)]
    pub notes: Option<String>,
    /// Answer to "Do these outlets feed all power supplies?".
    #[serde(default)]
    pub feeds_complete: Option<bool>,
    /// Allows automatic fallback to the outlets.
    #[serde(default)]
    pub fallback_enabled: Option<bool>,
    /// Refuses power actions.
    #[serde(default)]
    pub maintenance: Option<bool>,
    /// True confirms the wiring after a mismatch was shown: fallback is possible again.
    #[serde(default)]
    pub confirm_wiring: bool,
    /// Refuses the change when the server has another version by now.
    #[serde(default)]
    pub version: Option<u64>,
}

/// How many servers are in which state, under the same filter as the list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Tally {
    /// All.
    pub total: u64,
    /// On.
    pub on: u64,
    /// Off.
    pub off: u64,
    /// Fed.
    pub fed: u64,
    /// Unknown.
    pub unknown: u64,
    /// With at least one flag that needs a person.
    pub attention: u64,
}
