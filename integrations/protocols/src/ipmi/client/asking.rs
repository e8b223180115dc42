//! The questions before a session: does the BMC speak RMCP+, and with which cipher suites?

use std::time::Duration;

use super::{
    super::{
        NetFn, Suite,
        command::session::{AUTH_CAPABILITIES, CIPHER_SUITES, Capabilities, EXTENDED, THIS_CHANNEL},
        legacy::Signature,
        message::Message,
        packet::{Legacy, Wrapping},
    },
    Cipher, Client, Dialect, Failure, LegacyUse, Phase,
};

/// Lists by algorithm would say less; by suite they come in chunks of 16 bytes.
const BY_SUITE: u8 = 0x80;
/// Chunks of a list that are asked for at most; one chunk holds three suites.
const MOST_CHUNKS: u8 = 16;

/// What was learnt so far.
pub(super) struct Asking {
    capabilities: Option<Capabilities>,
    suites: SuiteList,
    channel: u8,
}

enum SuiteList {
    /// So many chunks are here.
    Pending { chunks: u8, bytes: Vec<u8> },
    /// Suite numbers; empty when the BMC does not tell.
    Known(Vec<u8>),
}

impl Asking {
    pub fn new(cipher: Cipher) -> Self {
        let suites = match cipher {
            Cipher::Auto => SuiteList::Pending { chunks: 0, bytes: Vec::new() },
            Cipher::Only(_) => SuiteList::Known(Vec::new()),
        };
        Self { capabilities: None, suites, channel: THIS_CHANNEL | EXTENDED }
    }

    /// The list is a courtesy: it is not worth a second question once the rest is known.
    pub fn rounds(&self) -> u32 {
        if self.capabilities.is_some() { 1 } else { 3 }
    }
}

impl Client {
    pub(super) fn send_questions(&mut self, now: Duration) {
        let Phase::Asking(asking) = &self.phase else { return };
        // Level 4: what an administrator could use.
        let capabilities = asking.capabilities.is_none().then_some([asking.channel, 4]);
        let chunk = match &asking.suites {
            SuiteList::Pending { chunks, .. } => Some(*chunks),
            SuiteList::Known(_) => None,
        };
        if let Some(body) = capabilities {
            self.ask(Wrapping::Legacy, AUTH_CAPABILITIES, &body, now);
        }
        if let Some(chunk) = chunk {
            // BMCs are used to being asked this in the new wrapping: ipmitool does so.
            self.ask(Wrapping::Plus, CIPHER_SUITES, &[THIS_CHANNEL, 0, BY_SUITE | chunk], now);
        }
    }

    /// Sends a request outside any session.
    pub(super) fn ask(&mut self, wrapping: Wrapping, command: u8, body: &[u8], now: Duration) {
        let seq = self.tag();
        let netfn = NetFn::App.request_value();
        let message = Message { netfn, lun: 0, seq, command, body }.encode();
        self.outbox.push_back(wrapping.wrap(&message));
        self.flight.note(seq, now);
    }

    /// Takes in an answer outside any session, or to Activate Session.
    pub(super) fn receive_outside(&mut self, packet: &Legacy<'_>, now: Duration) {
        let Some(message) = Message::parse(packet.payload) else { return };
        let Some(sent_at) = self.flight.sent_at(message.seq) else { return };
        let Some((&completion, data)) = message.body.split_first() else { return };
        if message.netfn != NetFn::App.response_value() {
            return;
        }
        let command = message.command;
        match &mut self.phase {
            Phase::Asking(asking) => {
                let next = match command {
                    AUTH_CAPABILITIES => asking.take_capabilities(completion, data),
                    CIPHER_SUITES => asking.take_chunk(completion, data),
                    _ => return,
                };
                self.heard(sent_at, now);
                self.go_on_asking(next, now);
            }
            Phase::Challenging(..) => self.on_challenge(&Answer { command, completion, data, sent_at }, now),
            Phase::Activating { .. } => {
                self.on_activation(packet, &Answer { command, completion, data, sent_at }, now);
            }
            Phase::Idle
            | Phase::Opening { .. }
            | Phase::Proving(_)
            | Phase::Confirming { .. }
            | Phase::Session { .. } => {}
        }
    }

