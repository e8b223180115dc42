use async_trait::async_trait;
use rackhand_store::{
    Db,
    notices::{self, LARGEST, Listener},
};
use rackhand_wire::id::NodeId;
use serde::{Deserialize, Serialize};
use std::{collections::VecDeque, time::Duration};
use tokio::sync::{Mutex, mpsc, oneshot};

use super::{Bus, Heard, Notice};

/// The bus of servers that share a PostgreSQL.
pub struct Postgres {
    out: mpsc::UnboundedSender<Out>,
    heard: Mutex<mpsc::Receiver<Heard>>,
}

/// What goes out, in order.
enum Out {
    Notice(Notice),
    /// Everything before it is out.
    Flushed(oneshot::Sender<()>),
}

/// What is told at once; a notice alone is far smaller than PostgreSQL's limit.
const AT_ONCE: usize = 64;

/// Between two tries to reach the database.
const PAUSE: Duration = Duration::from_millis(500);

#[derive(Serialize, Deserialize)]
struct Envelope {
    from: NodeId,
    notices: VecDeque<Notice>,
}

impl Postgres {
    /// Begins to listen, before anything is read that a notice may speak of.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn open(db: &Db, own: NodeId) -> rackhand_store::Result<Self> {
        let listener = Listener::open(db).await?;
        let (out, inbox) = mpsc::unbounded_channel();
        let (found, heard) = mpsc::channel(1024);
        tokio::spawn(speak(db.clone(), own, inbox));
        tokio::spawn(listen(listener, own, found));
        Ok(Self { out, heard: Mutex::new(heard) })
    }
}

#[async_trait]
impl Bus for Postgres {
    fn tell(&self, notice: Notice) {
        // The speaker ends with this value alone.
        self.out.send(Out::Notice(notice)).ok();
    }

    async fn flush(&self) {
        let (flushed, out) = oneshot::channel();
        if self.out.send(Out::Flushed(flushed)).is_ok() {
            out.await.ok();
        }
    }

    async fn hear(&self) -> Heard {
        match self.heard.lock().await.recv().await {
            Some(heard) => heard,
            None => std::future::pending().await,
        }
    }
}

async fn speak(db: Db, from: NodeId, mut inbox: mpsc::UnboundedReceiver<Out>) {
    let mut waiting = Vec::new();
    while inbox.recv_many(&mut waiting, AT_ONCE).await > 0 {
        let (mut notices, mut flushed) = (VecDeque::new(), Vec::new());
        for out in waiting.drain(..) {
            match out {
                Out::Notice(notice) => notices.push_back(notice),
                Out::Flushed(done) => flushed.push(done),
            }
        }
        for text in envelopes(from, notices) {
            if let Err(error) = notices::tell(&db, &text).await {
                // The sweep of the others finds what it was about.
                tracing::warn!(%error, "other servers could not be told what happened");
            }
        }
        for done in flushed {
            done.send(()).ok();
        }
    }
}

/// Packs notices so that each envelope may be sent.
fn envelopes(from: NodeId, notices: VecDeque<Notice>) -> Vec<String> {
    let mut open = Vec::from([notices]);
    open.retain(|notices| !notices.is_empty());
    let mut packed = Vec::new();
    while let Some(notices) = open.pop() {
        let half = notices.len() / 2;
        let mut envelope = Envelope { from, notices };
        let Ok(text) = serde_json::to_string(&envelope) else { continue };
        if text.len() <= LARGEST {
            packed.push(text);
        } else if half > 0 {
            let rest = envelope.notices.split_off(half);
            open.push(rest);
            open.push(envelope.notices);
        }
    }
    packed
}

async fn listen(mut listener: Listener, own: NodeId, found: mpsc::Sender<Heard>) {
    loop {
        let heard = match listener.next().await {
            Ok(Some(text)) => match serde_json::from_str::<Envelope>(&text) {
                Ok(envelope) if envelope.from == own => continue,
                Ok(envelope) => envelope.notices.into_iter().map(Heard::Notice).collect(),
                Err(error) => {
                    tracing::debug!(%error, "a newer server told something else");
                    vec![Heard::Gap]
                }
            },
            Ok(None) => vec![Heard::Gap],
            Err(error) => {
                tracing::warn!(%error, "other servers cannot be heard");
                tokio::time::sleep(PAUSE).await;
                vec![Heard::Gap]
            }
        };
        for heard in heard {
            if found.send(heard).await.is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rackhand_wire::id::JobId;

    #[test]
    fn many_notices_are_packed_in_order_and_each_envelope_may_be_sent() {
        let from = NodeId(rackhand_store::fresh_id());
        let notices: VecDeque<Notice> =
            (0..500).map(|_| Notice::Cancel(JobId(rackhand_store::fresh_id()))).collect();
        let packed = envelopes(from, notices.clone());
        assert!(packed.len() > 1 && packed.iter().all(|text| text.len() <= LARGEST));
        let opened: VecDeque<Notice> =
            packed.iter().flat_map(|text| serde_json::from_str::<Envelope>(text).unwrap().notices).collect();
        assert_eq!(opened, notices);
    }
}
