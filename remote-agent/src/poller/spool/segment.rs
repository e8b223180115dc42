//! One file: a head that says when its lines were, then the lines.

use std::{
    collections::VecDeque,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use super::{
    clock::{Epoch, Stamp},
    line::Line,
};

/// One file.
pub struct Segment {
    /// Number of its first line.
    pub first: u64,
    /// Number of its last line; the one before `first` while it is empty.
    pub last: u64,
    /// When that was.
    pub newest: u64,
    /// How long it is.
    pub bytes: u64,
    /// When its lines were.
    pub epoch: Epoch,
}

/// Where a segment is.
pub fn path(folder: &Path, first: u64) -> PathBuf {
    folder.join(format!("{first:020}.jsonl"))
}

/// Begins one.
///
/// # Errors
/// When it cannot be written.
pub fn begin(folder: &Path, first: u64, machine: &str, now: Stamp) -> io::Result<(Segment, File)> {
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
///
/// # Errors
/// When the folder or one of them cannot be read.
pub fn found(folder: &Path) -> io::Result<VecDeque<Segment>> {
    let mut firsts = Vec::new();
    for file in fs::read_dir(folder)? {
        let name = file?.file_name();
        let first = name.to_str().and_then(|name| name.strip_suffix(".jsonl")?.parse::<u64>().ok());
        firsts.extend(first.filter(|first| *first > 0));
    }
    firsts.sort_unstable();
    firsts.into_iter().map(|first| read(&path(folder, first), first)).collect()
}

fn read(path: &Path, first: u64) -> io::Result<Segment> {
    let text = fs::read(path)?;
    let mut lines = text.split(|byte| *byte == b'\n');
    // One whose head is torn has nothing else.
    let head = serde_json::from_slice(lines.next().unwrap_or_default());
    let epoch = head.unwrap_or_else(|_| Epoch::new("", Stamp::now()));
    // A line may be torn anywhere, inside a letter too; then the one before counts.
    let last = lines.rev().find_map(|line| serde_json::from_slice::<Line>(line).ok());
    let (last, newest) = last.map_or((first - 1, 0), |line| (line.n, line.t));
    Ok(Segment { first, last, newest, bytes: text.len() as u64, epoch })
}
