//! One controller brought to one goal: read, command, read back.
//!
//! On and off are idempotent and may be repeated after a read says "not done". Reset, NMI and the
//! soft press leave once; after a lost answer only evidence decides.

use rackhand_wire::{
    Fault, FaultCode, Reason,
    power::{Native, PowerReading, Switch},
};
use serde::{Deserialize, Serialize};

use super::{
    effect::{Effect, Phase, Signal, Step},
    plan::Rhythm,
};

/// What the controller shall bring about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Goal {
    /// Runs.
    On,
    /// Hard off.
    Off,
    /// Restarted without losing power.
    Reset,
    /// Interrupted.
    Nmi,
    /// Shut down by its operating system.
    Shutdown,
}

impl Goal {
    fn native(self) -> Native {
        match self {
            Self::On => Native::On,
            Self::Off => Native::Off,
            Self::Reset => Native::Reset,
            Self::Nmi => Native::Nmi,
            Self::Shutdown => Native::Shutdown,
        }
    }

    fn wanted(self) -> Switch {
        match self {
            Self::On | Self::Reset | Self::Nmi => Switch::On,
            Self::Off | Self::Shutdown => Switch::Off,
        }
    }
}

/// How it ended.
#[derive(Debug, Clone, PartialEq)]
pub enum End {
    /// Reached, and read after the last write.
    Reached,
    /// Acknowledged; there is no state to read (NMI).
    Acknowledged,
    /// Nothing was delivered, or what was read after a lost command says that it was not carried out:
    /// another path may be tried.
    Unreachable(Fault),
    /// The controller has no such function.
    Unsupported(Fault),
    /// The server is off, so it cannot be reset.
    IsOff,
    /// The soft deadline passed; the server still runs.
    SoftTimeout,
    /// Refused or not reached; the server is as it was read.
    Failed(Fault),
    /// Acknowledged, but the state did not follow.
    NoEffect,
    /// Sent, and nobody can tell.
    Unclear(Fault),
}

/// Next thing to do, or the end.
pub enum Next {
    /// Do this.
    Do(Step),
    /// Over.
    End(End),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum At {
    Look,
    Sent,
    ReadBack,
    /// Waits before reading again; `then` says what follows the wait.
    Pause(Then),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Then {
    Look,
    Send,
    ReadBack,
}

/// Progress with one controller.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Control {
    controller: usize,
    label: String,
    goal: Goal,
    at: At,
    /// When the last command was sent: read-backs are counted from here.
    sent_at: u64,
    /// When the goal was set: the soft deadline is counted from here.
    begun_at: u64,
    next_pause: u64,
    sends: u32,
    busy_since: Option<u64>,
    state_refusals: u32,
    /// The last write may not have arrived.
    lost: Option<Fault>,
    /// A write was lost, and what was read since says that it was not carried out.
    #[serde(default)]
    disproved: bool,
    /// The last read after the last write succeeded.
    read_since_write: bool,
    cause_before: Option<String>,
    written: bool,
    /// The last read made no sense: it is asked once more, and no more.
    #[serde(default)]
    garbled: bool,
}

/// `on` refused by its state is tried this often (an iDRAC needs it right after off).
const STATE_TRIES: u32 = 6;

impl Control {
    /// Sets out; the first thing is always to read.
    #[must_use]
    pub fn start(controller: usize, label: &str, goal: Goal, now: u64, why: &str) -> (Self, Step) {
        let control = Self {
            controller,
            label: label.into(),
            goal,
            at: At::Look,
            sent_at: now,
            begun_at: now,
            next_pause: 0,
            sends: 0,
            busy_since: None,
            state_refusals: 0,
            lost: None,
            disproved: false,
            read_since_write: false,
            cause_before: None,
            written: false,
            garbled: false,
        };
        let step = control.read(Phase::Controller, why);
        (control, step)
    }

    /// Says whether a command may have reached the controller.
    #[must_use]
    pub fn has_written(&self) -> bool {
        self.written
    }

    /// Says whether a command was lost, and what was read since says that it was not carried out.
    #[must_use]
    pub fn is_disproved(&self) -> bool {
        self.disproved
    }

