use std::time::Duration;

/// Each repeat waits so much longer than the one before: repeats pile up in a BMC that works off one
/// request after the other, but a lossy line must be got over in seconds.
const GROWTH: f64 = 1.5;

/// The first repeats wait alike: to a BMC that was quick so far, or was never heard, a lost packet is likelier
/// than a queue.
const LEVEL: u32 = 2;

/// Says how long to wait for an answer, from the round trips measured so far.
pub(super) struct Pacer {
    first_retry: Duration,
    measured: Option<Measured>,
    /// Timeouts in a row.
    misses: u32,
}

struct Measured {
    smooth: Duration,
    variation: Duration,
}

/// What is waited for; the dearer the work behind it, the more patience.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effort {
    /// Answered from memory.
    Cheap,
    /// Keyed hashes on a slow processor.
    Hashing,
    /// A command, which some BMCs work off one after the other.
    Command,
}

impl Pacer {
    pub fn new(first_retry: Duration) -> Self {
        Self { first_retry, measured: None, misses: 0 }
    }

    /// Takes in a round trip. Each transmission has a tag of its own, so a sample is never ambiguous.
    pub fn sample(&mut self, round_trip: Duration) {
        self.misses = 0;
        self.measured = Some(match &self.measured {
            None => Measured { smooth: round_trip, variation: round_trip / 2 },
            Some(known) => Measured {
                smooth: (known.smooth * 7 + round_trip) / 8,
                variation: (known.variation * 3 + known.smooth.abs_diff(round_trip)) / 4,
            },
        });
    }

    pub fn missed(&mut self) {
        self.misses += 1;
    }

    /// Forgets what was measured: what answers next may be another machine, or the same one booting.
    pub fn forget(&mut self) {
        self.measured = None;
        self.misses = 0;
    }

    /// How long to wait for what left together with something that was answered just now.
    pub fn courtesy(&self) -> Duration {
        let half = self.measured.as_ref().map_or(Duration::ZERO, |known| known.smooth / 2);
        half.max(self.first_retry / 25)
    }

    /// How long to wait before the next transmission.
    pub fn wait(&self, effort: Effort) -> Duration {
        let floor = match effort {
            Effort::Cheap => self.first_retry / 5,
            Effort::Hashing | Effort::Command => self.first_retry / 2,
        };
        let (base, longest, level) = match &self.measured {
            None => (self.first_retry, self.first_retry * 8, LEVEL),
            Some(known) => {
                let guess = known.smooth + (known.variation * 4).max(known.smooth / 2);
                let level = if guess < floor { LEVEL } else { 0 };
                (guess.max(floor), (self.first_retry * 8).max(guess * 2), level)
            }
        };
        let steps = self.misses.saturating_sub(level);
        let grown = base.as_secs_f64() * f64::powi(GROWTH, i32::try_from(steps).unwrap_or(64).min(64));
        Duration::from_secs_f64(grown.min(longest.as_secs_f64()))
    }
}
