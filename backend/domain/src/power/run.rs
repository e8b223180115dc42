//! One power action on one server, in progress.

use rackhand_wire::{Fault, PowerAction, api::power::Via};
use serde::{Deserialize, Serialize};

use super::{
    controller::{self, Control},
    effect::{Effect, Phase, Signal, Step, Verdict},
    feeds::{self, Feeds},
    plan::{Cuts, Path, Plan, Refusal},
    verdict,
};
use starting::WarmUp;

mod starting;

/// What the run is doing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum State {
    /// A controller is brought to a goal.
    Controlling(Control),
    /// The off phase of a cycle through the controller.
    Holding { controller: usize },
    /// Waiting for the gates of the automatic fallback.
    Gating { fault: Fault },
    /// Outlets are switched.
    Feeding { feeds: Feeds, purpose: Purpose },
    /// Outlets fed it again; the controller is awaited.
    WarmingUp(WarmUp),
    /// Nothing more to do.
    Over,
}

/// Why outlets are switched.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Purpose {
    /// All outlets were off at the last look: if they still are, so is the server, whatever its BMC would say.
    Look,
    /// Missing feeds are restored before the controller is asked to switch on.
    Prelude,
    /// The controller is unreachable, or a person forced it.
    Action { goal: feeds::Goal },
}

/// A run. Store it after every step; [`Run::pending`] is what must be performed next.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    plan: Plan,
    state: State,
    pending: Step,
    /// The action as it stands: a reset of a server that is off may have become `on`.
    action: PowerAction,
    cancelled: bool,
    written: bool,
    /// The goal of a command that was lost, and of which a read said that it was not carried out: it may come yet,
    /// until that goal is reached or the outlets have decided.
    #[serde(default)]
    lost: Option<controller::Goal>,
    escalated: bool,
    /// All outlets were read off before they were wanted on, whoever switched them on then.
    #[serde(default)]
    was_dark: bool,
    /// Outlets that stayed dead when the feeds were restored before the controller was asked.
    dead_feeds: Vec<usize>,
    /// The first half of a cycle is proven: from now on a failure leaves the server off.
    off_proven: bool,
}

impl Run {
    /// Starts a run; `pending` is its first step.
    #[must_use]
    pub fn start(plan: Plan, now: u64) -> Self {
        let action = plan.action.what;
        let idle = Step { phase: Phase::Verify, reason: String::new(), effect: Effect::Wait { ms: 0 } };
        let mut run = Self {
            plan,
            state: State::Over,
            pending: idle,
            action,
            cancelled: false,
            written: false,
            lost: None,
            escalated: false,
            was_dark: false,
            dead_feeds: Vec::new(),
            off_proven: false,
        };
        run.pending = run.begin(now);
        run
    }

    /// What must be performed next; [`Effect::Finish`] when the run is over.
    #[must_use]
    pub fn pending(&self) -> &Step {
        &self.pending
    }

    /// The plan it follows.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Finds the controller behind an index of an effect.
    #[must_use]
    pub fn controller(&self, index: usize) -> Option<&Path> {
        self.plan.controllers.get(index)
    }

    /// Finds the outlet behind an index of an effect.
    #[must_use]
    pub fn outlet(&self, index: usize) -> Option<&Path> {
        self.plan.outlets.get(index)
    }

    /// Asks to stop. Honoured between steps: before the first write at once; after an outlet was cut
    /// only after what was cut is on again; not at all once the feeds are being restored, or off by the outlets is
    /// proven.
    pub fn cancel(&mut self) {
        self.cancelled = true;
        if let State::Feeding { feeds, .. } = &mut self.state {
            feeds.stop();
        }
    }

    /// Says whether nothing depends on what is done now, so that a person may stop waiting for it.
    #[must_use]
    pub fn may_stop_waiting(&self) -> bool {
        match &self.state {
            State::Feeding { feeds, .. } => !feeds.has_written(),
            State::Over => false,
            State::Controlling(_) | State::Holding { .. } | State::Gating { .. } | State::WarmingUp(_) => {
                true
            }
        }
    }

