use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use uuid::Uuid;

use crate::id::AgentId;

/// One start of one process, so that a copied agent is told from one that came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BootId(pub Uuid);

/// Versions of the protocol that a side speaks, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Protocols {
    /// The oldest.
    pub oldest: u16,
    /// The newest.
    pub newest: u16,
}

impl Protocols {
    /// What this build speaks.
    pub const OURS: Self = Self { oldest: 1, newest: 1 };

    /// Finds the newest version that both sides speak.
    #[must_use]
    pub fn common(self, other: Self) -> Option<u16> {
        let newest = self.newest.min(other.newest);
        (newest >= self.oldest.max(other.oldest)).then_some(newest)
    }
}

/// The backend's first message: sign this.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Challenge {
    /// 32 random bytes in hex, never used again.
    pub nonce: String,
    /// What the backend speaks.
    pub protocols: Protocols,
    /// TLS ends at the backend itself, so that its exporter is part of what is signed.
    pub binding: bool,
}

/// Who an agent is and what it knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The agent.
    pub agent: AgentId,
    /// This start of it.
    pub boot: BootId,
    /// What it speaks.
    pub protocols: Protocols,
    /// Its software.
    pub version: String,
    /// Its host, for people.
    #[serde(default)]
    pub host: String,
    /// Kind → hash of the descriptor it was built with.
    pub kinds: BTreeMap<String, String>,
    /// Digest of the looks that it keeps doing, as far as it has their credentials. Absent in agents that look
    /// at nothing by themselves: they are sent each look as a command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watching: Option<String>,
}

/// The agent's first message: its hello, with the proof that it is the one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed {
    /// The [`Hello`] as the JSON text that was signed.
    pub hello: String,
    /// The certificate, PEM.
    pub certificate: String,
    /// Signature by the certificate's key, in hex, over the nonce, the TLS exporter and the hello.
    pub signature: String,
}

/// What the backend says to a hello.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// The session begins.
    Welcome {
        /// The version that both sides speak from here on.
        protocol: u16,
        /// Time between two heartbeats.
        heartbeat_ms: u64,
        /// A side that hears nothing for so long counts the other as gone.
        dead_ms: u64,
        /// A lease lasts so long, by the agent's own clock from the moment it asked; 0 when the agent shares
        /// its devices with nobody.
        lease_ms: u64,
        /// The certificate shall be renewed after so long, by the agent's own clock.
        renew_in_ms: u64,
        /// The certificate has expired: nothing but its renewal is served.
        renew_only: bool,
    },
    /// No session.
    Refused {
        /// Why.
        refusal: Refusal,
        /// The same for people.
        message: String,
    },
}

/// Why a hello was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// No such agent: it was removed, or the server is another one.
    Unknown,
    /// The agent was revoked, or its key was replaced.
    Revoked,
    /// The certificate was not made by this server.
    ForgedCertificate,
    /// The certificate is another agent's, or the signature does not fit it.
    WrongSignature,
    /// The certificate expired too long ago to be renewed: the agent must be replaced.
    Expired,
    /// Both sides speak no common version.
    Protocol,
    /// Several processes with this identity evict one another.
    Copies,
    /// The backend failed; trying again helps.
    Busy,
}

impl Refusal {
    /// Says whether it is of no use to try again before a person has acted.
    #[must_use]
    pub fn is_final(self) -> bool {
        match self {
            Self::Unknown
            | Self::Revoked
            | Self::ForgedCertificate
            | Self::WrongSignature
            | Self::Expired
            | Self::Protocol
            | Self::Copies => true,
            Self::Busy => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_speak_the_newest_version_that_both_know() {
        let one = |oldest, newest| Protocols { oldest, newest };
        assert_eq!(one(1, 2).common(one(1, 1)), Some(1));
        assert_eq!(one(1, 2).common(one(2, 3)), Some(2));
        assert_eq!(one(3, 4).common(one(1, 2)), None);
    }
}
