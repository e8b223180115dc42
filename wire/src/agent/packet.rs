use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::frame::ToAgent;

/// Credentials that only one agent can read (RFC 9180, base mode: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256,
/// `ChaCha20Poly1305`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// The encapsulated key in hex.
    pub key: String,
    /// The sealed text in hex.
    pub text: String,
}

/// A frame to an agent as it travels: credentials beside it, sealed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Packet {
    /// The frame.
    #[serde(flatten)]
    pub frame: ToAgent,
    /// Credentials of the command's device, by field name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed: Option<Sealed>,
}

/// A message that was not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unread {
    /// A frame of a newer version: passed over.
    Unknown(String),
    /// Nonsense: the session ends.
    Malformed(String),
}

/// Reads one message. What has a `frame` that this build does not know is told from nonsense.
///
/// # Errors
/// When it is either.
pub fn read<T: DeserializeOwned>(text: &str, known: &[&str]) -> Result<T, Unread> {
    #[derive(Deserialize)]
    struct Tag {
        frame: String,
    }
    serde_json::from_str(text).map_err(|error| match serde_json::from_str::<Tag>(text) {
        Ok(Tag { frame }) if !known.contains(&frame.as_str()) => Unread::Unknown(frame),
        _ => Unread::Malformed(error.to_string()),
    })
}
