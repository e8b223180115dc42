//! The managed system's end of IPMI over LAN: what a BMC does with the packets it gets.
//!
//! [`Bmc::handle`] takes a packet and gives at most one reply. What the commands mean is the
//! [`Host`]'s business; sessions, levels and the handshakes are settled here.

mod activation;
mod handshake;
mod outside;
mod session;
mod slot;

use std::time::Duration;
use zeroize::Zeroizing;

use super::{
    Entropy, Level, NetFn, Response, Suite,
    legacy::Signature,
    packet::{self, Packet, Wrapping, payload},
};
use slot::Slot;

/// What a BMC offers and whom it lets in.
#[derive(Clone)]
pub struct Profile {
    /// The one account's name.
    pub user: Vec<u8>,
    /// Its password.
    pub password: Zeroizing<Vec<u8>>,
    /// The BMC's key, where it has one.
    pub kg: Option<Zeroizing<Vec<u8>>>,
    /// The highest level of the account.
    pub limit: Level,
    /// Cipher suites.
    pub suites: Vec<Suite>,
    /// Whether IPMI 1.5 sessions are possible.
    pub legacy: LegacyOffer,
    /// Slots for sessions, half-open ones included.
    pub most_sessions: usize,
    /// A session that is not used for this long is dropped.
    pub idle_after: Duration,
    /// A handshake that stands still for this long makes room for another.
    pub half_open_after: Duration,
}

impl Profile {
    /// A BMC as they are delivered: both suites, IPMI 1.5, 16 sessions.
    #[must_use]
    pub fn usual(user: &[u8], password: &[u8]) -> Self {
        Self {
            user: user.to_vec(),
            password: Zeroizing::new(password.to_vec()),
            kg: None,
            limit: Level::Administrator,
            suites: vec![Suite::Three, Suite::Seventeen],
            legacy: LegacyOffer::Offered,
            most_sessions: 16,
            idle_after: Duration::from_mins(1),
            half_open_after: Duration::from_secs(3),
        }
    }
}

/// Whether a BMC lets IPMI 1.5 in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LegacyOffer {
    /// MD5 and straight password.
    Offered,
    /// The straight password alone, as of BMCs whose makers left MD5 out.
    StraightOnly,
    /// RMCP+ only.
    Refused,
}

impl LegacyOffer {
    /// The signatures that it takes, a bit each, as Get Channel Authentication Capabilities tells them.
    fn kinds(self) -> u8 {
        let bit = |signature: Signature| 1 << signature.number();
        match self {
            Self::Offered => bit(Signature::Md5) | bit(Signature::Straight),
            Self::StraightOnly => bit(Signature::Straight),
            Self::Refused => 0,
        }
    }
}

/// What a BMC sits in: gives meaning to the commands.
pub trait Host {
    /// The managed system's GUID.
    fn guid(&self) -> [u8; 16];
    /// Carries out a command that came through a session.
    fn command(&mut self, call: &Call<'_>) -> Response;
}

/// A command with the level of the session it came through.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Call<'a> {
    /// Group of commands.
    pub netfn: NetFn,
    /// Command within the group.
    pub command: u8,
    /// Request data.
    pub data: &'a [u8],
    /// Level the session has been raised to.
    pub level: Level,
}

/// A reply packet and what it answers, so that a simulator can lose just that one.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    /// To be sent.
    pub bytes: Vec<u8>,
    /// What it answers.
    pub about: About,
}

/// What a reply answers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum About {
    /// RMCP presence ping.
    Ping,
    /// A question outside any session.
    Capabilities,
    /// Open Session Request, or Get Session Challenge.
    OpenSession,
    /// RAKP 1, or Activate Session.
    Rakp2,
    /// RAKP 3.
    Rakp4,
    /// Set Session Privilege Level or Close Session.
    Session,
    /// Any other command in a session.
    Command {
        /// Group.
        netfn: NetFn,
        /// Command.
        command: u8,
    },
}

/// A BMC.
pub struct Bmc {
    profile: Profile,
    entropy: Entropy,
    slots: Vec<Slot>,
    tally: Tally,
}

/// What a BMC has seen so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Sign-ins that were begun, however they ended; repeated packets are not counted.
    pub begun: u64,
    /// Sessions that came to be.
    pub opened: u64,
    /// Sessions that were open at one time, at most.
    pub peak: usize,
    /// Sign-ins refused for user or password: what a BMC may lock an account for.
    pub refused: u64,
    /// Sign-ins refused because they asked for a higher level than the account has.
    pub refused_level: u64,
}

impl Bmc {
    /// Makes a BMC without sessions.
    #[must_use]
    pub fn new(profile: Profile, seed: [u8; 32]) -> Self {
        Self { profile, entropy: Entropy::new(seed), slots: Vec::new(), tally: Tally::default() }
    }

    /// Takes in a packet; `None` is silence.
    pub fn handle(&mut self, bytes: &[u8], host: &mut dyn Host, now: Duration) -> Option<Reply> {
        let idle_after = self.profile.idle_after;
        self.slots.retain(|slot| now < slot.touched + idle_after);
        match Packet::parse(bytes)? {
            Packet::Ping { tag } => Some(Reply { bytes: packet::pong(tag), about: About::Ping }),
            Packet::Legacy(legacy) if legacy.session == 0 => {
                self.outside(&legacy, Wrapping::Legacy, host, now)
            }
            Packet::Legacy(legacy) => self.legacy_session(&legacy, host, now),
            Packet::Plus(plus) if plus.encrypted || plus.authenticated => self.plus_session(&plus, host, now),
            Packet::Plus(plus) => match plus.kind {
                payload::OPEN_REQUEST => self.open_session(plus.payload, now),
                payload::RAKP1 => self.rakp1(plus.payload, host.guid(), now),
                payload::RAKP3 => self.rakp3(plus.payload, now),
                payload::IPMI => self.outside(&plus.outside_session()?, Wrapping::Plus, host, now),
                _ => None,
            },
        }
    }

    /// Forgets every session, as a restart does.
    pub fn forget_sessions(&mut self) {
        self.slots.clear();
    }

    /// Counts the sessions that are open.
    #[must_use]
    pub fn open_sessions(&self) -> usize {
        self.slots.iter().filter(|slot| slot.is_open()).count()
    }

    /// Counts the slots in use, half-open sessions included.
    #[must_use]
    pub fn slots_in_use(&self) -> usize {
        self.slots.len()
    }

    /// Tells what the BMC has seen so far.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.tally
    }

    fn slot(&mut self, id: u32) -> Option<&mut Slot> {
        self.slots.iter_mut().find(|slot| slot.id == id)
    }

    fn drop_slot(&mut self, id: u32) {
        self.slots.retain(|slot| slot.id != id);
    }

    /// Takes a free slot's id, if need be that of a handshake that stands still.
    fn free_id(&mut self, now: Duration) -> Option<u32> {
        if self.slots.len() >= self.profile.most_sessions {
            let oldest = self
                .slots
                .iter()
                .filter(|slot| !slot.is_open() && now >= slot.touched + self.profile.half_open_after)
                .min_by_key(|slot| slot.touched)?
                .id;
            self.drop_slot(oldest);
        }
        Some(self.entropy.nonzero())
    }

    fn count_opened(&mut self) {
        self.tally.opened += 1;
        self.tally.peak = self.tally.peak.max(self.open_sessions());
    }
}
