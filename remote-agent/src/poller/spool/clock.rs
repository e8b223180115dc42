//! When something was, told so that another start of the agent or of its machine can say how long ago.

use serde::{Deserialize, Serialize};

/// One moment by two clocks, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub struct Stamp {
    /// Since the machine was started: nobody sets it, and it goes on while a process is restarted.
    pub steady: u64,
    /// Time of day since 1970, which a person or NTP may set.
    pub day: i64,
}

impl Stamp {
    /// Reads the clocks.
    #[must_use]
    pub fn now() -> Self {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
        let millis = u64::try_from(time.tv_nsec / 1_000_000).unwrap_or_default();
        Self { steady: seconds * 1000 + millis, day: chrono::Utc::now().timestamp_millis() }
    }
}

/// Ties the steady clock of one start of a machine to the time of day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Epoch {
    /// Names the start of the machine.
    machine: String,
    /// The time of day when its steady clock stood at zero, as it was when this was written.
    zero: i64,
}

impl Epoch {
    /// That of now.
    #[must_use]
    pub fn new(machine: &str, now: Stamp) -> Self {
        Self { machine: machine.to_owned(), zero: now.day.saturating_sub_unsigned(now.steady) }
    }

    /// Says how long ago something was by its steady clock; by the time of day only when the machine was
    /// started anew since.
    #[must_use]
    pub fn age(&self, steady: u64, machine: &str, now: Stamp) -> u64 {
        if self.machine == machine {
            return now.steady.saturating_sub(steady);
        }
        u64::try_from(now.day.saturating_sub(self.zero.saturating_add_unsigned(steady))).unwrap_or_default()
    }
}

/// Names this start of the machine.
#[must_use]
pub fn machine() -> String {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
    // Without it every start of the agent counts as one of the machine: then the time of day must do.
    id.map_or_else(|_| uuid::Uuid::new_v4().to_string(), |id| id.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_true_although_the_time_of_day_was_set() {
        let epoch = Epoch::new("one", Stamp { steady: 1_000, day: 500_000 });
        let hour = 3_600_000;
        // Nobody restarted the machine: the time of day does not matter.
        assert_eq!(epoch.age(900, "one", Stamp { steady: 2_000, day: 500_000 + hour }), 1_100);
        // It was restarted: only the time of day can tell.
        assert_eq!(epoch.age(900, "two", Stamp { steady: 50, day: 505_000 }), 5_100);
        assert_eq!(epoch.age(900, "two", Stamp { steady: 50, day: 0 }), 0, "never in the future");
    }

    #[test]
    fn the_clocks_run_and_the_machine_has_one_name() {
        let (one, name) = (Stamp::now(), machine());
        assert!(one.steady > 0 && Stamp::now().steady >= one.steady);
        assert_eq!(name, machine());
    }
}
