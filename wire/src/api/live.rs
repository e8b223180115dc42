//! The live stream (`text/event-stream`): ids and versions, never contents.

use serde::{Deserialize, Serialize};

/// One message: something changed, fetch it if it is on the screen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Change {
    /// What changed.
    pub object: Object,
    /// Its id.
    pub id: String,
    /// Its version now, where it has one.
    pub version: Option<u64>,
}

/// What can change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Object {
    /// A server's configuration or state.
    Server,
    /// A job or one of its steps.
    Job,
    /// An endpoint or its status.
    Endpoint,
    /// An agent.
    Agent,
    /// A site.
    Site,
    /// A new event.
    Event,
    /// A setting.
    Settings,
    /// The session ended: sign in again.
    Session,
    /// Something was done that is in the audit record, to a user or a token among others.
    Record,
}
