//! Stands between agent and server and understands what they say: it can say things twice, late or in another
//! order, and things that neither of them said.

use futures::{
    SinkExt as _, StreamExt as _,
    stream::{SplitSink, SplitStream},
};
use rackhand_wire::agent::enrol::LINK_PATH;
use serde_json::Value;
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Mutex as Turn, watch},
};
use tokio_tungstenite::{
    WebSocketStream, accept_async, client_async,
    tungstenite::{Message, protocol::CloseFrame},
};

/// How messages are delivered once a session stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// As they are said.
    Faithful,
    /// Each three times: at once, a little later, and when everybody has forgotten it.
    Thrice,
    /// Some at a time, the last one first.
    Shuffled,
    /// Each three times, each copy after a time of its own, so that later ones overtake it.
    Wild,
}

/// One of the two that speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The agent.
    Agent,
    /// The server.
    Server,
}

type Socket = WebSocketStream<TcpStream>;
type Out = Arc<Turn<SplitSink<Socket, Message>>>;

/// What every session shares.
struct Shared {
    manner: watch::Sender<Manner>,
    /// The newest session's ends: what the agent hears, and what the server hears.
    ends: Mutex<Option<[Out; 2]>>,
    /// Who closed sessions, with which codes.
    closed: Mutex<Vec<(Side, u16)>>,
    /// Kinds of frames that were carried.
    carried: Mutex<Vec<String>>,
    /// Agents are told to renew their certificates so soon.
    renew_in: Mutex<Option<Duration>>,
}

/// A relay of the agents' channel to one server.
pub struct Between {
    /// Where it listens.
    pub port: u16,
    shared: Arc<Shared>,
}

impl Between {
    /// Starts one.
    pub async fn start(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            manner: watch::channel(Manner::Faithful).0,
            ends: Mutex::default(),
            closed: Mutex::default(),
            carried: Mutex::default(),
            renew_in: Mutex::default(),
        });
        let of_all = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let shared = Arc::clone(&of_all);
                tokio::spawn(async move { session(client, to, &shared).await });
            }
        });
        Self { port, shared }
    }

    /// Changes how messages are delivered.
    pub fn deliver(&self, manner: Manner) {
        self.shared.manner.send_replace(manner);
    }

    /// Tells agents of sessions to come that their certificates shall be renewed so soon.
    pub fn renew_in(&self, time: Duration) {
        *lock(&self.shared.renew_in) = Some(time);
    }

    /// Says something to one side in the name of the other.
    pub async fn say(&self, to: Side, message: Message) {
        let ends = lock(&self.shared.ends).clone().expect("there is no session");
        // Whoever hangs up meanwhile is what the test is about.
        ends[usize::from(to == Side::Server)].lock().await.send(message).await.ok();
    }

    /// Who closed sessions so far, with which codes.
    #[must_use]
    pub fn closed(&self) -> Vec<(Side, u16)> {
        lock(&self.shared.closed).clone()
    }

    /// Counts the frames of a kind that were carried.
    #[must_use]
    pub fn carried(&self, kind: &str) -> usize {
        lock(&self.shared.carried).iter().filter(|carried| *carried == kind).count()
    }
}