    /// Takes the outcome of the last effect.
    pub fn step(&mut self, signal: &Signal, now: u64, rhythm: &Rhythm) -> Option<Next> {
        match (&self.at, signal) {
            (At::Look, Signal::Read(answer)) => Some(self.looked(answer, now, rhythm)),
            (At::Sent, Signal::Commanded(answer)) => Some(self.sent(answer, now, rhythm)),
            (At::ReadBack, Signal::Read(answer)) => Some(self.read_back(answer, now, rhythm)),
            (At::Pause(then), Signal::Waited) => {
                let then = *then;
                Some(self.resume(then, now))
            }
            (At::Look | At::Sent | At::ReadBack | At::Pause(_), _) => None,
        }
    }

    fn looked(&mut self, answer: &Result<PowerReading, Fault>, now: u64, rhythm: &Rhythm) -> Next {
        match answer {
            Ok(reading) => {
                (self.busy_since, self.garbled) = (None, false);
                self.cause_before.clone_from(&reading.restart_cause);
                match (self.goal, reading.power) {
                    (Goal::On, Switch::On) | (Goal::Off | Goal::Shutdown, Switch::Off) => {
                        // It was read otherwise before, and told; that it refused does not make it nothing.
                        self.written |= self.state_refusals > 0;
                        Next::End(End::Reached)
                    }
                    (Goal::Reset | Goal::Nmi, Switch::Off) => Next::End(End::IsOff),
                    (Goal::On, Switch::Off) => self.send(now, "the server is off"),
                    (Goal::Off | Goal::Reset | Goal::Nmi | Goal::Shutdown, Switch::On) => {
                        self.send(now, "the server is on")
                    }
                }
            }
            Err(fault) => match fault.code {
                // Something was sent before, and nothing that was read since speaks against it.
                FaultCode::Unreach if self.written && !self.disproved => {
                    Next::End(End::Unclear(fault.clone()))
                }
                FaultCode::Unreach => Next::End(End::Unreachable(fault.clone())),
                // A read that got lost after the session stood is worth another try.
                FaultCode::Busy | FaultCode::Lost | FaultCode::Dup => {
                    self.busy(fault, Then::Look, now, rhythm)
                }
                FaultCode::Proto if !self.garbled => {
                    self.garbled = true;
                    self.pause(rhythm.busy_back_off, Then::Look, fault.reason.sentence(), now)
                }
                // An earlier copy of a command that was refused may have been carried out.
                FaultCode::Proto if self.written => Next::End(End::Unclear(fault.clone())),
                FaultCode::Auth
                | FaultCode::Config
                | FaultCode::State
                | FaultCode::Updating
                | FaultCode::Proto
                | FaultCode::Exec => Next::End(End::Failed(fault.clone())),
                FaultCode::Unsupported => Next::End(End::Unsupported(fault.clone())),
            },
        }
    }

    fn send(&mut self, now: u64, why: &str) -> Next {
        // A server that is still on may be shutting down all the same.
        self.disproved |= self.lost.is_some() && self.goal.native().is_idempotent();
        self.at = At::Sent;
        self.sent_at = now;
        self.sends += 1;
        self.read_since_write = false;
        Next::Do(Step {
            phase: Phase::Controller,
            reason: why.into(),
            effect: Effect::Command { controller: self.controller, command: self.goal.native() },
        })
    }

    fn sent(&mut self, answer: &Result<(), Fault>, now: u64, rhythm: &Rhythm) -> Next {
        // Until a refusal below says that it did nothing.
        self.written = true;
        if self.goal == Goal::Shutdown && self.sends == 1 {
            // The operating system has its time from the press on, however long the controller was waited for.
            self.begun_at = self.begun_at.max(self.sent_at.saturating_sub(rhythm.soft_poll));
        }
        let Err(fault) = answer else {
            (self.lost, self.busy_since) = (None, None);
            if self.goal == Goal::Nmi {
                return Next::End(End::Acknowledged);
            }
            return self.begin_read_back(now, rhythm);
        };
        match fault.code {
            // Nothing of this command left, but an earlier copy may have.
            FaultCode::Unreach => {
                self.was_not_done();
                match (&self.lost, self.sends) {
                    (None, 0) => Next::End(End::Unreachable(fault.clone())),
                    // Read after each copy before: none was carried out, and this one never left.
                    (Some(_), 0 | 1) if self.disproved => Next::End(End::Unreachable(fault.clone())),
                    (Some(_) | None, _) => Next::End(End::Unclear(fault.clone())),
                }
            }
            FaultCode::Lost => {
                self.lost = Some(fault.clone());
                if self.goal == Goal::Nmi {
                    return Next::End(End::Unclear(fault.clone()));
                }
                self.begin_read_back(now, rhythm)
            }
            FaultCode::Dup if self.goal == Goal::Nmi => Next::End(End::Acknowledged),
            FaultCode::Dup => {
                // A copy arrived, which says nothing of what it did: a state shows that, a reset leaves other traces.
                self.lost = (!self.goal.native().is_idempotent()).then(|| fault.clone());
                self.begin_read_back(now, rhythm)
            }
            FaultCode::State => self.refused_by_state(fault, now, rhythm),
            FaultCode::Busy if self.goal.native().is_idempotent() || self.lost.is_none() => {
                self.was_not_done();
                self.busy(fault, Then::Send, now, rhythm)
            }
            FaultCode::Busy | FaultCode::Proto => {
                // A garbled reply proves that the command arrived, not what it did.
                self.lost = Some(fault.clone());
                self.begin_read_back(now, rhythm)
            }
            FaultCode::Unsupported => {
                self.was_not_done();
                Next::End(End::Unsupported(fault.clone()))
            }
            FaultCode::Auth | FaultCode::Config | FaultCode::Updating => {
                self.was_not_done();
                Next::End(End::Failed(fault.clone()))
            }
            FaultCode::Exec => {
                // An agent that began it cannot say whether it got as far as the device.
                if fault.never_begun() {
                    self.was_not_done();
                }
                Next::End(End::Failed(fault.clone()))
            }
        }
    }

