//! Settings of the installation and of the signed-in user.

use serde::{Deserialize, Serialize};

/// All settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Settings {
    /// Of the installation.
    pub installation: InstallationSettings,
    /// Of the signed-in user.
    pub user: UserSettings,
    /// The running software.
    pub version: String,
    /// Where the links of this installation point.
    pub public_url: String,
}

/// Settings of the installation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct InstallationSettings {
    /// Seconds between two status polls of one server, 30 to 3600.
    pub poll_interval_s: u32,
    /// Seconds that a soft shutdown may take, 30 to 600.
    pub soft_deadline_s: u32,
    /// Seconds that feeds stay cut in a cycle, 5 to 60.
    pub discharge_s: u32,
    /// Allows automatic fallback to outlets at all.
    pub fallback_enabled: bool,
    /// Days, 1 to 365, for which an expired certificate of an agent is still good for its own renewal.
    #[serde(default = "renewable_days")]
    pub agent_renewal_days: u32,
}

fn renewable_days() -> u32 {
    90
}

impl Default for InstallationSettings {
    fn default() -> Self {
        Self {
            poll_interval_s: 60,
            soft_deadline_s: 180,
            discharge_s: 10,
            fallback_enabled: true,
            agent_renewal_days: renewable_days(),
        }
    }
}

/// Settings of the signed-in user.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct UserSettings {
    /// Light, dark or as the system says.
    #[serde(default)]
    pub theme: Theme,
    /// Saved filters of the server list.
    #[serde(default)]
    pub saved_filters: Vec<SavedFilter>,
}

/// Look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Theme {
    /// As the system says.
    #[default]
    System,
    /// Light.
    Light,
    /// Dark.
    Dark,
}

/// A saved filter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SavedFilter {
    /// Name.
    pub name: String,
    /// The list's `q`.
    pub q: String,
}

/// Changes settings; absent groups stay.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ChangeSettings {
    /// Of the installation.
    #[serde(default, deserialize_with = "super::object::maybe")]
    pub installation: Option<InstallationSettings>,
    /// Of the signed-in user.
    #[serde(default, deserialize_with = "super::object::maybe")]
    pub user: Option<UserSettings>,
}
