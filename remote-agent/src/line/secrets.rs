//! Credentials that were lost with a restart: asked of the backend, because they are never on disk here.

use async_trait::async_trait;
use rackhand_wire::{Secrets, id::EndpointId};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

use crate::SecretSource;

/// Questions that wait for a session.
pub type Requests = mpsc::Receiver<(EndpointId, oneshot::Sender<Secrets>)>;

/// A restore that waits for credentials is tried again anyway.
const PATIENCE: Duration = Duration::from_secs(10);

/// Asks the backend.
pub struct Asked {
    questions: mpsc::Sender<(EndpointId, oneshot::Sender<Secrets>)>,
}

impl Asked {
    /// Makes one with what its line must serve.
    #[must_use]
    pub fn new() -> (Self, Requests) {
        let (questions, requests) = mpsc::channel(64);
        (Self { questions }, requests)
    }
}

#[async_trait]
impl SecretSource for Asked {
    async fn find(&self, endpoint: EndpointId) -> Option<Secrets> {
        let (answer, answered) = oneshot::channel();
        self.questions.try_send((endpoint, answer)).ok()?;
        tokio::time::timeout(PATIENCE, answered).await.ok()?.ok()
    }
}
