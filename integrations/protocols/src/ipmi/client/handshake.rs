//! The RMCP+ handshake: Open Session and RAKP 1 to 4, seen from the console.

use std::time::Duration;

use super::{
    super::{
        NetFn, Suite,
        command::{device::parse_guid, session::CLOSE},
        crypto::Code,
        keys::{Exchange, Keys},
        message::Message,
        packet::{payload, plus_start},
        rakp::{BY_NAME_ONLY, OpenRequest, OpenResponse, Rakp1, Rakp2, Rakp3, Rakp4, status},
    },
    Client, Dialect, Failure, Phase, Proof, Stage, Wanted,
    line::Line,
};

/// Handshakes that may fail in a way which muddled packets explain, before the reason is believed.
const MOST_MUDDLES: u32 = 3;

impl Client {
    pub(super) fn send_handshake(&mut self, now: Duration) {
        let tag = self.tag();
        let Some(level) = self.attempt.as_ref().map(|attempt| attempt.level) else { return };
        let (kind, bytes) = match &self.phase {
            Phase::Opening { suite, console_id } => {
                let (console_id, algorithms) = (*console_id, suite.algorithms());
                (
                    payload::OPEN_REQUEST,
                    OpenRequest { tag, level: level.code(), console_id, algorithms }.encode(),
                )
            }
            Phase::Proving(draft) => {
                let &Exchange { bmc_id, console_random, role, ref user, .. } = draft.as_ref();
                (payload::RAKP1, Rakp1 { tag, bmc_id, console_random, role, user }.encode())
            }
            Phase::Confirming { exchange, proof, .. } => (
                payload::RAKP3,
                Rakp3 { tag, status: status::OK, bmc_id: exchange.bmc_id, code: proof.as_slice() }.encode(),
            ),
            Phase::Idle
            | Phase::Asking(_)
            | Phase::Challenging(..)
            | Phase::Activating { .. }
            | Phase::Session { .. } => return,
        };
        self.outbox.push_back(plus_start(kind, 0, 0, &bytes));
        self.flight.note(tag, now);
    }

    pub(super) fn on_open_response(&mut self, bytes: &[u8], now: Duration) {
        let &Phase::Opening { suite, console_id } = &self.phase else { return };
        let Some(response) = OpenResponse::parse(bytes) else { return };
        let Some(sent_at) = self.flight.sent_at(response.tag) else { return };
        let Some(level) = self.attempt.as_ref().map(|attempt| attempt.level) else { return };
        match response.accepted {
            None => {
                self.heard(sent_at, now);
                self.refused(response.status, now);
            }
            Some(_) if response.console_id != console_id => {}
            Some((_, algorithms)) if Suite::from_algorithms(algorithms) != Some(suite) => {
                self.heard(sent_at, now);
                self.refused(status::NO_CIPHER_MATCH, now);
            }
            Some((bmc_id, _)) => {
                self.heard(sent_at, now);
                let draft = Exchange {
                    suite,
                    console_id,
                    bmc_id,
                    console_random: self.entropy.bytes16(),
                    bmc_random: [0; 16],
                    guid: [0; 16],
                    role: level.code() | BY_NAME_ONLY,
                    user: self.settings.user.clone(),
                };
                self.enter(Phase::Proving(Box::new(draft)), now);
            }
        }
    }

    pub(super) fn on_rakp2(&mut self, bytes: &[u8], now: Duration) {
        let Phase::Proving(draft) = &self.phase else { return };
        let Some(reply) = Rakp2::parse(bytes, draft.suite) else { return };
        let Some(sent_at) = self.flight.sent_at(reply.tag) else { return };
        let Some((bmc_random, guid, code)) = reply.proof else {
            self.heard(sent_at, now);
            return self.refused(reply.status, now);
        };
        if reply.console_id != draft.console_id {
            return;
        }
        let exchange = Box::new(Exchange { bmc_random, guid, ..Exchange::clone(draft) });
        self.heard(sent_at, now);
        let password = self.settings.password.as_slice();
        if !exchange.rakp2_code(password).matches(code) {
            self.reject(exchange.bmc_id);
            return self.fail_unless_muddled(Failure::WrongPassword { proof: Proof::Certain }, now);
        }
        let found = parse_guid(&guid);
        if self.settings.pinned.is_some_and(|pinned| found != Some(pinned)) {
            return self.fail(Failure::WrongIdentity { found });
        }
        self.known.guid = found;
        let kg = self.settings.kg.as_ref().map(|kg| kg.as_slice());
        let session_key = exchange.session_key(password, kg);
        let proof = exchange.rakp3_code(password);
        self.enter(Phase::Confirming { exchange, session_key, proof }, now);
    }

