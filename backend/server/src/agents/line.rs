//! The backend's end of an agent's WebSocket.

use actix_web::web;
use actix_ws::{AggregatedMessage, AggregatedMessageStream, CloseCode, CloseReason, ProtocolError};
use rackhand_agent::{Delivery, Link, proof, sealing};
use rackhand_store::{agents, events, now};
use rackhand_wire::{
    agent::{Answer, Challenge, Packet, Refusal, Signed, ToAgent, ToBackend, Unread, close, read},
    id::AgentId,
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    sync::{Semaphore, mpsc},
    task::spawn_blocking,
    time::MissedTickBehavior,
};

use super::{
    admit::{self, Admitted, Refused},
    presence, protocols,
    session::Session,
};
use crate::app::App;

/// Keying material of the TLS connection under a request, when TLS ends here.
#[derive(Debug, Clone, Copy)]
pub struct TlsBinding(pub [u8; 32]);

/// Says that a request came over a TLS older than agents speak.
#[derive(Debug, Clone, Copy)]
pub struct OldTls;

/// Serves one connection to its end.
pub async fn serve(
    app: web::Data<App>,
    mut socket: actix_ws::Session,
    mut stream: AggregatedMessageStream,
    binding: Option<TlsBinding>,
    source_ip: Option<String>,
) {
    let patience = app.timings().dead_after;
    let greeted =
        tokio::time::timeout(patience, greet(&app, &mut socket, &mut stream, binding, source_ip.as_deref()))
            .await;
    let Ok(Some(greeted)) = greeted else {
        end(socket, close::SILENT).await;
        return;
    };
    let admitted = match greeted {
        Ok(admitted) => admitted,
        Err((refusal, message)) => {
            tracing::warn!(?refusal, message, source_ip, "an agent was refused");
            say(&mut socket, &Answer::Refused { refusal, message }).await;
            end(socket, close::REFUSED).await;
            return;
        }
    };
    let timings = app.timings();
    let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let welcome = Answer::Welcome {
        protocol: admitted.protocol,
        heartbeat_ms: ms(timings.heartbeat),
        dead_ms: ms(timings.dead_after),
        lease_ms: if admitted.shares { ms(app.roster.leases().length()) } else { 0 },
        renew_in_ms: ms(admitted.renew_in),
        renew_only: admitted.renew_only,
    };
    if !say(&mut socket, &welcome).await {
        return;
    }
    let agent = admitted.hello.agent;
    if let Err(error) = agents::hello(app.db.writer(), &admitted.hello, source_ip.as_deref()).await {
        tracing::error!(%error, %agent, "could not note an agent's hello");
    }
    let code = if admitted.renew_only {
        renew(&app, (agent, &admitted.key), &mut socket, &mut stream, patience).await
    } else {
        converse(&app, admitted, &mut socket, &mut stream).await
    };
    end(socket, code).await;
}

async fn greet(
    app: &App,
    socket: &mut actix_ws::Session,
    stream: &mut AggregatedMessageStream,
    binding: Option<TlsBinding>,
    source: Option<&str>,
) -> Option<Result<Admitted, Refused>> {
    let mut nonce = [0_u8; 32];
    getrandom::fill(&mut nonce).ok()?;
    let nonce = proof::hex(&nonce);
    let challenge =
        Challenge { nonce: nonce.clone(), protocols: protocols::offered(), binding: binding.is_some() };
    if !say(socket, &challenge).await {
        return None;
    }
    loop {
        match stream.recv().await? {
            Ok(AggregatedMessage::Text(text)) => {
                let Ok(signed) = serde_json::from_str::<Signed>(&text) else {
                    return Some(Err((Refusal::Protocol, "the hello cannot be read by this server".into())));
                };
                let binding = binding.map(|binding| binding.0);
                let admitted = admit::admit(app, &signed, &nonce, binding).await;
                let seated = match admitted {
                    Ok(admitted) => seat(app, admitted).await,
                    refused => refused,
                };
                if let Err((refusal, message)) = &seated {
                    presence::refused(app, &signed, *refusal, message, source).await;
                }
                return Some(seated);
            }
            Ok(AggregatedMessage::Ping(bytes)) => socket.pong(&bytes).await.ok()?,
            Ok(AggregatedMessage::Pong(_)) => {}
            Ok(AggregatedMessage::Close(_)) | Err(ProtocolError::Io(_)) => return None,
            Ok(AggregatedMessage::Binary(_)) | Err(_) => {
                return Some(Err((Refusal::Protocol, "the hello cannot be read by this server".into())));
            }
        }
    }
}

