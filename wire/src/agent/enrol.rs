//! How an agent gets its identity: one request with a single-use token.

use serde::{Deserialize, Serialize};

use crate::id::AgentId;

/// Where the request goes, below the server's address.
pub const PATH: &str = "/agent/v1/enrol";
/// Where the control channel is.
pub const LINK_PATH: &str = "/agent/v1/link";

/// An agent asks to be known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Enrol {
    /// The single-use token; absent when the agent's public key was registered beforehand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// Which agent it is, when its public key was registered beforehand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentId>,
    /// Certificate request (PKCS #10, PEM) of the identity key that the agent made. Names in it are ignored.
    pub request: String,
    /// Public X25519 key (RFC 7748) in hex, to which credentials are sealed.
    pub sealing_key: String,
    /// Name of the host, for people.
    pub host: String,
}

/// The agent is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Enrolled {
    /// Its id.
    pub agent: AgentId,
    /// Its name.
    pub name: String,
    /// Its first certificate, PEM.
    pub certificate: String,
}
