//! What the agent was about to do, on disk before the device hears of it.
//!
//! One JSON line per fact, synced before an effect. After a restart a command that is `Done` is
//! answered from here, one that was `Started` and never ended is answered "lost", and an outlet that
//! was cut with a time limit is still switched on again. While the agent runs, that limit is counted by
//! a clock that nobody sets; the time of day serves only to find out how much was left at a restart.

use rackhand_wire::{Answer, Command, Fault, command::Outlet, id::CommandId};
use serde::{Deserialize, Serialize};
use std::{
    collections::{HashMap, HashSet},
    fs::{self, File, OpenOptions},
    io::{self, BufRead, BufReader, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// What is known of a command.
#[derive(Debug, Clone, PartialEq)]
pub enum Known {
    /// It was begun; whether the device heard it is not known.
    Started,
    /// It ended so.
    Done(Result<Answer, Fault>),
}

/// One moment by both clocks.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// Time of day in milliseconds since 1970, which a person or NTP may set.
    pub day: i64,
    /// Time since some start, which only runs.
    pub steady: Instant,
}

impl Moment {
    /// Reads the clocks.
    #[must_use]
    pub fn now() -> Self {
        Self { day: chrono::Utc::now().timestamp_millis(), steady: Instant::now() }
    }
}

/// How a restore that failed is tried again.
#[derive(Debug, Clone, Copy)]
pub struct BackOff {
    /// The first pause; each is twice as long as the one before.
    pub first: Duration,
    /// The longest pause.
    pub longest: Duration,
}

/// Whether outlets stay off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// They do.
    Off,
    /// One of them is being switched on in this moment.
    Restoring,
    /// One of them was switched on again, or may have been.
    Restored,
}

/// An outlet that was cut and must be restored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cut {
    /// The command that cut it.
    pub command: Command,
    /// When it must be on again, in milliseconds since 1970.
    pub due_at: i64,
}

/// What became of a cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Nobody touched it.
    Dark,
    /// The agent is switching it on.
    Restoring,
    /// The agent began to switch it on; whether the device took that is not known.
    Tried,
    /// It was switched on again.
    Restored,
}

struct Held {
    cut: Cut,
    fate: Fate,
    due: Instant,
    /// Pause after the next try.
    pause: Option<Duration>,
    /// The first restore that failed, since this process began.
    failure: Option<Fault>,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "fact", rename_all = "snake_case")]
enum Line {
    Started {
        id: CommandId,
        cut: Option<Cut>,
    },
    Done {
        id: CommandId,
        result: Result<Answer, Fault>,
    },
    /// The agent is about to undo the cut.
    Restoring {
        id: CommandId,
    },
    /// The cut was undone.
    Restored {
        id: CommandId,
    },
    /// The agent undid the cut by itself, which the backend must hear.
    Acted {
        id: CommandId,
    },
    /// The backend has heard it.
    Told {
        id: CommandId,
    },
    /// The cut needs no restoring any more.
    Settled {
        id: CommandId,
    },
    /// The backend has stored the outcome.
    Forgotten {
        id: CommandId,
    },
}

/// A limit beyond this is as good as none.
const LONGEST: Duration = Duration::from_hours(365 * 24);

/// The journal of one agent.
pub struct Journal {
    path: PathBuf,
    file: File,
    lines: usize,
    facts: Facts,
}

/// What the lines come to.
#[derive(Default)]
struct Facts {
    known: HashMap<CommandId, Known>,
    cuts: HashMap<CommandId, Held>,
    /// Cuts that the agent undid by itself and nobody knows of.
    untold: HashSet<CommandId>,
}

