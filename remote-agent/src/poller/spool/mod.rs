//! What looks found, kept on disk until the backend has stored it.
//!
//! Lines are numbered and never change; they lie in segments, each a file that is dropped as a whole. What is
//! as it was takes a short line that refers to an earlier one of the same segment, so that a segment can be read
//! alone. Nothing here is synced: a power cut may cost the last moment's samples, the end of the process none.

mod clock;
mod line;
mod reader;
#[cfg(test)]
mod tests;

use rackhand_wire::{
    agent::{Entry, Found, Look},
    id::EndpointId,
};
use sha2::{Digest as _, Sha256};
use std::{
    collections::{HashMap, VecDeque},
    fs::{self, File, OpenOptions},
    io::{self, BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};
use uuid::Uuid;

use clock::Epoch;
use line::{Kept, Line, What};
use reader::Reader;

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
/// Lines that wait for a disk that takes nothing.
const WAITING: usize = 20_000;
/// Bytes of a segment.
const SEGMENT: u64 = 4_000_000;

/// One file.
struct Segment {
    first: u64,
    /// Number of its last line; the one before `first` while it is empty.
    last: u64,
    /// When that was.
    newest: u64,
    bytes: u64,
    epoch: Epoch,
}

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
    machine: String,
    limits: Limits,
    /// The oldest first; the last one is written to.
    segments: VecDeque<Segment>,
    file: File,
    /// Line and hash of each device's last whole sample in the segment that is written to.
    whole: HashMap<EndpointId, (u64, [u8; 16])>,
    /// Number of the next line.
    next: u64,
    /// Lines that are not on disk yet.
    waiting: VecDeque<(u64, u64, String)>,
    /// The last write failed: said once.
    fails: bool,
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
        let (segment, file) = begin(folder, next, &machine, now)?;
        segments.push_back(segment);
        Ok(Self {
            folder: folder.to_owned(),
            id,
            machine,
            limits,
            segments,
            file,
            whole: HashMap::new(),
            next,
            waiting: VecDeque::new(),
            fails: false,
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
        Sha256::digest(text).iter().zip(&mut hash).for_each(|(from, to)| *to = *from);
        let what = match self.whole.get(&endpoint) {
            Some((line, known)) if *known == hash => What::As(*line),
            Some(_) | None => {
                self.whole.insert(endpoint, (self.next, hash));
                What::Sample(kept)
            }
        };
        self.append(what, begun);
    }

    /// Keeps that devices were not asked because their credentials were lost with a restart.
    pub fn put_alone(&mut self, devices: u64, lasted: Duration, now: Stamp) {
        let lasted_ms = u64::try_from(lasted.as_millis()).unwrap_or(u64::MAX);
        self.append(What::Alone { devices, lasted_ms }, now);
    }

    fn append(&mut self, what: What, at: Stamp) {
        let line = Line { n: self.next, t: at.steady, what };
        let Ok(text) = serde_json::to_string(&line) else { return };
        self.waiting.push_back((line.n, line.t, text));
        self.next += 1;
        if self.waiting.len() > WAITING {
            self.waiting.pop_front();
        }
    }

    /// Writes what waits, begins a new segment where one is full, and drops what is too much.
    pub fn flush(&mut self, now: Stamp) {
        match self.write().and_then(|()| self.turn(now)) {
            Ok(()) => self.fails = false,
            Err(error) if self.fails => tracing::debug!(%error, "samples still cannot be kept on disk"),
            Err(error) => {
                self.fails = true;
                tracing::error!(%error, "samples cannot be kept on disk; the last {WAITING} wait in memory");
            }
        }
    }

    fn write(&mut self) -> io::Result<()> {
        let last = self.waiting.back().map(|(n, t, _)| (*n, *t));
        let (Some(last), Some(segment)) = (last, self.segments.back_mut()) else { return Ok(()) };
        let mut text = String::new();
        for (_, _, line) in &self.waiting {
            text.push_str(line);
            text.push('\n');
        }
        if let Err(error) = self.file.write_all(text.as_bytes()) {
            // What could not be written whole is taken back.
            self.file.set_len(segment.bytes)?;
            return Err(error);
        }
        segment.bytes += text.len() as u64;
        (segment.last, segment.newest) = last;
        self.waiting.clear();
        Ok(())
    }

    fn turn(&mut self, now: Stamp) -> io::Result<()> {
        let size = (self.limits.bytes / 8).min(SEGMENT);
        let full = |segment: &Segment| {
            let is_done = segment.last <= self.stored;
            segment.last >= segment.first && segment.bytes > if is_done { size / 4 } else { size }
        };
        if self.segments.back().is_some_and(full) {
            let (segment, file) = begin(&self.folder, self.next, &self.machine, now)?;
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
            |segment: &Segment| u128::from(segment.epoch.age(segment.newest, &self.machine, now)) > age;
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
                Ok(id) => self.id = id,
                Err(error) => tracing::error!(%error, "kept samples cannot be numbered anew"),
            }
            return self.rewind();
        }
        self.stored = self.stored.max(through);
        self.told = self.told.max(self.stored);
        self.drop_stored();
    }

    /// Tells everything anew that the backend has not confirmed.
    pub fn rewind(&mut self) {
        self.told = self.stored;
        self.reader = None;
    }

    /// Takes the next batch; none when everything on disk was told.
    pub fn batch(&mut self, now: Stamp) -> Option<Batch> {
        loop {
            let told = self.told;
            let segment = self.segments.iter().find(|segment| segment.last > told)?;
            let (first, last) = (segment.first, segment.last);
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
            let age_ms = reader.epoch.age(t, &self.machine, now);
            if entries.is_empty() {
                begin = n;
            }
            entries.push(match what {
                What::Sample(kept) => kept.entry(age_ms),
                What::Alone { devices, lasted_ms } => Entry::RestartedAlone { devices, lasted_ms, age_ms },
                What::As(_) => break,
            });
            bytes += whole.bytes;
            self.told = n;
        }
        Ok((!entries.is_empty()).then_some(Batch { first: begin, entries }))
    }
}