    /// The command that was just sent did nothing: only copies before it count.
    fn was_not_done(&mut self) {
        self.sends = self.sends.saturating_sub(1);
        self.written = self.sends > 0 || self.lost.is_some();
    }

    fn refused_by_state(&mut self, fault: &Fault, now: u64, rhythm: &Rhythm) -> Next {
        self.state_refusals += 1;
        self.was_not_done();
        // Perhaps it is there already, by the copy that was read as not done.
        self.disproved = false;
        let tries = if self.goal == Goal::On { STATE_TRIES } else { 1 };
        if self.state_refusals > tries {
            return Next::End(End::Failed(fault.clone()));
        }
        // The state is read first: refused because already there is a success.
        if self.state_refusals == 1 {
            self.at = At::Look;
            return Next::Do(self.read(Phase::Controller, "refused in its present state"));
        }
        self.pause(rhythm.state_retry, Then::Look, "refused in its present state", now)
    }

    fn busy(&mut self, fault: &Fault, then: Then, now: u64, rhythm: &Rhythm) -> Next {
        let since = *self.busy_since.get_or_insert(now);
        if now.saturating_sub(since) >= rhythm.busy_budget {
            return Next::End(End::Failed(fault.clone()));
        }
        self.pause(rhythm.busy_back_off, then, fault.reason.sentence(), now)
    }

    fn begin_read_back(&mut self, now: u64, rhythm: &Rhythm) -> Next {
        self.next_pause = match self.goal {
            // A press late in the time does not make the time longer.
            Goal::Shutdown => {
                rhythm.soft_poll.min(rhythm.soft_deadline.saturating_sub(now.saturating_sub(self.begun_at)))
            }
            Goal::On | Goal::Off | Goal::Reset | Goal::Nmi => rhythm.read_back_first,
        };
        let why = match &self.lost {
            Some(_) => "the answer was lost: the state decides",
            None => "acknowledged: the state decides",
        };
        let pause = self.next_pause;
        self.pause(pause, Then::ReadBack, why, now)
    }

    fn read_back(&mut self, answer: &Result<PowerReading, Fault>, now: u64, rhythm: &Rhythm) -> Next {
        self.read_since_write = answer.is_ok();
        let was_garbled = std::mem::take(&mut self.garbled);
        match answer {
            Ok(reading) => {
                if let Some(next) = self.judge(reading, now, rhythm) {
                    return next;
                }
            }
            Err(fault) if fault.code == FaultCode::Proto => {
                if was_garbled {
                    return Next::End(End::Unclear(fault.clone()));
                }
                self.garbled = true;
            }
            Err(_) => self.garbled = was_garbled,
        }
        self.read_again(answer.as_ref().err(), now, rhythm)
    }

