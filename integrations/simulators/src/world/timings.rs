//! How long physical things take.

use std::time::Duration;

/// The durations of the simulated world, all in one value so that a test can shrink them together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorldTimings {
    /// How long power supplies carry machine and BMC after the last feed was cut.
    pub hold_up: Duration,
    /// How long a BMC needs from standby power to its first answer.
    pub bmc_boot: Duration,
    /// How long an operating system boots; a soft press before its end is lost.
    pub os_boot: Duration,
    /// How long an operating system takes to shut down after a soft press.
    pub os_soft_off: Duration,
    /// How long a native chassis cycle keeps the machine off.
    pub cycle_gap: Duration,
    /// How long a PDU keeps an outlet off when told to reboot it.
    pub outlet_reboot: Duration,
    /// How long a PDU waits before a delayed command.
    pub outlet_delay: Duration,
}

impl WorldTimings {
    /// Returns durations as a person would meet them, a little on the quick side.
    #[must_use]
    pub const fn realistic() -> WorldTimings {
        WorldTimings {
            hold_up: Duration::from_millis(1500),
            bmc_boot: Duration::from_secs(20),
            os_boot: Duration::from_secs(15),
            os_soft_off: Duration::from_secs(8),
            cycle_gap: Duration::from_secs(2),
            outlet_reboot: Duration::from_secs(5),
            outlet_delay: Duration::from_secs(5),
        }
    }

    /// Returns the realistic durations at one twentieth, as tests use them.
    #[must_use]
    pub fn quick() -> WorldTimings {
        WorldTimings::realistic().divided_by(20)
    }

    /// Returns every duration divided by `divisor`; zero counts as one.
    #[must_use]
    pub fn divided_by(self, divisor: u32) -> WorldTimings {
        let shrink = |long: Duration| long / divisor.max(1);
        WorldTimings {
            hold_up: shrink(self.hold_up),
            bmc_boot: shrink(self.bmc_boot),
            os_boot: shrink(self.os_boot),
            os_soft_off: shrink(self.os_soft_off),
            cycle_gap: shrink(self.cycle_gap),
            outlet_reboot: shrink(self.outlet_reboot),
            outlet_delay: shrink(self.outlet_delay),
        }
    }
}
