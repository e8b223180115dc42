//! Signing in with IPMI 1.5, seen from the BMC.

use std::time::Duration;

use super::{
    super::{
        Level, NetFn,
        command::session::ACTIVATE,
        legacy::{Signature, padded},
        message::Message,
        packet::Legacy,
        reader::Reader,
        window::Window,
    },
    About, Bmc, Reply,
    outside::answer,
    slot::{Line, Live, Slot, State},
};

impl Bmc {
    pub(super) fn challenge(&mut self, data: &[u8], now: Duration) -> Vec<u8> {
        let mut reader = Reader::new(data);
        let (Some(kind), Some(user)) = (reader.byte(), reader.array::<16>()) else { return vec![0xc7] };
        let offered = self.profile.legacy.kinds();
        let signature = Signature::from_number(kind & 0x0f).filter(|it| offered & 1 << it.number() != 0);
        let Some(signature) = signature else { return vec![0xcc] };
        self.tally.begun += 1;
        if user != padded(&self.profile.user) {
            self.tally.refused += 1;
            return vec![if user == [0; 16] { 0x82 } else { 0x81 }];
        }
        let Some(id) = self.free_id(now) else { return vec![0xc4] };
        let challenge = self.entropy.bytes16();
        self.slots.push(Slot { id, touched: now, state: State::Challenged { signature, challenge } });
        [&[0], id.to_le_bytes().as_slice(), &challenge].concat()
    }

    /// Answers Activate Session. A packet that is not signed with the password meets silence.
    pub(super) fn activate(&mut self, packet: &Legacy<'_>, now: Duration) -> Option<Reply> {
        let password = padded(&self.profile.password);
        let limit = self.profile.limit;
        let first = self.entropy.nonzero();
        let slot = self.slots.iter_mut().find(|slot| slot.id == packet.session)?;
        let State::Challenged { signature, challenge } = slot.state else { return None };
        let request = Message::parse(packet.payload)?;
        if request.netfn != NetFn::App.request_value() || request.command != ACTIVATE {
            return None;
        }
        if !signature.is_genuine(packet, password) {
            self.tally.refused += 1;
            return None;
        }
        let mut reader = Reader::new(request.body);
        let [_kind, wanted] = reader.array()?;
        let repeated = reader.array::<16>()?;
        let outbound = reader.le32()?;
        let level = Level::from_code(wanted).unwrap_or(limit);
        let body = if repeated != challenge {
            vec![0xcc]
        } else if level > limit {
            self.tally.refused_level += 1;
            vec![0x86]
        } else {
            let line = Line::Legacy { signature, password };
            let session =
                Live { line, level: Level::User, limit: level, inbound: Window::from(first), outbound };
            slot.touched = now;
            slot.state = State::Open(Box::new(session));
            let number = signature.number();
            [&[0, number], slot.id.to_le_bytes().as_slice(), &first.to_le_bytes(), &[level.code()]].concat()
        };
        let bytes = signature.seal(password, packet.session, outbound, &answer(&request, &body));
        if body.first() == Some(&0) {
            self.count_opened();
        }
        Some(Reply { bytes, about: About::Rakp2 })
    }
}
