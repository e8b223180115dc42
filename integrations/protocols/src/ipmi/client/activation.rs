//! Signing in with IPMI 1.5: Get Session Challenge and Activate Session, seen from the console.

use std::time::Duration;

use super::{
    super::{
        NetFn,
        command::session::{ACTIVATE, CHALLENGE},
        legacy::{Signature, padded},
        message::Message,
        packet::{Legacy, Wrapping, auth},
        reader::Reader,
        window::Window,
    },
    Client, Dialect, Failure, Phase, Stage,
    asking::Answer,
    line::{Line, PerMessage},
};

/// Completion codes of Get Session Challenge: no such user, no anonymous user.
const UNKNOWN_USER: [u8; 2] = [0x81, 0x82];

impl Client {
    pub(super) fn send_activation(&mut self, now: Duration) {
        match self.phase {
            Phase::Challenging(signature) => {
                let mut body = vec![signature.number()];
                body.extend(padded(&self.settings.user));
                self.ask(Wrapping::Legacy, CHALLENGE, &body, now);
            }
            Phase::Activating { signature, id, challenge, inbound } => {
                let Some(level) = self.attempt.as_ref().map(|attempt| attempt.level) else { return };
                let mut body = vec![signature.number(), level.code()];
                body.extend(challenge);
                body.extend(inbound.to_le_bytes());
                let seq = self.tag();
                let netfn = NetFn::App.request_value();
                let message = Message { netfn, lun: 0, seq, command: ACTIVATE, body: &body }.encode();
                let password = padded(&self.settings.password);
                self.outbox.push_back(signature.seal(password, id, 0, &message));
                self.flight.note(seq, now);
            }
            Phase::Idle
            | Phase::Asking(_)
            | Phase::Opening { .. }
            | Phase::Proving(_)
            | Phase::Confirming { .. }
            | Phase::Session { .. } => {}
        }
    }

    pub(super) fn on_challenge(&mut self, answer: &Answer<'_>, now: Duration) {
        let Phase::Challenging(signature) = self.phase else { return };
        if answer.command != CHALLENGE {
            return;
        }
        self.heard(answer.sent_at, now);
        let mut reader = Reader::new(answer.data);
        match (answer.completion, reader.le32(), reader.array()) {
            (0, Some(id), Some(challenge)) => {
                // Told once more when Activate Session is repeated: the BMC keeps what it heard first.
                let inbound = self.entropy.nonzero();
                self.enter(Phase::Activating { signature, id, challenge, inbound }, now);
            }
            (0, _, _) => self.fail(Failure::Malformed("a session challenge that is too short")),
            (code, _, _) if UNKNOWN_USER.contains(&code) => self.fail(Failure::WrongUser),
            (code, _, _) => self.turned_away(code),
        }
    }

    pub(super) fn on_activation(&mut self, packet: &Legacy<'_>, answer: &Answer<'_>, now: Duration) {
        let Phase::Activating { signature, inbound, .. } = self.phase else { return };
        if answer.command != ACTIVATE {
            return;
        }
        let password = padded(&self.settings.password);
        if packet.auth != auth::NONE && !signature.is_genuine(packet, password) {
            return;
        }
        self.heard(answer.sent_at, now);
        match answer.completion {
            0 => self.activated(signature, inbound, answer.data, now),
            // No slot: in all, for this user, at this level.
            0x81..=0x83 => self.fail(Failure::NoFreeSession),
            // The BMC does not take our first number, or has dropped the challenge: others may do.
            0x84 | 0x85 => self.restart_muddled(now),
            // More than the account may have.
            0x86 | 0xd4 => self.sign_in_lower(now),
            code => self.turned_away(code),
        }
    }

    /// Fails the request for a completion code that means the same at every step of the sign-in.
    pub(super) fn turned_away(&mut self, code: u8) {
        let Some(level) = self.attempt.as_ref().map(|attempt| attempt.level) else { return };
        self.fail(Failure::of_completion(code, level));
    }

    fn activated(&mut self, signature: Signature, inbound: u32, data: &[u8], now: Duration) {
        let mut reader = Reader::new(data);
        let (Some(kind), Some(id), Some(seq)) = (reader.byte(), reader.le32(), reader.le32()) else {
            return self.fail(Failure::Malformed("an activation that is too short"));
        };
        let per_message = if kind & 0x0f == auth::NONE { PerMessage::Unsigned } else { PerMessage::Signed };
        let password = padded(&self.settings.password);
        let inbound = Window::from(inbound);
        let line = Line::Legacy { signature, per_message, password, id, seq: seq.max(1), inbound };
        self.known.dialect = Some(Dialect::Legacy(signature));
        self.enter(Phase::Session { line, stage: Stage::Raise }, now);
    }
}