    /// Says whether other outlets can be switched on while the present one is waited for.
    #[must_use]
    pub fn others_wait(&self) -> bool {
        matches!(&self.state, State::Feeding { feeds, .. } if feeds.others_wait())
    }

    /// The time in which it had to begin is over, and nothing was sent: it ends.
    pub fn expire(&mut self, limit_ms: u64) {
        if !self.written && !matches!(self.state, State::Over) {
            self.pending = self.finish(verdict::overdue(limit_ms));
        }
    }

    /// Takes the outcome of the pending step; `now` is milliseconds since the run began. A signal
    /// that does not answer the pending step is ignored.
    pub fn step(&mut self, signal: &Signal, now: u64) -> &Step {
        if let Some(next) = self.advance(signal, now) {
            self.pending = next;
        }
        &self.pending
    }

    fn begin(&mut self, now: u64) -> Step {
        if self.plan.action.via == Via::Outlets {
            return self.by_outlets("asked for by a person", now);
        }
        if self.plan.outlets.is_empty() || self.plan.controllers.is_empty() {
            return self.control(0, "asked first, for it knows the machine", now);
        }
        if self.action == PowerAction::On && self.plan.feeds_come_first() {
            let why = "an outlet is off: feeds come before the controller";
            return self.feed(feeds::Goal::On, Purpose::Prelude, why);
        }
        // Outlets that do not feed everything prove nothing.
        let refusal = self.plan.outlet_refusal(Cuts::Yes);
        let asks = Cuts::from(self.action) == Cuts::Yes || self.plan.action.is_on_when_off();
        if asks && self.plan.feeds_dark && refusal.is_none() {
            let why = "all outlets were off at the last look";
            let (mut feeds, step) = Feeds::start(feeds::Goal::Look, self.plan.outlets.len(), why);
            feeds.leaves = self.action != PowerAction::Off;
            self.state = State::Feeding { feeds, purpose: Purpose::Look };
            return step;
        }
        self.control(0, "asked first, for it knows the machine", now)
    }

    fn feed(&mut self, goal: feeds::Goal, purpose: Purpose, why: &str) -> Step {
        let (feeds, step) = Feeds::start(goal, self.plan.outlets.len(), why);
        self.state = State::Feeding { feeds, purpose };
        step
    }

    fn advance(&mut self, signal: &Signal, now: u64) -> Option<Step> {
        let rhythm = self.plan.rhythm;
        match std::mem::replace(&mut self.state, State::Over) {
            State::Controlling(mut control) => {
                let next = control.step(signal, now, &rhythm);
                let Some(next) = next else {
                    self.state = State::Controlling(control);
                    return None;
                };
                self.written |= control.has_written();
                Some(self.controlled(control, next, now))
            }
            State::Holding { controller } => {
                if !matches!(signal, Signal::Waited) {
                    self.state = State::Holding { controller };
                    return None;
                }
                Some(self.set_goal(controller, controller::Goal::On, "the off phase is over", now))
            }
            State::Gating { fault } => {
                let Signal::Gates(answer) = signal else {
                    self.state = State::Gating { fault };
                    return None;
                };
                Some(self.gated(answer, &fault, now))
            }
            State::Feeding { mut feeds, purpose } => {
                let next = feeds.step(signal, now, &rhythm);
                let Some(next) = next else {
                    self.state = State::Feeding { feeds, purpose };
                    return None;
                };
                self.written |= feeds.has_written();
                Some(match next {
                    feeds::Next::Do(step) => {
                        self.state = State::Feeding { feeds, purpose };
                        step
                    }
                    feeds::Next::End(end) => self.fed(end, &purpose, now),
                })
            }
            State::WarmingUp(warm) => self.warmed(warm, signal, now),
            State::Over => None,
        }
    }

