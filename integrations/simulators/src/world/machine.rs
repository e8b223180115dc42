//! The handle to one machine that a BMC simulator, a PDU's outlet and a test share.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::clock::lock;
use super::effect::{Effect, EffectKind};
use super::faults::{BmcFaults, Fate, ReplyKind};
use super::machine_state::{ChassisCommand, Identify, MachineState, Refused, RestorePolicy};
use super::outlet::{Feed, OutletId};
use super::pdu::Pdu;
use super::timings::WorldTimings;

/// A handle to one machine with its BMC; a clone is another handle to the same one.
#[derive(Clone)]
pub struct Machine {
    core: Arc<MachineCore>,
}

/// What all handles of one machine share.
pub(super) struct MachineCore {
    name: String,
    pdus: Vec<Pdu>,
    state: Mutex<MachineState>,
}

impl std::fmt::Debug for MachineCore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MachineCore").field("name", &self.name).finish_non_exhaustive()
    }
}

impl MachineCore {
    /// Hears from an outlet that a feed came or went. Called with the PDU's lock held: takes the machine's only.
    pub(super) fn feed_changed(&self, outlet: &OutletId, feed: Feed, at: Instant) {
        let mut state = lock(&self.state);
        state.settle(at);
        state.feed_changed(outlet, feed, at);
    }

    /// Returns the watts drawn through `outlet`. Called with the PDU's lock held: takes the machine's only.
    pub(super) fn watts_through(&self, outlet: &OutletId, now: Instant) -> u32 {
        let mut state = lock(&self.state);
        state.settle(now);
        state.watts_through(outlet)
    }
}

impl Machine {
    pub(super) fn new(name: &str, feeds: &[OutletId], pdus: Vec<Pdu>, timings: WorldTimings) -> Machine {
        let state = Mutex::new(MachineState::new(name, feeds, timings));
        Machine { core: Arc::new(MachineCore { name: name.to_owned(), pdus, state }) }
    }

    pub(super) fn core(&self) -> &Arc<MachineCore> {
        &self.core
    }

    /// Returns the machine's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.core.name
    }

    /// Lists the outlets that feed the machine.
    #[must_use]
    pub fn feeds(&self) -> Vec<OutletId> {
        self.with(|state, _| state.feeds().cloned().collect())
    }

    /// Returns the GUID that the BMC reports: stable per name, another one under the fault `wrong_guid`.
    #[must_use]
    pub fn guid(&self) -> [u8; 16] {
        self.with(|state, _| {
            let mut guid = state.guid;
            if state.faults.wrong_guid {
                guid.reverse();
            }
            guid
        })
    }

    /// Tells whether the BMC has standby power and has finished booting.
    #[must_use]
    pub fn bmc_answers(&self) -> bool {
        self.with(|state, _| state.bmc_is_up())
    }

    /// Returns how often the BMC lost power or was restarted: a session of an older count is gone.
    #[must_use]
    pub fn bmc_boot_count(&self) -> u64 {
        self.with(|state, _| state.boot_count)
    }

    /// Tells whether the host is on.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.with(|state, _| state.is_on())
    }

    /// Carries out what the BMC was told.
    ///
    /// # Errors
    /// When it is not possible in the present state, or the BMC is dead.
    pub fn chassis(&self, command: ChassisCommand) -> Result<(), Refused> {
        self.with(|state, now| state.chassis(command, now))
    }

    /// Restarts the BMC alone; the host goes on.
    pub fn restart_bmc(&self) {
        self.with(MachineState::restart_bmc);
    }

    /// Returns what the machine does when mains power returns.
    #[must_use]
    pub fn restore_policy(&self) -> RestorePolicy {
        self.with(|state, _| state.policy)
    }

    /// Says what the machine does when mains power returns.
    pub fn set_restore_policy(&self, policy: RestorePolicy) {
        self.with(|state, _| state.policy = policy);
    }

    /// Returns the IPMI code of the last restart's cause.
    #[must_use]
    pub fn restart_cause(&self) -> u8 {
        self.with(|state, _| state.restart_cause)
    }

    /// Lights the identify lamp for some seconds, for ever with `None`; zero seconds put it out.
    pub fn identify(&self, seconds: Option<u8>) {
        self.with(|state, now| {
            state.identify_until = Some(match seconds {
                Some(seconds) => Identify::Until(now + Duration::from_secs(u64::from(seconds))),
                None => Identify::Forever,
            });
        });
    }

    /// Returns how long the identify lamp stays lit, `None` when it is dark.
    #[must_use]
    pub fn identify_left(&self) -> Option<Duration> {
        self.with(|state, now| state.identify_left(now))
    }

    /// Returns the raw boot flags (data bytes of boot option parameter 5).
    #[must_use]
    pub fn boot_device(&self) -> [u8; 5] {
        self.with(|state, _| state.boot_flags)
    }

    /// Sets the raw boot flags (data bytes of boot option parameter 5).
    pub fn set_boot_device(&self, flags: [u8; 5]) {
        self.with(|state, _| state.boot_flags = flags);
    }

    /// Returns how the BMC misbehaves.
    #[must_use]
    pub fn bmc_faults(&self) -> BmcFaults {
        self.with(|state, _| state.faults.clone())
    }

    /// Changes how the BMC misbehaves.
    pub fn change_bmc_faults(&self, change: impl FnOnce(&mut BmcFaults)) {
        self.with(|state, _| change(&mut state.faults));
    }

    /// Decides whether a request reaches the BMC: false when it is muted, dead, booting or the packet is lost.
    #[must_use]
    pub fn request_arrives(&self) -> bool {
        self.with(|state, _| state.bmc_is_up() && state.faults.link.request_arrives(&mut state.dice))
    }

    /// Decides what becomes of the next reply of a kind and counts it.
    #[must_use]
    pub fn next_reply_fate(&self, kind: ReplyKind) -> Fate {
        self.with(|state, _| {
            if !state.bmc_is_up() {
                return Fate::Drop;
            }
            state.faults.link.next_reply_fate(kind, &mut state.dice)
        })
    }

    /// Lists what happened to the machine, oldest first.
    #[must_use]
    pub fn effects(&self) -> Vec<Effect> {
        self.with(|state, _| state.log.clone())
    }

    /// Counts the effects of one kind.
    #[must_use]
    pub fn count(&self, kind: &EffectKind) -> usize {
        self.with(|state, _| state.log.iter().filter(|effect| effect.what == *kind).count())
    }

    fn with<T>(&self, act: impl FnOnce(&mut MachineState, Instant) -> T) -> T {
        let now = Instant::now();
        for pdu in &self.core.pdus {
            pdu.settle(now);
        }
        let mut state = lock(&self.core.state);
        state.settle(now);
        act(&mut state, now)
    }
}
