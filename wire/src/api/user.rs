//! People.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::id::UserId;

/// A person.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct User {
    /// Id.
    pub id: UserId,
    /// Name to sign in with.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// May not sign in.
    pub disabled: bool,
    /// When added.
    pub created_at: DateTime<Utc>,
    /// Last sign-in.
    pub last_seen_at: Option<DateTime<Utc>>,
}

/// What a person may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = UserRole))]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Everything of the provider and its tenants.
    Admin,
}

/// Adds a person.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct AddUser {
    /// Name to sign in with.
    pub name: String,
    /// Password, at least 12 characters.
    pub password: String,
}

/// Changes a person; absent fields stay.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ChangeUser {
    /// Name to sign in with.
    #[serde(default)]
    pub name: Option<String>,
    /// New password; ends every other session of the user.
    #[serde(default)]
    pub password: Option<String>,
    /// The present password; needed for a new one of one's own, which only a signed-in person may set.
    #[serde(default)]
    pub current_password: Option<String>,
    /// May not sign in; ends every session and disables every token.
    #[serde(default)]
    pub disabled: Option<bool>,
}