impl Journal {
    /// Opens the journal, or begins one. A torn last line (power cut while writing) is dropped: what it
    /// announced had not begun.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn open(path: &Path, now: Moment) -> io::Result<Self> {
        let mut facts = Facts::default();
        if let Ok(file) = File::open(path) {
            for line in BufReader::new(file).lines() {
                if let Ok(line) = serde_json::from_str::<Line>(&line?) {
                    facts.take(line, now);
                }
            }
        }
        for held in facts.cuts.values_mut().filter(|held| held.fate == Fate::Restoring) {
            held.fate = Fate::Tried;
        }
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        let mut journal = Self { path: path.to_owned(), file, lines: 0, facts };
        journal.compact()?;
        Ok(journal)
    }

    /// Says what is known of a command.
    #[must_use]
    pub fn find(&self, id: CommandId) -> Option<&Known> {
        self.facts.known.get(&id)
    }

    /// Says whether what a command cut was switched on again since.
    #[must_use]
    pub fn is_undone(&self, id: CommandId) -> bool {
        self.facts.untold.contains(&id)
            || self.facts.cuts.get(&id).is_some_and(|held| held.fate == Fate::Restored)
    }

    /// Lists the outlets that must be restored.
    #[must_use]
    pub fn cuts(&self) -> Vec<Cut> {
        self.facts.cuts.values().filter(|held| held.is_pending()).map(|held| held.cut.clone()).collect()
    }

    /// Says whether a cut must still be restored.
    #[must_use]
    pub fn is_pending(&self, id: CommandId) -> bool {
        self.facts.cuts.get(&id).is_some_and(Held::is_pending)
    }

    /// Notes that a command begins; synced, so that the device can be told afterwards. A fresh cut takes
    /// the place of older ones: what they meant to restore is decided anew.
    ///
    /// # Errors
    /// When it could not be written: then the command must not run.
    pub fn start(&mut self, command: &Command, now: Moment) -> io::Result<()> {
        let cut = command.restore_after_ms.map(|after| Cut {
            command: command.clone(),
            due_at: now.day.saturating_add(i64::try_from(after).unwrap_or(i64::MAX)),
        });
        let older = if cut.is_some() { self.facts.others(command) } else { Vec::new() };
        self.note(Line::Started { id: command.id, cut }, now)?;
        for id in older {
            self.note(Line::Settled { id }, now)?;
        }
        Ok(())
    }

    /// Notes how a command ended.
    ///
    /// # Errors
    /// When it could not be written.
    pub fn done(&mut self, id: CommandId, result: &Result<Answer, Fault>) -> io::Result<()> {
        self.facts.known.insert(id, Known::Done(result.clone()));
        self.write(&Line::Done { id, result: result.clone() })
    }

    /// Notes that the outlet of a command was switched on: what cut it before is undone.
    ///
    /// # Errors
    /// When it could not be written.
    pub fn switched_on(&mut self, command: &Command, now: Moment) -> io::Result<()> {
        self.facts.others(command).into_iter().try_for_each(|id| self.restored(id, now))
    }

    /// Hands out the cuts whose time is up, each again only after a pause.
    pub fn take_due(&mut self, now: Instant, back_off: BackOff) -> Vec<Command> {
        let waiting = |held: &&mut Held| matches!(held.fate, Fate::Dark | Fate::Tried) && held.due <= now;
        let due = self.facts.cuts.values_mut().filter(waiting).map(|held| {
            let pause = held.pause.unwrap_or(back_off.first);
            held.due = now + pause;
            held.pause = Some((pause * 2).min(back_off.longest));
            held.cut.command.clone()
        });
        due.collect()
    }

    /// Notes that the agent switches on again what a command cut. It holds for this process even when it
    /// could not be written.
    ///
    /// # Errors
    /// When it could not be written.
    pub fn restoring(&mut self, id: CommandId, now: Moment) -> io::Result<()> {
        let line = Line::Restoring { id };
        let written = self.write(&line);
        self.facts.take(line, now);
        written
    }

    /// Notes that a restore failed. Says whether it is the first time, since this process began.
    pub fn failed(&mut self, id: CommandId, fault: &Fault) -> bool {
        let Some(held) = self.facts.cuts.get_mut(&id).filter(|held| held.is_pending()) else { return false };
        if held.fate == Fate::Restoring {
            held.fate = Fate::Tried;
        }
        held.failure.replace(fault.clone()).is_none()
    }

    /// Notes that the agent undid a cut by itself.
    ///
    /// # Errors
    /// When it could not be written.
    pub fn acted(&mut self, id: CommandId, now: Moment) -> io::Result<()> {
        let line = Line::Acted { id };
        let written = self.restored(id, now).and_then(|()| self.write(&line));
        self.facts.take(line, now);
        written
    }

    /// Lists what a backend has not heard: cuts that the agent undid by itself, and those that it cannot undo.
    #[must_use]
    pub fn untold(&self) -> Vec<(CommandId, Result<(), Fault>)> {
        let done = self.facts.untold.iter().map(|id| (*id, Ok(())));
        let failing = self.facts.cuts.iter().filter(|(_, held)| held.is_pending());
        done.chain(failing.filter_map(|(id, held)| Some((*id, Err(held.failure.clone()?))))).collect()
    }

    /// Notes that the backend has heard of these.
    pub fn told(&mut self, cuts: &[CommandId]) {
        for id in cuts {
            if self.facts.untold.remove(id)
                && let Err(error) = self.append(&Line::Told { id: *id })
            {
                // Telling it twice does no harm.
                tracing::warn!(%error, command = %id, "could not note that the backend has heard");
            }
        }
    }

    /// Notes that a cut was undone.
    ///
    /// # Errors
    /// When it could not be written.
    pub fn restored(&mut self, id: CommandId, now: Moment) -> io::Result<()> {
        let line = Line::Restored { id };
        let written = self.write(&line);
        self.facts.take(line, now);
        written
    }

    /// Lets outlets stay off: all of them, or none when one of the cuts was undone or may have been.
    /// Every cut of the outlets counts, whichever job made it.
    ///
    /// # Errors
    /// When it could not be written.
    pub fn keep_off(&mut self, cuts: &[CommandId], outlets: &[Outlet], now: Moment) -> io::Result<Kept> {
        let mut settled = Vec::new();
        let mut verdict = Kept::Off;
        for (id, held) in &self.facts.cuts {
            let named = cuts.contains(id);
            if !named && !outlets.iter().any(|outlet| is_at(&held.cut.command, outlet)) {
                continue;
            }
            match held.fate {
                Fate::Dark => settled.push(*id),
                Fate::Restoring => return Ok(Kept::Restoring),
                Fate::Tried => verdict = Kept::Restored,
                // An older job's cut that was undone in its time says nothing of today.
                Fate::Restored if named => verdict = Kept::Restored,
                Fate::Restored => {}
            }
        }
        if verdict == Kept::Off {
            for id in settled {
                self.note(Line::Settled { id }, now)?;
            }
        }
        Ok(verdict)
    }

    /// Forgets a command whose outcome the backend has stored. A cut that must be restored still is.
    ///
    /// # Errors
    /// When it could not be written.
    pub fn forget(&mut self, id: CommandId) -> io::Result<()> {
        if self.facts.known.contains_key(&id) {
            self.facts.forget(id);
            // Not synced: forgetting twice does no harm.
            self.append(&Line::Forgotten { id })?;
        }
        if self.lines > 4096 && self.lines > 4 * (self.facts.known.len() + self.facts.cuts.len()) {
            self.compact()?;
        }
        Ok(())
    }

    fn note(&mut self, line: Line, now: Moment) -> io::Result<()> {
        self.write(&line)?;
        self.facts.take(line, now);
        Ok(())
    }

    fn write(&mut self, line: &Line) -> io::Result<()> {
        self.append(line)?;
        self.file.sync_data()
    }

    fn append(&mut self, line: &Line) -> io::Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        self.lines += 1;
        self.file.write_all(&text)
    }

    /// Writes what still matters into a new file and puts it in place of the old one.
    fn compact(&mut self) -> io::Result<()> {
        let fresh = self.path.with_extension("new");
        let mut file = OpenOptions::new().create(true).write(true).truncate(true).open(&fresh)?;
        let lines = self.facts.lines();
        for line in &lines {
            serde_json::to_writer(&mut file, line)?;
            file.write_all(b"\n")?;
        }
        file.sync_all()?;
        fs::rename(&fresh, &self.path)?;
        if let Some(folder) = self.path.parent() {
            File::open(folder)?.sync_all()?;
        }
        self.file = OpenOptions::new().append(true).open(&self.path)?;
        self.lines = lines.len();
        Ok(())
    }
}