    pub(super) fn on_rakp4(&mut self, bytes: &[u8], now: Duration) {
        let Phase::Confirming { exchange, session_key, .. } = &self.phase else { return };
        let Some(reply) = Rakp4::parse(bytes) else { return };
        let Some(sent_at) = self.flight.sent_at(reply.tag) else { return };
        if reply.status != status::OK {
            self.heard(sent_at, now);
            return self.refused(reply.status, now);
        }
        if reply.console_id != exchange.console_id {
            return;
        }
        if !exchange.rakp4_code(session_key).matches(reply.code) {
            self.heard(sent_at, now);
            return self.fail_unless_muddled(Failure::WrongKg, now);
        }
        let suite = exchange.suite;
        let keys = Box::new(Keys::new(suite, session_key));
        let (console_id, bmc_id) = (exchange.console_id, exchange.bmc_id);
        let line = Line::Plus { keys, console_id, bmc_id, seq: 0, inbound: None };
        self.heard(sent_at, now);
        self.known.dialect = Some(Dialect::Plus(suite));
        self.enter(Phase::Session { line, stage: Stage::Raise }, now);
    }

    /// Acts on a status by which the BMC refused a step of the handshake.
    fn refused(&mut self, code: u8, now: Duration) {
        match code {
            status::NO_RESOURCES | status::NO_RESOURCES_AT_ROLE => self.fail(Failure::NoFreeSession),
            // The BMC has dropped the handshake, perhaps for a newer one.
            status::INVALID_SESSION | status::INACTIVE_SESSION => self.restart_muddled(now),
            status::INVALID_AUTHENTICATION
            | status::INVALID_INTEGRITY
            | status::NO_AUTHENTICATION_PAYLOAD
            | status::NO_INTEGRITY_PAYLOAD
            | status::INVALID_CONFIDENTIALITY
            | status::NO_CIPHER_MATCH => self.next_suite(now),
            status::INVALID_ROLE | status::UNAUTHORIZED_ROLE => self.sign_in_lower(now),
            status::UNAUTHORIZED_NAME | status::INVALID_NAME_LENGTH => self.fail(Failure::WrongUser),
            status::INVALID_CODE => {
                self.fail_unless_muddled(Failure::WrongPassword { proof: Proof::Certain }, now);
            }
            // Refused GUID and illegal parameters among them: nothing this side could do better, and nothing
            // against user or password.
            _ => self.fail(Failure::SignInRefused { status: code }),
        }
    }

    /// Believes a mismatch only of a handshake in which no packet was sent twice: otherwise both ends may
    /// simply hold different random numbers.
    fn fail_unless_muddled(&mut self, failure: Failure, now: Duration) {
        let muddled = self.attempt.as_ref().is_some_and(|a| a.muddled && a.muddles < MOST_MUDDLES);
        if !muddled {
            return self.fail(failure);
        }
        if let Some(attempt) = &mut self.attempt {
            attempt.muddles += 1;
        }
        self.restart(now);
    }

    /// Starts over because the BMC does not know what it was asked to go on with, but not for ever.
    pub(super) fn restart_muddled(&mut self, now: Duration) {
        let Some(attempt) = &mut self.attempt else { return };
        attempt.muddles += 1;
        if attempt.muddles > MOST_MUDDLES {
            return self.fail(Failure::Stalled);
        }
        self.restart(now);
    }

    fn next_suite(&mut self, now: Duration) {
        let Some(attempt) = &mut self.attempt else { return };
        self.known.dialect = None;
        if attempt.candidates.pop_front().is_none() {
            // The suite of an earlier session is refused now; ask again.
            return self.begin(now);
        }
        self.next_candidate(now);
    }

    /// Tries the next lower level, where the settings leave that open.
    pub(super) fn sign_in_lower(&mut self, now: Duration) {
        if self.step_down() {
            self.begin(now);
        }
    }

    /// Lowers the level of this attempt; fails the request and says `false` when that is not possible.
    pub(super) fn step_down(&mut self) -> bool {
        let Some(attempt) = &mut self.attempt else { return false };
        let level = attempt.level;
        let lower = match self.settings.level {
            Wanted::Highest => level.lower(),
            Wanted::Exactly(_) => None,
        };
        let Some(lower) = lower else {
            self.fail(Failure::InsufficientPrivilege { level });
            return false;
        };
        attempt.level = lower;
        self.known.level = None;
        true
    }

    /// Frees the slot that a BMC may hold for a handshake whose last packet was lost.
    pub(super) fn release(&mut self, exchange: &Exchange, session_key: &Code) {
        let keys = Box::new(Keys::new(exchange.suite, session_key));
        let (console_id, bmc_id) = (exchange.console_id, exchange.bmc_id);
        self.farewell(&mut Line::Plus { keys, console_id, bmc_id, seq: 0, inbound: None });
    }

    /// Tells the BMC that its proof is not believed, so that it frees the slot.
    fn reject(&mut self, bmc_id: u32) {
        let tag = self.tag();
        let rakp3 = Rakp3 { tag, status: status::INVALID_CODE, bmc_id, code: &[] }.encode();
        self.outbox.push_back(plus_start(payload::RAKP3, 0, 0, &rakp3));
    }

    /// Sends Close Session and does not look back.
    pub(super) fn farewell(&mut self, line: &mut Line) {
        let seq = self.tag();
        let body = line.bmc_id().to_le_bytes();
        let netfn = NetFn::App.request_value();
        let message = Message { netfn, lun: 0, seq, command: CLOSE, body: &body }.encode();
        let packet = line.seal(&message, &mut self.entropy);
        self.outbox.push_back(packet);
    }
}
