//! One outlet brought to a state: write, read back, write once more, give up.

use rackhand_wire::{Fault, FaultCode, OutletState, Reason, power::Switch};
use serde::{Deserialize, Serialize};

use super::{
    effect::{Effect, OutletSeen, Signal},
    plan::Rhythm,
};

/// Progress with one outlet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Attempt {
    doing: Doing,
    since: u64,
    sends: u32,
    fault: Option<Fault>,
    last_read_failed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Doing {
    Sending,
    Reading,
    Pausing,
}

impl Attempt {
    pub(super) fn start(now: u64) -> Self {
        Self { doing: Doing::Sending, since: now, sends: 1, fault: None, last_read_failed: false }
    }

    /// Goes on with a look after a while.
    pub(super) fn looks_again(mut self) -> Self {
        self.doing = Doing::Reading;
        self
    }
}

/// What came of one outlet.
pub(super) enum Outcome {
    Continue(Effect, &'static str),
    There,
    /// Refused or nothing delivered: it is as it was.
    Untouched(Option<Fault>),
    /// It was off for a while, and the agent switched it on again.
    Undone(Fault),
    /// Read, and not there.
    Stuck,
    /// Nobody knows.
    Unknown(Option<Fault>),
}

/// Cuts an outlet; its agent switches it on again by itself unless it is told otherwise in time.
pub(super) fn cut_effect(outlet: usize, rhythm: &Rhythm) -> Effect {
    let restore_after_ms = Some(rhythm.discharge + rhythm.restore_slack);
    Effect::SwitchOutlet { outlet, to: Switch::Off, restore_after_ms }
}

/// Switches an outlet on.
pub(super) fn feed_effect(outlet: usize) -> Effect {
    Effect::SwitchOutlet { outlet, to: Switch::On, restore_after_ms: None }
}

/// How often one outlet is written before it counts as stuck.
const SENDS: u32 = 2;

/// Writes one outlet, reads it back until it follows, writes once more, gives up.
pub(super) fn advance(
    attempt: &mut Attempt,
    outlet: usize,
    to: Switch,
    resend: &Effect,
    signal: &Signal,
    now: u64,
    rhythm: &Rhythm,
) -> Option<Outcome> {
    match (attempt.doing, signal) {
        (Doing::Sending, Signal::Switched(answer)) => Some(sent(attempt, outlet, answer, now)),
        (Doing::Pausing, Signal::Waited) => {
            attempt.doing = Doing::Reading;
            Some(Outcome::Continue(Effect::ReadOutlet { outlet }, "switched counts only when read"))
        }
        (Doing::Reading, Signal::Outlet(answer)) => Some(read(attempt, to, resend, answer, now, rhythm)),
        (Doing::Sending | Doing::Pausing | Doing::Reading, _) => None,
    }
}

/// Says whether an outlet is certainly as it was before a write that ended so.
#[must_use]
pub fn leaves_untouched(fault: &Fault) -> bool {
    match fault.code {
        FaultCode::Auth | FaultCode::Config | FaultCode::Unsupported | FaultCode::Updating => true,
        // Refused in its state it may be there already; what was known before the order left says no more.
        FaultCode::State => matches!(fault.reason, Reason::Locked | Reason::Undone),
        FaultCode::Exec if fault.never_begun() => true,
        // An answer that never came may still have switched it: only a read can tell.
        FaultCode::Busy
        | FaultCode::Unreach
        | FaultCode::Lost
        | FaultCode::Dup
        | FaultCode::Proto
        | FaultCode::Exec => false,
    }
}

fn sent(attempt: &mut Attempt, outlet: usize, answer: &Result<(), Fault>, now: u64) -> Outcome {
    // A cut may have waited for its turn: the outlet has its time to follow from here on.
    attempt.since = now;
    if let Err(fault) = answer {
        let untouched = leaves_untouched(fault);
        if fault.reason == Reason::Undone && (!untouched || attempt.sends > 1) {
            return Outcome::Undone(fault.clone());
        }
        if untouched && attempt.sends == 1 {
            return Outcome::Untouched(Some(fault.clone()));
        }
        attempt.fault = Some(fault.clone());
    }
    attempt.doing = Doing::Reading;
    Outcome::Continue(Effect::ReadOutlet { outlet }, "switched counts only when read")
}

fn read(
    attempt: &mut Attempt,
    to: Switch,
    resend: &Effect,
    answer: &Result<OutletSeen, Fault>,
    now: u64,
    rhythm: &Rhythm,
) -> Outcome {
    let wanted = match to {
        Switch::On => OutletState::On,
        Switch::Off => OutletState::Off,
    };
    match answer {
        Ok(seen) if seen.state == wanted => return Outcome::There,
        Ok(_) => attempt.last_read_failed = false,
        Err(fault) => {
            attempt.last_read_failed = true;
            attempt.fault = Some(fault.clone());
        }
    }
    if now.saturating_sub(attempt.since) < rhythm.outlet_read_back {
        attempt.doing = Doing::Pausing;
        return Outcome::Continue(Effect::Wait { ms: rhythm.outlet_poll }, "not there yet");
    }
    // Switching on is worth a second try even blind: it can only help.
    if attempt.sends < SENDS && (!attempt.last_read_failed || to == Switch::On) {
        attempt.sends += 1;
        attempt.since = now;
        attempt.doing = Doing::Sending;
        return Outcome::Continue(resend.clone(), "it did not follow: once more");
    }
    if attempt.last_read_failed { Outcome::Unknown(attempt.fault.clone()) } else { Outcome::Stuck }
}