impl Facts {
    fn take(&mut self, line: Line, now: Moment) {
        match line {
            Line::Started { id, cut } => {
                self.known.insert(id, Known::Started);
                self.cuts.extend(cut.map(|cut| (id, Held::new(cut, now))));
            }
            Line::Done { id, result } => {
                self.known.insert(id, Known::Done(result));
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
            Line::Restored { id } if !self.known.contains_key(&id) => {
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
            Line::Forgotten { id } => self.forget(id),
        }
    }

    fn forget(&mut self, id: CommandId) {
        self.known.remove(&id);
        if !self.cuts.get(&id).is_some_and(Held::is_pending) {
            self.cuts.remove(&id);
        }
    }

    /// Other cuts of a command's outlet.
    fn others(&self, command: &Command) -> Vec<CommandId> {
        // Only a device with an id is ever restored, as its credentials are found by it. Its parameters may
        // have changed since it was cut.
        let Some(endpoint) = command.endpoint.id else { return Vec::new() };
        let outlet = Outlet { endpoint, target: command.target.clone() };
        let cuts =
            self.cuts.iter().filter(|(id, held)| **id != command.id && is_at(&held.cut.command, &outlet));
        cuts.map(|(id, _)| *id).collect()
    }

    /// Lines that come to the same.
    fn lines(&self) -> Vec<Line> {
        let mut lines: Vec<Line> = self.untold.iter().map(|id| Line::Acted { id: *id }).collect();
        for (id, held) in &self.cuts {
            let id = *id;
            lines.push(Line::Started { id, cut: Some(held.cut.clone()) });
            match held.fate {
                Fate::Dark => {}
                Fate::Restoring | Fate::Tried => lines.push(Line::Restoring { id }),
                Fate::Restored => lines.push(Line::Restored { id }),
            }
            if !self.known.contains_key(&id) {
                lines.push(Line::Forgotten { id });
            }
        }
        for (id, known) in &self.known {
            let id = *id;
            if !self.cuts.contains_key(&id) {
                lines.push(Line::Started { id, cut: None });
            }
            if let Known::Done(result) = known {
                lines.push(Line::Done { id, result: result.clone() });
            }
        }
        lines
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

    fn is_pending(&self) -> bool {
        self.fate != Fate::Restored
    }
}

fn is_at(command: &Command, outlet: &Outlet) -> bool {
    command.endpoint.id == Some(outlet.endpoint) && command.target == outlet.target
}

#[cfg(test)]
mod tests;
