//! Bearer tokens for scripts.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::id::{TokenId, UserId};

/// A token, without its value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Token {
    /// Id.
    pub id: TokenId,
    /// What it is for.
    pub name: String,
    /// Its first characters, to tell tokens apart.
    pub prefix: String,
    /// Whose rights it has.
    pub user_id: UserId,
    /// When made.
    pub created_at: DateTime<Utc>,
    /// When it ends.
    pub expires_at: Option<DateTime<Utc>>,
    /// When last used, to the minute.
    pub last_used_at: Option<DateTime<Utc>>,
}

/// Makes a token for oneself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct AddToken {
    /// What it is for.
    pub name: String,
    /// Days until it ends; absent for no end.
    #[serde(default)]
    pub expires_in_days: Option<u32>,
}

/// A new token; its value is shown this once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NewToken {
    /// The token.
    pub token: Token,
    /// The value for `Authorization: Bearer`.
    pub value: String,
}
