//! The remote console: turns requests into answers over sessions that it opens, keeps and reopens.
//!
//! One request at a time. The owner of the socket calls [`Client::start`], sends what
//! [`Client::transmit`] gives, hands in packets with [`Client::receive`] and calls
//! [`Client::tick`] when [`Client::deadline`] has come, until [`Client::outcome`] has something.
//! A session stays open for the next request until [`Client::close`].
//!
//! Every transmission carries a tag of its own (message tag or request sequence number), so a late
//! answer is matched to the packet it answers and round trips are never ambiguous.

mod activation;
mod asking;
mod attempt;
mod failure;
mod flight;
mod handshake;
mod line;
mod pacer;
mod session;
mod settings;

use std::{collections::VecDeque, time::Duration};

use super::{
    Entropy, Level, Repeat, Request, Response, Suite,
    crypto::Code,
    keys::Exchange,
    legacy::Signature,
    packet::{Packet, Plus, payload},
};
use asking::Asking;
use attempt::Attempt;
use flight::Flight;
use line::Line;
use pacer::{Effort, Pacer};
use session::Stage;

pub use failure::{Failure, Proof};
pub use settings::{Cipher, LegacyUse, Pace, Settings, Wanted};

/// A remote console for one BMC.
pub struct Client {
    settings: Settings,
    entropy: Entropy,
    pacer: Pacer,
    known: Known,
    phase: Phase,
    flight: Flight,
    attempt: Option<Attempt>,
    outbox: VecDeque<Vec<u8>>,
    outcome: Option<Result<Response, Failure>>,
    last_tag: u8,
    heard_at: Duration,
}

/// What earlier sessions taught; saves the questions next time.
#[derive(Default)]
struct Known {
    dialect: Option<Dialect>,
    level: Option<Level>,
    guid: Option<[u8; 16]>,
}

/// How a BMC is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dialect {
    Plus(Suite),
    Legacy(Signature),
}

/// Where the conversation stands.
enum Phase {
    /// No session.
    Idle,
    /// What does the BMC speak?
    Asking(Asking),
    /// Open Session Request is out.
    Opening { suite: Suite, console_id: u32 },
    /// RAKP 1 is out.
    Proving(Box<Exchange>),
    /// RAKP 3 is out.
    Confirming { exchange: Box<Exchange>, session_key: Code, proof: Code },
    /// Get Session Challenge is out.
    Challenging(Signature),
    /// Activate Session is out; `inbound` is the number of the BMC's first packet.
    Activating { signature: Signature, id: u32, challenge: [u8; 16], inbound: u32 },
    /// A session is open.
    Session { line: Line, stage: Stage },
}

/// What a session was agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// IPMI 2.0 with this cipher suite.
    Plus(Suite),
    /// IPMI 1.5.
    Legacy,
}

impl Client {
    /// Makes a console; nothing is sent before the first request. `seed` must come from the operating
    /// system's generator outside tests.
    #[must_use]
    pub fn new(settings: Settings, seed: [u8; 32]) -> Self {
        Self {
            pacer: Pacer::new(settings.pace.first_retry),
            settings,
            entropy: Entropy::new(seed),
            known: Known::default(),
            phase: Phase::Idle,
            flight: Flight::default(),
            attempt: None,
            outbox: VecDeque::new(),
            outcome: None,
            last_tag: 0,
            heard_at: Duration::ZERO,
        }
    }

    /// Starts a request. A request that is still under way is given up.
    pub fn start(&mut self, request: Request, now: Duration) {
        self.outcome = None;
        let level = self.first_level();
        let repeat = request.repeat;
        self.attempt = Some(Attempt::new(request, level, now));
        match std::mem::replace(&mut self.phase, Phase::Idle) {
            Phase::Session { line, stage: Stage::Probe | Stage::Job | Stage::Ready } => {
                let stage = match repeat {
                    // A session that died unnoticed must not swallow what is sent only once.
                    Repeat::Never if now > self.heard_at + self.settings.pace.first_retry * 2 => Stage::Probe,
                    Repeat::Never | Repeat::Freely => Stage::Job,
                };
                self.enter(Phase::Session { line, stage }, now);
            }
            Phase::Idle
            | Phase::Asking(_)
            | Phase::Opening { .. }
            | Phase::Proving(_)
            | Phase::Confirming { .. }
            | Phase::Challenging(..)
            | Phase::Activating { .. }
            | Phase::Session { .. } => self.begin(now),
        }
    }

