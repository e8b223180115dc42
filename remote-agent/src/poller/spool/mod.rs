//! What looks found, kept on disk until the backend has stored it.
//!
//! Lines are numbered and never change; they lie in segments, each a file that is dropped as a whole. What is
//! as it was takes a short line that refers to an earlier one of the same segment, so that a segment can be read
//! alone. Nothing here is synced: a power cut may cost the last moment's samples, the end of the process none.
//! While the disk takes nothing, lines wait in memory and are told from there.

mod line;
mod reader;
mod segment;
#[cfg(test)]
mod tests;
mod waiting;

use rackhand_wire::{
    agent::{Entry, Found, Look},
    id::EndpointId,
};
use sha2::{Digest as _, Sha256};
use std::{
    collections::{HashMap, VecDeque},
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};
use uuid::Uuid;

use crate::clock;
use line::{Kept, Line, What};
use reader::Reader;
use segment::{Segment, begin, found, path};
use waiting::{Item, LINES, Waiting};

pub use clock::Stamp;

/// How much is kept while there is no backend.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Bytes on disk.
    pub bytes: u64,
    /// The oldest sample.
    pub age: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 256_000_000, age: Duration::from_hours(24) }
    }
}

/// Entries and bytes of a batch: the backend stores one in a transaction, and a frame has an end.
const ENTRIES: usize = 250;
const BYTES: usize = 300_000;
/// Bytes of a segment.
const SEGMENT: u64 = 4_000_000;

/// What goes to the backend at once.
#[derive(Debug, PartialEq)]
pub struct Batch {
    /// Number of the first entry.
    pub first: u64,
    /// The entries, one number each.
    pub entries: Vec<Entry>,
}

/// The spool of one agent.
pub struct Spool {
    folder: PathBuf,
    id: Uuid,
    /// A restart finds this id.
    is_named: bool,
    machine: &'static str,
    limits: Limits,
    /// The oldest first; the last one is written to.
    segments: VecDeque<Segment>,
    file: File,
    /// Line and hash of each device's last whole sample on disk, in the segment that is written to.
    whole: HashMap<EndpointId, (u64, [u8; 16])>,
    /// Number of the next line.
    next: u64,
    /// Lines that are not on disk yet.
    waiting: Waiting,
    /// The last write failed: said once.
    fault: Option<String>,
    /// The backend has everything up to this number.
    stored: u64,
    /// It was told everything up to this number in this session.
    told: u64,
    reader: Option<Reader>,
}

