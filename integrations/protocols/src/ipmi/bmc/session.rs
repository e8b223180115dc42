//! Packets of open sessions: verify, refuse doubles, carry out, seal the answer.

use std::time::Duration;

use super::{
    super::{
        Level, NetFn,
        command::session::{CLOSE, SET_LEVEL},
        message::Message,
        packet::{Legacy, Plus},
        reader::Reader,
        sealed,
    },
    About, Bmc, Call, Host, Reply,
    outside::answer,
    slot::{Line, Live, State},
};

impl Bmc {
    pub(super) fn plus_session(
        &mut self,
        packet: &Plus<'_>,
        host: &mut dyn Host,
        now: Duration,
    ) -> Option<Reply> {
        let slot = self.slot(packet.session)?;
        let State::Open(live) = &mut slot.state else { return None };
        let Line::Plus { keys, .. } = &live.line else { return None };
        let message = sealed::open(keys, packet)?;
        if !live.inbound.accept(packet.seq) {
            return None;
        }
        slot.touched = now;
        self.carry_out(packet.session, &message, host)
    }

    pub(super) fn legacy_session(
        &mut self,
        packet: &Legacy<'_>,
        host: &mut dyn Host,
        now: Duration,
    ) -> Option<Reply> {
        let slot = self.slot(packet.session)?;
        let State::Open(live) = &mut slot.state else { return self.activate(packet, now) };
        let Line::Legacy { signature, password } = &live.line else { return None };
        if !signature.is_genuine(packet, *password) || !live.inbound.accept(packet.seq) {
            return None;
        }
        slot.touched = now;
        self.carry_out(packet.session, packet.payload, host)
    }

    fn carry_out(&mut self, id: u32, message: &[u8], host: &mut dyn Host) -> Option<Reply> {
        let request = Message::parse(message)?;
        if !request.is_request() {
            return None;
        }
        let netfn = NetFn::from(request.netfn);
        let slot = self.slots.iter_mut().find(|slot| slot.id == id)?;
        let State::Open(live) = &mut slot.state else { return None };
        let (about, body) = match (netfn, request.command) {
            (NetFn::App, SET_LEVEL) => (About::Session, set_level(live, request.body)),
            (NetFn::App, CLOSE) => (About::Session, close(id, request.body)),
            (netfn, command) => {
                let call = Call { netfn, command, data: request.body, level: live.level };
                let response = host.command(&call);
                let body = [&[response.completion], response.data.as_slice()].concat();
                (About::Command { netfn, command }, body)
            }
        };
        let bytes = live.seal(id, &answer(&request, &body), &mut self.entropy);
        if (netfn, request.command) == (NetFn::App, CLOSE) && body == [0] {
            self.drop_slot(id);
        }
        Some(Reply { bytes, about })
    }
}

fn set_level(live: &mut Live, data: &[u8]) -> Vec<u8> {
    let &[wanted] = data else { return vec![0xc7] };
    if wanted.trailing_zeros() >= 4 {
        return vec![0, live.level.code()];
    }
    match Level::from_code(wanted) {
        None => vec![0xcc],
        Some(level) if level > live.limit => vec![0x81],
        Some(level) => {
            live.level = level;
            vec![0, level.code()]
        }
    }
}

fn close(own: u32, data: &[u8]) -> Vec<u8> {
    match Reader::new(data).le32() {
        Some(id) if id == own => vec![0],
        Some(_) => vec![0x87],
        None => vec![0xc7],
    }
}
