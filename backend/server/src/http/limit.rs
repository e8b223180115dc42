//! Guards against guessing: ten failures in fifteen minutes per account and per address.

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter, clock::Clock};
use std::{num::NonZeroU32, time::Duration};

use super::problem::Refused;

/// The limits of one process.
pub struct Limits {
    failures: DefaultKeyedRateLimiter<String>,
}

const FAILURES: NonZeroU32 = NonZeroU32::new(10).unwrap();
const REFILL: Duration = Duration::from_secs(90);

impl Default for Limits {
    fn default() -> Self {
        let quota = Quota::with_period(REFILL).unwrap_or(Quota::per_minute(FAILURES)).allow_burst(FAILURES);
        Self { failures: RateLimiter::keyed(quota) }
    }
}

impl Limits {
    /// Counts a try to sign in against the account at this address, and the address alone.
    ///
    /// # Errors
    /// When there were too many.
    pub fn try_sign_in(&self, name: &str, source: Option<&str>) -> Result<(), Refused> {
        let source = source.unwrap_or("unknown");
        // The account is counted per address, so that nobody can lock another person out.
        for key in [format!("{}@{source}", name.to_lowercase()), format!("@{source}")] {
            if let Err(until) = self.failures.check_key(&key) {
                let wait = until.wait_time_from(governor::clock::DefaultClock::default().now());
                return Err(Refused::TooMany(wait.as_secs().max(1)));
            }
        }
        self.failures.retain_recent();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_eleventh_try_is_refused_only_there() {
        let limits = Limits::default();
        for _ in 0..10 {
            limits.try_sign_in("ada", Some("10.0.0.1")).unwrap();
        }
        assert!(matches!(limits.try_sign_in("ada", Some("10.0.0.1")), Err(Refused::TooMany(_))));
        assert!(limits.try_sign_in("ada", Some("10.0.0.2")).is_ok());
    }
}