    fn control(&mut self, at: usize, why: &str, now: u64) -> Step {
        let goal = match self.action {
            PowerAction::On => controller::Goal::On,
            PowerAction::Off | PowerAction::Cycle => controller::Goal::Off,
            PowerAction::Reset => controller::Goal::Reset,
            PowerAction::Nmi => controller::Goal::Nmi,
            PowerAction::Shutdown => controller::Goal::Shutdown,
        };
        if at < self.plan.controllers.len() {
            return self.set_goal(at, goal, why, now);
        }
        if at == 0 && !self.plan.outlets.is_empty() {
            // Nothing but outlets: the group is the primary path, not a fallback.
            return self.by_outlets("the server has no controller", now);
        }
        self.finish(verdict::no_path(&self.plan))
    }

    fn set_goal(&mut self, at: usize, goal: controller::Goal, why: &str, now: u64) -> Step {
        let label = self.plan.controllers.get(at).map_or("", |path| path.label.as_str());
        let (control, step) = Control::start(at, label, goal, now, why);
        self.state = State::Controlling(control);
        step
    }

    fn controlled(&mut self, control: Control, next: controller::Next, now: u64) -> Step {
        match next {
            controller::Next::Do(step) => {
                // A command that is due is not sent once a person has asked to stop.
                if self.cancelled && !matches!(step.effect, Effect::Read { .. }) {
                    return self.stopped(Some(&control));
                }
                self.state = State::Controlling(control);
                step
            }
            controller::Next::End(end) => self.control_ended(&control, end, now),
        }
    }

    fn control_ended(&mut self, control: &Control, end: controller::End, now: u64) -> Step {
        use controller::{End, Goal};
        let goal = control.goal();
        if matches!(end, End::Reached | End::Acknowledged) {
            self.lost = None;
        } else if control.is_disproved()
            && matches!(end, End::Unreachable(_) | End::Unsupported(_) | End::Failed(_))
        {
            self.lost = Some(goal);
        }
        match end {
            End::Failed(fault) | End::Unclear(fault) if self.cancelled && fault.never_begun() => {
                self.stopped(Some(control))
            }
            End::Reached if goal == Goal::Off && self.action == PowerAction::Cycle => {
                self.off_proven = self.written;
                if self.cancelled {
                    return self.stopped(Some(control));
                }
                if !self.off_proven {
                    return self.set_goal(control.controller(), Goal::On, "it was off: a cycle is on", now);
                }
                self.state = State::Holding { controller: control.controller() };
                let effect = Effect::Wait { ms: self.plan.rhythm.hold };
                Step { phase: Phase::Hold, reason: "off is proven; the off phase begins".into(), effect }
            }
            End::Reached => {
                let verdict = verdict::reached(&self.plan, self.action, goal, self.written, &self.dead_feeds);
                self.finish(if self.escalated && control.has_written() { verdict.forced() } else { verdict })
            }
            End::Acknowledged => self.finish(verdict::acknowledged(control.label())),
            End::IsOff if self.plan.action.on_if_off && goal == Goal::Reset => {
                self.action = PowerAction::On;
                self.set_goal(control.controller(), Goal::On, "it is off: reset becomes on", now)
            }
            End::IsOff => self.finish(verdict::is_off(self.action)),
            End::SoftTimeout if self.plan.action.escalate && !self.escalated => {
                self.escalated = true;
                let why = "the operating system did not obey in time";
                self.set_goal(control.controller(), Goal::Off, why, now)
            }
            End::SoftTimeout => self.finish(verdict::soft_timeout(self.plan.rhythm.soft_deadline)),
            End::Unsupported(fault) | End::Unreachable(fault)
                if control.controller() + 1 < self.plan.controllers.len()
                    && (!control.has_written() || control.is_disproved()) =>
            {
                // What was proven before stands: only what is left to do is asked of the next one.
                let why = format!("{}: {fault}", control.label());
                self.set_goal(control.controller() + 1, goal, &why, now)
            }
            End::Unsupported(fault) | End::Failed(fault) => {
                self.finish(verdict::failed(control.label(), goal, &fault, self.sent(Some(control))))
            }
            End::Unreachable(fault) => self.unreachable(control, &fault),
            End::NoEffect => self.finish(verdict::no_effect(control.label(), goal)),
            End::Unclear(fault) => self.finish(verdict::unclear(control.label(), goal, &fault)),
        }
    }

