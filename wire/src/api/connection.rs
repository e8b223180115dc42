//! Connections: what ties a server to an endpoint.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use serde_json::Value;

use super::endpoint::{AddEndpoint, EndpointStatus};
use crate::{
    Feature, Role,
    id::{AgentId, ConnectionId, EndpointId, ServerId},
};

/// Binds one server to one endpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Connection {
    /// Id.
    pub id: ConnectionId,
    /// The server.
    pub server_id: ServerId,
    /// The endpoint.
    pub endpoint_id: EndpointId,
    /// Its name.
    pub endpoint_name: String,
    /// Its integration.
    pub kind: String,
    /// The integration's name.
    pub kind_title: String,
    /// What it means for power.
    pub role: Role,
    /// `IPMI 10.0.0.7`, `Outlet 7 on pdu-a`.
    pub label: String,
    /// The server's place on the endpoint.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub target: Value,
    /// What is ticked.
    pub features: Vec<Feature>,
    /// Agent that executes it; absent for the endpoint's own.
    pub agent_id: Option<AgentId>,
    /// Group of agents that executes it, when it is not the endpoint's own.
    pub agent_group: Option<String>,
    /// How the endpoint was at the last look.
    pub status: EndpointStatus,
    /// When added.
    pub created_at: DateTime<Utc>,
}

/// Adds a connection to a server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct AddConnection {
    /// A saved endpoint; or `endpoint`.
    #[serde(default)]
    pub endpoint_id: Option<EndpointId>,
    /// A new endpoint made with the connection; or `endpoint_id`.
    #[serde(default, deserialize_with = "super::object::maybe")]
    pub endpoint: Option<AddEndpoint>,
    /// The server's place on the endpoint.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub target: Value,
    /// What is ticked; all that the kind offers when absent.
    #[serde(default)]
    pub features: Option<Vec<Feature>>,
    /// Agent that executes it; the endpoint's own when absent.
    #[serde(default)]
    pub agent_id: Option<AgentId>,
    /// Group of agents that executes it; the endpoint's own when absent.
    #[serde(default)]
    pub agent_group: Option<String>,
    /// Answer to "Do these outlets feed all power supplies?". Adding an outlet without it counts as no.
    #[serde(default)]
    pub feeds_complete: Option<bool>,
}

/// Changes a connection; absent fields stay.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ChangeConnection {
    /// The server's place on the endpoint.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub target: Option<Value>,
    /// What is ticked.
    #[serde(default)]
    pub features: Option<Vec<Feature>>,
    /// Agent; null for the endpoint's own.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "super::present")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<AgentId>))]
    pub agent_id: Option<Option<AgentId>>,
    /// Group of agents; null for the endpoint's own.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "super::present")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub agent_group: Option<Option<String>>,
}
