//! When something was, told so that another start of the agent or of its machine can say how long ago.

use serde::{Deserialize, Serialize};
use std::{collections::HashMap, sync::LazyLock, time::Duration};

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

/// How old something was at some moment, as far as clocks tell that nobody sets: the time of day may have been
/// years away from the truth when it was written, or may be now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Age {
    /// Names the start of the machine.
    machine: String,
    /// The moment, by the steady clock of that start.
    steady: u64,
    /// How old it was then, in milliseconds.
    #[serde(default, rename = "age")]
    before: u64,
}

/// Up to when each start of a machine is known to have lasted, by its steady clock.
pub type Lasted = HashMap<String, u64>;

impl Age {
    /// That of something at a moment of this start of the machine.
    #[must_use]
    pub fn new(age: Duration, machine: &str, steady: u64) -> Self {
        let age = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
        Self { machine: machine.to_owned(), steady, before: age }
    }

    /// Notes how long the start lasted that this was written in.
    pub fn note(&self, lasted: &mut Lasted) {
        let last = lasted.entry(self.machine.clone()).or_default();
        *last = self.steady.max(*last);
    }

    /// Says how old it is now at least. While the machine stood still nobody counted, so that is left out.
    #[must_use]
    pub fn least(&self, machine: &str, steady: u64, lasted: &Lasted) -> Duration {
        let until = if self.machine == machine { Some(steady) } else { lasted.get(&self.machine).copied() };
        let since = until.unwrap_or(self.steady).saturating_sub(self.steady);
        Duration::from_millis(self.before.saturating_add(since))
    }
}

/// Names this start of the machine.
#[must_use]
pub fn machine() -> &'static str {
    static MACHINE: LazyLock<String> = LazyLock::new(|| {
        let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
        // Without it every start of the agent counts as one of the machine.
        id.map_or_else(|_| uuid::Uuid::new_v4().to_string(), |id| id.trim().to_owned())
    });
    &MACHINE
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
    fn only_time_that_a_steady_clock_has_counted_makes_old() {
        let ms = Duration::from_millis;
        let age = Age::new(ms(10), "one", 1_000);
        let mut lasted = Lasted::new();
        assert_eq!(age.least("one", 1_500, &lasted), ms(510));
        assert_eq!(age.least("one", 500, &lasted), ms(10), "never younger than it was");
        assert_eq!(age.least("two", 90_000, &lasted), ms(10));
        for steady in [4_000, 3_000] {
            Age::new(Duration::ZERO, "one", steady).note(&mut lasted);
        }
        assert_eq!(age.least("two", 90_000, &lasted), ms(3_010), "the start that is over lasted so long");
    }

    #[test]
    fn the_clocks_run_and_the_machine_has_one_name() {
        let (one, name) = (Stamp::now(), machine());
        assert!(one.steady > 0 && Stamp::now().steady >= one.steady);
        assert_eq!(name, machine());
    }
}
