//! What changed, told to every open page: ids and versions, never contents.

use rackhand_wire::api::live::{Change, Object};
use std::{
    collections::VecDeque,
    fmt::Display,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::broadcast;

use crate::bus::{Bus, Notice};

/// A change with its number.
#[derive(Debug, Clone)]
pub struct Numbered {
    /// `epoch-number`: the epoch tells a restart of the server.
    pub id: String,
    /// What changed.
    pub change: Change,
}

/// Tells changes and remembers the last of them for pages that reconnect.
pub struct Live {
    recent: Mutex<Recent>,
    bus: Arc<dyn Bus>,
    /// Taken away when the server stops: every open stream then ends.
    sender: Mutex<Option<broadcast::Sender<Numbered>>>,
}

#[derive(Default)]
struct Recent {
    epoch: i64,
    last: u64,
    changes: VecDeque<(u64, Change)>,
}

/// Changes remembered for replay; a page that missed more loads everything again.
const REMEMBERED: usize = 4096;

impl Live {
    /// Makes it; `epoch` must differ from the one before a restart.
    pub fn new(epoch: i64, bus: Arc<dyn Bus>) -> Self {
        let recent = Mutex::new(Recent { epoch, ..Recent::default() });
        Self { recent, bus, sender: Mutex::new(Some(broadcast::channel(1024).0)) }
    }

    /// Tells that something changed, to the pages of other servers too. Call it after the commit.
    pub fn tell(&self, object: Object, id: impl Display) {
        let change = Change { object, id: id.to_string(), version: None };
        self.bus.tell(Notice::Live(change.clone()));
        self.relay(change);
    }

    /// Tells the pages of this server what another one told.
    pub fn relay(&self, change: Change) {
        let mut recent = self.recent();
        recent.last += 1;
        let number = recent.last;
        recent.changes.push_back((number, change.clone()));
        if recent.changes.len() > REMEMBERED {
            recent.changes.pop_front();
        }
        if let Some(sender) = self.sender().as_ref() {
            // Nobody listening is not an error.
            sender.send(Numbered { id: format!("{}-{number}", recent.epoch), change }).ok();
        }
    }

    /// Has every page load everything again: something was missed.
    pub fn forget(&self) {
        let mut recent = self.recent();
        recent.epoch += 1;
        recent.changes.clear();
        // The streams end, the pages come back, and nothing of what they saw last is known.
        if let Some(sender) = self.sender().as_mut() {
            *sender = broadcast::channel(1024).0;
        }
    }

    fn recent(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends every stream, so that pages know at once that the server stops.
    pub fn close(&self) {
        self.sender().take();
    }

    fn sender(&self) -> MutexGuard<'_, Option<broadcast::Sender<Numbered>>> {
        self.sender.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Listens from now on, with what was missed since `last`; `None` when that is not known any more.
    pub fn listen(&self, last: Option<&str>) -> (broadcast::Receiver<Numbered>, Option<Vec<Numbered>>) {
        let recent = self.recent();
        // After the end: a channel that nobody sends on is over at once.
        let receiver =
            self.sender().as_ref().map_or_else(|| broadcast::channel(1).1, broadcast::Sender::subscribe);
        let Some(last) = last else { return (receiver, Some(Vec::new())) };
        let seen = last
            .rsplit_once('-')
            .filter(|(epoch, _)| *epoch == recent.epoch.to_string())
            .and_then(|(_, number)| number.parse::<u64>().ok());
        let oldest = recent.changes.front().map_or(recent.last + 1, |(number, _)| *number);
        let missed = seen.filter(|seen| *seen <= recent.last && seen + 1 >= oldest).map(|seen| {
            let after = recent.changes.iter().filter(|(number, _)| *number > seen);
            after
                .map(|(number, change)| Numbered {
                    id: format!("{}-{number}", recent.epoch),
                    change: change.clone(),
                })
                .collect()
        });
        (receiver, missed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::Alone;

    #[test]
    fn a_page_that_reconnects_hears_what_it_missed() {
        let live = Live::new(7, Arc::new(Alone));
        live.tell(Object::Server, "a");
        live.tell(Object::Server, "b");
        let (_, missed) = live.listen(Some("7-1"));
        assert_eq!(missed.unwrap().iter().map(|m| m.change.id.as_str()).collect::<Vec<_>>(), ["b"]);
        assert!(live.listen(Some("7-2")).1.unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_stop_ends_open_streams_and_new_ones() {
        let live = Live::new(7, Arc::new(Alone));
        let (mut open, _) = live.listen(None);
        live.close();
        let (mut late, _) = live.listen(None);
        live.tell(Object::Server, "a");
        for receiver in [&mut open, &mut late] {
            assert_eq!(receiver.recv().await.err(), Some(broadcast::error::RecvError::Closed));
        }
    }

    #[tokio::test]
    async fn after_a_gap_every_page_comes_back_and_loads_everything() {
        let live = Live::new(7, Arc::new(Alone));
        live.tell(Object::Server, "a");
        let (mut open, _) = live.listen(None);
        live.forget();
        assert_eq!(open.recv().await.err(), Some(broadcast::error::RecvError::Closed));
        assert!(live.listen(Some("7-1")).1.is_none());
    }

    #[test]
    fn after_a_restart_it_is_told_to_load_everything() {
        let live = Live::new(8, Arc::new(Alone));
        live.tell(Object::Server, "a");
        assert!(live.listen(Some("7-1")).1.is_none());
        assert!(live.listen(Some("8-9")).1.is_none());
        for n in 0..=REMEMBERED {
            live.tell(Object::Job, n);
        }
        assert!(live.listen(Some("8-0")).1.is_none());
    }
}
