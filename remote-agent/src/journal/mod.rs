//! What the agent was about to do, on disk before the device hears of it.
//!
//! One JSON line per fact, synced before an effect. After a restart a command that is `Done` is
//! answered from here, one that was `Started` and never ended is answered "lost", and an outlet that
//! was cut with a time limit is still switched on again. While the agent runs, that limit is counted by
//! a clock that nobody sets; the time of day serves only to find out how much was left at a restart. How long a
//! command is known goes by such a clock alone.
//!
//! A disk that is full keeps the file as it is: what could not be written whole is taken back, and what it
//! announced is not begun.

mod facts;
mod line;

use rackhand_wire::{Answer, Command, Fault, command::Outlet, id::CommandId};
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use crate::clock::{self, Age, Stamp};
use facts::{Facts, Fate, Held, is_at};
use line::Line;

/// What is known of a command.
#[derive(Debug, Clone, PartialEq)]
pub enum Known {
    /// It came and was not begun.
    Received,
    /// It was begun; whether the device heard it is not known.
    Started,
    /// It ended so.
    Done(Result<Answer, Fault>),
    /// It ended, and the backend has stored how: whoever asks again is late.
    Over,
}

/// One moment by every clock.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// Time of day in milliseconds since 1970, which a person or NTP may set.
    pub day: i64,
    /// Time since some start, which only runs.
    pub steady: Instant,
    /// Milliseconds since the machine was started.
    pub up: u64,
    /// Names that start.
    pub machine: &'static str,
}

impl Moment {
    /// Reads the clocks.
    #[must_use]
    pub fn now() -> Self {
        let stamp = Stamp::now();
        Self { day: stamp.day, steady: Instant::now(), up: stamp.steady, machine: clock::machine() }
    }

