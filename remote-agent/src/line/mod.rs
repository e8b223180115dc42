//! The line to the backend: dialled from here, and dialled again for ever.
//!
//! Nothing on site listens. A session that ends, for whatever reason, leaves devices, journal and restores as
//! they are; the next one takes up what the last one left.

mod dial;
mod probe;
mod secrets;
mod talk;

use rackhand_wire::{
    Timings,
    agent::{Refusal, close},
};
use std::{fmt, io, time::Duration};
use tokio::time::Instant;

use crate::{Agent, identity::Folder};

pub use dial::{Target, fetch};
pub use probe::{Finding, probe};
pub use secrets::{Asked, Requests};

/// Why a session ended.
#[derive(Debug)]
pub enum End {
    /// The connection was not made or was lost.
    Lost(String),
    /// The backend said what cannot be understood, or too much at once.
    Nonsense(String),
    /// The backend refused the hello.
    Refused(Refusal, String),
    /// Another process with this identity took the session.
    Replaced,
    /// The backend stops, or has shut the agent out.
    Closed(u16),
    /// A renewed certificate is used from the next session on.
    Renewed,
    /// What is on disk cannot be used.
    Broken(io::Error),
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost(why) => write!(f, "the line was lost: {why}"),
            Self::Nonsense(why) => write!(f, "nonsense was received: {why}"),
            Self::Refused(_, why) => write!(f, "the backend refuses this agent: {why}"),
            Self::Replaced => f.write_str("another process with this identity took its place"),
            Self::Closed(close::GOING_AWAY) => f.write_str("the backend stops or moves"),
            Self::Closed(close::REVOKED) => f.write_str("the agent was revoked"),
            Self::Closed(close::MALFORMED) => {
                f.write_str("the backend could not understand what this agent said, or it was too large")
            }
            Self::Closed(close::SUPERSEDED) => f.write_str("a newer session of this agent took its place"),
            Self::Closed(code) => write!(f, "the backend closed the session with {code}"),
            Self::Renewed => f.write_str("the certificate was renewed"),
            Self::Broken(error) => write!(f, "the identity cannot be used: {error}"),
        }
    }
}

/// Holds the line until another process with this identity takes it.
pub async fn hold(agent: &Agent, folder: &Folder, timings: &Timings, mut requests: Requests) {
    let mut pause = Pause::new(timings);
    loop {
        let begun = Instant::now();
        let end = match folder.mend().and_then(|()| folder.read()) {
            Ok(identity) => talk::session(agent, folder, &identity, timings, &mut requests).await,
            Err(error) => End::Broken(error),
        };
        match &end {
            End::Replaced => return,
            End::Renewed | End::Closed(close::GOING_AWAY) => tracing::info!(reason = %end, "session over"),
            End::Refused(..) | End::Broken(_) => tracing::error!(reason = %end, "no session"),
            End::Lost(_) | End::Nonsense(_) | End::Closed(_) => tracing::warn!(reason = %end, "session over"),
        }
        if begun.elapsed() > timings.reconnect_longest * 2 {
            pause.reset();
        }
        let wait = match &end {
            End::Renewed => Duration::ZERO,
            End::Refused(refusal, _) if refusal.is_final() => timings.reconnect_longest,
            End::Refused(..)
            | End::Lost(_)
            | End::Nonsense(_)
            | End::Closed(_)
            | End::Broken(_)
            | End::Replaced => pause.next(),
        };
        tokio::time::sleep(wait).await;
    }
}

/// Pauses between tries: a random time up to a limit that doubles (full jitter), so that ten thousand agents do
/// not come back at once.
struct Pause {
    first: Duration,
    longest: Duration,
    limit: Duration,
}

impl Pause {
    fn new(timings: &Timings) -> Self {
        Self {
            first: timings.reconnect_first,
            longest: timings.reconnect_longest,
            limit: timings.reconnect_first,
        }
    }

    fn reset(&mut self) {
        self.limit = self.first;
    }

    fn next(&mut self) -> Duration {
        let mut random = [0_u8; 4];
        // Without randomness the pause is the limit itself.
        let share = match getrandom::fill(&mut random) {
            Ok(()) => f64::from(u32::from_le_bytes(random)) / f64::from(u32::MAX),
            Err(_) => 1.0,
        };
        let wait = self.limit.mul_f64(share);
        self.limit = (self.limit * 2).min(self.longest);
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_the_longest_and_begin_anew() {
        let timings = Timings::default();
        let mut pause = Pause::new(&timings);
        for _ in 0..20 {
            assert!(pause.next() <= timings.reconnect_longest);
        }
        assert_eq!(pause.limit, timings.reconnect_longest);
        pause.reset();
        assert!(pause.next() <= timings.reconnect_first);
    }
}
