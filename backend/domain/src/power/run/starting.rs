//! A controller that lost its standby power with the feeds is awaited, and brings the machine on.

use serde::{Deserialize, Serialize};

use super::{Run, State};
use crate::power::{
    controller::{self, Control},
    effect::{Effect, Phase, Signal, Step, Verdict},
    verdict::{self, Was},
};
use rackhand_wire::Fault;

/// What is done while it starts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum Warm {
    Pausing,
    Controlling(Control),
}

impl Run {
    pub(super) fn warm_up(&mut self, dead: Vec<usize>, now: u64) -> Step {
        self.await_start(now, dead, "the controller lost its standby power and starts again")
    }

    fn await_start(&mut self, since: u64, dead: Vec<usize>, why: &str) -> Step {
        self.state = State::WarmingUp { since, dead, at: Warm::Pausing };
        let effect = Effect::Wait { ms: self.plan.rhythm.warm_up_poll };
        Step { phase: Phase::Verify, reason: why.into(), effect }
    }

    pub(super) fn warmed(
        &mut self,
        since: u64,
        dead: Vec<usize>,
        at: Warm,
        signal: &Signal,
        now: u64,
    ) -> Option<Step> {
        match (at, signal) {
            (Warm::Pausing, Signal::Waited) => {
                if self.cancelled {
                    return Some(self.finish(self.left_starting(&dead)));
                }
                let label = self.plan.controllers.first().map_or("", |path| path.label.as_str());
                let why = "the controller may be up by now";
                let (control, step) = Control::start(0, label, controller::Goal::On, now, why);
                self.state = State::WarmingUp { since, dead, at: Warm::Controlling(control) };
                Some(step)
            }
            (Warm::Controlling(mut control), signal) => {
                let rhythm = self.plan.rhythm;
                match control.step(signal, now, &rhythm) {
                    None => {
                        self.state = State::WarmingUp { since, dead, at: Warm::Controlling(control) };
                        None
                    }
                    Some(controller::Next::Do(step))
                        if self.cancelled && matches!(step.effect, Effect::Command { .. }) =>
                    {
                        Some(self.finish(self.left_starting(&dead)))
                    }
                    Some(controller::Next::Do(step)) => {
                        self.state = State::WarmingUp { since, dead, at: Warm::Controlling(control) };
                        Some(step)
                    }
                    Some(controller::Next::End(end)) => Some(self.warm_ended(since, dead, &end, now)),
                }
            }
            (Warm::Pausing, _) => {
                self.state = State::WarmingUp { since, dead, at: Warm::Pausing };
                None
            }
        }
    }

    fn warm_ended(&mut self, since: u64, dead: Vec<usize>, end: &controller::End, now: u64) -> Step {
        match end {
            controller::End::Reached => self.finish(verdict::fed_and_on(&self.plan, self.action, &dead)),
            _ if self.cancelled => self.finish(self.left_starting(&dead)),
            _ if now.saturating_sub(since) < self.plan.rhythm.warm_up => {
                self.await_start(since, dead, "the controller is not up yet")
            }
            controller::End::NoEffect | controller::End::IsOff => {
                self.finish(verdict::fed_and_off(&self.plan, self.action, &dead))
            }
            controller::End::Unreachable(_) => self.finish(self.fed_alone(&dead, None)),
            controller::End::Unsupported(fault)
            | controller::End::Failed(fault)
            | controller::End::Unclear(fault) => self.finish(self.fed_alone(&dead, Some(fault))),
            // A machine is brought on here, nothing else.
            controller::End::Acknowledged | controller::End::SoftTimeout => {
                self.finish(self.fed_alone(&dead, None))
            }
        }
    }

    fn fed_alone(&self, dead: &[usize], fault: Option<&Fault>) -> Verdict {
        verdict::fed_alone(&self.plan, self.action, dead, self.was(), fault)
    }

    fn left_starting(&self, dead: &[usize]) -> Verdict {
        verdict::stopped_starting(&self.plan, self.action, dead, self.was())
    }

    fn was(&self) -> Was {
        if self.off_proven { Was::Off } else { Was::NotKnown }
    }
}
