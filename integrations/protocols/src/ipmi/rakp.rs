//! Payloads of the RMCP+ handshake: Open Session and RAKP 1 to 4, written and read by either end.

use super::{Suite, reader::Reader};

/// Status codes of the handshake.
pub(crate) mod status {
    pub const OK: u8 = 0x00;
    pub const NO_RESOURCES: u8 = 0x01;
    pub const INVALID_SESSION: u8 = 0x02;
    pub const INVALID_AUTHENTICATION: u8 = 0x04;
    pub const INVALID_INTEGRITY: u8 = 0x05;
    pub const NO_AUTHENTICATION_PAYLOAD: u8 = 0x06;
    pub const NO_INTEGRITY_PAYLOAD: u8 = 0x07;
    pub const INACTIVE_SESSION: u8 = 0x08;
    pub const INVALID_ROLE: u8 = 0x09;
    pub const UNAUTHORIZED_ROLE: u8 = 0x0a;
    pub const NO_RESOURCES_AT_ROLE: u8 = 0x0b;
    pub const INVALID_NAME_LENGTH: u8 = 0x0c;
    pub const UNAUTHORIZED_NAME: u8 = 0x0d;
    pub const INVALID_CODE: u8 = 0x0f;
    pub const INVALID_CONFIDENTIALITY: u8 = 0x10;
    pub const NO_CIPHER_MATCH: u8 = 0x11;
}

/// RAKP 1's wish to find the account by its name alone, whatever its level.
pub(crate) const BY_NAME_ONLY: u8 = 0x10;

/// Open Session Request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OpenRequest {
    pub tag: u8,
    /// Zero asks for the highest level.
    pub level: u8,
    pub console_id: u32,
    pub algorithms: [u8; 3],
}

impl OpenRequest {
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![self.tag, self.level, 0, 0];
        bytes.extend(self.console_id.to_le_bytes());
        bytes.extend(algorithm_fields(self.algorithms));
        bytes
    }

    pub fn parse(payload: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(payload);
        let [tag, level, _, _] = reader.array()?;
        let console_id = reader.le32()?;
        Some(Self { tag, level, console_id, algorithms: parse_algorithms(&mut reader)? })
    }
}

/// Open Session Response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OpenResponse {
    pub tag: u8,
    pub status: u8,
    pub level: u8,
    pub console_id: u32,
    /// BMC's session id and algorithms; absent when it refused.
    pub accepted: Option<(u32, [u8; 3])>,
}

impl OpenResponse {
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![self.tag, self.status, self.level, 0];
        bytes.extend(self.console_id.to_le_bytes());
        if let Some((bmc_id, algorithms)) = self.accepted {
            bytes.extend(bmc_id.to_le_bytes());
            bytes.extend(algorithm_fields(algorithms));
        }
        bytes
    }

    pub fn parse(payload: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(payload);
        let [tag, status] = reader.array()?;
        // A refusing BMC may stop here or leave out the session ids.
        let [level, _] = reader.array().unwrap_or_default();
        let console_id = reader.le32().unwrap_or_default();
        let accepted = match status {
            status::OK => Some((reader.le32()?, parse_algorithms(&mut reader)?)),
            _ => None,
        };
        Some(Self { tag, status, level, console_id, accepted })
    }
}

fn algorithm_fields([authentication, integrity, confidentiality]: [u8; 3]) -> [u8; 24] {
    [
        0,
        0,
        0,
        8,
        authentication,
        0,
        0,
        0, //
        1,
        0,
        0,
        8,
        integrity,
        0,
        0,
        0, //
        2,
        0,
        0,
        8,
        confidentiality,
        0,
        0,
        0,
    ]
}

fn parse_algorithms(reader: &mut Reader<'_>) -> Option<[u8; 3]> {
    let mut numbers = [0; 3];
    for (kind, number) in (0..).zip(&mut numbers) {
        let [found, _, _, length, value, _, _, _] = reader.array()?;
        // Length zero is the wildcard "propose one"; as a number nobody uses it matches no suite.
        *number = if length == 0 { 0xff } else { value & 0x3f };
        if found != kind {
            return None;
        }
    }
    Some(numbers)
}

/// RAKP message 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rakp1<'a> {
    pub tag: u8,
    pub bmc_id: u32,
    pub console_random: [u8; 16],
    pub role: u8,
    pub user: &'a [u8],
}

impl<'a> Rakp1<'a> {
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![self.tag, 0, 0, 0];
        bytes.extend(self.bmc_id.to_le_bytes());
        bytes.extend(self.console_random);
        bytes.extend([self.role, 0, 0, u8::try_from(self.user.len()).unwrap_or(u8::MAX)]);
        bytes.extend(self.user);
        bytes
    }

    pub fn parse(payload: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(payload);
        let [tag, _, _, _] = reader.array()?;
        let bmc_id = reader.le32()?;
        let console_random = reader.array()?;
        let [role, _, _, length] = reader.array()?;
        Some(Self { tag, bmc_id, console_random, role, user: reader.take(usize::from(length))? })
    }
}

/// RAKP message 2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rakp2<'a> {
    pub tag: u8,
    pub status: u8,
    pub console_id: u32,
    /// Random number, GUID and proof; absent when the BMC refused.
    pub proof: Option<([u8; 16], [u8; 16], &'a [u8])>,
}

impl<'a> Rakp2<'a> {
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![self.tag, self.status, 0, 0];
        bytes.extend(self.console_id.to_le_bytes());
        if let Some((random, guid, code)) = self.proof {
            bytes.extend(random);
            bytes.extend(guid);
            bytes.extend(code);
        }
        bytes
    }

    pub fn parse(payload: &'a [u8], suite: Suite) -> Option<Self> {
        let mut reader = Reader::new(payload);
        let [tag, status, _, _] = reader.array()?;
        let console_id = reader.le32()?;
        let proof = match status {
            status::OK => Some((reader.array()?, reader.array()?, reader.take(suite.digest_len())?)),
            _ => None,
        };
        Some(Self { tag, status, console_id, proof })
    }
}

/// RAKP message 3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rakp3<'a> {
    pub tag: u8,
    pub status: u8,
    pub bmc_id: u32,
    pub code: &'a [u8],
}

impl<'a> Rakp3<'a> {
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![self.tag, self.status, 0, 0];
        bytes.extend(self.bmc_id.to_le_bytes());
        bytes.extend(self.code);
        bytes
    }

    pub fn parse(payload: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(payload);
        let [tag, status, _, _] = reader.array()?;
        let bmc_id = reader.le32()?;
        Some(Self { tag, status, bmc_id, code: reader.rest() })
    }
}

/// RAKP message 4.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rakp4<'a> {
    pub tag: u8,
    pub status: u8,
    pub console_id: u32,
    pub code: &'a [u8],
}

impl<'a> Rakp4<'a> {
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![self.tag, self.status, 0, 0];
        bytes.extend(self.console_id.to_le_bytes());
        bytes.extend(self.code);
        bytes
    }

    pub fn parse(payload: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(payload);
        let [tag, status, _, _] = reader.array()?;
        let console_id = reader.le32()?;
        Some(Self { tag, status, console_id, code: reader.rest() })
    }
}
