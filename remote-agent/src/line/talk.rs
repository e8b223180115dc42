//! One session: prove who this is, then carry frames both ways until it ends.

use futures::{SinkExt as _, StreamExt as _};
use rackhand_wire::{
    Secrets, Timings,
    agent::{Answer, Challenge, Packet, ToAgent, ToBackend, Unread, close, read},
    id::EndpointId,
};
use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant},
};
use tokio::{sync::oneshot, time::MissedTickBehavior};
use tokio_tungstenite::tungstenite::{self, Message};

use super::{
    End,
    dial::{self, Socket, Target, Wire},
    secrets::Requests,
};
use crate::{
    Agent, Delivery, Link,
    identity::{self, Folder, Identity},
    proof,
};

/// Carries one session to its end.
pub async fn session(
    agent: &Agent,
    folder: &Folder,
    identity: &Identity,
    timings: &Timings,
    requests: &mut Requests,
) -> End {
    let target = match Target::parse(&identity.home.server, identity.home.pin.as_deref()) {
        Ok(target) => target,
        Err(why) => return End::Lost(why),
    };
    let socket = match dial::socket(&target, timings.dead_after).await {
        Ok(socket) => socket,
        Err(why) => return End::Lost(why),
    };
    let plane: Vec<_> = socket.addresses.iter().map(std::net::SocketAddr::ip).collect();
    agent.guard().learn_plane(&plane);
    let (stream, welcome) = match greet(agent, identity, socket, timings).await {
        Ok(welcomed) => welcomed,
        Err(end) => return end,
    };
    tracing::info!(server = identity.home.server, "connected");
    let talk = Talk {
        agent,
        folder,
        identity,
        stream,
        asked: VecDeque::new(),
        number: 0,
        link: agent.attach(),
        heard: Instant::now(),
        renew_at: Instant::now() + welcome.renew_in,
        wanted: HashMap::new(),
        welcome,
    };
    talk.run(requests).await
}

struct Welcome {
    heartbeat: Duration,
    dead: Duration,
    renew_in: Duration,
    renew_only: bool,
    /// Length of a lease; none when nothing is shared.
    lease: Option<Duration>,
}

async fn greet(
    agent: &Agent,
    identity: &Identity,
    socket: Socket,
    timings: &Timings,
) -> Result<(Wire, Welcome), End> {
    let Socket { mut stream, binding, addresses: _ } = socket;
    let lost = |why: &str| End::Lost(why.to_owned());
    let talk = async {
        let text = next_text(&mut stream).await?;
        let challenge: Challenge = serde_json::from_str(&text).map_err(|_| lost("this is no Rackhand"))?;
        let binding = binding.filter(|_| challenge.binding);
        let signed = proof::sign(&identity.key, &identity.certificate, &challenge, binding, &agent.hello());
        let signed = signed.map_err(|error| End::Broken(std::io::Error::other(error)))?;
        let text = serde_json::to_string(&signed).map_err(|error| End::Broken(error.into()))?;
        stream.send(Message::text(text)).await.map_err(|error| lost(&error.to_string()))?;
        let text = next_text(&mut stream).await?;
        serde_json::from_str(&text).map_err(|_| lost("the answer to the hello cannot be read"))
    };
    let answer = tokio::time::timeout(timings.dead_after, talk).await;
    match answer.map_err(|_| lost("no answer to the hello"))?? {
        Answer::Refused { refusal, message } => Err(End::Refused(refusal, message)),
        Answer::Welcome { protocol: _, heartbeat_ms, dead_ms, lease_ms, renew_in_ms, renew_only } => {
            let ms = Duration::from_millis;
            let (heartbeat, dead, renew_in) = (ms(heartbeat_ms.max(1)), ms(dead_ms), ms(renew_in_ms));
            let lease = (lease_ms > 0).then(|| ms(lease_ms));
            Ok((stream, Welcome { heartbeat, dead, renew_in, renew_only, lease }))
        }
    }
}

