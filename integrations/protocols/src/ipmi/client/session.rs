//! Inside a session: raise the level, learn the identity, prove that the session lives, do the request.

use std::time::Duration;

use super::{
    super::{
        Level, NetFn, Request, Response,
        command::{
            device::{self, parse_guid},
            session::SET_LEVEL,
        },
        message::Message,
        packet::Packet,
    },
    Client, Failure, Phase, Wanted,
    line::Line,
};

/// What is asked inside a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Set Session Privilege Level: a session starts as user.
    Raise,
    /// The system's GUID, where the handshake did not carry it.
    Name,
    /// Something harmless, to see whether the session still lives.
    Probe,
    /// The request.
    Job,
    /// Nothing.
    Ready,
}

impl Client {
    pub(super) fn send_in_session(&mut self, now: Duration) {
        let Some(stage) = self.stage() else { return };
        let seq = self.tag();
        let Some(message) = self.staged(stage).map(|request| encode(&request, seq)) else { return };
        let Phase::Session { line, .. } = &mut self.phase else { return };
        let packet = line.seal(&message, &mut self.entropy);
        self.outbox.push_back(packet);
        self.flight.note(seq, now);
    }

    fn stage(&self) -> Option<Stage> {
        match &self.phase {
            Phase::Session { stage, .. } => Some(*stage),
            Phase::Idle
            | Phase::Asking(_)
            | Phase::Opening { .. }
            | Phase::Proving(_)
            | Phase::Confirming { .. }
            | Phase::Challenging(..)
            | Phase::Activating { .. } => None,
        }
    }

    fn staged(&self, stage: Stage) -> Option<Request> {
        let attempt = self.attempt.as_ref()?;
        match stage {
            Stage::Raise => Some(Request::repeatable(NetFn::App, SET_LEVEL, vec![attempt.level.code()])),
            Stage::Name => Some(device::system_guid()),
            Stage::Probe => Some(device::device_id()),
            Stage::Job => Some(attempt.request.clone()),
            Stage::Ready => None,
        }
    }

    pub(super) fn receive_in_session(&mut self, packet: &Packet<'_>, now: Duration) {
        let Phase::Session { line, stage } = &mut self.phase else { return };
        let stage = *stage;
        let Some(plain) = line.open(packet) else { return };
        let Some(message) = Message::parse(&plain) else { return };
        let Some(sent_at) = self.flight.sent_at(message.seq) else { return };
        let Some(asked) = self.staged(stage) else { return };
        if message.netfn != asked.netfn.response_value() || message.command != asked.command {
            return;
        }
        let Some((&completion, data)) = message.body.split_first() else { return };
        self.heard(sent_at, now);
        match stage {
            Stage::Raise => self.on_level(completion, now),
            Stage::Name => self.on_name(completion, data, now),
            Stage::Probe => self.go_on(Stage::Job, now),
            Stage::Job => self.finish(Response { completion, data: data.to_vec() }),
            Stage::Ready => {}
        }
    }

    fn on_level(&mut self, completion: u8, now: Duration) {
        let Some(level) = self.attempt.as_ref().map(|attempt| attempt.level) else { return };
        match completion {
            0 => {
                self.known.level = Some(level);
                self.raised(now);
            }
            // Busy, out of space, initialising, updating: the slot is given back and a later attempt will do.
            0xc0 | 0xc3 | 0xc4 | 0xd1 | 0xd2 => self.turned_away(completion),
            // The last step down is where every session starts.
            _ if self.settings.level == Wanted::Highest && level == Level::Operator => {
                if let Some(attempt) = &mut self.attempt {
                    attempt.level = Level::User;
                }
                self.known.level = Some(Level::User);
                self.raised(now);
            }
            _ => {
                if self.step_down() {
                    self.go_on(Stage::Raise, now);
                }
            }
        }
    }

    fn raised(&mut self, now: Duration) {
        let named = matches!(self.phase, Phase::Session { line: Line::Plus { .. }, .. });
        self.go_on(if named { Stage::Job } else { Stage::Name }, now);
    }

    fn on_name(&mut self, completion: u8, data: &[u8], now: Duration) {
        let found = parse_guid(data).filter(|_| completion == 0);
        self.known.guid = found;
        if self.settings.pinned.is_some_and(|pinned| found != Some(pinned)) {
            return self.fail(Failure::WrongIdentity { found });
        }
        self.go_on(Stage::Job, now);
    }

    fn go_on(&mut self, stage: Stage, now: Duration) {
        if let Phase::Session { line, .. } = std::mem::replace(&mut self.phase, Phase::Idle) {
            self.enter(Phase::Session { line, stage }, now);
        }
    }

    fn finish(&mut self, response: Response) {
        self.attempt = None;
        self.outcome = Some(Ok(response));
        if let Phase::Session { stage, .. } = &mut self.phase {
            *stage = Stage::Ready;
        }
    }
}

fn encode(request: &Request, seq: u8) -> Vec<u8> {
    let netfn = request.netfn.request_value();
    Message { netfn, lun: 0, seq, command: request.command, body: &request.data }.encode()
}