    fn go_on_asking(&mut self, next: Next, now: Duration) {
        let Phase::Asking(asking) = &self.phase else { return };
        match (next, &asking.capabilities, &asking.suites) {
            (Next::Ask, _, _) => self.send(now),
            (Next::Wait, Some(capabilities), SuiteList::Known(offered)) => {
                let (capabilities, offered) = (*capabilities, offered.clone());
                self.choose(capabilities, offered, now);
            }
            // Some BMCs never list their suites; trying one costs less than waiting for the list.
            (Next::Wait, Some(_), SuiteList::Pending { .. }) => {
                self.flight.hasten(now + self.pacer.courtesy());
            }
            (Next::Wait, None, _) => self.flight.hasten(now + self.patience()),
        }
    }

    pub(super) fn stall_asking(&mut self, asking: Asking, now: Duration) {
        if let Some(capabilities) = asking.capabilities {
            return self.choose(capabilities, Vec::new(), now);
        }
        // Nothing was begun that could be begun anew: answers to earlier questions stay welcome.
        if let Some(attempt) = &mut self.attempt {
            attempt.restarts += 1;
        }
        self.phase = Phase::Asking(asking);
        self.flight.reset_rounds();
        self.send(now);
    }

    /// Decides how to speak to the BMC.
    fn choose(&mut self, capabilities: Capabilities, offered: Vec<u8>, now: Duration) {
        let Some(attempt) = &mut self.attempt else { return };
        attempt.legacy = match self.settings.legacy {
            LegacyUse::Refused => None,
            LegacyUse::Allowed => Signature::best_of(capabilities.signatures),
        };
        let mut suites = match self.settings.cipher {
            Cipher::Only(suite) => vec![suite],
            Cipher::Auto => Suite::ALL.to_vec(),
        };
        // Lists are known to be wrong, so they order the attempts and rule out none.
        suites.sort_by_key(|suite| !(offered.is_empty() || offered.contains(&suite.id())));
        attempt.candidates = if capabilities.speaks_plus { suites.into() } else { [].into() };
        attempt.offered = offered;
        self.next_candidate(now);
    }

    /// Opens a session with the best way left.
    pub(super) fn next_candidate(&mut self, now: Duration) {
        let Some(attempt) = &self.attempt else { return };
        match (attempt.candidates.front(), attempt.legacy) {
            (Some(suite), _) => self.begin_with(Dialect::Plus(*suite), now),
            (None, Some(signature)) => self.begin_with(Dialect::Legacy(signature), now),
            (None, None) => {
                let offered = attempt.offered.clone();
                self.fail(Failure::NoMatchingCipher { offered });
            }
        }
    }
}

/// An answer outside any session.
pub(super) struct Answer<'a> {
    pub command: u8,
    pub completion: u8,
    pub data: &'a [u8],
    pub sent_at: Duration,
}

/// What an answer leads to.
enum Next {
    /// Another question.
    Ask,
    /// Nothing, or a decision when all is there.
    Wait,
}

impl Asking {
    fn take_capabilities(&mut self, completion: u8, data: &[u8]) -> Next {
        let refused = completion != 0;
        if refused && self.channel != THIS_CHANNEL {
            // Old BMCs refuse the 2.0 form of the question.
            self.channel = THIS_CHANNEL;
            return Next::Ask;
        }
        // A BMC that cannot tell may still speak RMCP+.
        let silent = Capabilities { signatures: 0, speaks_plus: true };
        self.capabilities = Some(Capabilities::parse(data).filter(|_| !refused).unwrap_or(silent));
        Next::Wait
    }

    fn take_chunk(&mut self, completion: u8, data: &[u8]) -> Next {
        let SuiteList::Pending { chunks, bytes } = &mut self.suites else { return Next::Wait };
        let fresh = data.get(1..).unwrap_or_default();
        bytes.extend(fresh);
        *chunks += 1;
        if completion == 0 && fresh.len() >= 16 && *chunks < MOST_CHUNKS {
            return Next::Ask;
        }
        self.suites = SuiteList::Known(Suite::ids_in_records(bytes));
        Next::Wait
    }
}
