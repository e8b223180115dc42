//! What a machine is and how it changes: pure, the moment comes in as an argument.

use std::fmt;
use std::time::{Duration, Instant};

use super::clock::{is_due, mixed};
use super::effect::{Effect, EffectKind};
use super::faults::{BmcFaults, Dice};
use super::outlet::{Feed, OutletId};
use super::timings::WorldTimings;

/// What a BMC can do to its host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChassisCommand {
    /// Power up.
    Up,
    /// Power down at once.
    Down,
    /// Power down, then up again after a short gap.
    Cycle,
    /// Hard reset.
    Reset,
    /// Raise a diagnostic interrupt.
    Diag,
    /// Press the soft power button.
    Soft,
}

/// Why a chassis command was not carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Not possible in the present state, such as a reset while off.
    PresentState,
    /// The BMC has no power or still boots, so nothing heard the command.
    BmcDead,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refused::PresentState => "not possible in the present state",
            Refused::BmcDead => "the BMC is dead or still boots",
        })
    }
}

impl std::error::Error for Refused {}

/// What the machine does when mains power returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestorePolicy {
    /// Stays off.
    AlwaysOff,
    /// Returns to what it was.
    Previous,
    /// Powers up.
    AlwaysOn,
}

/// Watts that BMC and fans take from the feeds while the host is off.
const STANDBY_WATTS: u32 = 14;

/// Restart cause "chassis control command".
const CAUSE_CHASSIS_CONTROL: u8 = 1;
/// Restart cause "automatic power-up by the always-restore policy".
const CAUSE_ALWAYS_ON: u8 = 6;
/// Restart cause "automatic power-up by the restore-previous-state policy".
const CAUSE_PREVIOUS: u8 = 7;

/// The whole state of one machine.
#[derive(Debug)]
pub(super) struct MachineState {
    timings: WorldTimings,
    feeds: Vec<(OutletId, Feed)>,
    busy_watts: u32,
    pub(super) guid: [u8; 16],
    pub(super) policy: RestorePolicy,
    pub(super) restart_cause: u8,
    pub(super) boot_flags: [u8; 5],
    pub(super) identify_until: Option<Identify>,
    pub(super) faults: BmcFaults,
    pub(super) dice: Dice,
    pub(super) boot_count: u64,
    pub(super) log: Vec<Effect>,
    is_on: bool,
    was_on: bool,
    standby: Standby,
    os_ready_at: Option<Instant>,
    power_lost_at: Option<Instant>,
    bmc_up_at: Option<Instant>,
    soft_off_at: Option<Instant>,
    cycle_on_at: Option<Instant>,
}

/// Whether the identify light is lit, and until when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Identify {
    Until(Instant),
    Forever,
}

/// How alive the BMC is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standby {
    Dead,
    Booting,
    /// Booting by a restart of its own: the host keeps running and the restore policy has no say.
    Restarting,
    Up,
}

impl MachineState {
    pub(super) fn new(name: &str, feeds: &[OutletId], timings: WorldTimings) -> MachineState {
        MachineState {
            timings,
            feeds: feeds.iter().map(|outlet| (outlet.clone(), Feed::Live)).collect(),
            busy_watts: 120 + u32::try_from(mixed(name, 3) % 160).unwrap_or(0),
            guid: guid_of(name),
            policy: RestorePolicy::Previous,
            restart_cause: 0,
            boot_flags: [0; 5],
            identify_until: None,
            faults: BmcFaults::default(),
            dice: Dice::new(mixed(name, 5)),
            boot_count: 0,
            log: Vec::new(),
            is_on: true,
            was_on: true,
            standby: Standby::Up,
            os_ready_at: None,
            power_lost_at: None,
            bmc_up_at: None,
            soft_off_at: None,
            cycle_on_at: None,
        }
    }

    pub(super) fn is_on(&self) -> bool {
        self.is_on
    }

    pub(super) fn bmc_is_up(&self) -> bool {
        self.standby == Standby::Up
    }

    pub(super) fn live_feeds(&self) -> usize {
        self.feeds.iter().filter(|(_, feed)| *feed == Feed::Live).count()
    }

    pub(super) fn feeds(&self) -> impl Iterator<Item = &OutletId> {
        self.feeds.iter().map(|(outlet, _)| outlet)
    }

    /// Returns the share of the load that comes through `outlet`.
    pub(super) fn watts_through(&self, outlet: &OutletId) -> u32 {
        let is_live = self.feeds.iter().any(|(id, feed)| id == outlet && *feed == Feed::Live);
        if !is_live || self.standby == Standby::Dead {
            return 0;
        }
        let watts = if self.is_on { self.busy_watts } else { STANDBY_WATTS };
        watts / u32::try_from(self.live_feeds()).unwrap_or(1).max(1)
    }

    /// Does what has become due by `now`, in the order in which it became due.
    pub(super) fn settle(&mut self, now: Instant) {
        while let Some(at) = self.next_due().filter(|due| *due <= now) {
            if is_due(self.power_lost_at, at) {
                self.lose_power(at);
            } else if is_due(self.bmc_up_at, at) {
                self.finish_bmc_boot(at);
            } else if is_due(self.soft_off_at, at) {
                self.power_off(at);
            } else if is_due(self.cycle_on_at, at) {
                self.power_on(at, CAUSE_CHASSIS_CONTROL);
            }
        }
    }

    fn next_due(&self) -> Option<Instant> {
        [self.power_lost_at, self.bmc_up_at, self.soft_off_at, self.cycle_on_at].into_iter().flatten().min()
    }

