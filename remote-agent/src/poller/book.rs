//! The looks that an agent keeps doing: on disk without credentials, so that a restart does not end them.

use rackhand_wire::{Secrets, agent::Look, id::EndpointId};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::{
    collections::{BTreeMap, HashMap},
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::proof::hex;

/// A look with what it needs.
#[derive(Clone)]
pub struct Entry {
    /// The look.
    pub look: Arc<Look>,
    /// Its credentials: in memory alone, and absent after a restart until the backend gives them.
    pub secrets: Option<Secrets>,
    /// Was named since the last begin of a whole list.
    confirmed: bool,
}

impl Entry {
    /// Says whether the device can be asked.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.secrets.is_some() || !self.look.needs_secrets
    }
}

/// All looks, and the file in which they outlive the process.
pub struct Book {
    path: PathBuf,
    entries: HashMap<EndpointId, Entry>,
    /// The file holds something else.
    dirty: bool,
}

/// What the file holds.
#[derive(Serialize, Deserialize)]
struct Page<L> {
    looks: Vec<L>,
}

impl Book {
    /// Opens it. What cannot be read is as good as lost: the backend tells everything again.
    #[must_use]
    pub fn open(path: PathBuf) -> Self {
        let page = fs::read(&path).ok().and_then(|text| serde_json::from_slice::<Page<Look>>(&text).ok());
        let looks = page.map(|page| page.looks).unwrap_or_default();
        let kept =
            |look: Look| (look.endpoint, Entry { look: Arc::new(look), secrets: None, confirmed: true });
        Self { path, entries: looks.into_iter().map(kept).collect(), dirty: false }
    }

    /// The looks.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// Finds a look.
    #[must_use]
    pub fn find(&self, id: EndpointId) -> Option<&Entry> {
        self.entries.get(&id)
    }

    /// Takes a look in, or what is new of one; gives what was known of it before.
    pub fn put(&mut self, look: Look, secrets: Secrets) -> Option<Entry> {
        let entry = Entry { secrets: Some(secrets), look: Arc::new(look), confirmed: true };
        let before = self.entries.insert(entry.look.endpoint, entry.clone());
        self.dirty |= before.as_ref().is_none_or(|before| before.look != entry.look);
        before
    }

    /// Lets a look go.
    pub fn remove(&mut self, id: EndpointId) {
        self.dirty |= self.entries.remove(&id).is_some();
    }

    /// A list of all looks begins.
    pub fn begin(&mut self) {
        self.entries.values_mut().for_each(|entry| entry.confirmed = false);
    }

    /// It ends: gives those that were not named, which are no more.
    pub fn end(&mut self) -> Vec<EndpointId> {
        let gone = self.entries.values().filter(|entry| !entry.confirmed).map(|entry| entry.look.endpoint);
        let gone: Vec<EndpointId> = gone.collect();
        for id in &gone {
            self.remove(*id);
        }
        gone
    }

    /// Digest of the looks that can be done.
    #[must_use]
    pub fn digest(&self) -> String {
        let ready = self.entries.values().filter(|entry| entry.is_ready() && entry.confirmed);
        digest(ready.map(|entry| (entry.look.endpoint, entry.look.mark.as_str())))
    }

    /// Writes the file, if it holds something else.
    ///
    /// # Errors
    /// When the disk is full or broken: the next call tries again.
    pub fn save(&mut self) -> io::Result<()> {
        if !self.dirty {
            return Ok(());
        }
        let page = Page { looks: self.entries.values().map(|entry| entry.look.as_ref()).collect() };
        replace(&self.path, &serde_json::to_vec(&page)?)?;
        self.dirty = false;
        Ok(())
    }
}

/// Digest of looks by device and mark, the same on both sides.
#[must_use]
pub fn digest<'a>(looks: impl Iterator<Item = (EndpointId, &'a str)>) -> String {
    let sorted: BTreeMap<EndpointId, &str> = looks.collect();
    let mut hash = Sha256::new();
    for (id, mark) in sorted {
        hash.update(id.0.as_bytes());
        hash.update((mark.len() as u64).to_be_bytes());
        hash.update(mark.as_bytes());
    }
    hex(&hash.finalize())
}

/// Puts a file in the place of another one, whole or not at all.
fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let fresh = path.with_extension("new");
    let mut file = File::create(&fresh)?;
    file.write_all(text)?;
    file.sync_data()?;
    fs::rename(&fresh, path)
}

#[cfg(test)]
mod tests {
    use rackhand_wire::Operation;
    use serde_json::json;

    use super::*;

    fn look(n: u128, mark: &str) -> Look {
        Look {
            endpoint: id(n),
            kind: "ipmi".into(),
            params: json!({"host": "10.0.0.7"}),
            pinned: None,
            identify: false,
            reads: vec![rackhand_wire::agent::Read { target: json!({}), operation: Operation::ReadPower }],
            every_ms: 60_000,
            generation: "g".into(),
            mark: mark.into(),
            needs_secrets: n == 1,
        }
    }

    fn id(n: u128) -> EndpointId {
        EndpointId(uuid::Uuid::from_u128(n))
    }

    fn secrets() -> Secrets {
        [("password", "hunter2")].into_iter().collect()
    }

    #[test]
    fn a_restart_keeps_the_looks_and_loses_the_credentials() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("looks.json");
        let mut book = Book::open(path.clone());
        book.put(look(1, "a"), secrets());
        book.put(look(2, "b"), Secrets::default());
        book.save().unwrap();
        assert!(!fs::read_to_string(&path).unwrap().contains("hunter2"));
        let whole = book.digest();
        let mut again = Book::open(path);
        let ready: Vec<_> = again.entries().filter(|entry| entry.is_ready()).collect();
        assert_eq!(ready.iter().map(|entry| entry.look.endpoint).collect::<Vec<_>>(), [id(2)]);
        assert_ne!(again.digest(), whole, "the backend must see that credentials are missing");
        again.put(look(1, "a"), secrets());
        assert_eq!(again.digest(), whole);
        again.put(look(1, "c"), secrets());
        assert_ne!(again.digest(), whole);
    }

    #[test]
    fn what_a_whole_list_does_not_name_is_gone_and_a_torn_list_ends_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mut book = Book::open(folder.path().join("looks.json"));
        book.put(look(1, "a"), secrets());
        book.put(look(2, "b"), secrets());
        let whole = book.digest();
        book.begin();
        book.put(look(1, "a"), secrets());
        assert_ne!(book.digest(), whole, "the rest of the list is still to come");
        assert_eq!(book.entries().count(), 2);
        assert_eq!(book.end(), [id(2)]);
        assert_eq!(book.entries().count(), 1);
    }
}
