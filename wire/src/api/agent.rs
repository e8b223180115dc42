//! Agents.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{endpoint::EndpointState, server::ServerBrief};
use crate::id::{AgentId, ConnectionId, EndpointId, SiteId};

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
    /// Name of that place.
    pub site_name: Option<String>,
    /// Is it there?
    pub state: AgentState,
    /// It is part of a backend: it cannot be removed, revoked or enrolled.
    pub embedded: bool,
    /// Drained: others of its group take its devices, each once no job needs it, and come first for what nobody has.
    pub draining: bool,
    /// Its host.
    pub host: Option<String>,
    /// Address that it connects from.
    pub source_ip: Option<String>,
    /// Its software.
    pub version: String,
    /// Its software is older than the backend's.
    pub is_outdated: bool,
    /// Kinds of device that it knows.
    pub kinds: Vec<String>,
    /// Endpoints that it serves.
    pub endpoints: u64,
    /// Devices of its group that it holds at the moment.
    pub holds: u64,
    /// Commands that it is executing or has queued.
    pub in_flight: u64,
    /// When its certificate was made.
    pub certificate_at: Option<DateTime<Utc>>,
    /// When its certificate ends.
    pub certificate_until: Option<DateTime<Utc>>,
    /// Until when it may still connect to renew it.
    pub renewable_until: Option<DateTime<Utc>>,
    /// When the token ends with which it may be enrolled.
    pub token_until: Option<DateTime<Utc>>,
    /// When two processes with this identity were last seen, within a day.
    pub copies_at: Option<DateTime<Utc>>,
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
    /// It was never enrolled.
    Waiting,
    /// It is refused until it is enrolled again.
    Revoked,
}

/// Adds an agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct AddAgent {
    /// Name.
    pub name: String,
    /// Group that connections may name, of agents that stand in for one another; its own name when absent.
    #[serde(default)]
    pub group: Option<String>,
    /// Where it stands.
    #[serde(default)]
    pub site_id: Option<SiteId>,
    /// Network that the token may be used from: `203.0.113.0/24`.
    #[serde(default)]
    pub source: Option<String>,
    /// Public key (PEM, Ed25519 or P-256) that the agent has already; then no token is made.
    #[serde(default)]
    pub public_key: Option<String>,
}

/// Changes an agent; absent fields stay.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ChangeAgent {
    /// Name.
    #[serde(default)]
    pub name: Option<String>,
    /// Group.
    #[serde(default)]
    pub group: Option<String>,
    /// Where it stands.
    #[serde(default)]
    pub site_id: Option<SiteId>,
    /// Drained: of its group the other agents come first for what nobody has yet.
    #[serde(default)]
    pub draining: Option<bool>,
}

/// Gives an agent a new identity.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ReplaceAgent {
    /// Refuses the present identity at once, instead of when the new one is made.
    #[serde(default)]
    pub force: bool,
    /// Network that the token may be used from.
    #[serde(default)]
    pub source: Option<String>,
}

/// How the agents of a group share its devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum GroupPolicy {
    /// The first member that is there takes all.
    #[default]
    Ordered,
    /// Each takes a share.
    Spread,
}

impl GroupPolicy {
    /// The word of the API.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Ordered => "ordered",
            Self::Spread => "spread",
        }
    }
}

/// A group of agents that stand in for one another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct AgentGroup {
    /// Name, as its agents and its devices say it.
    pub name: String,
    /// How they share.
    pub policy: GroupPolicy,
    /// Its agents, the preferred one first.
    pub members: Vec<AgentId>,
}

/// How an agent gets its identity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Enrolment {
    /// The agent.
    pub agent: Agent,
    /// The single-use token, shown this once; absent when a public key was registered.
    pub token: Option<String>,
    /// When it ends.
    pub expires_at: Option<DateTime<Utc>>,
    /// What to run on the agent's machine.
    pub command: String,
}

/// A device that an agent serves, for all its servers or for some.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Assignment {
    /// The device.
    pub endpoint_id: EndpointId,
    /// Its name.
    pub name: String,
    /// Its integration.
    pub kind: String,
    /// Address shown in lists.
    pub address: Option<String>,
    /// How it was at the last look.
    pub state: EndpointState,
    /// Connections that go through this agent.
    pub connections: Vec<AssignedConnection>,
}

/// A connection that goes through an agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AssignedConnection {
    /// Id.
    pub id: ConnectionId,
    /// `IPMI 10.0.0.7`, `Outlet 7 on pdu-a`.
    pub label: String,
    /// The server.
    pub server: ServerBrief,
}

/// Tries whether an agent reaches a device; answered by a job whose result is a `TestResult`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ProbeFromAgent {
    /// The device.
    pub endpoint_id: EndpointId,
}

/// What firewalls on the way must let through, from the present configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Firewall {
    /// How agent and server find each other: `reverse_tls`, the agent dials out.
    pub mode: String,
    /// For firewalls that let answers through by themselves.
    pub stateful: Vec<FirewallRule>,
    /// For those that do not: the same, each with its way back.
    pub stateless: Vec<FirewallRule>,
}

/// One rule of a firewall before the agent.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FirewallRule {
    /// As the agent sees it.
    pub direction: Direction,
    /// Who sends.
    pub from: String,
    /// From which ports: `623`, `1024-65535`.
    pub from_port: String,
    /// To whom.
    pub to: String,
    /// To which ports.
    pub port: String,
    /// Over what.
    pub protocol: Transport,
    /// What for.
    pub purpose: String,
}

/// Where packets go, as an agent sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Away from it.
    Out,
    /// Towards it.
    In,
}

/// What carries packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}
