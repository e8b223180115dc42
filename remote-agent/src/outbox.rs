//! What the agent tells, while somebody listens.

use rackhand_wire::agent::ToBackend;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::mpsc;

/// The way to the session of the moment; without one nothing is kept: outcomes are in the journal.
#[derive(Default)]
pub struct Outbox {
    session: Mutex<Option<mpsc::UnboundedSender<ToBackend>>>,
}

impl Outbox {
    /// Begins a session; the one before it ends.
    pub fn open(&self) -> mpsc::UnboundedReceiver<ToBackend> {
        let (sender, receiver) = mpsc::unbounded_channel();
        *self.session() = Some(sender);
        receiver
    }

    /// Tells the session, if there is one. It never waits: a slow backend must not hold a device up, and what
    /// may be under way is what the backend has asked for.
    pub fn put(&self, frame: ToBackend) {
        let session = self.session();
        let told = session.as_ref().is_some_and(|session| session.send(frame).is_ok());
        if !told {
            tracing::debug!("no backend to tell; the journal keeps the outcome");
        }
    }

    /// Says whether a session listens.
    pub fn is_open(&self) -> bool {
        self.session().as_ref().is_some_and(|session| !session.is_closed())
    }

    fn session(&self) -> MutexGuard<'_, Option<mpsc::UnboundedSender<ToBackend>>> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