    /// Decides by a successful read, or not yet.
    fn judge(&mut self, reading: &PowerReading, now: u64, rhythm: &Rhythm) -> Option<Next> {
        let there = reading.power == self.goal.wanted();
        match self.goal {
            Goal::On | Goal::Off | Goal::Shutdown if there => Some(Next::End(End::Reached)),
            Goal::Reset => {
                // Only a cause that was known before and is another one now tells of a restart.
                let known = self.cause_before.is_some() && reading.restart_cause.is_some();
                let restarted = known && reading.restart_cause != self.cause_before;
                match (&self.lost, there, restarted) {
                    (None, true, _) | (Some(_), true, true) => Some(Next::End(End::Reached)),
                    // Still on and no sign of a restart: nobody can tell, and it is never repeated.
                    (Some(fault), true, false) => Some(Next::End(End::Unclear(fault.clone()))),
                    (_, false, _) => None,
                }
            }
            Goal::On | Goal::Off
                if self.lost.as_ref().is_some_and(|fault| fault.reason == Reason::Busy)
                    && now.saturating_sub(self.begun_at) < rhythm.busy_budget =>
            {
                // It does not count among those that may be sent once more.
                self.sends = self.sends.saturating_sub(1);
                self.disproved = true;
                Some(self.pause(rhythm.busy_back_off, Then::Send, "the controller was busy", now))
            }
            Goal::On | Goal::Off if self.lost.is_some() && self.sends < 2 => {
                // The read says "not done"; on and off may be repeated.
                self.disproved = true;
                Some(self.send(now, "the state shows that it was not done"))
            }
            Goal::Shutdown
                if self.sends < 2
                    && now.saturating_sub(self.sent_at) >= rhythm.soft_repress
                    && now.saturating_sub(self.begun_at) < rhythm.soft_deadline =>
            {
                Some(self.send(now, "still on: a press during boot is lost"))
            }
            Goal::On | Goal::Off | Goal::Shutdown | Goal::Nmi => None,
        }
    }

    fn read_again(&mut self, fault: Option<&Fault>, now: u64, rhythm: &Rhythm) -> Next {
        let waited = now.saturating_sub(self.sent_at);
        match self.goal {
            Goal::Shutdown => {
                let left = rhythm.soft_deadline.saturating_sub(now.saturating_sub(self.begun_at));
                if left == 0 {
                    return self.give_up(fault);
                }
                let why = "the operating system is shutting down";
                self.pause(rhythm.soft_poll.min(left), Then::ReadBack, why, now)
            }
            Goal::On | Goal::Off | Goal::Reset | Goal::Nmi => {
                if waited < rhythm.read_back {
                    let pause = self.next_pause.min(rhythm.read_back - waited).max(1);
                    self.next_pause = (self.next_pause * 2).min(rhythm.read_back_first * 8);
                    return self.pause(pause, Then::ReadBack, "not there yet", now);
                }
                let resend = self.goal.native().is_idempotent() && self.sends < 2 && fault.is_none();
                if resend {
                    return self.send(now, "the state did not follow in time");
                }
                self.give_up(fault)
            }
        }
    }

    fn give_up(&self, fault: Option<&Fault>) -> Next {
        if self.goal == Goal::Shutdown && self.read_since_write {
            // The last look showed it on, whatever became of the press.
            return Next::End(End::SoftTimeout);
        }
        Next::End(match (fault.or(self.lost.as_ref()), self.read_since_write) {
            (None, true) => End::NoEffect,
            (Some(fault), _) => End::Unclear(fault.clone()),
            (None, false) => End::Unclear(Fault::lost("no state could be read after the command")),
        })
    }

    fn pause(&mut self, ms: u64, then: Then, why: &str, _now: u64) -> Next {
        self.at = At::Pause(then);
        let phase = match then {
            Then::ReadBack => Phase::Verify,
            Then::Look | Then::Send => Phase::Controller,
        };
        Next::Do(Step { phase, reason: why.into(), effect: Effect::Wait { ms } })
    }

    fn resume(&mut self, then: Then, now: u64) -> Next {
        match then {
            Then::Look => {
                self.at = At::Look;
                Next::Do(self.read(Phase::Controller, "once more"))
            }
            Then::Send => self.send(now, "the controller was busy"),
            Then::ReadBack => {
                self.at = At::ReadBack;
                Next::Do(self.read(Phase::Verify, "success is what is read after the last write"))
            }
        }
    }

    fn read(&self, phase: Phase, why: &str) -> Step {
        Step { phase, reason: why.into(), effect: Effect::Read { controller: self.controller } }
    }

    /// Label of the controller, for sentences.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.label
    }

    /// What was to be brought about.
    #[must_use]
    pub fn goal(&self) -> Goal {
        self.goal
    }

    /// Which controller.
    #[must_use]
    pub fn controller(&self) -> usize {
        self.controller
    }
}