pub(super) async fn next_text(stream: &mut Wire) -> Result<String, End> {
    loop {
        match stream.next().await {
            Some(Ok(Message::Text(text))) => return Ok(text.as_str().to_owned()),
            Some(Ok(Message::Close(frame))) => {
                return Err(frame.map_or(End::Lost("closed".into()), |frame| ended(frame.code.into())));
            }
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(End::Lost(error.to_string())),
            None => return Err(End::Lost("closed".into())),
        }
    }
}

fn ended(code: u16) -> End {
    if code == close::REPLACED { End::Replaced } else { End::Closed(code) }
}

/// Tells a line that broke from one on which nonsense came.
fn broken(error: &tungstenite::Error) -> End {
    use tungstenite::{Error, error::ProtocolError};
    match error {
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => End::Lost("closed".into()),
        Error::Capacity(_) | Error::Utf8(_) | Error::Protocol(_) => End::Nonsense(error.to_string()),
        Error::ConnectionClosed
        | Error::AlreadyClosed
        | Error::Io(_)
        | Error::Tls(_)
        | Error::WriteBufferFull(_)
        | Error::AttackAttempt
        | Error::Url(_)
        | Error::Http(_)
        | Error::HttpFormat(_) => End::Lost(error.to_string()),
    }
}

struct Talk<'a> {
    agent: &'a Agent,
    /// Renewals of the lease that were not answered yet, with the moment in which they were sent.
    asked: VecDeque<(u64, Instant)>,
    number: u64,
    folder: &'a Folder,
    identity: &'a Identity,
    stream: Wire,
    welcome: Welcome,
    link: Link,
    heard: Instant,
    renew_at: Instant,
    /// Who waits for the credentials of a device.
    wanted: HashMap<EndpointId, Vec<oneshot::Sender<Secrets>>>,
}