    /// Dates what is so old now.
    fn age(self, age: Duration) -> Age {
        Age::new(age, self.machine, self.up)
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

/// The older cuts that a fresh one of the same outlet took the place of.
pub struct Replaced(Vec<(CommandId, Held)>);

/// The journal of one agent.
pub struct Journal {
    path: PathBuf,
    file: File,
    /// Bytes of whole lines in the file.
    length: u64,
    lines: usize,
    /// With so many lines it is time to drop what does not matter any more.
    compact_at: usize,
    /// The last write failed: said once.
    fails: bool,
    facts: Facts,
}

/// So many lines are never too many.
const FEW: usize = 4096;

impl Journal {
    /// Opens the journal, or begins one. A torn last line (power cut while writing) is dropped: what it
    /// announced had not begun.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn open(path: &Path, now: Moment) -> io::Result<Self> {
        let mut facts = Facts::of(lines(&known(fs::read(path))?), now);
        for held in facts.cuts.values_mut().filter(|held| held.fate == Fate::Restoring) {
            held.fate = Fate::Tried;
        }
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        let length = file.metadata()?.len();
        let path = path.to_owned();
        let mut journal = Self { path, file, length, lines: 0, compact_at: FEW, fails: false, facts };
        if let Err(error) = journal.compact(now) {
            // On a full disk what was cut must be restored all the same.
            tracing::warn!(%error, "the journal stays as long as it is");
            // A torn last line ends here.
            journal.torn()?;
        }
        Ok(journal)
    }

    /// Says what is known of a command.
    #[must_use]
    pub fn find(&self, id: CommandId) -> Option<&Known> {
        self.facts.known.get(&id).map(|noted| &noted.known)
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

    /// Says whether the agent has not tried yet to undo a cut that is to be restored.
    #[must_use]
    pub fn is_untouched(&self, id: CommandId) -> bool {
        self.facts.cuts.get(&id).is_some_and(|held| held.fate == Fate::Dark && held.failure.is_none())
    }

    /// Notes that a command has come. Not synced: it says that nothing was begun, which is true of what is lost too.
    pub fn receive(&mut self, id: CommandId, now: Moment) {
        if self.facts.known.contains_key(&id) {
            return;
        }
        let line = Line::Received { id, age: Some(now.age(Duration::ZERO)) };
        if let Err(error) = self.append(&line) {
            // A full disk holds the command back when it is to begin.
            tracing::warn!(%error, command = %id, "that a command came could not be noted");
        }
        self.facts.take(line, now);
    }

    /// Notes that a command begins; synced, so that the device can be told afterwards. A fresh cut takes
    /// the place of older ones: what they meant to restore is decided anew.
    ///
    /// # Errors
    /// When it could not be written: then the command must not run.
    pub fn start(&mut self, command: &Command, now: Moment) -> io::Result<Replaced> {
        let cut = command.restore_after_ms.map(|after| Cut {
            command: command.clone(),
            due_at: now.day.saturating_add(i64::try_from(after).unwrap_or(i64::MAX)),
        });
        let older = if cut.is_some() { self.facts.others(command) } else { Vec::new() };
        self.note(Line::Started { id: command.id, cut, age: Some(now.age(Duration::ZERO)) }, now)?;
        let mut replaced = Replaced(Vec::new());
        for id in older {
            let held = self.facts.cuts.get(&id).cloned();
            if let Err(error) = self.note(Line::Settled { id }, now) {
                self.withdraw(command.id, replaced, now);
                return Err(error);
            }
            replaced.0.extend(held.map(|held| (id, held)));
        }
        Ok(replaced)
    }

    /// Takes back that a command begins: nothing of it has left. It may be begun later, and what its cut took the
    /// place of must still be restored.
    pub fn withdraw(&mut self, id: CommandId, replaced: Replaced, now: Moment) {
        if let Some(noted) = self.facts.known.get_mut(&id) {
            noted.known = Known::Received;
        }
        self.facts.cuts.remove(&id);
        self.facts.cuts.extend(replaced.0);
        if let Err(error) = self.compact(now) {
            // It holds for this process.
            tracing::warn!(%error, command = %id, "a command that was not begun stays in the journal");
        }
    }

    /// Notes how a command ended.
    ///
    /// # Errors
    /// When it could not be written.
    pub fn done(&mut self, id: CommandId, result: &Result<Answer, Fault>, now: Moment) -> io::Result<()> {
        let line = Line::Done { id, result: result.clone(), age: Some(now.age(Duration::ZERO)) };
        let written = self.write(&line);
        // It holds for this process even when it could not be written.
        self.facts.take(line, now);
        written
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
                // What a try for an older job did is read by whoever proves off; it is not made again.
                Fate::Tried if !named || outlets.is_empty() => settled.push(*id),
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

    /// Forgets the outcome of a command that the backend has stored; that it was done is known for as long as others
    /// are. A cut that must be restored still is.
    ///
    /// # Errors
    /// When it could not be written.
    pub fn forget(&mut self, id: CommandId, now: Moment) -> io::Result<()> {
        let noted = self.facts.known.get(&id);
        if noted.is_some_and(|noted| noted.known != Known::Over) {
            self.facts.take(Line::Forgotten { id, age: None }, now);
            // Not synced: forgetting twice does no harm.
            self.append(&Line::Forgotten { id, age: None })?;
        }
        if self.lines > self.compact_at {
            // Also after a failure, so that a full disk is not tried at every turn.
            self.compact_at = self.lines * 2;
            self.compact(now)?;
        }
        Ok(())
    }

    /// Takes the id of a message that is no command; says whether it is new.
    pub fn is_new(&mut self, id: CommandId, now: Moment) -> bool {
        if self.facts.known.contains_key(&id) {
            return false;
        }
        let line = Line::Forgotten { id, age: Some(now.age(Duration::ZERO)) };
        if let Err(error) = self.append(&line) {
            // The same session alone could bring it twice, and this process remembers.
            tracing::warn!(%error, %id, "a message could not be noted");
        }
        self.facts.take(line, now);
        true
    }

    fn note(&mut self, line: Line, now: Moment) -> io::Result<()> {
        self.write(&line)?;
        self.facts.take(line, now);
        Ok(())
    }

    fn write(&mut self, line: &Line) -> io::Result<()> {
        let before = self.length;
        self.append(line)?;
        let synced = self.file.sync_data();
        if synced.is_err() {
            self.length = before;
            self.take_back();
        }
        self.say(&synced);
        synced
    }

    fn append(&mut self, line: &Line) -> io::Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        let written = self.file.write_all(&text);
        match &written {
            Ok(()) => {
                self.lines += 1;
                self.length += text.len() as u64;
            }
            // Half a line would spoil the next one.
            Err(_) => self.take_back(),
        }
        self.say(&written);
        written
    }

    fn take_back(&mut self) {
        if let Err(error) = self.file.set_len(self.length) {
            tracing::error!(%error, "half a line of the journal could not be taken back");
        }
    }

    /// Cuts off what is not a whole line at the end of the file.
    fn torn(&mut self) -> io::Result<()> {
        let text = fs::read(&self.path)?;
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        self.length = whole as u64;
        self.file.set_len(self.length)
    }

    /// Says once that nothing can be written, and once that it can again.
    fn say(&mut self, written: &io::Result<()>) {
        match written {
            Err(error) if !self.fails => {
                let path = self.path.display();
                tracing::error!(%error, %path, "the journal cannot be written: nothing is switched until it can");
            }
            Ok(()) if self.fails => tracing::info!("the journal can be written again"),
            Ok(()) | Err(_) => {}
        }
        self.fails = written.is_err();
    }

    /// Writes what still matters into a new file and puts it in place of the old one.
    fn compact(&mut self, now: Moment) -> io::Result<()> {
        self.facts.age(now.steady);
        let lines = self.facts.lines(now);
        let fresh = self.path.with_extension("new");
        let filled = fill(&fresh, &lines);
        if filled.is_err() {
            // What is left of it takes up room that is short already.
            fs::remove_file(&fresh).ok();
        }
        let length = filled?;
        fs::rename(&fresh, &self.path)?;
        if let Some(folder) = self.path.parent() {
            File::open(folder)?.sync_all()?;
        }
        self.file = OpenOptions::new().append(true).open(&self.path)?;
        (self.length, self.lines) = (length, lines.len());
        self.compact_at = FEW.max(self.lines * 4);
        Ok(())
    }
}

/// Gives what was read of a journal. Only one that is not there is empty: one that cannot be read now, for want of
/// open files or of a sound disk, would otherwise be written over with nothing.
fn known(read: io::Result<Vec<u8>>) -> io::Result<Vec<u8>> {
    match read {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        read => read,
    }
}

/// Reads the lines that mean something: one may be torn anywhere, inside a letter too.
fn lines(text: &[u8]) -> Vec<Line> {
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.filter_map(|line| serde_json::from_slice(line).ok()).collect()
}

/// Writes lines into a new file and gives its length.
fn fill(path: &Path, lines: &[Line]) -> io::Result<u64> {
    let mut text = Vec::new();
    for line in lines {
        serde_json::to_writer(&mut text, line)?;
        text.push(b'\n');
    }
    let mut file = OpenOptions::new().create(true).write(true).truncate(true).open(path)?;
    file.write_all(&text)?;
    file.sync_all()?;
    Ok(text.len() as u64)
}

#[cfg(test)]
mod tests;
