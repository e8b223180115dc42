//! Packets of an IPMI 1.5 session: signed with MD5 or carrying the password, never encrypted.

use md5::{Digest, Md5};

use super::{
    crypto::same,
    packet::{Legacy, auth},
};

/// Fills a password or name to the 16 bytes of IPMI 1.5.
pub(crate) fn padded(text: &[u8]) -> [u8; 16] {
    let mut bytes = [0; 16];
    for (to, byte) in bytes.iter_mut().zip(text) {
        *to = *byte;
    }
    bytes
}

/// How a session of IPMI 1.5 signs its packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signature {
    Md5,
    /// The password itself, readable by whoever listens.
    Straight,
}

impl Signature {
    /// The stronger of those that a BMC's Get Channel Authentication Capabilities lists.
    pub fn best_of(offered: u8) -> Option<Self> {
        [Self::Md5, Self::Straight].into_iter().find(|kind| offered & 1 << kind.number() != 0)
    }

    pub fn from_number(number: u8) -> Option<Self> {
        [Self::Md5, Self::Straight].into_iter().find(|kind| kind.number() == number)
    }

    pub fn number(self) -> u8 {
        match self {
            Self::Md5 => auth::MD5,
            Self::Straight => auth::STRAIGHT,
        }
    }

    /// Signs a message.
    pub fn seal(self, password: [u8; 16], session: u32, seq: u32, message: &[u8]) -> Vec<u8> {
        let unsigned = Legacy { auth: self.number(), seq, session, code: [0; 16], payload: message };
        Legacy { code: self.code(&unsigned, password), ..unsigned }.encode()
    }

    /// Says whether whoever sent `packet` knows the password.
    pub fn is_genuine(self, packet: &Legacy<'_>, password: [u8; 16]) -> bool {
        packet.auth == self.number() && same(&self.code(packet, password), &packet.code)
    }

    fn code(self, packet: &Legacy<'_>, password: [u8; 16]) -> [u8; 16] {
        match self {
            Self::Straight => password,
            Self::Md5 => {
                let mut hash = Md5::new();
                hash.update(password);
                hash.update(packet.session.to_le_bytes());
                hash.update(packet.payload);
                hash.update(packet.seq.to_le_bytes());
                hash.update(password);
                hash.finalize().into()
            }
        }
    }
}
