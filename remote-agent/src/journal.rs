//! What the agent was about to do, on disk before the device hears of it.
//!
//! One JSON line per fact, synced before an effect. After a restart a command that is `Done` is
//! answered from here, one that was `Started` and never ended is answered "lost", and an outlet that
//! was cut with a time limit is still switched on again.

use rackhand_wire::{Answer, Command, Fault, id::CommandId};
use serde::{Deserialize, Serialize};
use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions},
    io::{self, BufRead, BufReader, Write},
    path::{Path, PathBuf},
};

/// What is known of a command.
#[derive(Debug, Clone, PartialEq)]
pub enum Known {
    /// It was begun; whether the device heard it is not known.
    Started,
    /// It ended so.
    Done(Result<Answer, Fault>),
}

/// An outlet that was cut and must be restored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cut {
    /// The command that cut it.
    pub command: Command,
    /// When it must be on again, in milliseconds since 1970.
    pub due_at: i64,
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
    /// The cut needs no restoring any more.
    Settled {
        id: CommandId,
    },
    /// The backend has stored the outcome.
    Forgotten {
        id: CommandId,
    },
}

/// The journal of one agent.
pub struct Journal {
    path: PathBuf,
    file: File,
    lines: usize,
    known: HashMap<CommandId, Known>,
    cuts: HashMap<CommandId, Cut>,
}

impl Journal {
    /// Opens the journal, or begins one. A torn last line (power cut while writing) is dropped: what it
    /// announced had not begun.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn open(path: &Path) -> io::Result<Self> {
        let (mut known, mut cuts) = (HashMap::new(), HashMap::new());
        if let Ok(file) = File::open(path) {
            for line in BufReader::new(file).lines() {
                let Ok(line) = serde_json::from_str::<Line>(&line?) else { continue };
                match line {
                    Line::Started { id, cut } => {
                        known.insert(id, Known::Started);
                        cuts.extend(cut.map(|cut| (id, cut)));
                    }
                    Line::Done { id, result } => {
                        known.insert(id, Known::Done(result));
                    }
                    Line::Settled { id } => {
                        cuts.remove(&id);
                    }
                    Line::Forgotten { id } => {
                        known.remove(&id);
                    }
                }
            }
        }
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        let mut journal = Self { path: path.to_owned(), file, lines: 0, known, cuts };
        journal.compact()?;
        Ok(journal)
    }

    /// Says what is known of a command.
    #[must_use]
    pub fn find(&self, id: CommandId) -> Option<&Known> {
        self.known.get(&id)
    }

    /// Lists the outlets that must be restored.
    #[must_use]
    pub fn cuts(&self) -> Vec<Cut> {
        self.cuts.values().cloned().collect()
    }

    /// Notes that a command begins; synced, so that the device can be told afterwards.
    ///
    /// # Errors
    /// When it could not be written: then the command must not run.
    pub fn start(&mut self, id: CommandId, cut: Option<Cut>) -> io::Result<()> {
        self.write(&Line::Started { id, cut: cut.clone() })?;
        self.known.insert(id, Known::Started);
        self.cuts.extend(cut.map(|cut| (id, cut)));
        Ok(())
    }

    /// Notes how a command ended.
    ///
    /// # Errors
    /// When it could not be written.
    pub fn done(&mut self, id: CommandId, result: &Result<Answer, Fault>) -> io::Result<()> {
        self.known.insert(id, Known::Done(result.clone()));
        self.write(&Line::Done { id, result: result.clone() })
    }

    /// Notes that a cut needs no restoring any more. Says whether it did.
    ///
    /// # Errors
    /// When it could not be written.
    pub fn settle(&mut self, id: CommandId) -> io::Result<bool> {
        if self.cuts.remove(&id).is_none() {
            return Ok(false);
        }
        self.write(&Line::Settled { id })?;
        Ok(true)
    }

    /// Forgets a command whose outcome the backend has stored.
    ///
    /// # Errors
    /// When it could not be written.
    pub fn forget(&mut self, id: CommandId) -> io::Result<()> {
        if self.known.remove(&id).is_some() {
            // Not synced: forgetting twice does no harm.
            self.append(&Line::Forgotten { id })?;
        }
        if self.lines > 4096 && self.lines > 4 * (self.known.len() + self.cuts.len()) {
            self.compact()?;
        }
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
        let mut lines = Vec::new();
        let ids: Vec<CommandId> = self.known.keys().chain(self.cuts.keys()).copied().collect();
        for id in ids {
            lines.push(Line::Started { id, cut: self.cuts.get(&id).cloned() });
            if let Some(Known::Done(result)) = self.known.get(&id) {
                lines.push(Line::Done { id, result: result.clone() });
            }
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use rackhand_wire::{Operation, command::EndpointSpec, power::Switch};
    use uuid::Uuid;

    fn id(n: u128) -> CommandId {
        CommandId(Uuid::from_u128(n))
    }

    fn cut(n: u128) -> Cut {
        let endpoint = EndpointSpec { id: None, kind: "snmp_pdu".into(), params: ().into(), pinned: None };
        let command = Command {
            id: id(n),
            endpoint,
            target: serde_json::json!({"outlet": "7"}),
            operation: Operation::SetOutlet { to: Switch::Off },
            expires_in_ms: None,
            restore_after_ms: Some(1000),
            fence: 0,
            urgency: rackhand_wire::command::Urgency::Awaited,
        };
        Cut { command, due_at: 5 }
    }

    #[test]
    fn a_restart_knows_what_was_begun_done_and_cut() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let mut journal = Journal::open(&path).unwrap();
        journal.start(id(1), Some(cut(1))).unwrap();
        journal.start(id(2), None).unwrap();
        journal.done(id(2), &Ok(Answer::Done)).unwrap();
        journal.start(id(3), Some(cut(3))).unwrap();
        journal.settle(id(3)).unwrap();
        journal.forget(id(3)).unwrap();
        drop(journal);
        for _ in 0..2 {
            let journal = Journal::open(&path).unwrap();
            assert_eq!(journal.find(id(1)), Some(&Known::Started));
            assert_eq!(journal.find(id(2)), Some(&Known::Done(Ok(Answer::Done))));
            assert_eq!(journal.find(id(3)), None);
            assert_eq!(journal.cuts(), [cut(1)]);
        }
    }

    #[test]
    fn a_torn_last_line_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        Journal::open(&path).unwrap().start(id(1), None).unwrap();
        let mut text = fs::read(&path).unwrap();
        text.extend_from_slice(br#"{"fact":"done","id":"00000000"#);
        fs::write(&path, text).unwrap();
        assert_eq!(Journal::open(&path).unwrap().find(id(1)), Some(&Known::Started));
    }
}
