//! What the lines come to.

use rackhand_wire::{Command, Fault, command::Outlet, id::CommandId};
use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use super::{Cut, Known, Moment, line::Line};
use crate::clock::{Age, Lasted};

/// A limit beyond this is as good as none.
const LONGEST: Duration = Duration::from_hours(365 * 24);

/// An outcome that no backend has asked for in so long is of no use to anybody, and no message of it is under way.
const KEPT: Duration = Duration::from_hours(7 * 24);

/// Everything that is known.
#[derive(Default)]
pub struct Facts {
    pub known: HashMap<CommandId, Noted>,
    pub cuts: HashMap<CommandId, Held>,
    /// Cuts that the agent undid by itself and nobody knows of.
    pub untold: HashSet<CommandId>,
    /// How long earlier starts of the machine lasted, as far as lines tell.
    lasted: Lasted,
}

/// What is known of a command, and for how long it is.
pub struct Noted {
    pub known: Known,
    /// From then on it may be dropped.
    until: Instant,
}

/// What became of a cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Nobody touched it.
    Dark,
    /// The agent is switching it on.
    Restoring,
    /// The agent began to switch it on; whether the device took that is not known.
    Tried,
    /// It was switched on again.
    Restored,
}

/// A cut and what is done about it.
#[derive(Clone)]
pub struct Held {
    pub cut: Cut,
    pub fate: Fate,
    pub due: Instant,
    /// Pause after the next try.
    pub pause: Option<Duration>,
    /// The first restore that failed, since this process began.
    pub failure: Option<Fault>,
}

impl Facts {
    /// Takes the lines of earlier processes in.
    pub fn of(lines: Vec<Line>, now: Moment) -> Self {
        let mut facts = Self::default();
        for age in lines.iter().filter_map(Line::age) {
            age.note(&mut facts.lasted);
        }
        for line in lines {
            facts.take(line, now);
        }
        facts
    }

    /// Takes one line in.
    pub fn take(&mut self, line: Line, now: Moment) {
        let until = self.until(line.age(), now);
        match line {
            Line::Received { id, age: _ } => {
                self.known.entry(id).or_insert(Noted { known: Known::Received, until });
            }
            Line::Started { id, cut, age: _ } => {
                self.known.insert(id, Noted { known: Known::Started, until });
                self.cuts.extend(cut.map(|cut| (id, Held::new(cut, now))));
            }
            Line::Done { id, result, age: _ } => {
                self.known.insert(id, Noted { known: Known::Done(result), until });
            }
            Line::Restoring { id } => {
                if let Some(held) = self.cuts.get_mut(&id) {
                    held.fate = Fate::Restoring;
                }
            }
            Line::Acted { id } => {
                self.untold.insert(id);
            }
            Line::Told { id } => {
                self.untold.remove(&id);
            }
            // Nobody will ask for what was forgotten.
            Line::Restored { id } if self.is_over(id) => {
                self.cuts.remove(&id);
            }
            Line::Restored { id } => {
                if let Some(held) = self.cuts.get_mut(&id) {
                    held.fate = Fate::Restored;
                }
            }
            Line::Settled { id } => {
                self.cuts.remove(&id);
            }
            Line::Forgotten { id, age: _ } => {
                let until = self.known.get(&id).map_or(until, |noted| noted.until);
                self.known.insert(id, Noted { known: Known::Over, until });
                self.let_go(id);
            }
        }
    }

    /// Says from when on a fact may be dropped. One whose age nobody can tell counts as fresh: to keep it too long
    /// costs a line, to drop it too soon lets a command run twice.
    fn until(&self, age: Option<&Age>, now: Moment) -> Instant {
        let age = age.map_or(Duration::ZERO, |age| age.least(now.machine, now.up, &self.lasted));
        now.steady + KEPT.saturating_sub(age)
    }

    /// Says whether nobody will ask for a command's outcome any more.
    fn is_over(&self, id: CommandId) -> bool {
        self.known.get(&id).is_none_or(|noted| noted.known == Known::Over)
    }

    /// Forgets a cut that needs no restoring; an outlet that is dark stays in mind.
    fn let_go(&mut self, id: CommandId) {
        if !self.cuts.get(&id).is_some_and(Held::is_pending) {
            self.cuts.remove(&id);
        }
    }

    /// Drops what was kept for long enough.
    pub fn age(&mut self, now: Instant) {
        let old: Vec<_> =
            self.known.iter().filter(|(_, noted)| noted.until <= now).map(|(id, _)| *id).collect();
        for id in old {
            self.known.remove(&id);
            self.let_go(id);
        }
    }

    /// Other cuts of a command's outlet.
    pub fn others(&self, command: &Command) -> Vec<CommandId> {
        // Only a device with an id is ever restored, as its credentials are found by it. Its parameters may
        // have changed since it was cut.
        let Some(endpoint) = command.endpoint.id else { return Vec::new() };
        let outlet = Outlet { endpoint, target: command.target.clone() };
        let cuts =
            self.cuts.iter().filter(|(id, held)| **id != command.id && is_at(&held.cut.command, &outlet));
        cuts.map(|(id, _)| *id).collect()
    }

    /// Lines that come to the same.
    pub fn lines(&self, now: Moment) -> Vec<Line> {
        let mut lines: Vec<Line> = self.untold.iter().map(|id| Line::Acted { id: *id }).collect();
        for (id, held) in &self.cuts {
            let id = *id;
            // What is not known any more was dropped because it is old, and is as old after a restart.
            let age = self.known.get(&id).map_or(KEPT, |noted| noted.age(now));
            let age = Some(now.age(age));
            lines.push(Line::Started { id, cut: Some(held.cut.clone()), age: age.clone() });
            match held.fate {
                Fate::Dark => {}
                Fate::Restoring | Fate::Tried => lines.push(Line::Restoring { id }),
                Fate::Restored => lines.push(Line::Restored { id }),
            }
            if self.is_over(id) {
                lines.push(Line::Forgotten { id, age });
            }
        }
        for (id, noted) in &self.known {
            let (id, age) = (*id, Some(now.age(noted.age(now))));
            let is_cut = self.cuts.contains_key(&id);
            match &noted.known {
                Known::Over | Known::Started if is_cut => {}
                Known::Over => lines.push(Line::Forgotten { id, age }),
                Known::Received => lines.push(Line::Received { id, age }),
                Known::Started => lines.push(Line::Started { id, cut: None, age }),
                Known::Done(result) => {
                    if !is_cut {
                        lines.push(Line::Started { id, cut: None, age: age.clone() });
                    }
                    lines.push(Line::Done { id, result: result.clone(), age });
                }
            }
        }
        lines
    }
}

impl Noted {
    fn age(&self, now: Moment) -> Duration {
        KEPT.saturating_sub(self.until.saturating_duration_since(now.steady))
    }
}

impl Held {
    /// A clock that was set makes the time left no longer than the whole.
    fn new(cut: Cut, now: Moment) -> Self {
        let whole = Duration::from_millis(cut.command.restore_after_ms.unwrap_or(0)).min(LONGEST);
        let left = u64::try_from(cut.due_at.saturating_sub(now.day)).unwrap_or(0);
        let due = now.steady + Duration::from_millis(left).min(whole);
        Self { cut, fate: Fate::Dark, due, pause: None, failure: None }
    }

    /// Says whether it must still be restored.
    pub fn is_pending(&self) -> bool {
        self.fate != Fate::Restored
    }
}

/// Says whether a command is for an outlet.
pub fn is_at(command: &Command, outlet: &Outlet) -> bool {
    command.endpoint.id == Some(outlet.endpoint) && command.target == outlet.target
}
