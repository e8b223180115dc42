//! A controller that lost its standby power with the feeds is awaited, and brings the machine on.

use serde::{Deserialize, Serialize};

use super::{Run, State};
use crate::power::{
    controller::{self, Control},
    effect::{Effect, Phase, Signal, Step, Verdict},
    plan::Path,
    verdict::{self, Was},
};
use rackhand_wire::{Fault, FaultCode};

/// A controller is awaited that starts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct WarmUp {
    pub since: u64,
    /// Outlets that stayed dead.
    dead: Vec<usize>,
    /// Whom the next question goes to: of several, each in turn.
    #[serde(default)]
    pub controller: usize,
    /// Controllers that refuse the credentials: asked again and again they would lock the account.
    #[serde(default)]
    shut: Vec<usize>,
    /// One is up and was told “on”, and the server stayed off; nobody was told since.
    #[serde(default)]
    stays_off: bool,
    pub at: Warm,
}

/// What is done while it starts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum Warm {
    Pausing,
    Controlling(Control),
}

impl Run {
    /// The controller that it waits for to start after its feeds returned, and for how many milliseconds yet.
    #[must_use]
    pub fn starting(&self, now: u64) -> Option<(&Path, u64)> {
        let State::WarmingUp(warm @ WarmUp { at: Warm::Pausing, .. }) = &self.state else { return None };
        let left = self.plan.rhythm.warm_up.saturating_sub(now.saturating_sub(warm.since));
        self.plan.controllers.get(warm.controller).map(|path| (path, left))
    }

    pub(super) fn warm_up(&mut self, dead: Vec<usize>, was_dark: bool, now: u64) -> Step {
        let at = Warm::Pausing;
        let warm = WarmUp { since: now, dead, controller: 0, shut: Vec::new(), stays_off: false, at };
        let why = if was_dark {
            "the controller lost its standby power and starts again"
        } else {
            "the controller may have lost its standby power: it gets time to start"
        };
        self.await_start(warm, why)
    }

    fn await_start(&mut self, warm: WarmUp, why: &str) -> Step {
        self.state = State::WarmingUp(WarmUp { at: Warm::Pausing, ..warm });
        let effect = Effect::Wait { ms: self.plan.rhythm.warm_up_poll };
        Step { phase: Phase::Verify, reason: why.into(), effect }
    }

    pub(super) fn warmed(&mut self, mut warm: WarmUp, signal: &Signal, now: u64) -> Option<Step> {
        match (&mut warm.at, signal) {
            (Warm::Pausing, Signal::Waited) => {
                if self.cancelled {
                    return Some(self.finish(self.left_starting(&warm.dead)));
                }
                let label = self.plan.controllers.get(warm.controller).map_or("", |path| path.label.as_str());
                let why = "the controller may be up by now";
                let (control, step) = Control::start(warm.controller, label, controller::Goal::On, now, why);
                self.state = State::WarmingUp(WarmUp { at: Warm::Controlling(control), ..warm });
                Some(step)
            }
            (Warm::Controlling(control), signal) => {
                let rhythm = self.plan.rhythm;
                match control.step(signal, now, &rhythm) {
                    None => {
                        self.state = State::WarmingUp(warm);
                        None
                    }
                    Some(controller::Next::Do(step))
                        if self.cancelled && matches!(step.effect, Effect::Command { .. }) =>
                    {
                        Some(self.finish(self.left_starting(&warm.dead)))
                    }
                    Some(controller::Next::Do(step)) => {
                        self.state = State::WarmingUp(warm);
                        Some(step)
                    }
                    Some(controller::Next::End(end)) => {
                        let proves = matches!(end, controller::End::NoEffect | controller::End::IsOff);
                        warm.stays_off = proves || warm.stays_off && !control.has_written();
                        Some(self.warm_ended(warm, &end, now))
                    }
                }
            }
            (Warm::Pausing, _) => {
                self.state = State::WarmingUp(warm);
                None
            }
        }
    }

    fn warm_ended(&mut self, mut warm: WarmUp, end: &controller::End, now: u64) -> Step {
        match end {
            controller::End::Reached => self.finish(verdict::fed_and_on(&self.plan, self.action, &warm.dead)),
            _ if self.cancelled => self.finish(self.left_starting(&warm.dead)),
            controller::End::Failed(fault) if fault.code == FaultCode::Auth => {
                warm.shut.push(warm.controller);
                match self.next_to_start(&warm) {
                    Some(next) => {
                        warm.controller = next;
                        self.await_start(
                            warm,
                            "the controller refuses the credentials, another may take them",
                        )
                    }
                    None => self.finish(self.left_alone(&warm, Some(fault))),
                }
            }
            _ if now.saturating_sub(warm.since) < self.plan.rhythm.warm_up => {
                warm.controller = self.next_to_start(&warm).unwrap_or(warm.controller);
                self.await_start(warm, "the controller is not up yet")
            }
            controller::End::Unsupported(fault)
            | controller::End::Failed(fault)
            | controller::End::Unclear(fault) => self.finish(self.left_alone(&warm, Some(fault))),
            // The last two come of other goals than “on”.
            controller::End::NoEffect
            | controller::End::IsOff
            | controller::End::Unreachable(_)
            | controller::End::Acknowledged
            | controller::End::SoftTimeout => self.finish(self.left_alone(&warm, None)),
        }
    }

    /// Of several, each is asked in turn.
    fn next_to_start(&self, warm: &WarmUp) -> Option<usize> {
        let count = self.plan.controllers.len();
        let after = (warm.controller + 1..count).chain(0..=warm.controller);
        after.filter(|next| *next < count).find(|next| !warm.shut.contains(next))
    }

    /// What is said when the time is over: what one of them proved counts, whichever was asked last.
    fn left_alone(&self, warm: &WarmUp, fault: Option<&Fault>) -> Verdict {
        if warm.stays_off {
            return verdict::fed_and_off(&self.plan, self.action, &warm.dead);
        }
        verdict::fed_alone(&self.plan, self.action, &warm.dead, self.was(), fault)
    }

    fn left_starting(&self, dead: &[usize]) -> Verdict {
        verdict::stopped_starting(&self.plan, self.action, dead, self.was())
    }

    fn was(&self) -> Was {
        if self.off_proven { Was::Off } else { Was::NotKnown }
    }
}