fn path(folder: &Path, first: u64) -> PathBuf {
    folder.join(format!("{first:020}.jsonl"))
}

fn begin(folder: &Path, first: u64, machine: &str, now: Stamp) -> io::Result<(Segment, File)> {
    let epoch = Epoch::new(machine, now);
    let path = path(folder, first);
    let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
    // What is there already was torn from an empty one.
    file.set_len(0)?;
    let head = format!("{}\n", serde_json::to_string(&epoch)?);
    file.write_all(head.as_bytes())?;
    let (last, bytes, newest) = (first - 1, head.len() as u64, now.steady);
    Ok((Segment { first, last, newest, bytes, epoch }, file))
}

/// Finds the segments of a folder, the oldest first.
fn found(folder: &Path) -> io::Result<VecDeque<Segment>> {
    let mut firsts = Vec::new();
    for file in fs::read_dir(folder)? {
        let name = file?.file_name();
        let first = name.to_str().and_then(|name| name.strip_suffix(".jsonl")?.parse::<u64>().ok());
        firsts.extend(first.filter(|first| *first > 0));
    }
    firsts.sort_unstable();
    let mut segments = VecDeque::new();
    for first in firsts {
        segments.push_back(segment(&path(folder, first), first)?);
    }
    Ok(segments)
}

fn segment(path: &Path, first: u64) -> io::Result<Segment> {
    let mut file = BufReader::new(File::open(path)?);
    let bytes = file.get_ref().metadata()?.len();
    let (mut text, mut last) = (String::new(), String::new());
    file.read_line(&mut text)?;
    // One whose head is torn has nothing else.
    let epoch = serde_json::from_str(&text).unwrap_or_else(|_| Epoch::new("", Stamp::now()));
    text.clear();
    while file.read_line(&mut text)? > 0 {
        // The last line may be torn; then the one before counts.
        if text.ends_with('\n') {
            std::mem::swap(&mut text, &mut last);
        }
        text.clear();
    }
    let line = serde_json::from_str::<Line>(&last).ok();
    let (last, newest) = line.map_or((first - 1, 0), |line| (line.n, line.t));
    Ok(Segment { first, last, newest, bytes, epoch })
}

/// Reads the spool's id; one without segments is a new spool, whose numbers begin anew.
fn identity(folder: &Path, is_new: bool) -> io::Result<Uuid> {
    let path = folder.join("id");
    let known = fs::read_to_string(&path).ok().and_then(|id| id.trim().parse().ok());
    if let Some(id) = known.filter(|_| !is_new) {
        return Ok(id);
    }
    let id = Uuid::new_v4();
    fs::write(&path, id.to_string())?;
    Ok(id)
}