/// Deals with a session that the same identity has already: the newest counts, unless two copies fight.
async fn seat(app: &App, admitted: Admitted) -> Result<Admitted, Refused> {
    let agent = admitted.hello.agent;
    let too_many = || {
        let why =
            "several processes with this identity evict one another; stop all but one and wait five minutes";
        Err((Refusal::Copies, why.into()))
    };
    // Nobody sits after the last eviction; whoever comes first then would begin it all anew.
    let lately = admitted.copies_at.is_some_and(|at| now() - at < FIGHT);
    if lately && is_fight(app, agent).await {
        return too_many();
    }
    let Some(sitting) = app.roster.sitting(agent) else { return Ok(admitted) };
    // A process that was killed and is back at once may be here before the end of its old connection is.
    if sitting.boot() == admitted.hello.boot || !sitting.answers(app.timings().lease).await {
        return Ok(admitted);
    }
    tracing::warn!(%agent, "two processes have the identity of one agent");
    if let Err(error) = agents::copies(app.db.writer(), agent).await {
        tracing::error!(%error, %agent, "could not note that an agent has copies");
    }
    presence::copied(app, agent).await;
    app.roster.part(agent, close::REPLACED);
    if is_fight(app, agent).await { too_many() } else { Ok(admitted) }
}

/// So many evictions within this time are a fight, on whichever server they were.
const EVICTIONS: u64 = 3;
const FIGHT: chrono::TimeDelta = chrono::TimeDelta::minutes(5);

async fn is_fight(app: &App, agent: AgentId) -> bool {
    let evictions = events::count(app.db.reader(), presence::COPIES, agent, now() - FIGHT).await;
    evictions.map_or_else(
        |error| {
            tracing::error!(%error, %agent, "cannot tell how often copies of an agent evicted one another");
            false
        },
        |evictions| evictions >= EVICTIONS,
    )
}

/// Carries frames both ways; gives the code with which to close.
async fn converse(
    app: &web::Data<App>,
    admitted: Admitted,
    socket: &mut actix_ws::Session,
    stream: &mut AggregatedMessageStream,
) -> u16 {
    let (agent, sealing_key, key) = (admitted.hello.agent, admitted.sealing_key, admitted.key);
    let (to_agent, mut deliveries) = mpsc::channel(64);
    let (out, from_agent) = mpsc::unbounded_channel();
    let link = Link { to_agent, from_agent };
    let session = match app.roster.join(admitted.hello, link, app.told.clone()).await {
        Ok(session) => session,
        Err(error) => {
            tracing::error!(%error, %agent, "could not note that an agent is here");
            return close::GOING_AWAY;
        }
    };
    // Whoever revoked it in this very moment found no session to end.
    if !admit::is_welcome(app, agent, &key).await {
        session.close(close::REVOKED);
    }
    let timings = app.timings();
    let mut probed = 0;
    let mut heartbeat = tokio::time::interval(timings.heartbeat);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let left = timings.dead_after.saturating_sub(session.silence());
        let code = tokio::select! {
            code = session.closed() => Some(code),
            message = stream.recv() => {
                match receive(agent, &session, message, &out, socket).await {
                    Received::Nothing => None,
                    Received::End(code) => Some(code),
                    Received::Renew(request) => {
                        if let Some(frame) = super::renewed(app, agent, &key, &request).await {
                            session.tell(frame).await;
                        }
                        None
                    }
                }
            }
            Some(delivery) = deliveries.recv() => {
                let packet = packed(agent, &sealing_key, delivery).await;
                let is_last = matches!(packet.frame, ToAgent::GoAway { .. });
                match tokio::time::timeout(timings.dead_after, say(socket, &packet)).await {
                    Ok(true) if is_last => Some(close::GOING_AWAY),
                    Ok(true) => None,
                    Ok(false) | Err(_) => Some(close::SILENT),
                }
            }
            number = session.probed(probed) => {
                probed = number;
                socket.ping(&number.to_be_bytes()).await.err().map(|_| close::SILENT)
            }
            _ = heartbeat.tick() => socket.ping(b"").await.err().map(|_| close::SILENT),
            () = tokio::time::sleep(left) => Some(close::SILENT),
        };
        if let Some(code) = code {
            session.close(code);
            return code;
        }
    }
}

