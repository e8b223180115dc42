//! Guards against guessing: ten failures in fifteen minutes per account and per address.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::problem::Refused;

/// The limits of one process: when each key last failed, oldest first.
#[derive(Default)]
pub struct Limits {
    failures: Mutex<HashMap<String, VecDeque<Instant>>>,
}

const FAILURES: usize = 10;
const WINDOW: Duration = Duration::from_mins(15);

impl Limits {
    /// Says whether the account at this address, and the address alone, may try to sign in. Ask before a
    /// password is compared, and again before a success is told: others may have failed meanwhile.
    ///
    /// # Errors
    /// When there were too many failures.
    pub fn check(&self, name: &str, source: Option<&str>) -> Result<(), Refused> {
        self.check_at(name, source, Instant::now())
    }

    /// Counts a failure.
    ///
    /// # Errors
    /// When there were too many before it: then not even the failure is told.
    pub fn failed(&self, name: &str, source: Option<&str>) -> Result<(), Refused> {
        self.failed_at(name, source, Instant::now())
    }

    fn check_at(&self, name: &str, source: Option<&str>, now: Instant) -> Result<(), Refused> {
        let failures = self.lock();
        for key in keys(name, source) {
            let recent: Vec<&Instant> =
                failures.get(&key).into_iter().flatten().filter(|at| is_recent(**at, now)).collect();
            // The limit is reached until the oldest of the last ten is forgotten.
            if let Some(oldest) = recent.iter().rev().nth(FAILURES - 1) {
                let wait = WINDOW.saturating_sub(now.saturating_duration_since(**oldest));
                return Err(Refused::TooMany(wait.as_secs().max(1)));
            }
        }
        Ok(())
    }

    fn failed_at(&self, name: &str, source: Option<&str>, now: Instant) -> Result<(), Refused> {
        self.check_at(name, source, now)?;
        let mut failures = self.lock();
        failures.retain(|_, times| {
            times.retain(|at| is_recent(*at, now));
            !times.is_empty()
        });
        for key in keys(name, source) {
            failures.entry(key).or_default().push_back(now);
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, VecDeque<Instant>>> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The account is counted per address, so that nobody can lock another person out.
fn keys(name: &str, source: Option<&str>) -> [String; 2] {
    let source = source.unwrap_or("unknown");
    [format!("{}@{source}", name.trim().to_lowercase()), format!("@{source}")]
}

fn is_recent(at: Instant, now: Instant) -> bool {
    now.saturating_duration_since(at) < WINDOW
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Option<&str> = Some("10.0.0.1");

    #[test]
    fn after_ten_failures_nothing_more_is_tried_there() {
        let limits = Limits::default();
        for _ in 0..10 {
            limits.check("ada", HERE).unwrap();
            limits.failed("ada", HERE).unwrap();
        }
        assert!(matches!(limits.check("Ada ", HERE), Err(Refused::TooMany(_))));
        assert!(matches!(limits.failed("ada", HERE), Err(Refused::TooMany(_))));
        assert!(matches!(limits.check("bob", HERE), Err(Refused::TooMany(_))), "the address is counted too");
        limits.check("ada", Some("10.0.0.2")).unwrap();
    }

    #[test]
    fn success_costs_nothing() {
        let limits = Limits::default();
        for _ in 0..100 {
            limits.check("ada", HERE).unwrap();
        }
    }

    #[test]
    fn a_failure_is_forgotten_after_its_time() {
        let (limits, begun) = (Limits::default(), Instant::now());
        let after = |seconds| begun + Duration::from_secs(seconds);
        for second in 0..10 {
            limits.failed_at("ada", HERE, after(second)).unwrap();
        }
        assert!(matches!(limits.check_at("ada", HERE, after(10)), Err(Refused::TooMany(890))));
        assert!(limits.check_at("ada", HERE, after(899)).is_err());
        limits.check_at("ada", HERE, after(900)).unwrap();
        limits.failed_at("ada", HERE, after(900)).unwrap();
        assert!(limits.check_at("ada", HERE, after(900)).is_err(), "only the first was forgotten");
    }
}