impl Talk<'_> {
    async fn run(mut self, requests: &mut Requests) -> End {
        let mut heartbeat = tokio::time::interval(self.welcome.heartbeat);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let lease = self.welcome.lease;
        let mut renewals = tokio::time::interval(lease.unwrap_or(Duration::from_hours(24)) / 3);
        renewals.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let left = self.welcome.dead.saturating_sub(self.heard.elapsed());
            let step = tokio::select! {
                message = self.stream.next() => self.receive(message).await,
                Some(frame) = self.link.from_agent.recv() => self.send(&frame).await,
                Some((endpoint, answer)) = requests.recv() => {
                    self.wanted.entry(endpoint).or_default().push(answer);
                    self.send(&ToBackend::NeedSecrets { endpoint }).await
                }
                _ = renewals.tick(), if lease.is_some() => self.hold().await,
                _ = heartbeat.tick() => self.put(Message::Ping(Vec::new().into())).await,
                () = tokio::time::sleep_until(self.renew_at.into()) => self.renew().await,
                () = tokio::time::sleep(left) => Err(End::Lost("nothing was heard for too long".into())),
            };
            if let Err(end) = step {
                if matches!(end, End::Nonsense(_)) {
                    dial::hang_up(self.stream, close::MALFORMED).await;
                }
                return end;
            }
        }
    }

    async fn receive(&mut self, message: Option<Result<Message, tungstenite::Error>>) -> Result<(), End> {
        let message = message.ok_or_else(|| End::Lost("closed".into()))?;
        let message = message.map_err(|error| broken(&error))?;
        self.heard = Instant::now();
        match message {
            Message::Text(text) => self.take(&text).await,
            Message::Close(frame) => {
                Err(frame.map_or(End::Lost("closed".into()), |frame| ended(frame.code.into())))
            }
            Message::Binary(_) => Err(End::Nonsense("binary data".into())),
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => Ok(()),
        }
    }

    async fn take(&mut self, text: &str) -> Result<(), End> {
        let packet: Packet = match read(text, &ToAgent::KNOWN) {
            Ok(packet) => packet,
            Err(Unread::Unknown(frame)) => {
                tracing::debug!(frame, "passed over a frame of a newer backend");
                return Ok(());
            }
            Err(Unread::Malformed(why)) => return Err(End::Nonsense(why)),
        };
        let purpose = match &packet.frame {
            ToAgent::Certificate { certificate, renew_in_ms: _ } => {
                return match self.folder.adopt(certificate) {
                    // It proves this agent from the next hello on. That comes at once: until then the backend keeps
                    // the key before it, and a second renewal would take the place of this one.
                    Ok(()) => Err(End::Renewed),
                    Err(error) if self.welcome.renew_only => Err(End::Broken(error)),
                    // What it has is good for a while: a full disk must not cut it off.
                    Err(error) => {
                        tracing::error!(%error, "the renewed certificate could not be kept; another is asked for");
                        Ok(())
                    }
                };
            }
            ToAgent::Held { number } => {
                self.held(*number);
                return Ok(());
            }
            ToAgent::GoAway { .. } => return Err(End::Closed(close::GOING_AWAY)),
            ToAgent::Secrets { endpoint } => endpoint.0,
            ToAgent::Execute(command) => command.id.0,
            ToAgent::Watch(look) => look.endpoint.0,
            ToAgent::KeepOff { .. }
            | ToAgent::Acknowledge { .. }
            | ToAgent::Noted { .. }
            | ToAgent::WatchBegin {}
            | ToAgent::WatchEnd {}
            | ToAgent::Unwatch { .. }
            | ToAgent::LookNow { .. }
            | ToAgent::Stored { .. } => uuid::Uuid::nil(),
        };
        let secrets = match &packet.sealed {
            None => Secrets::default(),
            Some(sealed) => {
                let opened = self.identity.sealing.open(self.identity.home.agent, purpose, sealed);
                opened.ok_or_else(|| End::Nonsense("credentials were sealed to another key".into()))?
            }
        };
        if let ToAgent::Secrets { endpoint } = packet.frame {
            for waiting in self.wanted.remove(&endpoint).unwrap_or_default() {
                waiting.send(secrets.clone()).ok();
            }
            return Ok(());
        }
        let delivery = Delivery { frame: packet.frame, secrets };
        self.link.to_agent.send(delivery).await.map_err(|_| End::Lost("the agent stops".into()))
    }

    /// Asks for a new certificate, and again after a while when none came.
    async fn renew(&mut self) -> Result<(), End> {
        self.renew_at = Instant::now() + self.welcome.dead;
        let key = match self.folder.next_key() {
            Ok(key) => key,
            Err(error) if self.welcome.renew_only => return Err(End::Broken(error)),
            Err(error) => {
                tracing::error!(%error, "no key for a new certificate could be kept; it is tried again");
                return Ok(());
            }
        };
        let request = identity::request(&key).map_err(|error| End::Broken(std::io::Error::other(error)))?;
        self.send(&ToBackend::Renew { request }).await
    }

    async fn hold(&mut self) -> Result<(), End> {
        self.number += 1;
        // Counted from before it leaves: the backend's count begins later and so ends later.
        self.asked.push_back((self.number, Instant::now()));
        self.send(&ToBackend::Hold { number: self.number }).await
    }

    fn held(&mut self, number: u64) {
        let Some(lease) = self.welcome.lease else { return };
        // An answer that comes twice must not count for a question that is still open.
        while let Some((asked, at)) = self.asked.pop_front_if(|(asked, _)| *asked <= number) {
            if asked == number {
                self.agent.hold_until(at + lease);
            }
        }
    }

    async fn send(&mut self, frame: &ToBackend) -> Result<(), End> {
        let text = serde_json::to_string(frame).map_err(|error| End::Broken(error.into()))?;
        self.put(Message::text(text)).await
    }

    /// A line that takes nothing for so long is dead.
    async fn put(&mut self, message: Message) -> Result<(), End> {
        let sent = tokio::time::timeout(self.welcome.dead, self.stream.send(message)).await;
        let sent = sent.map_err(|_| End::Lost("nothing could be sent for too long".into()))?;
        sent.map_err(|error| End::Lost(error.to_string()))
    }
}
