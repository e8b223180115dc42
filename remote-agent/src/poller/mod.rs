//! Looks at devices by itself, with or without a backend.
//!
//! What to look at is in the [`book`], when in the [`schedule`], what was found in the [`spool`]. A look goes
//! through the queue of its device like any command and gives way to what somebody waits for. Nothing here waits
//! for a device or for the backend.

mod book;
mod look;
mod schedule;
mod spool;

use rackhand_wire::{
    Secrets,
    agent::{Found, Look, ToBackend},
    id::EndpointId,
};
use std::{
    collections::HashSet,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::mpsc;
use uuid::Uuid;

use book::{Book, Entry};
use look::Queued;
use spool::{Spool, Stamp};

use crate::worker::{Shared, Task};

pub use book::digest;
pub use look::{Way, command, look};
pub use schedule::{Outcome, Schedule};
pub use spool::Limits;

/// What the poller is told.
pub enum Order {
    /// A session begins.
    Session,
    /// All looks follow.
    Begin,
    /// Do this look.
    Put(Box<Look>, Secrets),
    /// Those were all.
    End,
    /// Do these no more.
    Remove(Vec<EndpointId>),
    /// Look at these now.
    Want(Vec<EndpointId>),
    /// The backend has stored what was kept.
    Stored {
        /// Where the numbers count.
        spool: Uuid,
        /// Up to this number.
        through: u64,
    },
    /// Keep so much from now on.
    Limit(Limits),
}

/// Looks are gathered for so long before they are written and told.
const GATHER: Duration = Duration::from_millis(200);

/// Changed looks are written so long after the first of them.
const SETTLE: Duration = Duration::from_secs(1);

/// The looks as the rest of the agent sees them.
#[derive(Clone)]
pub struct Watched(Arc<Mutex<Book>>);

impl Watched {
    /// Digest of the looks that can be done.
    #[must_use]
    pub fn digest(&self) -> String {
        self.book().digest()
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The looks of one agent.
pub struct Poller {
    shared: Arc<Shared>,
    watched: Watched,
    schedule: Schedule,
    spool: Spool,
    /// To the queues of the devices.
    desk: mpsc::Sender<Task>,
    done: mpsc::UnboundedSender<Done>,
    /// When what was gathered is written and told.
    flush_at: Option<Instant>,
    /// When the looks are written.
    save_at: Option<Instant>,
    /// A batch that the backend has not confirmed.
    told: Option<Told>,
    /// What the backend was told of the disk.
    told_fault: Option<String>,
    alone: Option<Alone>,
}

struct Told {
    through: u64,
    /// It is told again then, if it is still not confirmed.
    again_at: Instant,
}

/// Since a restart no backend has come.
struct Alone {
    since: Instant,
    /// Devices that were due and have no credentials.
    missed: HashSet<EndpointId>,
}

struct Done {
    look: Arc<Look>,
    begun: Stamp,
    outcome: Outcome,
    found: Option<Found>,
}

impl Poller {
    /// Takes up what the last process left in a folder, and ends once nobody can give orders any more.
    ///
    /// # Errors
    /// When the folder cannot be used.
    pub fn start(
        shared: Arc<Shared>,
        folder: &Path,
        limits: Limits,
        desk: mpsc::Sender<Task>,
        orders: mpsc::UnboundedReceiver<Order>,
    ) -> io::Result<Watched> {
        let spool = Spool::open(&folder.join("samples"), limits, Stamp::now())?;
        let book = Book::open(PathBuf::from(folder).join("looks.json"));
        let now = Instant::now();
        let mut schedule = Schedule::new(shared.timings.poll);
        for entry in book.entries() {
            schedule.put(entry.look.endpoint, every(&entry.look), now);
        }
        let is_alone = book.entries().any(|entry| !entry.is_ready());
        let alone = is_alone.then(|| Alone { since: now, missed: HashSet::new() });
        let watched = Watched(Arc::new(Mutex::new(book)));
        let (done, results) = mpsc::unbounded_channel();
        let (flush_at, save_at, told) = (None, None, None);
        let poller = Self {
            shared,
            watched: watched.clone(),
            schedule,
            spool,
            desk,
            done,
            flush_at,
            save_at,
            told,
            told_fault: None,
            alone,
        };
        tokio::spawn(poller.run(orders, results));
        Ok(watched)
    }

    async fn run(
        mut self,
        mut orders: mpsc::UnboundedReceiver<Order>,
        mut results: mpsc::UnboundedReceiver<Done>,
    ) {
        loop {
            let wake = self.wake();
            tokio::select! {
                order = orders.recv() => match order {
                    Some(order) => self.take(order),
                    None => break,
                },
                Some(done) = results.recv() => self.note(done),
                () = sleep_until(wake) => {}
            }
            let now = Instant::now();
            self.begin_due(now);
            if self.flush_at.is_some_and(|at| at <= now) {
                self.flush_at = None;
                self.spool.flush(Stamp::now());
                self.tell_fault();
                // A disk that takes nothing is tried again.
                if self.spool.is_waiting() {
                    self.flush_at = Some(now + GATHER * 10);
                }
                self.tell(now);
            }
            if self.told.as_ref().is_some_and(|told| told.again_at <= now) {
                self.tell_again(now);
            }
            if self.save_at.is_some_and(|at| at <= now) {
                self.save(now);
            }
        }
        self.spool.flush(Stamp::now());
        self.save(Instant::now());
    }

    fn wake(&self) -> Option<Instant> {
        let again_at = self.told.as_ref().map(|told| told.again_at);
        [self.schedule.next(), self.flush_at, self.save_at, again_at].into_iter().flatten().min()
    }

    fn take(&mut self, order: Order) {
        let now = Instant::now();
        match order {
            Order::Session => {
                self.told_fault = None;
                self.tell_fault();
                self.tell_again(now);
            }
            Order::Begin => self.watched.book().begin(),
            Order::Put(look, secrets) => {
                let (id, mark) = (look.endpoint, look.mark.clone());
                self.schedule.put(id, every(&look), now);
                let before = self.watched.book().put(*look, secrets);
                if before.is_none_or(|before| before.look.mark != mark) {
                    self.schedule.release(id, now);
                }
                self.save_at.get_or_insert(now + SETTLE);
            }
            Order::End => {
                let gone = self.watched.book().end();
                self.remove(gone, now);
                self.end_alone(now);
            }
            Order::Remove(endpoints) => {
                for id in &endpoints {
                    self.watched.book().remove(*id);
                }
                self.remove(endpoints, now);
            }
            Order::Want(endpoints) => endpoints.into_iter().for_each(|id| self.schedule.want(id, now)),
            Order::Stored { spool, through } => {
                self.spool.stored(spool, through);
                if self.told.take_if(|told| told.through <= through).is_some() {
                    self.tell(now);
                }
            }
            Order::Limit(limits) => {
                self.spool.limit(limits);
                self.flush_at.get_or_insert(now);
            }
        }
    }

    fn remove(&mut self, endpoints: Vec<EndpointId>, now: Instant) {
        for id in endpoints {
            self.schedule.remove(id);
        }
        self.save_at.get_or_insert(now + SETTLE);
    }

    /// Begins the looks that are due.
    fn begin_due(&mut self, now: Instant) {
        for id in self.schedule.take(now) {
            let entry = self.watched.book().find(id).cloned();
            let ready = entry.filter(Entry::is_ready);
            let Some(Entry { look, secrets, .. }) = ready else {
                self.schedule.done(id, Outcome::NotAsked, now);
                if let Some(alone) = &mut self.alone {
                    alone.missed.insert(id);
                }
                continue;
            };
            let way = Queued { desk: self.desk.clone(), secrets: secrets.unwrap_or_default() };
            let (done, begun) = (self.done.clone(), Stamp::now());
            tokio::spawn(async move {
                let (outcome, found) = look::look(&look, &way).await;
                // Nobody wants to know any more when the agent ends.
                done.send(Done { look, begun, outcome, found }).ok();
            });
        }
    }

    fn note(&mut self, done: Done) {
        let now = Instant::now();
        self.schedule.done(done.look.endpoint, done.outcome, now);
        if let Some(found) = done.found {
            self.spool.put(&done.look, found, done.begun);
            self.flush_at.get_or_insert(now + GATHER.min(self.shared.timings.poll / 100));
        }
    }

    /// The backend has come and given the credentials: what was not asked meanwhile is said once.
    fn end_alone(&mut self, now: Instant) {
        let Some(alone) = self.alone.take() else { return };
        let lasted = now - alone.since;
        let devices = {
            let book = self.watched.book();
            // One that would not have been asked in so short a time has missed nothing.
            let is_late = |entry: &Entry| every(&entry.look) <= lasted;
            alone.missed.iter().filter_map(|id| book.find(*id)).filter(|entry| is_late(entry)).count() as u64
        };
        if devices > 0 {
            tracing::warn!(devices, "restarted alone: devices were not asked for want of credentials");
            self.spool.put_alone(devices, lasted, Stamp::now());
            self.flush_at.get_or_insert(now);
        }
    }

    fn tell_fault(&mut self) {
        let fault = self.spool.fault();
        if fault.is_some() != self.told_fault.is_some() && self.shared.outbox.is_open() {
            self.told_fault = fault.map(str::to_owned);
            self.shared.outbox.put(ToBackend::Disk { fault: self.told_fault.clone() });
        }
    }

    fn tell_again(&mut self, now: Instant) {
        self.told = None;
        self.spool.rewind();
        self.tell(now);
    }

    /// Tells the next batch once the one before is confirmed.
    fn tell(&mut self, now: Instant) {
        if self.told.is_some() || !self.shared.outbox.is_open() {
            return;
        }
        let Some(batch) = self.spool.batch(Stamp::now()) else { return };
        let through = batch.first + batch.entries.len() as u64 - 1;
        let frame = ToBackend::Samples { spool: self.spool.id(), first: batch.first, entries: batch.entries };
        self.told = Some(Told { through, again_at: now + self.shared.timings.dead_after });
        self.shared.outbox.put(frame);
    }

    fn save(&mut self, now: Instant) {
        self.save_at = None;
        if let Err(error) = self.watched.book().save() {
            tracing::error!(%error, "what is looked at cannot be written: a restart without a server would lose it");
            self.save_at = Some(now + SETTLE * 10);
        }
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

fn every(look: &Look) -> Duration {
    Duration::from_millis(look.every_ms.max(1))
}