/// What a message asks of the line itself.
enum Received {
    Nothing,
    /// The session is over, with this code.
    End(u16),
    /// The agent wants a certificate for a fresh key: a question to the session, that has proven the present one.
    Renew(String),
}

impl From<Option<u16>> for Received {
    fn from(code: Option<u16>) -> Self {
        code.map_or(Self::Nothing, Self::End)
    }
}

/// Takes one message.
async fn receive(
    agent: AgentId,
    session: &Arc<Session>,
    message: Option<Result<AggregatedMessage, ProtocolError>>,
    out: &mpsc::UnboundedSender<ToBackend>,
    socket: &mut actix_ws::Session,
) -> Received {
    session.hear();
    let code = match message {
        Some(Ok(AggregatedMessage::Text(text))) => match read::<ToBackend>(&text, &ToBackend::KNOWN) {
            Ok(ToBackend::Renew { request }) => return Received::Renew(request),
            Ok(frame) => out.send(frame).err().map(|_| close::SUPERSEDED),
            Err(Unread::Unknown(frame)) => {
                tracing::debug!(%agent, frame, "passed over a frame of a newer agent");
                None
            }
            Err(Unread::Malformed(why)) => {
                tracing::warn!(%agent, why, "an agent sent nonsense");
                Some(close::MALFORMED)
            }
        },
        Some(Ok(AggregatedMessage::Ping(bytes))) => socket.pong(&bytes).await.err().map(|_| close::SILENT),
        Some(Ok(AggregatedMessage::Pong(bytes))) => {
            if let Ok(number) = bytes.as_ref().try_into() {
                session.is_alive(u64::from_be_bytes(number));
            }
            None
        }
        Some(Ok(AggregatedMessage::Binary(_))) => {
            tracing::warn!(%agent, "an agent sent binary data");
            Some(close::MALFORMED)
        }
        Some(Err(ProtocolError::Io(_))) => Some(close::SILENT),
        Some(Err(error)) => {
            tracing::warn!(%agent, %error, "what an agent sent is no message");
            Some(close::MALFORMED)
        }
        Some(Ok(AggregatedMessage::Close(reason))) => {
            if reason.is_some_and(|reason| u16::from(reason.code) == close::MALFORMED) {
                tracing::warn!(%agent, "an agent could not understand what it was told, or it was too large");
            }
            Some(close::GOING_AWAY)
        }
        None => Some(close::GOING_AWAY),
    };
    code.into()
}