    /// Takes note that a feed came or went.
    pub(super) fn feed_changed(&mut self, outlet: &OutletId, to: Feed, at: Instant) {
        for (_, feed) in self.feeds.iter_mut().filter(|(id, _)| id == outlet) {
            *feed = to;
        }
        let outlet = outlet.clone();
        match to {
            Feed::Dead => {
                self.note(at, EffectKind::FeedCut { outlet });
                if self.live_feeds() == 0 && self.standby != Standby::Dead {
                    self.power_lost_at = Some(at + self.timings.hold_up);
                }
            }
            Feed::Live => {
                self.note(at, EffectKind::FeedRestored { outlet });
                self.power_lost_at = None;
                if self.standby == Standby::Dead {
                    self.standby = Standby::Booting;
                    self.bmc_up_at = Some(at + self.timings.bmc_boot);
                }
            }
        }
    }

    /// Carries out what the BMC was told.
    pub(super) fn chassis(&mut self, command: ChassisCommand, now: Instant) -> Result<(), Refused> {
        if !self.bmc_is_up() {
            return Err(Refused::BmcDead);
        }
        match command {
            ChassisCommand::Up => self.power_on(now, CAUSE_CHASSIS_CONTROL),
            ChassisCommand::Down => self.power_off(now),
            ChassisCommand::Cycle | ChassisCommand::Reset | ChassisCommand::Diag | ChassisCommand::Soft
                if !self.is_on =>
            {
                return Err(Refused::PresentState);
            }
            ChassisCommand::Cycle => {
                self.power_off(now);
                self.cycle_on_at = Some(now + self.timings.cycle_gap);
            }
            ChassisCommand::Reset => self.reset(now),
            ChassisCommand::Diag => self.note(now, EffectKind::Diag),
            ChassisCommand::Soft => self.press_soft(now),
        }
        Ok(())
    }

    /// Restarts the BMC alone; the host goes on.
    pub(super) fn restart_bmc(&mut self, now: Instant) {
        if self.standby == Standby::Dead || self.standby == Standby::Booting {
            return;
        }
        self.kill_bmc(now);
        self.standby = Standby::Restarting;
        self.bmc_up_at = Some(now + self.timings.bmc_boot);
    }

    fn lose_power(&mut self, at: Instant) {
        self.power_lost_at = None;
        // Of a machine that lost power before its BMC had booted, the older state is the one to return to.
        if self.standby != Standby::Booting {
            self.was_on = self.is_on;
        }
        self.power_off(at);
        self.kill_bmc(at);
        self.standby = Standby::Dead;
        self.bmc_up_at = None;
    }

    fn kill_bmc(&mut self, at: Instant) {
        self.boot_count += 1;
        self.identify_until = None;
        self.note(at, EffectKind::BmcDied);
    }

    fn finish_bmc_boot(&mut self, at: Instant) {
        self.bmc_up_at = None;
        let is_cold = self.standby == Standby::Booting;
        self.standby = Standby::Up;
        self.note(at, EffectKind::BmcUp);
        match self.policy {
            RestorePolicy::AlwaysOn if is_cold => self.power_on(at, CAUSE_ALWAYS_ON),
            RestorePolicy::Previous if is_cold && self.was_on => self.power_on(at, CAUSE_PREVIOUS),
            RestorePolicy::AlwaysOn | RestorePolicy::Previous | RestorePolicy::AlwaysOff => {}
        }
    }

    fn power_on(&mut self, at: Instant, cause: u8) {
        self.cycle_on_at = None;
        if self.is_on {
            return;
        }
        self.is_on = true;
        self.restart_cause = cause;
        self.os_ready_at = Some(at + self.timings.os_boot);
        self.note(at, EffectKind::PoweredOn);
    }

    fn power_off(&mut self, at: Instant) {
        self.soft_off_at = None;
        self.cycle_on_at = None;
        if !self.is_on {
            return;
        }
        self.is_on = false;
        self.note(at, EffectKind::PoweredOff);
    }

    fn reset(&mut self, now: Instant) {
        self.soft_off_at = None;
        self.restart_cause = CAUSE_CHASSIS_CONTROL;
        self.os_ready_at = Some(now + self.timings.os_boot);
        self.note(now, EffectKind::Reset);
    }

    fn press_soft(&mut self, now: Instant) {
        self.note(now, EffectKind::SoftPressed);
        let is_heard = self.os_ready_at.is_none_or(|ready| ready <= now) && !self.faults.ignore_soft;
        if is_heard && self.soft_off_at.is_none() {
            self.soft_off_at = Some(now + self.timings.os_soft_off);
        }
    }

    /// Returns how long the identify light stays lit, `None` when it is dark.
    pub(super) fn identify_left(&self, now: Instant) -> Option<Duration> {
        match self.identify_until? {
            Identify::Forever => Some(Duration::MAX),
            Identify::Until(end) => end.checked_duration_since(now).filter(|left| !left.is_zero()),
        }
    }

    fn note(&mut self, at: Instant, what: EffectKind) {
        self.log.push(Effect { at, what });
    }
}

/// Returns the GUID of the machine called `name`: the same on every start.
fn guid_of(name: &str) -> [u8; 16] {
    let bits = (u128::from(mixed(name, 1)) << 64) | u128::from(mixed(name, 2));
    // Version and variant as RFC 9562 asks of a custom UUID.
    let version = 0x8_u128 << 76;
    let variant = 0x2_u128 << 62;
    ((bits & !(0xf_u128 << 76) & !(0x3_u128 << 62)) | version | variant).to_be_bytes()
}
