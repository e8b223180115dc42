//! What is not on disk yet: it waits for the next flush, or for a disk that takes something again.

use std::collections::VecDeque;

use super::{
    BYTES, Batch, ENTRIES,
    clock::Stamp,
    line::{What, Written},
};

/// Lines that wait for a disk that takes nothing, and what they may take in memory.
pub const LINES: usize = 20_000;
const MEMORY: usize = 32_000_000;

/// Bytes that are written at once: what a disk that is full refuses is tried again and again.
const PART: usize = 64_000;

/// One line.
pub struct Item {
    /// Its number.
    pub n: u64,
    /// When it was.
    pub t: u64,
    /// What it says, whole: never [`What::As`], because the line that this refers to cannot be told from here.
    pub what: What,
    /// A line on disk that says the same, which it refers to once it is there.
    pub like: Option<u64>,
    /// Tells samples apart.
    pub hash: [u8; 16],
    /// About how long it is.
    pub bytes: usize,
}

/// Lines in their order.
#[derive(Default)]
pub struct Waiting {
    items: VecDeque<Item>,
    bytes: usize,
}

impl Waiting {
    /// Says whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Takes a line in; the oldest are dropped when it is too much.
    pub fn push(&mut self, item: Item) {
        self.bytes += item.bytes;
        self.items.push_back(item);
        while self.items.len() > LINES || (self.bytes > MEMORY && self.items.len() > 1) {
            self.pop();
        }
    }

    /// Takes the first line.
    pub fn pop(&mut self) -> Option<Item> {
        let item = self.items.pop_front()?;
        self.bytes -= item.bytes;
        Some(item)
    }

    /// Lets go what the backend has.
    pub fn forget(&mut self, through: u64) {
        while self.items.front().is_some_and(|item| item.n <= through) {
            self.pop();
        }
    }

    /// Gives the first lines as they are written at once, and how many these are.
    pub fn part(&self) -> Option<(String, usize)> {
        let (mut text, mut lines) = (String::new(), 0);
        for item in &self.items {
            if text.len() > PART {
                break;
            }
            text.push_str(&item.text());
            text.push('\n');
            lines += 1;
        }
        (lines > 0).then_some((text, lines))
    }

    /// Gives what comes after a number, as far as it is one batch.
    pub fn batch(&self, after: u64, now: Stamp) -> Option<Batch> {
        let (mut entries, mut bytes, mut first) = (Vec::new(), 0, 0);
        for item in self.items.iter().skip_while(|item| item.n <= after) {
            let is_next = entries.is_empty() || item.n == first + entries.len() as u64;
            let has_room = entries.is_empty() || (entries.len() < ENTRIES && bytes + item.bytes < BYTES);
            if !is_next || !has_room {
                break;
            }
            if entries.is_empty() {
                first = item.n;
            }
            let Some(entry) = item.what.clone().entry(now.steady.saturating_sub(item.t)) else { break };
            entries.push(entry);
            bytes += item.bytes;
        }
        (!entries.is_empty()).then_some(Batch { first, entries })
    }
}

impl Item {
    fn text(&self) -> String {
        let like = self.like.map(What::As);
        let written = Written { n: self.n, t: self.t, what: like.as_ref().unwrap_or(&self.what) };
        // A line that could not be told in JSON would be passed over as an empty one is.
        serde_json::to_string(&written).unwrap_or_default()
    }
}
