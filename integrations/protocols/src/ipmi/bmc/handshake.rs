//! Open Session, RAKP 1 and RAKP 3, seen from the BMC. Repeated packets get the same answer again.

use std::time::Duration;

use super::{
    super::{
        Level, Suite,
        keys::{Exchange, Keys},
        packet::{payload, plus_start},
        rakp::{OpenRequest, OpenResponse, Rakp1, Rakp2, Rakp3, Rakp4, status},
        window::Window,
    },
    About, Bmc, Reply,
    slot::{Line, Live, Slot, State},
};

impl Bmc {
    pub(super) fn open_session(&mut self, bytes: &[u8], now: Duration) -> Option<Reply> {
        let request = OpenRequest::parse(bytes)?;
        let OpenRequest { tag, level, console_id, algorithms } = request;
        let offered = Suite::from_algorithms(algorithms).filter(|suite| self.profile.suites.contains(suite));
        let outcome = match offered {
            None => {
                self.tally.begun += 1;
                Err(status::NO_CIPHER_MATCH)
            }
            Some(suite) => self.begin(suite, console_id, now).ok_or(status::NO_RESOURCES),
        };
        // Before the user is known only the channel limits the level.
        let level = if level.trailing_zeros() >= 4 { Level::Administrator.code() } else { level & 0x0f };
        let (status, accepted) = match outcome {
            Ok(id) => (status::OK, Some((id, algorithms))),
            Err(status) => (status, None),
        };
        let response = OpenResponse { tag, status, level, console_id, accepted };
        Some(reply(payload::OPEN_RESPONSE, &response.encode(), About::OpenSession))
    }

    fn begin(&mut self, suite: Suite, console_id: u32, now: Duration) -> Option<u32> {
        let same = |slot: &&Slot| matches!(slot.state, State::Begun { suite: s, console_id: c } if s == suite && c == console_id);
        if let Some(slot) = self.slots.iter().find(same) {
            return Some(slot.id);
        }
        self.tally.begun += 1;
        let id = self.free_id(now)?;
        self.slots.push(Slot { id, touched: now, state: State::Begun { suite, console_id } });
        Some(id)
    }

    pub(super) fn rakp1(&mut self, bytes: &[u8], guid: [u8; 16], now: Duration) -> Option<Reply> {
        let request = Rakp1::parse(bytes)?;
        let tag = request.tag;
        let bmc_random = self.entropy.bytes16();
        let known = request.user == self.profile.user;
        let wanted = Level::from_code(request.role).unwrap_or(self.profile.limit);
        let allowed = wanted <= self.profile.limit;
        let password = self.profile.password.clone();
        let slot = self.slot(request.bmc_id)?;
        let (suite, console_id) = match &slot.state {
            State::Begun { suite, console_id } => (*suite, *console_id),
            State::Proved { exchange, .. } if exchange.console_random == request.console_random => {
                return Some(rakp2(exchange, tag, &password));
            }
            State::Proved { .. } | State::Challenged { .. } | State::Open(_) => return None,
        };
        if !known || !allowed {
            let status = if known { status::UNAUTHORIZED_ROLE } else { status::UNAUTHORIZED_NAME };
            self.drop_slot(request.bmc_id);
            self.tally.refused += u64::from(!known);
            self.tally.refused_level += u64::from(known);
            let refusal = Rakp2 { tag, status, console_id, proof: None };
            return Some(reply(payload::RAKP2, &refusal.encode(), About::Rakp2));
        }
        let exchange = Box::new(Exchange {
            suite,
            console_id,
            bmc_id: request.bmc_id,
            console_random: request.console_random,
            bmc_random,
            guid,
            role: request.role,
            user: request.user.to_vec(),
        });
        let answer = rakp2(&exchange, tag, &password);
        slot.touched = now;
        slot.state = State::Proved { exchange, limit: wanted };
        Some(answer)
    }

    pub(super) fn rakp3(&mut self, bytes: &[u8], now: Duration) -> Option<Reply> {
        let request = Rakp3::parse(bytes)?;
        let (tag, id) = (request.tag, request.bmc_id);
        let password = self.profile.password.clone();
        let kg = self.profile.kg.clone();
        let slot = self.slot(id)?;
        let (exchange, limit) = match &slot.state {
            State::Proved { exchange, limit } => (exchange.clone(), *limit),
            State::Open(live) => {
                let Line::Plus { exchange, session_key, .. } = &live.line else { return None };
                return Some(rakp4(
                    tag,
                    exchange.console_id,
                    status::OK,
                    exchange.rakp4_code(session_key).as_slice(),
                ));
            }
            State::Begun { .. } | State::Challenged { .. } => return None,
        };
        let console_id = exchange.console_id;
        if request.status != status::OK {
            self.drop_slot(id);
            return None;
        }
        if !exchange.rakp3_code(&password).matches(request.code) {
            self.drop_slot(id);
            self.tally.refused += 1;
            return Some(rakp4(tag, console_id, status::INVALID_CODE, &[]));
        }
        let session_key = exchange.session_key(&password, kg.as_ref().map(|kg| kg.as_slice()));
        let answer = rakp4(tag, console_id, status::OK, exchange.rakp4_code(&session_key).as_slice());
        let keys = Box::new(Keys::new(exchange.suite, &session_key));
        let line = Line::Plus { exchange, session_key, keys };
        let session = Live { line, level: Level::User, limit, inbound: Window::from(1), outbound: 1 };
        slot.touched = now;
        slot.state = State::Open(Box::new(session));
        self.count_opened();
        Some(answer)
    }
}

fn rakp2(exchange: &Exchange, tag: u8, password: &[u8]) -> Reply {
    let code = exchange.rakp2_code(password);
    let proof = Some((exchange.bmc_random, exchange.guid, code.as_slice()));
    let answer = Rakp2 { tag, status: status::OK, console_id: exchange.console_id, proof };
    reply(payload::RAKP2, &answer.encode(), About::Rakp2)
}

fn rakp4(tag: u8, console_id: u32, status: u8, code: &[u8]) -> Reply {
    reply(payload::RAKP4, &Rakp4 { tag, status, console_id, code }.encode(), About::Rakp4)
}

fn reply(kind: u8, bytes: &[u8], about: About) -> Reply {
    Reply { bytes: plus_start(kind, 0, 0, bytes), about }
}
