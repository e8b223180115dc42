//! Kinds of integration.

use serde::{Deserialize, Serialize};

use serde_json::Value;

use crate::{Descriptor, id::AgentId};

/// A kind and who can serve it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Kind {
    /// What the integration says of itself.
    pub descriptor: Descriptor,
    /// Agents that know exactly this version of it.
    pub agents: Vec<AgentId>,
}

/// Asks what a pasted text is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Paste {
    /// An address, a host name or a panel's URL.
    pub text: String,
}

/// What a pasted text may be, best first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Suggested {
    /// Kind of integration.
    pub kind: String,
    /// Parameters that the text tells.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub params: Value,
    /// Target that the text tells.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub target: Value,
}
