//! The outlets of one server, switched as one redundant group.
//!
//! Every outlet is read before any is written. Cutting ends with all of them read off, or with those that were cut
//! switched on again. Feeding goes on past a dead outlet, because one live feed is better than none, and says so.

use rackhand_wire::{Fault, FaultCode, OutletState, power::Switch};
use serde::{Deserialize, Serialize};

mod end;

pub use end::{End, Goal};

use super::{
    effect::{Effect, OutletSeen, Phase, Signal, Step, step},
    order::{is_read, others_wait, put_off, resume},
    outlet::{Attempt, Outcome, advance, cut_effect, feed_effect},
    plan::Rhythm,
};

/// Next thing to do, or the end.
pub enum Next {
    /// Do this.
    Do(Step),
    /// Over.
    End(End),
}

/// Why outlets are being switched on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Why {
    /// That is the goal.
    Goal,
    /// Cutting failed.
    Undo { culprit: Option<usize>, why: String, cancelled: bool },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum At {
    /// Reading outlet `at` before anything is written; `again` when its first answer made no sense.
    Look {
        at: usize,
        #[serde(default)]
        again: bool,
    },
    /// Cutting the `at`-th of `on_before`.
    Cut { at: usize, attempt: Attempt },
    /// Reading outlet `at` once more after all were cut.
    Confirm { at: usize },
    /// Telling the agents that it stays dark.
    Keep,
    /// Supplies discharge.
    Discharge,
    /// Switching on the `at`-th of `list`.
    Feed { list: Vec<usize>, at: usize, attempt: Attempt, dead: Vec<usize>, why: Why },
    /// Between two outlets.
    Spacing { list: Vec<usize>, at: usize, dead: Vec<usize>, why: Why },
}

/// Progress with the group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Feeds {
    goal: Goal,
    count: usize,
    at: At,
    seen: Vec<Option<OutletSeen>>,
    on_before: Vec<usize>,
    cut: Vec<usize>,
    /// How many of `on_before` were read off, or could not be read any more.
    gone: usize,
    /// How many could not be asked because their agent is away.
    #[serde(default)]
    away: usize,
    /// They stay off, and the supplies are empty: only what is read now is missing.
    #[serde(default)]
    empty: bool,
    /// What was done already with those that wait for the others.
    #[serde(default)]
    late: Vec<Attempt>,
    /// How often the present outlet could not be read since.
    #[serde(default)]
    unread: u8,
    written: bool,
    stop: bool,
    /// A look leaves it to others to restore what is off; else it stays off.
    #[serde(default)]
    pub(super) leaves: bool,
}

/// An outlet that was proven off is read again so often at most.
const LAST_READS: u8 = 3;

impl Feeds {
    /// Sets out by reading the first outlet. `count` must be at least one.
    #[must_use]
    pub fn start(goal: Goal, count: usize, why: &str) -> (Self, Step) {
        let feeds = Self {
            goal,
            count,
            at: At::Look { at: 0, again: false },
            seen: Vec::new(),
            on_before: Vec::new(),
            cut: Vec::new(),
            gone: 0,
            away: 0,
            empty: false,
            late: Vec::new(),
            unread: 0,
            written: false,
            stop: false,
            leaves: false,
        };
        (feeds, step(Phase::CheckFeeds, why, Effect::ReadOutlet { outlet: 0 }))
    }

    /// Asks to stop: nothing more is cut, and what was cut is switched on again.
    pub fn stop(&mut self) {
        self.stop = true;
    }

    /// Says whether an outlet was written.
    #[must_use]
    pub fn has_written(&self) -> bool {
        self.written
    }

    /// Says whether other outlets can be switched on while the present one is waited for.
    #[must_use]
    pub fn others_wait(&self) -> bool {
        match &self.at {
            At::Feed { list, at, .. } => others_wait(list, &self.late, *at, &self.seen),
            At::Look { .. }
            | At::Cut { .. }
            | At::Confirm { .. }
            | At::Keep
            | At::Discharge
            | At::Spacing { .. } => false,
        }
    }