    /// Nothing was done: the outlets may do it, if everything known allows it.
    fn unreachable(&mut self, control: &Control, fault: &Fault) -> Step {
        let label = control.label();
        let falls_back = match self.action {
            PowerAction::On | PowerAction::Off | PowerAction::Cycle => true,
            PowerAction::Shutdown | PowerAction::Reset | PowerAction::Nmi => false,
        };
        if !falls_back {
            let refusal = Refusal::new(
                "no_outlet_equivalent",
                format!("Outlets cannot stand in for “{}”.", self.action.title()),
            );
            return self.finish(verdict::no_fallback(label, fault, &refusal));
        }
        if self.cancelled {
            return self.stopped(Some(control));
        }
        if self.action == PowerAction::Cycle && self.lost == Some(controller::Goal::On) {
            // It may be starting: nobody cuts it for that.
            return self.finish(verdict::unclear(label, controller::Goal::On, fault));
        }
        if self.plan.outlets.is_empty() {
            let refusal = Refusal::new("no_outlets", "No outlets are connected to this server.");
            return self.finish(verdict::no_fallback(label, fault, &refusal));
        }
        let outlets = self.plan.outlet_refusal(self.action.into());
        let refusal = self.plan.fallback_refusal.as_ref().or(outlets);
        if let Some(refusal) = refusal {
            let verdict = verdict::no_fallback(label, fault, refusal);
            return self.finish(verdict);
        }
        self.state = State::Gating { fault: fault.clone() };
        let what =
            if self.lost.is_some() { "what was sent was not carried out" } else { "nothing was delivered" };
        let reason = format!("{label}: {fault}; {what}");
        Step { phase: Phase::Gates, reason, effect: Effect::CheckGates }
    }

    fn gated(&mut self, answer: &Result<(), Refusal>, fault: &Fault, now: u64) -> Step {
        match answer {
            _ if self.cancelled => self.stopped(None),
            Ok(()) => self.by_outlets("the controller is silent and nothing speaks against the outlets", now),
            Err(refusal) => {
                let label = self.plan.controllers.last().map_or("", |path| path.label.as_str());
                let verdict = verdict::no_fallback(label, fault, refusal);
                self.finish(verdict)
            }
        }
    }

    fn by_outlets(&mut self, why: &str, _now: u64) -> Step {
        let goal = match self.action {
            PowerAction::On => feeds::Goal::On,
            PowerAction::Off => feeds::Goal::Off,
            PowerAction::Cycle => feeds::Goal::Cycle,
            PowerAction::Reset | PowerAction::Shutdown | PowerAction::Nmi => {
                let verdict = verdict::outlets_cannot(self.action);
                return self.finish(verdict);
            }
        };
        if self.plan.outlets.is_empty() {
            return self.finish(verdict::no_path(&self.plan));
        }
        if let Some(refusal) = self.plan.outlet_refusal(self.action.into()) {
            let verdict = verdict::cut_refused(refusal);
            return self.finish(verdict);
        }
        self.feed(goal, Purpose::Action { goal }, why)
    }