fn lock<T>(it: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    it.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn session(client: TcpStream, to: SocketAddr, shared: &Arc<Shared>) {
    let Ok(agent) = accept_async(client).await else { return };
    let Ok(server) = TcpStream::connect(to).await else { return };
    let Ok((server, _)) = client_async(format!("ws://{to}{LINK_PATH}"), server).await else { return };
    let (to_agent, mut from_agent) = agent.split();
    let (to_server, mut from_server) = server.split();
    let (to_agent, to_server) = (Arc::new(Turn::new(to_agent)), Arc::new(Turn::new(to_server)));
    // Challenge, hello and answer come one after the other, and once: before them there is no session.
    let greeted = async {
        one(&mut from_server, &to_agent, shared).await?;
        one(&mut from_agent, &to_server, shared).await?;
        one(&mut from_server, &to_agent, shared).await
    };
    if greeted.await.is_none() {
        return;
    }
    *lock(&shared.ends) = Some([Arc::clone(&to_agent), Arc::clone(&to_server)]);
    tokio::select! {
        () = carry(Side::Agent, from_agent, to_server, shared) => {}
        () = carry(Side::Server, from_server, to_agent, shared) => {}
    }
}

/// Carries one message of the greeting; none when it was the end.
async fn one(from: &mut SplitStream<Socket>, to: &Out, shared: &Shared) -> Option<()> {
    loop {
        let message = from.next().await?.ok()?;
        if message.is_close() {
            at_last(to, message).await;
            return None;
        }
        if message.is_text() {
            let message = sooner(message, *lock(&shared.renew_in));
            return to.lock().await.send(message).await.ok();
        }
    }
}

/// A welcome with another time of renewal; anything else as it is.
fn sooner(message: Message, renew_in: Option<Duration>) -> Message {
    let text = message.to_text().unwrap_or_default();
    match (serde_json::from_str::<Value>(text), renew_in) {
        (Ok(mut answer), Some(time)) if answer["answer"] == "welcome" => {
            answer["renew_in_ms"] = u64::try_from(time.as_millis()).unwrap().into();
            Message::text(answer.to_string())
        }
        _ => message,
    }
}

async fn carry(by: Side, mut from: SplitStream<Socket>, to: Out, shared: &Arc<Shared>) {
    let mut held: Vec<Message> = Vec::new();
    let mut chance = 0_u64;
    loop {
        let wait = if held.is_empty() { Duration::from_hours(1) } else { Duration::from_millis(40) };
        let message = match tokio::time::timeout(wait, from.next()).await {
            Ok(Some(Ok(message))) => message,
            Ok(Some(Err(_)) | None) => return,
            Err(_) => {
                deliver_reversed(&mut held, &to).await;
                continue;
            }
        };
        if let Message::Close(frame) = &message {
            note_end(by, frame.as_ref(), shared);
            to.lock().await.send(message).await.ok();
            return;
        }
        let Ok(text) = message.to_text() else { continue };
        if !message.is_text() {
            continue;
        }
        let kind = serde_json::from_str::<Value>(text).map(|frame| frame["frame"].clone());
        lock(&shared.carried).extend(kind.ok().and_then(|kind| kind.as_str().map(str::to_owned)));
        let manner = *shared.manner.borrow();
        let mut random = |end: u64| {
            chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            Duration::from_millis((chance >> 33) % end)
        };
        match manner {
            Manner::Faithful => at_last(&to, message).await,
            Manner::Shuffled => {
                held.push(message);
                if held.len() >= 3 {
                    deliver_reversed(&mut held, &to).await;
                }
            }
            Manner::Thrice => {
                at_last(&to, message.clone()).await;
                later(&to, &message, random(60));
                later(&to, &message, Duration::from_millis(1500) + random(500));
            }
            Manner::Wild => {
                later(&to, &message, random(60));
                later(&to, &message, random(200));
                later(&to, &message, random(3000));
            }
        }
    }
}

fn note_end(by: Side, frame: Option<&CloseFrame>, shared: &Shared) {
    lock(&shared.closed).push((by, frame.map_or(0, |frame| frame.code.into())));
}

async fn at_last(to: &Out, message: Message) {
    // The other side may be gone.
    to.lock().await.send(message).await.ok();
}

async fn deliver_reversed(held: &mut Vec<Message>, to: &Out) {
    while let Some(message) = held.pop() {
        at_last(to, message).await;
    }
}

fn later(to: &Out, message: &Message, after: Duration) {
    let (to, message) = (Arc::clone(to), message.clone());
    tokio::spawn(async move {
        tokio::time::sleep(after).await;
        at_last(&to, message).await;
    });
}
