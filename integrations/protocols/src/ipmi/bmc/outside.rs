//! Commands outside any session: capabilities, cipher suites, GUID and the IPMI 1.5 challenge.

use std::time::Duration;

use super::{
    super::{
        NetFn, Suite,
        command::{
            device::SYSTEM_GUID,
            session::{AUTH_CAPABILITIES, CHALLENGE, CIPHER_SUITES, EXTENDED},
        },
        message::Message,
        packet::{Legacy, Wrapping, auth},
    },
    About, Bmc, Host, Reply,
};

/// The LAN channel's number.
const CHANNEL: u8 = 1;
/// Named users exist and must name themselves.
const NAMED_USERS: u8 = 0x04;
/// The BMC has a key Kg.
const HAS_KG: u8 = 0x20;

impl Bmc {
    pub(super) fn outside(
        &mut self,
        packet: &Legacy<'_>,
        wrapping: Wrapping,
        host: &mut dyn Host,
        now: Duration,
    ) -> Option<Reply> {
        let request = Message::parse(packet.payload)?;
        if packet.auth != auth::NONE || request.netfn != NetFn::App.request_value() {
            return None;
        }
        let (about, body) = match request.command {
            AUTH_CAPABILITIES => (About::Capabilities, self.capabilities(request.body)),
            CIPHER_SUITES => (About::Capabilities, self.cipher_suites(request.body)),
            CHALLENGE => (About::OpenSession, self.challenge(request.body, now)),
            SYSTEM_GUID => (About::Capabilities, [&[0], host.guid().as_slice()].concat()),
            // Everything else needs a session.
            _ => (About::Capabilities, vec![0xd4]),
        };
        Some(Reply { bytes: wrapping.wrap(&answer(&request, &body)), about })
    }

    fn capabilities(&self, data: &[u8]) -> Vec<u8> {
        let Some(&channel) = data.first() else { return vec![0xc7] };
        let mut kinds = self.profile.legacy.kinds();
        let mut versions = u8::from(kinds != 0);
        if channel & EXTENDED != 0 && !self.profile.suites.is_empty() {
            kinds |= EXTENDED;
            versions |= 2;
        }
        let kg = if self.profile.kg.is_some() { HAS_KG } else { 0 };
        vec![0, CHANNEL, kinds, NAMED_USERS | kg, versions, 0, 0, 0, 0]
    }

    fn cipher_suites(&self, data: &[u8]) -> Vec<u8> {
        let &[_channel, _payload, index] = data else { return vec![0xc7] };
        let records = Suite::records(&self.profile.suites);
        let chunk = records.chunks(16).nth(usize::from(index & 0x3f)).unwrap_or_default();
        [&[0, CHANNEL], chunk].concat()
    }
}

/// Makes the answering message; `body` starts with the completion code.
pub(super) fn answer(request: &Message<'_>, body: &[u8]) -> Vec<u8> {
    Message { netfn: request.netfn | 1, lun: request.lun, seq: request.seq, command: request.command, body }
        .encode()
}