    fn fed(&mut self, end: feeds::End, purpose: &Purpose, now: u64) -> Step {
        if matches!(end, feeds::End::Fed { switched: true, .. } | feeds::End::Dark) {
            self.lost = None;
        }
        match (end, purpose) {
            (feeds::End::Looked { dark: true }, _) if self.cancelled && self.action != PowerAction::Off => {
                self.stopped(None)
            }
            (feeds::End::Looked { dark: true }, _) if self.plan.action.is_on_when_off() => {
                self.was_dark = true;
                let why = format!("it was off: {} is on", self.action.title().to_lowercase());
                self.action = PowerAction::On;
                self.feed(feeds::Goal::On, Purpose::Prelude, &why)
            }
            (feeds::End::Looked { dark: false }, _) => self.control(0, "an outlet feeds it", now),
            (feeds::End::Fed { dead, was_dark, .. }, Purpose::Prelude | Purpose::Look) => {
                self.dead_feeds.clone_from(&dead);
                if (was_dark || self.was_dark) && !self.plan.controllers.is_empty() {
                    return self.warm_up(dead, true, now);
                }
                self.control(0, if dead.is_empty() { "the feeds are on" } else { "a feed is on" }, now)
            }
            (feeds::End::NothingFeeds { .. }, Purpose::Prelude | Purpose::Look) => {
                // Perhaps the outlets feed something else: the controller decides.
                self.dead_feeds = (0..self.plan.outlets.len()).collect();
                self.control(0, "no outlet could be switched on", now)
            }
            (feeds::End::Fed { switched: false, dead, .. }, Purpose::Action { goal: feeds::Goal::On })
                if dead.is_empty() =>
            {
                let verdict = verdict::already_fed(&self.plan);
                self.finish(verdict)
            }
            (feeds::End::Fed { dead, was_dark, .. }, Purpose::Action { .. }) => {
                if self.plan.controllers.is_empty() {
                    let verdict = verdict::by_feeds(&self.plan, self.action, &dead);
                    return self.finish(verdict);
                }
                self.warm_up(dead, was_dark, now)
            }
            (feeds::End::Dark | feeds::End::Looked { dark: true }, _) => {
                self.finish(verdict::dark(self.plan.outlets.len()))
            }
            (feeds::End::NothingFeeds { .. }, Purpose::Action { goal }) => {
                self.finish(verdict::nothing_feeds(*goal))
            }
            (feeds::End::Stopped, _) => self.stopped(None),
            (feeds::End::Refused { .. }, Purpose::Prelude) if !self.plan.controllers.is_empty() => {
                self.dead_feeds = (0..self.plan.outlets.len()).collect();
                self.control(0, "no outlet could be asked", now)
            }
            (feeds::End::Refused { outlet, why, fault }, _) => {
                let verdict = verdict::feeds_refused(&self.plan, outlet, &why, fault.as_ref(), self.written);
                self.finish(verdict)
            }
            (feeds::End::Restored { culprit, why, stranded, cancelled, lost_power }, _) => {
                let is_off = self.off_proven && !lost_power;
                let verdict = verdict::restored(&self.plan, culprit, &why, &stranded, cancelled, is_off);
                self.finish(if lost_power { verdict::after_darkness(verdict) } else { verdict })
            }
        }
    }

    /// A person's wish to stop is heard; `control` is what was under way.
    fn stopped(&mut self, control: Option<&Control>) -> Step {
        self.finish(verdict::cancelled(self.sent(control), self.off_proven))
    }

    fn sent(&self, control: Option<&Control>) -> verdict::Sent {
        match control.filter(|control| control.has_written()) {
            Some(control) => verdict::Sent::Goal(control.goal()),
            None if let Some(lost) = self.lost => verdict::Sent::Before(lost),
            // Nothing is written before `on` but feeds, where no off was proven.
            None if self.written && self.action == PowerAction::On && !self.off_proven => {
                verdict::Sent::Feeds
            }
            None if self.written => verdict::Sent::Earlier(self.plan.action.what),
            None => verdict::Sent::Nothing,
        }
    }

    fn finish(&mut self, verdict: Verdict) -> Step {
        self.state = State::Over;
        let verdict = match self.lost {
            Some(goal) => verdict::may_come(verdict, goal),
            None => verdict,
        };
        let verdict = if self.off_proven { verdict::after_off(verdict) } else { verdict };
        Step { phase: Phase::Verify, reason: verdict.reason.clone(), effect: Effect::Finish(verdict) }
    }
}
