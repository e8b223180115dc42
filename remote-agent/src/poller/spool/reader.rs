//! Reads one segment from its begin to where it ends now.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, BufRead as _, BufReader},
    path::Path,
};

use super::{
    clock::Epoch,
    line::{Kept, Line, What},
};

/// A line that refers to no other one.
pub struct Whole {
    /// The line; never [`What::As`].
    pub line: Line,
    /// About how long it is.
    pub bytes: usize,
}

/// Where a segment is being read.
pub struct Reader {
    /// Number of the segment's first line.
    pub first: u64,
    /// When its lines were.
    pub epoch: Epoch,
    file: BufReader<File>,
    /// Samples so far: later lines refer to them.
    samples: HashMap<u64, (Kept, usize)>,
    /// Read but not taken.
    ahead: Option<Whole>,
}

impl Reader {
    /// Opens a segment.
    ///
    /// # Errors
    /// When it cannot be read or does not begin as one.
    pub fn open(path: &Path, first: u64) -> io::Result<Self> {
        let mut file = BufReader::new(File::open(path)?);
        let mut head = Vec::new();
        file.read_until(b'\n', &mut head)?;
        let epoch = serde_json::from_slice(&head)?;
        Ok(Self { first, epoch, file, samples: HashMap::new(), ahead: None })
    }

    /// Looks at the next line after that number; none at the end.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn peek(&mut self, after: u64) -> io::Result<Option<&Whole>> {
        while self.ahead.as_ref().is_none_or(|whole| whole.line.n <= after) {
            match self.read()? {
                Some(whole) => self.ahead = Some(whole),
                None => return Ok(None),
            }
        }
        Ok(self.ahead.as_ref())
    }

    /// Takes what was looked at.
    pub fn take(&mut self) -> Option<Whole> {
        self.ahead.take()
    }

    fn read(&mut self) -> io::Result<Option<Whole>> {
        let mut text = Vec::new();
        loop {
            text.clear();
            if self.file.read_until(b'\n', &mut text)? == 0 {
                return Ok(None);
            }
            // A torn line is the last one of a process that was killed; it may end inside a letter.
            let Ok(Line { n, t, what }) = serde_json::from_slice(&text) else { continue };
            let (what, bytes) = match what {
                What::Sample(kept) => {
                    self.samples.insert(n, (kept.clone(), text.len()));
                    (What::Sample(kept), text.len())
                }
                What::As(before) => match self.samples.get(&before) {
                    Some((kept, bytes)) => (What::Sample(kept.clone()), *bytes),
                    None => continue,
                },
                alone @ What::Alone { .. } => (alone, text.len()),
            };
            return Ok(Some(Whole { line: Line { n, t, what }, bytes }));
        }
    }
}
