use std::time::Duration;
use zeroize::Zeroizing;

use super::super::{Level, Suite};

/// Everything a console must know of a BMC and an account on it.
#[derive(Clone)]
pub struct Settings {
    /// User name, at most 16 bytes; may be empty.
    pub user: Vec<u8>,
    /// Password, at most 20 bytes.
    pub password: Zeroizing<Vec<u8>>,
    /// The BMC's key, where it has one.
    pub kg: Option<Zeroizing<Vec<u8>>>,
    /// Which cipher suites may be used.
    pub cipher: Cipher,
    /// Which privilege level is asked for.
    pub level: Wanted,
    /// Whether IPMI 1.5 may be spoken to a BMC that knows no better.
    pub legacy: LegacyUse,
    /// The system GUID that must answer; another one is told nothing.
    pub pinned: Option<[u8; 16]>,
    /// All durations.
    pub pace: Pace,
}

/// Which cipher suites may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cipher {
    /// What the BMC offers, 17 before 3.
    Auto,
    /// Only this one.
    Only(Suite),
}

/// Which privilege level is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// The highest that the account may have.
    Highest,
    /// Exactly this one.
    Exactly(Level),
}

/// Whether IPMI 1.5, which does not encrypt, may be spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LegacyUse {
    /// Never.
    Refused,
    /// When IPMI 2.0 with a cipher suite of ours cannot be agreed on.
    Allowed,
}

/// The durations of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// First retransmission while no round trip has been measured.
    pub first_retry: Duration,
    /// A BMC is unreachable after this much silence and [`Pace::least_restarts`] handshakes.
    pub unreachable_after: Duration,
    /// Handshakes from the start that must stay unanswered before a BMC is called unreachable.
    pub least_restarts: u32,
    /// How long the answer to a request that is sent once may take.
    pub answer_lost_after: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            first_retry: Duration::from_millis(500),
            unreachable_after: Duration::from_secs(20),
            least_restarts: 3,
            answer_lost_after: Duration::from_secs(10),
        }
    }
}