impl Spool {
    /// Opens the spool in a folder, or begins one.
    ///
    /// # Errors
    /// When the folder cannot be read or written.
    pub fn open(folder: &Path, limits: Limits, now: Stamp) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let machine = clock::machine();
        let mut segments = found(folder)?;
        let id = identity(folder, segments.is_empty())?;
        let next = segments.back().map_or(1, |last| last.last + 1);
        for empty in segments.iter().filter(|segment| segment.last < segment.first) {
            fs::remove_file(path(folder, empty.first))?;
        }
        segments.retain(|segment| segment.last >= segment.first);
        let stored = segments.front().map_or(next, |oldest| oldest.first) - 1;
        let (segment, file) = begin(folder, next, machine, now)?;
        segments.push_back(segment);
        Ok(Self {
            folder: folder.to_owned(),
            id,
            is_named: true,
            machine,
            limits,
            segments,
            file,
            whole: HashMap::new(),
            next,
            waiting: Waiting::default(),
            fault: None,
            stored,
            told: stored,
            reader: None,
        })
    }

    /// Where the numbers count.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// Keeps so much from now on.
    pub fn limit(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Says why the disk takes nothing, if so.
    #[must_use]
    pub fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }

    /// Says whether lines wait to be written.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Keeps what a look found that began then.
    pub fn put(&mut self, look: &Look, found: Found, begun: Stamp) {
        let endpoint = look.endpoint;
        let kept = Kept { endpoint, generation: look.generation.clone(), found };
        let Ok(text) = serde_json::to_vec(&kept) else { return };
        let mut hash = [0; 16];
        Sha256::digest(&text).iter().zip(&mut hash).for_each(|(from, to)| *to = *from);
        let known = self.whole.get(&endpoint).filter(|(_, known)| *known == hash);
        let like = known.map(|(line, _)| *line);
        self.append(What::Sample(kept), begun, like, hash, text.len());
    }

    /// Keeps that devices were not asked because their credentials were lost with a restart.
    pub fn put_alone(&mut self, devices: u64, lasted: Duration, now: Stamp) {
        let lasted_ms = u64::try_from(lasted.as_millis()).unwrap_or(u64::MAX);
        self.append(What::Alone { devices, lasted_ms }, now, None, [0; 16], 64);
    }

    fn append(&mut self, what: What, at: Stamp, like: Option<u64>, hash: [u8; 16], bytes: usize) {
        self.waiting.push(Item { n: self.next, t: at.steady, what, like, hash, bytes });
        self.next += 1;
    }

    /// Writes what waits, begins a new segment where one is full, and drops what is too much.
    pub fn flush(&mut self, now: Stamp) {
        match self.write().and_then(|()| self.turn(now)) {
            Ok(()) => {
                if self.fault.is_some() {
                    tracing::info!("samples are kept on disk again");
                }
                self.fault = None;
                self.name();
            }
            Err(error) if self.fault.is_some() => {
                tracing::debug!(%error, "samples still cannot be kept on disk");
            }
            Err(error) => {
                self.fault = Some(error.to_string());
                tracing::error!(%error, "samples cannot be kept on disk; the last {LINES} wait in memory");
            }
        }
    }

    fn write(&mut self) -> io::Result<()> {
        let Some(segment) = self.segments.back_mut() else { return Ok(()) };
        if self.fault.is_some() {
            // What could not be taken back when it was refused.
            self.file.set_len(segment.bytes)?;
        }
        while let Some((text, lines)) = self.waiting.part() {
            if let Err(error) = self.file.write_all(text.as_bytes()) {
                // What could not be written whole is taken back; if it cannot be now, before the next try.
                self.file.set_len(segment.bytes).ok();
                return Err(error);
            }
            segment.bytes += text.len() as u64;
            for _ in 0..lines {
                let Some(item) = self.waiting.pop() else { break };
                (segment.last, segment.newest) = (item.n, item.t);
                // Only what is on disk may be referred to: what waits may be dropped or told instead.
                if let (What::Sample(kept), None) = (item.what, item.like) {
                    self.whole.insert(kept.endpoint, (item.n, item.hash));
                }
            }
        }
        Ok(())
    }

    /// Lets a restart find the id again, once it finds every number on disk that was told.
    fn name(&mut self) {
        let last = self.segments.back().map_or(0, |segment| segment.last);
        if self.is_named || last < self.told {
            return;
        }
        match fs::write(id_path(&self.folder), self.id.to_string()) {
            Ok(()) => self.is_named = true,
            Err(error) => tracing::debug!(%error, "the id of kept samples cannot be written"),
        }
    }

    /// Sees to it that a restart does not find the id: it would give numbers to other samples that were told but are
    /// not on disk, and the backend would pass over these.
    fn unname(&mut self) {
        match fs::remove_file(id_path(&self.folder)) {
            Ok(()) => self.is_named = false,
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.is_named = false,
            Err(error) => tracing::debug!(%error, "the id of kept samples cannot be removed"),
        }
    }

    fn turn(&mut self, now: Stamp) -> io::Result<()> {
        let size = (self.limits.bytes / 8).min(SEGMENT);
        let full = |segment: &Segment| {
            let is_done = segment.last <= self.stored;
            segment.last >= segment.first && segment.bytes > if is_done { size / 4 } else { size }
        };
        if self.segments.back().is_some_and(full) {
            let (segment, file) = begin(&self.folder, self.next, self.machine, now)?;
            self.segments.push_back(segment);
            self.file = file;
            self.whole.clear();
        }
        self.drop_stored();
        while self.segments.len() > 1 && self.is_too_much(now) {
            self.drop_oldest();
        }
        Ok(())
    }

    fn is_too_much(&self, now: Stamp) -> bool {
        let bytes: u64 = self.segments.iter().map(|segment| segment.bytes).sum();
        let age = self.limits.age.as_millis();
        let is_old =
            |segment: &Segment| u128::from(segment.epoch.age(segment.newest, self.machine, now)) > age;
        bytes > self.limits.bytes || self.segments.front().is_some_and(is_old)
    }

    fn drop_oldest(&mut self) {
        let Some(oldest) = self.segments.pop_front() else { return };
        let samples = (oldest.last + 1).saturating_sub(oldest.first.max(self.stored + 1));
        if samples > 0 {
            tracing::warn!(samples, "the oldest samples were dropped: no more may be kept on disk");
        }
        self.remove(&oldest);
    }

    fn drop_stored(&mut self) {
        while self.segments.len() > 1
            && let Some(oldest) = self.segments.pop_front_if(|segment| segment.last <= self.stored)
        {
            self.remove(&oldest);
        }
    }

    fn remove(&mut self, segment: &Segment) {
        self.reader.take_if(|reader| reader.first == segment.first);
        if let Err(error) = fs::remove_file(path(&self.folder, segment.first)) {
            tracing::warn!(%error, first = segment.first, "samples that are not needed stay on disk");
        }
    }

    /// Notes that the backend has everything up to a number.
    pub fn stored(&mut self, spool: Uuid, through: u64) {
        if spool != self.id {
            return;
        }
        if through >= self.next {
            // An old copy of this folder was put back: its numbers were used before.
            match identity(&self.folder, true) {
                Ok(id) => (self.id, self.is_named) = (id, true),
                Err(error) => tracing::error!(%error, "kept samples cannot be numbered anew"),
            }
            return self.rewind();
        }
        self.stored = self.stored.max(through);
        self.told = self.told.max(self.stored);
        self.waiting.forget(self.stored);
        self.drop_stored();
    }

    /// Tells everything anew that the backend has not confirmed.
    pub fn rewind(&mut self) {
        self.told = self.stored;
        self.reader = None;
    }

    /// Takes the next batch; none when everything on disk was told, and what the disk does not take.
    pub fn batch(&mut self, now: Stamp) -> Option<Batch> {
        loop {
            let told = self.told;
            let next = self.segments.iter().find(|segment| segment.last > told);
            let Some((first, last)) = next.map(|segment| (segment.first, segment.last)) else {
                return self.unkept(now);
            };
            match self.read(first, now) {
                Ok(Some(batch)) => return Some(batch),
                // Whatever is wrong with the file, the backend sees that numbers are left out.
                Ok(None) => self.told = last,
                Err(error) => {
                    tracing::error!(%error, first, "kept samples cannot be read and are left out");
                    self.told = last;
                }
            }
        }
    }

    /// Takes the next batch of what waits in memory because the disk takes nothing.
    fn unkept(&mut self, now: Stamp) -> Option<Batch> {
        self.fault.as_ref()?;
        let batch = self.waiting.batch(self.told, now)?;
        if self.is_named {
            self.unname();
        }
        self.told = batch.first + batch.entries.len() as u64 - 1;
        Some(batch)
    }

    fn read(&mut self, first: u64, now: Stamp) -> io::Result<Option<Batch>> {
        let reader = match self.reader.take() {
            Some(reader) if reader.first == first => reader,
            Some(_) | None => Reader::open(&path(&self.folder, first), first)?,
        };
        let reader = self.reader.insert(reader);
        let (mut entries, mut bytes, mut begin) = (Vec::new(), 0, 0);
        while let Some(whole) = reader.peek(self.told)? {
            let is_next = entries.is_empty() || whole.line.n == self.told + 1;
            let has_room = entries.is_empty() || (entries.len() < ENTRIES && bytes + whole.bytes < BYTES);
            if !is_next || !has_room {
                break;
            }
            let Some(whole) = reader.take() else { break };
            let Line { n, t, what } = whole.line;
            let age_ms = reader.epoch.age(t, self.machine, now);
            if entries.is_empty() {
                begin = n;
            }
            let Some(entry) = what.entry(age_ms) else { break };
            entries.push(entry);
            bytes += whole.bytes;
            self.told = n;
        }
        Ok((!entries.is_empty()).then_some(Batch { first: begin, entries }))
    }
}

fn id_path(folder: &Path) -> PathBuf {
    folder.join("id")
}

/// Reads the spool's id; one without segments is a new spool, whose numbers begin anew.
fn identity(folder: &Path, is_new: bool) -> io::Result<Uuid> {
    let path = id_path(folder);
    let known: Option<Uuid> = match fs::read_to_string(&path) {
        Ok(id) => id.trim().parse().ok(),
        // It was never written, or torn.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidData) => None,
        Err(error) => return Err(error),
    };
    if let Some(id) = known.filter(|_| !is_new) {
        return Ok(id);
    }
    let id = Uuid::new_v4();
    fs::write(&path, id.to_string())?;
    Ok(id)
}