    /// Takes the outcome of the last effect.
    pub fn step(&mut self, signal: &Signal, now: u64, rhythm: &Rhythm) -> Option<Next> {
        match (self.at.clone(), signal) {
            (At::Look { at, again: false }, Signal::Outlet(Err(fault)))
                if fault.code == FaultCode::Proto && !self.stop =>
            {
                self.at = At::Look { at, again: true };
                let why = fault.reason.sentence();
                Some(Next::Do(step(Phase::CheckFeeds, why, Effect::ReadOutlet { outlet: at })))
            }
            (At::Look { at, .. }, Signal::Outlet(answer)) => Some(self.looked(at, answer, now, rhythm)),
            (At::Cut { at, attempt }, _) => self.cutting(at, attempt, signal, now, rhythm),
            (At::Confirm { at }, Signal::Outlet(answer)) => Some(self.confirmed(at, answer, now, rhythm)),
            (At::Keep, Signal::Kept(answer)) => Some(self.kept(answer, now, rhythm)),
            (At::Discharge, Signal::Waited) if self.goal == Goal::Off => {
                self.empty = true;
                Some(self.confirm(0))
            }
            (At::Discharge, Signal::Waited) => {
                let all = (0..self.count).collect();
                Some(self.feed(all, 0, Vec::new(), Why::Goal, now))
            }
            (At::Feed { list, at, attempt, dead, why }, _) => {
                self.feeding((list, at, dead, why), attempt, signal, now, rhythm)
            }
            (At::Spacing { list, at, dead, why }, Signal::Waited) => {
                Some(self.feed(list, at, dead, why, now))
            }
            (
                At::Look { .. } | At::Confirm { .. } | At::Keep | At::Discharge | At::Spacing { .. },
                Signal::Read(_)
                | Signal::Commanded(_)
                | Signal::Outlet(_)
                | Signal::Switched(_)
                | Signal::Kept(_)
                | Signal::Gates(_)
                | Signal::Waited,
            ) => None,
        }
    }

    fn looked(&mut self, at: usize, answer: &Result<OutletSeen, Fault>, now: u64, rhythm: &Rhythm) -> Next {
        if self.stop && self.goal != Goal::Look {
            return Next::End(End::Stopped);
        }
        match (answer, self.goal) {
            (Ok(seen), _) => self.seen.push(Some(seen.clone())),
            (Err(fault), Goal::On | Goal::Look) => {
                self.away += usize::from(fault.never_begun());
                self.seen.push(None);
            }
            (Err(fault), Goal::Off | Goal::Cycle) => {
                return Next::End(End::Refused {
                    outlet: at,
                    why: "it cannot be read, so cutting the others would only remove redundancy".into(),
                    fault: Some(fault.clone()),
                });
            }
        }
        if at + 1 < self.count {
            self.at = At::Look { at: at + 1, again: false };
            let effect = Effect::ReadOutlet { outlet: at + 1 };
            return Next::Do(step(Phase::CheckFeeds, "every outlet is read before any is switched", effect));
        }
        match self.goal {
            Goal::Look => {
                let dark = (0..self.count).all(|outlet| self.is(outlet, OutletState::Off));
                if dark && !self.leaves { self.keep() } else { Next::End(End::Looked { dark }) }
            }
            Goal::On => {
                if let (Err(fault), true) = (answer, self.away == self.count) {
                    let why = "nobody is there to switch it".into();
                    return Next::End(End::Refused { outlet: at, why, fault: Some(fault.clone()) });
                }
                let mut off: Vec<usize> = (0..self.count).filter(|&o| !self.is(o, OutletState::On)).collect();
                // The agent of one that could not be read may be waited for.
                off.sort_by_key(|outlet| !is_read(&self.seen, *outlet));
                if off.is_empty() {
                    return Next::End(End::Fed { dead: Vec::new(), switched: false, was_dark: false });
                }
                self.feed(off, 0, Vec::new(), Why::Goal, now)
            }
            Goal::Off | Goal::Cycle => self.begin_cut(now, rhythm),
        }
    }

    fn begin_cut(&mut self, now: u64, rhythm: &Rhythm) -> Next {
        for (outlet, seen) in self.seen.iter().enumerate() {
            let why = match seen {
                Some(OutletSeen { locked: Some(reason), .. }) => format!("it is {reason}"),
                Some(OutletSeen { state: OutletState::Unknown, .. }) | None => {
                    "its state is unknown, so cutting the others would only remove redundancy".into()
                }
                Some(OutletSeen { state: OutletState::PendingOn | OutletState::PendingOff, .. }) => {
                    "a delayed command is pending on it".into()
                }
                Some(OutletSeen { state: OutletState::On | OutletState::Off, .. }) => continue,
            };
            return Next::End(End::Refused { outlet, why, fault: None });
        }
        self.on_before = (0..self.count).filter(|&o| self.is(o, OutletState::On)).collect();
        self.cut_next(0, now, rhythm)
    }

