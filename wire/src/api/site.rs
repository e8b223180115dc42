//! Places.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::id::SiteId;

/// A place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Site {
    /// Id.
    pub id: SiteId,
    /// Name.
    pub name: String,
    /// IANA name: `Europe/Berlin`.
    pub time_zone: String,
    /// Servers there.
    pub servers: u64,
    /// When added.
    pub created_at: DateTime<Utc>,
}

/// Adds a place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct AddSite {
    /// Name.
    pub name: String,
    /// IANA name; `UTC` when absent.
    #[serde(default)]
    pub time_zone: Option<String>,
}

/// Changes a place; absent fields stay.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ChangeSite {
    /// Name.
    #[serde(default)]
    pub name: Option<String>,
    /// IANA name.
    #[serde(default)]
    pub time_zone: Option<String>,
}