/// Serves an expired certificate: it is good for its renewal alone.
async fn renew(
    app: &web::Data<App>,
    (agent, key): (AgentId, &str),
    socket: &mut actix_ws::Session,
    stream: &mut AggregatedMessageStream,
    patience: Duration,
) -> u16 {
    let until = Instant::now() + patience;
    while let Ok(Some(Ok(message))) = tokio::time::timeout_at(until.into(), stream.recv()).await {
        match message {
            AggregatedMessage::Text(text) => match read::<ToBackend>(&text, &ToBackend::KNOWN) {
                Ok(ToBackend::Renew { request }) => {
                    let Some(frame) = super::renewed(app, agent, key, &request).await else {
                        return close::REFUSED;
                    };
                    say(socket, &Packet { frame, sealed: None }).await;
                    return close::GOING_AWAY;
                }
                Ok(_) | Err(Unread::Unknown(_)) => {}
                Err(Unread::Malformed(_)) => return close::MALFORMED,
            },
            AggregatedMessage::Ping(bytes) => {
                if socket.pong(&bytes).await.is_err() {
                    return close::SILENT;
                }
            }
            AggregatedMessage::Pong(_) => {}
            AggregatedMessage::Binary(_) | AggregatedMessage::Close(_) => return close::MALFORMED,
        }
    }
    close::SILENT
}

/// So many credentials are sealed at once, however many agents begin to look: each takes a thread meanwhile.
static SEALING: Semaphore = Semaphore::const_new(4);

/// Seals what belongs to a frame, on another thread: this one has many connections, and an agent with thousands of
/// devices would keep all of them waiting.
async fn packed(agent: AgentId, sealing_key: &str, Delivery { frame, secrets }: Delivery) -> Packet {
    let purpose = match &frame {
        ToAgent::Execute(command) => Some(command.id.0),
        ToAgent::Secrets { endpoint } => Some(endpoint.0),
        ToAgent::Watch(look) => Some(look.endpoint.0),
        ToAgent::KeepOff { .. }
        | ToAgent::Acknowledge { .. }
        | ToAgent::Noted { .. }
        | ToAgent::Certificate { .. }
        | ToAgent::Held { .. }
        | ToAgent::GoAway { .. }
        | ToAgent::WatchBegin {}
        | ToAgent::WatchEnd {}
        | ToAgent::Unwatch { .. }
        | ToAgent::LookNow { .. }
        | ToAgent::Stored { .. } => None,
    };
    let Some(purpose) = purpose.filter(|_| secrets.expose_all().next().is_some()) else {
        return Packet { frame, sealed: None };
    };
    let _one = SEALING.acquire().await;
    let key = sealing_key.to_owned();
    let sealed = spawn_blocking(move || sealing::seal(&key, agent, purpose, &secrets)).await;
    // An agent whose key is none cannot open anything: the device then refuses it without credentials.
    Packet { frame, sealed: sealed.ok().flatten() }
}

async fn say(socket: &mut actix_ws::Session, message: &impl serde::Serialize) -> bool {
    match serde_json::to_string(message) {
        Ok(text) => socket.text(text).await.is_ok(),
        Err(error) => {
            tracing::error!(%error, "a frame cannot be written");
            false
        }
    }
}

async fn end(socket: actix_ws::Session, code: u16) {
    let reason = CloseReason { code: CloseCode::from(code), description: None };
    // It may be gone already.
    socket.close(Some(reason)).await.ok();
}

#[cfg(test)]
mod tests {
    use super::*;
    use rackhand_store::fresh_id;
    use rackhand_wire::id::EndpointId;

    #[tokio::test]
    async fn credentials_are_sealed_while_the_other_connections_of_a_thread_go_on() {
        let key = sealing::SealingKey::generate();
        let (agent, endpoint) = (AgentId(fresh_id()), EndpointId(fresh_id()));
        let others = tokio::spawn(async {});
        let secrets = [("password", "hunter2")].into_iter().collect();
        let delivery = Delivery { frame: ToAgent::Secrets { endpoint }, secrets };
        let packet = packed(agent, &key.public(), delivery).await;
        assert!(others.is_finished(), "nobody else had a turn");
        let opened = key.open(agent, endpoint.0, &packet.sealed.unwrap()).unwrap();
        assert_eq!(opened.find("password"), Some("hunter2"));
    }
}