    fn cut_next(&mut self, at: usize, now: u64, rhythm: &Rhythm) -> Next {
        if self.stop && at < self.on_before.len() {
            return self.undo(None, "stopped by a person", true, now);
        }
        let Some(&outlet) = self.on_before.get(at) else {
            return self.confirm(0);
        };
        self.at = At::Cut { at, attempt: Attempt::start(now) };
        Next::Do(step(Phase::CutFeeds, "all feeds must be off at once", cut_effect(outlet, rhythm)))
    }

    fn cutting(
        &mut self,
        at: usize,
        mut attempt: Attempt,
        signal: &Signal,
        now: u64,
        rhythm: &Rhythm,
    ) -> Option<Next> {
        let outlet = self.on_before.get(at).copied()?;
        let resend = cut_effect(outlet, rhythm);
        let outcome = advance(&mut attempt, outlet, Switch::Off, &resend, signal, now, rhythm)?;
        self.written |= !matches!(outcome, Outcome::Untouched(_));
        Some(match outcome {
            Outcome::Continue(effect, why) => {
                self.at = At::Cut { at, attempt };
                Next::Do(step(Phase::CutFeeds, why, effect))
            }
            Outcome::There => {
                self.cut.push(outlet);
                self.gone += 1;
                self.cut_next(at + 1, now, rhythm)
            }
            Outcome::Untouched(_) if self.stop => self.undo(None, "stopped by a person", true, now),
            Outcome::Untouched(fault) => {
                let why = fault.map_or_else(|| "it refused".to_owned(), |f| f.to_string());
                self.undo(Some(outlet), &why, false, now)
            }
            Outcome::Undone(fault) => {
                self.cut.push(outlet);
                self.gone += 1;
                self.undo(None, &fault.to_string(), false, now)
            }
            Outcome::Stuck => {
                self.cut.push(outlet);
                self.undo(Some(outlet), "it was told to switch off and is still on", false, now)
            }
            Outcome::Unknown(fault) => {
                self.cut.push(outlet);
                self.gone += 1;
                let why = fault.map_or_else(|| "its state is unknown".to_owned(), |f| f.to_string());
                self.undo(Some(outlet), &why, false, now)
            }
        })
    }

    fn confirmed(
        &mut self,
        at: usize,
        answer: &Result<OutletSeen, Fault>,
        now: u64,
        rhythm: &Rhythm,
    ) -> Next {
        if self.empty && answer.is_err() && self.unread < LAST_READS {
            self.unread += 1;
            return self.confirm(at);
        }
        // Off was proven before the supplies were empty: a PDU that is silent since does not speak against it, and
        // nobody wants his server fed again for that.
        let is_proven = self.empty && answer.is_err();
        let off = is_proven || matches!(answer, Ok(OutletSeen { state: OutletState::Off, .. }));
        if !off {
            let why = match answer {
                Ok(_) => "it came on again by itself".to_owned(),
                Err(fault) => fault.to_string(),
            };
            return self.undo(Some(at), &why, false, now);
        }
        if at + 1 < self.count {
            self.unread = 0;
            return self.confirm(at + 1);
        }
        match self.goal {
            Goal::Off if self.empty => Next::End(End::Dark),
            Goal::Off if self.stop => self.undo(None, "stopped by a person", true, now),
            Goal::Off => self.keep(),
            Goal::Cycle | Goal::On | Goal::Look => self.discharge(rhythm),
        }
    }

    fn confirm(&mut self, at: usize) -> Next {
        self.at = At::Confirm { at };
        let effect = Effect::ReadOutlet { outlet: at };
        Next::Do(step(Phase::CheckFeeds, "off counts only when all were read off together", effect))
    }

    /// Supplies carry the machine on for a while: feeds that return before that were never missed.
    fn discharge(&mut self, rhythm: &Rhythm) -> Next {
        self.at = At::Discharge;
        Next::Do(step(Phase::Hold, "the power supplies discharge", Effect::Wait { ms: rhythm.discharge }))
    }

    /// Off is proven; an agent that still means to restore one of them, for this job or an earlier one, must
    /// not.
    fn keep(&mut self) -> Next {
        self.at = At::Keep;
        Next::Do(step(Phase::CutFeeds, "off is proven on all outlets", Effect::KeepOff))
    }

    fn kept(&mut self, answer: &Result<(), Fault>, now: u64, rhythm: &Rhythm) -> Next {
        match answer {
            answer if self.goal == Goal::Look => Next::End(End::Looked { dark: answer.is_ok() }),
            Ok(()) if self.cut.is_empty() => Next::End(End::Dark),
            Ok(()) => self.discharge(rhythm),
            Err(fault) if self.cut.is_empty() => Next::End(End::Refused {
                outlet: 0,
                why: "the outlets cannot be kept off".into(),
                fault: Some(fault.clone()),
            }),
            // The agent would restore them one by one; better all now, and said so.
            Err(fault) => self.undo(None, &fault.to_string(), false, now),
        }
    }