    /// Takes in a packet from the BMC's address.
    pub fn receive(&mut self, bytes: &[u8], now: Duration) {
        if self.attempt.is_none() {
            return;
        }
        let Some(packet) = Packet::parse(bytes) else { return };
        match (&self.phase, &packet) {
            (Phase::Session { .. }, _) => self.receive_in_session(&packet, now),
            (_, Packet::Plus(plus)) => match plus.outside_session() {
                Some(message) => self.receive_outside(&message, now),
                None => self.receive_handshake(plus, now),
            },
            (_, Packet::Legacy(legacy)) => self.receive_outside(legacy, now),
            (_, Packet::Ping { .. }) => {}
        }
    }

    /// Takes note that the host says nobody listens. Shortens nothing: a restarting BMC says it too.
    pub fn port_closed(&mut self) {
        if let Some(attempt) = &mut self.attempt {
            attempt.port_closed = true;
        }
    }

    /// Says when [`Client::tick`] is due; `None` while no request is under way.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        self.attempt.as_ref().map(|_| self.flight.until())
    }

    /// Does what is due by `now`.
    pub fn tick(&mut self, now: Duration) {
        let Some(attempt) = &self.attempt else { return };
        if now < self.flight.until() {
            return;
        }
        if self.is_sent_once() {
            return self.fail(Failure::Lost);
        }
        let pace = self.settings.pace;
        if now >= attempt.began + pace.unreachable_after {
            if attempt.heard {
                return self.fail(Failure::Stalled);
            }
            if attempt.restarts >= pace.least_restarts {
                let (restarts, port_closed) = (attempt.restarts, attempt.port_closed);
                return self.fail(Failure::Unreachable { restarts, port_closed });
            }
        }
        self.pacer.missed();
        if self.may_repeat(now) { self.repeat(now) } else { self.stall(now) }
    }

    /// Hands out the next packet to send.
    pub fn transmit(&mut self) -> Option<Vec<u8>> {
        self.outbox.pop_front()
    }

    /// Hands out the end of the request, once.
    pub fn outcome(&mut self) -> Option<Result<Response, Failure>> {
        self.outcome.take()
    }

    /// Says whether a session is open.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Session { stage: Stage::Ready, .. })
    }

    /// Ends the session politely: leaves one packet to transmit, waits for nothing.
    pub fn close(&mut self) {
        self.attempt = None;
        self.outbox.clear();
        if let Phase::Session { mut line, .. } = std::mem::replace(&mut self.phase, Phase::Idle) {
            self.farewell(&mut line);
        }
    }

    /// Tells the managed system's GUID, as far as a session has learnt it.
    #[must_use]
    pub fn guid(&self) -> Option<[u8; 16]> {
        self.known.guid
    }

    /// Tells what the last session was agreed on.
    #[must_use]
    pub fn link(&self) -> Option<(Link, Level)> {
        let link = match self.known.dialect? {
            Dialect::Plus(suite) => Link::Plus(suite),
            Dialect::Legacy(..) => Link::Legacy,
        };
        Some((link, self.known.level?))
    }

    fn first_level(&self) -> Level {
        match self.settings.level {
            Wanted::Exactly(level) => level,
            Wanted::Highest => self.known.level.unwrap_or(Level::Administrator),
        }
    }

    /// Starts a handshake with what is known, or with the questions.
    fn begin(&mut self, now: Duration) {
        let Some(attempt) = &mut self.attempt else { return };
        attempt.muddled = false;
        // What was learnt is doubted when the BMC is silent to it.
        let trusted = attempt.heard || attempt.restarts == 0;
        let next = match (attempt.candidates.front(), self.known.dialect) {
            (Some(suite), _) => Dialect::Plus(*suite),
            (None, Some(dialect)) if trusted => dialect,
            (None, _) => return self.enter(Phase::Asking(Asking::new(self.settings.cipher)), now),
        };
        self.begin_with(next, now);
    }

    fn begin_with(&mut self, dialect: Dialect, now: Duration) {
        match dialect {
            Dialect::Plus(suite) => {
                let console_id = self.entropy.nonzero();
                self.enter(Phase::Opening { suite, console_id }, now);
            }
            Dialect::Legacy(signature) => self.enter(Phase::Challenging(signature), now),
        }
    }

    /// Goes on to a phase and sends its first packet.
    fn enter(&mut self, phase: Phase, now: Duration) {
        self.phase = phase;
        self.flight.reset(now);
        self.send(now);
    }

    fn repeat(&mut self, now: Duration) {
        if let (Phase::Proving(_) | Phase::Confirming { .. }, Some(attempt)) =
            (&self.phase, &mut self.attempt)
        {
            attempt.muddled = true;
        }
        self.send(now);
    }

    /// Sends the packet of the present phase under a fresh tag.
    fn send(&mut self, now: Duration) {
        match &self.phase {
            Phase::Idle => return,
            Phase::Asking(_) => self.send_questions(now),
            Phase::Opening { .. } | Phase::Proving(_) | Phase::Confirming { .. } => self.send_handshake(now),
            Phase::Challenging(..) | Phase::Activating { .. } => self.send_activation(now),
            Phase::Session { .. } => self.send_in_session(now),
        }
        let wait = self.patience();
        let Some(attempt) = &self.attempt else { return };
        let give_up = attempt.began + self.settings.pace.unreachable_after;
        let until =
            if now < give_up && !self.is_sent_once() { (now + wait).min(give_up) } else { now + wait };
        self.flight.wait(until);
    }

    fn patience(&self) -> Duration {
        let effort = match &self.phase {
            Phase::Idle | Phase::Asking(_) | Phase::Opening { .. } | Phase::Challenging(..) => Effort::Cheap,
            Phase::Proving(_) | Phase::Confirming { .. } | Phase::Activating { .. } => Effort::Hashing,
            Phase::Session { .. } if self.is_sent_once() => return self.settings.pace.answer_lost_after,
            Phase::Session { .. } => Effort::Command,
        };
        self.pacer.wait(effort)
    }

    /// Says whether a request that must not be repeated is on the wire.
    fn is_sent_once(&self) -> bool {
        matches!(self.phase, Phase::Session { stage: Stage::Job, .. })
            && self.attempt.as_ref().is_some_and(|attempt| attempt.request.repeat == Repeat::Never)
    }

    fn may_repeat(&self, now: Duration) -> bool {
        let heard = self.attempt.as_ref().is_some_and(|attempt| attempt.heard);
        let rounds = match &self.phase {
            Phase::Idle => 0,
            Phase::Asking(asking) => asking.rounds(),
            Phase::Opening { .. } | Phase::Proving(_) => 2 + u32::from(heard),
            // A BMC that holds the session for open answers a repeated RAKP 3 with something else.
            Phase::Confirming { .. } | Phase::Activating { .. } => 2,
            Phase::Challenging(..) => 3,
            Phase::Session { stage: Stage::Raise | Stage::Name, .. } => 4,
            // Half of the patience for the old session leaves half for new ones.
            Phase::Session { stage: Stage::Probe | Stage::Job | Stage::Ready, .. } => {
                return now < self.flight.began() + self.settings.pace.unreachable_after / 2;
            }
        };
        self.flight.rounds() < rounds
    }

    /// Gives up on the present step, not on the request.
    fn stall(&mut self, now: Duration) {
        let Some(attempt) = &mut self.attempt else { return };
        match std::mem::replace(&mut self.phase, Phase::Idle) {
            Phase::Asking(asking) => return self.stall_asking(asking, now),
            Phase::Activating { .. } => {
                attempt.silent_activations += 1;
                if attempt.silent_activations >= 2 {
                    return self.fail(Failure::WrongPassword { proof: Proof::Silence });
                }
            }
            Phase::Opening { .. } | Phase::Proving(_) => {
                attempt.candidates.rotate_left(usize::from(attempt.candidates.len() > 1));
            }
            Phase::Confirming { exchange, session_key, .. } => self.release(&exchange, &session_key),
            Phase::Session { .. } => self.pacer.forget(),
            Phase::Idle | Phase::Challenging(..) => {}
        }
        self.restart(now);
    }

    /// Starts over from the first packet, under new session ids.
    fn restart(&mut self, now: Duration) {
        if let Some(attempt) = &mut self.attempt {
            attempt.restarts += 1;
        }
        self.begin(now);
    }

    /// Takes note of a valid answer to what was sent at `sent_at`.
    fn heard(&mut self, sent_at: Duration, now: Duration) {
        self.pacer.sample(now.saturating_sub(sent_at));
        self.heard_at = now;
        if let Some(attempt) = &mut self.attempt {
            attempt.heard = true;
        }
    }

    fn fail(&mut self, failure: Failure) {
        self.attempt = None;
        if let Phase::Session { mut line, stage } = std::mem::replace(&mut self.phase, Phase::Idle) {
            if failure == Failure::Lost {
                // A lost answer says nothing against the session.
                self.phase = Phase::Session { line, stage: Stage::Ready };
            } else if stage != Stage::Job {
                self.farewell(&mut line);
            }
        }
        self.outcome = Some(Err(failure));
    }

    fn tag(&mut self) -> u8 {
        self.last_tag = (self.last_tag + 1) & 0x3f;
        self.last_tag
    }

    fn receive_handshake(&mut self, plus: &Plus<'_>, now: Duration) {
        if plus.encrypted || plus.authenticated || plus.session != 0 {
            return;
        }
        match plus.kind {
            payload::OPEN_RESPONSE => self.on_open_response(plus.payload, now),
            payload::RAKP2 => self.on_rakp2(plus.payload, now),
            payload::RAKP4 => self.on_rakp4(plus.payload, now),
            _ => {}
        }
    }
}
