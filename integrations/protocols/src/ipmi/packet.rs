//! RMCP packets as they stand on the wire, before anything is verified or decrypted.

use super::reader::Reader;

/// RMCP header of a packet that carries IPMI.
const IPMI: [u8; 4] = [6, 0, 0xff, 7];
/// Authentication type that marks an RMCP+ packet.
const RMCP_PLUS: u8 = 6;

/// What an RMCP+ packet carries.
pub(crate) mod payload {
    pub const IPMI: u8 = 0x00;
    pub const OEM: u8 = 0x02;
    pub const OPEN_REQUEST: u8 = 0x10;
    pub const OPEN_RESPONSE: u8 = 0x11;
    pub const RAKP1: u8 = 0x12;
    pub const RAKP2: u8 = 0x13;
    pub const RAKP3: u8 = 0x14;
    pub const RAKP4: u8 = 0x15;
}

/// Authentication types of IPMI 1.5.
pub(crate) mod auth {
    pub const NONE: u8 = 0;
    pub const MD5: u8 = 2;
    pub const STRAIGHT: u8 = 4;
}

/// A packet, split into its fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packet<'a> {
    /// RMCP presence ping.
    Ping { tag: u8 },
    /// A packet of IPMI 1.5, or one outside any session.
    Legacy(Legacy<'a>),
    /// A packet of RMCP+.
    Plus(Plus<'a>),
}

/// A packet of IPMI 1.5.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Legacy<'a> {
    pub auth: u8,
    pub seq: u32,
    pub session: u32,
    pub code: [u8; 16],
    pub payload: &'a [u8],
}

/// A packet of RMCP+.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plus<'a> {
    pub kind: u8,
    pub encrypted: bool,
    pub authenticated: bool,
    pub session: u32,
    pub seq: u32,
    pub payload: &'a [u8],
    /// Everything that an integrity code covers, with the code itself at its end.
    pub body: &'a [u8],
}

impl<'a> Packet<'a> {
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        match reader.array()? {
            // Class 6 is the presence protocol, class 7 is IPMI; neither uses the sequence byte.
            [6, _, _, 6] => ping(reader),
            [6, _, _, 7] => {
                let body = reader.rest();
                if *body.first()? == RMCP_PLUS { plus(body) } else { legacy(body) }
            }
            _ => None,
        }
    }
}

fn ping(mut reader: Reader<'_>) -> Option<Packet<'_>> {
    let asf = reader.array::<4>()? == [0, 0, 0x11, 0xbe];
    let [kind, tag] = reader.array()?;
    (asf && kind == 0x80).then_some(Packet::Ping { tag })
}

/// Makes the answer to a presence ping: IPMI is spoken here.
pub(crate) fn pong(tag: u8) -> Vec<u8> {
    let mut bytes = vec![6, 0, 0xff, 6, 0, 0, 0x11, 0xbe, 0x40, tag, 0, 16, 0, 0, 0x11, 0xbe];
    bytes.extend([0, 0, 0, 0, 0x81, 0, 0, 0, 0, 0, 0, 0]);
    bytes
}

fn legacy(body: &[u8]) -> Option<Packet<'_>> {
    let mut reader = Reader::new(body);
    let auth = reader.byte()?;
    let seq = reader.le32()?;
    let session = reader.le32()?;
    let code = if auth == auth::NONE { [0; 16] } else { reader.array()? };
    let length = reader.byte()?;
    let payload = reader.take(usize::from(length))?;
    Some(Packet::Legacy(Legacy { auth, seq, session, code, payload }))
}

fn plus(body: &[u8]) -> Option<Packet<'_>> {
    let mut reader = Reader::new(body);
    let [_, kind] = reader.array()?;
    // OEM payloads carry six more header bytes; nothing here speaks them.
    if kind & 0x3f == payload::OEM {
        return None;
    }
    let session = reader.le32()?;
    let seq = reader.le32()?;
    let length = reader.le16()?;
    let payload = reader.take(usize::from(length))?;
    Some(Packet::Plus(Plus {
        kind: kind & 0x3f,
        encrypted: kind & 0x80 != 0,
        authenticated: kind & 0x40 != 0,
        session,
        seq,
        payload,
        body,
    }))
}

/// How a message outside any session is wrapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrapping {
    /// As a packet of IPMI 1.5.
    Legacy,
    /// As a packet of RMCP+.
    Plus,
}

impl Wrapping {
    pub fn wrap(self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Legacy => outside(message).encode(),
            Self::Plus => plus_start(payload::IPMI, 0, 0, message),
        }
    }
}

/// A message outside any session.
fn outside(payload: &[u8]) -> Legacy<'_> {
    Legacy { auth: auth::NONE, seq: 0, session: 0, code: [0; 16], payload }
}

impl<'a> Plus<'a> {
    /// The same message as IPMI 1.5 would carry it, when it is one outside any session.
    pub fn outside_session(&self) -> Option<Legacy<'a>> {
        let plain = !self.encrypted && !self.authenticated && self.session == 0;
        (plain && self.kind == payload::IPMI).then(|| outside(self.payload))
    }
}

impl Legacy<'_> {
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(30 + self.payload.len());
        bytes.extend(IPMI);
        bytes.push(self.auth);
        bytes.extend(self.seq.to_le_bytes());
        bytes.extend(self.session.to_le_bytes());
        if self.auth != auth::NONE {
            bytes.extend(self.code);
        }
        bytes.push(u8::try_from(self.payload.len()).unwrap_or(u8::MAX));
        bytes.extend(self.payload);
        bytes
    }
}

/// Starts an RMCP+ packet up to and with its payload.
pub(crate) fn plus_start(kind: u8, session: u32, seq: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(36 + payload.len());
    bytes.extend(IPMI);
    bytes.extend([RMCP_PLUS, kind]);
    bytes.extend(session.to_le_bytes());
    bytes.extend(seq.to_le_bytes());
    bytes.extend(u16::try_from(payload.len()).unwrap_or(u16::MAX).to_le_bytes());
    bytes.extend(payload);
    bytes
}