    fn undo(&mut self, culprit: Option<usize>, why: &str, cancelled: bool, now: u64) -> Next {
        let list = std::mem::take(&mut self.cut);
        let why = why.to_owned();
        if list.is_empty() && cancelled {
            return Next::End(End::Stopped);
        }
        if list.is_empty() {
            return Next::End(End::Restored {
                culprit,
                why,
                stranded: Vec::new(),
                cancelled,
                lost_power: false,
            });
        }
        self.feed(list, 0, Vec::new(), Why::Undo { culprit, why, cancelled }, now)
    }

    fn feed(&mut self, list: Vec<usize>, at: usize, dead: Vec<usize>, why: Why, now: u64) -> Next {
        let Some(&outlet) = list.get(at) else {
            return Next::End(self.fed(&list, dead, why));
        };
        let late = resume(list.len(), &mut self.late, at).map(Attempt::looks_again);
        let (reason, effect) = match (&late, &why) {
            (Some(_), _) => ("it had not followed at once", Effect::ReadOutlet { outlet }),
            (None, Why::Goal) => ("every feed must be on again", feed_effect(outlet)),
            (None, Why::Undo { .. }) => ("what was cut is put back", feed_effect(outlet)),
        };
        let attempt = late.unwrap_or_else(|| Attempt::start(now));
        self.at = At::Feed { list, at, attempt, dead, why };
        Next::Do(step(Phase::RestoreFeeds, reason, effect))
    }

    fn feeding(
        &mut self,
        (mut list, at, mut dead, why): (Vec<usize>, usize, Vec<usize>, Why),
        mut attempt: Attempt,
        signal: &Signal,
        now: u64,
        rhythm: &Rhythm,
    ) -> Option<Next> {
        let outlet = list.get(at).copied()?;
        let (resend, before) = (feed_effect(outlet), attempt.clone());
        let spacing = Effect::Wait { ms: rhythm.feed_spacing };
        let outcome = advance(&mut attempt, outlet, Switch::On, &resend, signal, now, rhythm)?;
        self.written |= !matches!(outcome, Outcome::Untouched(_));
        // One live feed runs the machine: none waits for another one that is slow, stuck or whose agent is away.
        let is_late = match &outcome {
            Outcome::Continue(Effect::Wait { .. } | Effect::SwitchOutlet { .. }, _) => true,
            Outcome::Untouched(Some(fault)) => (self.written || !self.stop) && fault.never_begun(),
            Outcome::Untouched(None)
            | Outcome::Continue(..)
            | Outcome::There
            | Outcome::Undone(_)
            | Outcome::Stuck
            | Outcome::Unknown(_) => false,
        };
        if is_late && put_off(&mut list, &mut self.late, (at, &before), &self.seen) {
            self.at = At::Spacing { list, at, dead, why };
            return Some(Next::Do(step(Phase::RestoreFeeds, "the others come first", spacing)));
        }
        match outcome {
            Outcome::Continue(effect, reason) => {
                self.at = At::Feed { list, at, attempt, dead, why };
                return Some(Next::Do(step(Phase::RestoreFeeds, reason, effect)));
            }
            Outcome::There => {}
            Outcome::Untouched(_) if self.stop && !self.written => return Some(Next::End(End::Stopped)),
            Outcome::Untouched(_) | Outcome::Undone(_) | Outcome::Stuck | Outcome::Unknown(_) => {
                dead.push(outlet);
            }
        }
        if at + 1 >= list.len() {
            return Some(Next::End(self.fed(&list, dead, why)));
        }
        self.at = At::Spacing { list, at: at + 1, dead, why };
        Some(Next::Do(step(Phase::RestoreFeeds, "inrush of one feed after the other", spacing)))
    }

    fn fed(&self, list: &[usize], dead: Vec<usize>, why: Why) -> End {
        match why {
            Why::Undo { culprit, why, cancelled } => {
                let lost_power = self.gone >= self.on_before.len();
                End::Restored { culprit, why, stranded: dead, cancelled, lost_power }
            }
            Why::Goal if dead.len() == self.count => End::NothingFeeds { fault: None },
            Why::Goal => {
                End::Fed { switched: list.len() > dead.len(), was_dark: list.len() == self.count, dead }
            }
        }
    }

    fn is(&self, outlet: usize, state: OutletState) -> bool {
        self.seen.get(outlet).and_then(Option::as_ref).is_some_and(|seen| seen.state == state)
    }
}
