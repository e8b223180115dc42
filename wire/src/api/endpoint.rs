//! Endpoints: what is added once and controls servers.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use serde_json::Value;
use std::collections::BTreeMap;

use crate::{
    Fault,
    id::{AgentId, EndpointId},
    operation::Identity,
    power::OutletReading,
};

/// A BMC, PDU, switch, hypervisor or account.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Endpoint {
    /// Id.
    pub id: EndpointId,
    /// Integration.
    pub kind: String,
    /// Name.
    pub name: String,
    /// Agent that reaches it; absent for any agent of `agent_group`.
    pub agent_id: Option<AgentId>,
    /// Group of agents that reaches it, when no single one is named; absent for `local`.
    pub agent_group: Option<String>,
    /// Parameters without secrets.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub params: Value,
    /// Names of the secrets that are set.
    pub secrets_set: Vec<String>,
    /// Address shown in lists.
    pub address: Option<String>,
    /// How it was at the last look.
    pub status: EndpointStatus,
    /// Connections that use it.
    pub connections: u64,
    /// Rises with each change; send it back to refuse lost updates.
    pub version: u64,
    /// When added.
    pub created_at: DateTime<Utc>,
}

/// How an endpoint was at the last look.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EndpointStatus {
    /// In one word.
    pub state: EndpointState,
    /// The exact failure.
    pub fault: Option<Fault>,
    /// What it said of itself.
    pub identity: Option<Identity>,
    /// When it was looked at.
    pub checked_at: Option<DateTime<Utc>>,
    /// Nobody looks at it at the moment: whoever reaches it is away.
    pub agent_away: bool,
}

/// An endpoint's state in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum EndpointState {
    /// Answers.
    Ok,
    /// Does not.
    Failing,
    /// Was never asked.
    Unchecked,
}

/// Adds an endpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct AddEndpoint {
    /// Integration.
    pub kind: String,
    /// Name; the address when absent.
    #[serde(default)]
    pub name: Option<String>,
    /// Agent that reaches it; absent for any agent of `agent_group`.
    #[serde(default)]
    pub agent_id: Option<AgentId>,
    /// Group of agents that reaches it, when no single one is named; absent for `local`.
    #[serde(default)]
    pub agent_group: Option<String>,
    /// Parameters by field name.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub params: Value,
    /// Secrets by field name.
    #[serde(default)]
    pub secrets: BTreeMap<String, String>,
}

/// Changes an endpoint; absent fields stay.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ChangeEndpoint {
    /// Name.
    #[serde(default)]
    pub name: Option<String>,
    /// Agent; null for any agent of the group.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "super::present")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<AgentId>))]
    pub agent_id: Option<Option<AgentId>>,
    /// Group of agents; null for `local`.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "super::present")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub agent_group: Option<Option<String>>,
    /// Parameters, replaced as a whole.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub params: Option<Value>,
    /// Secrets to replace; null removes one; those not named stay.
    #[serde(default)]
    pub secrets: BTreeMap<String, Option<String>>,
    /// Pins the identity that it tells at the next look, after a device was replaced.
    #[serde(default)]
    pub accept_identity: bool,
    /// Refuses the change when the endpoint has another version by now.
    #[serde(default)]
    pub version: Option<u64>,
}

/// Tries an endpoint before or after it is saved; answered by a job whose result is [`TestResult`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct TestEndpoint {
    /// A saved endpoint; its saved secrets stand in for those that are absent below.
    #[serde(default)]
    pub endpoint_id: Option<EndpointId>,
    /// Integration; needed without `endpoint_id`.
    #[serde(default)]
    pub kind: Option<String>,
    /// Agent that shall try.
    #[serde(default)]
    pub agent_id: Option<AgentId>,
    /// Group of which one agent shall try.
    #[serde(default)]
    pub agent_group: Option<String>,
    /// Parameters; those saved when absent.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub params: Option<Value>,
    /// Secrets.
    #[serde(default)]
    pub secrets: BTreeMap<String, String>,
    /// A server's place on it, to be read too.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub target: Option<Value>,
}

/// What a test found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TestResult {
    /// What the device said of itself.
    pub identity: Option<Identity>,
    /// Its outlets, where it has any.
    pub outlets: Vec<OutletReading>,
    /// What was read at the target, in words: `on, 143 W`.
    pub reading: Option<String>,
    /// Why it failed, when it did.
    pub fault: Option<Fault>,
    /// What a success leaves unproven, in a sentence: a test only reads.
    pub unproven: Option<String>,
    /// Route, port, protocol and credentials, each for itself and in this order.
    pub stages: Vec<Stage>,
    /// Round trip as the agent saw it, in milliseconds.
    pub took_ms: u64,
}

/// One thing that must be right before a device answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Stage {
    /// Which.
    pub of: StageName,
    /// How it stands.
    pub state: StageState,
    /// The fault, or what stands in the way of an answer; empty when there is nothing to say.
    pub detail: String,
}

/// What must be right before a device answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum StageName {
    /// There is a way to its address.
    Route,
    /// Something listens there.
    Port,
    /// It speaks what is expected.
    Protocol,
    /// It lets the agent in.
    Credentials,
}

/// How a stage stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum StageState {
    /// Right.
    Ok,
    /// Wrong.
    Failed,
    /// An earlier stage stands in the way.
    NotReached,
    /// Nothing that came back tells.
    NotKnown,
}

/// Outlets of an endpoint as last read, with the servers that they feed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EndpointOutlets {
    /// In the device's order.
    pub outlets: Vec<FedOutlet>,
    /// When they were read.
    pub checked_at: Option<DateTime<Utc>>,
}

/// An outlet and whom it feeds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FedOutlet {
    /// As the device tells.
    pub reading: OutletReading,
    /// Servers connected to it.
    pub servers: Vec<super::server::ServerBrief>,
}
