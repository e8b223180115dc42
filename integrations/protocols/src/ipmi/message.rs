//! The IPMI message inside a LAN packet: addresses, sequence number, command and two checksums.

use super::reader::Reader;

/// Address of the BMC.
const BMC: u8 = 0x20;
/// Address of a remote console.
const CONSOLE: u8 = 0x81;

/// A message; `body` of a response starts with its completion code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Message<'a> {
    /// Function group as it stands on the wire: even asks, odd answers.
    pub netfn: u8,
    pub lun: u8,
    pub seq: u8,
    pub command: u8,
    pub body: &'a [u8],
}

impl<'a> Message<'a> {
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (header, rest) = bytes.split_at_checked(3)?;
        let (&sum, content) = rest.split_last()?;
        let sums_agree = header.iter().copied().fold(0, u8::wrapping_add) == 0
            && content.iter().copied().fold(sum, u8::wrapping_add) == 0;
        let [_to, netfn_lun, _] = Reader::new(header).array()?;
        let mut reader = Reader::new(content);
        let [_from, seq_lun, command] = reader.array()?;
        sums_agree.then_some(Self {
            netfn: netfn_lun >> 2,
            lun: netfn_lun & 3,
            seq: seq_lun >> 2,
            command,
            body: reader.rest(),
        })
    }

    pub fn is_request(&self) -> bool {
        self.netfn.is_multiple_of(2)
    }

    pub fn encode(&self) -> Vec<u8> {
        let (to, from) = if self.is_request() { (BMC, CONSOLE) } else { (CONSOLE, BMC) };
        let mut bytes = Vec::with_capacity(7 + self.body.len());
        let netfn_lun = self.netfn << 2 | self.lun;
        bytes.extend([to, netfn_lun, checksum(&[to, netfn_lun])]);
        let head = [from, self.seq << 2 | self.lun, self.command];
        let sum = checksum(&head).wrapping_add(checksum(self.body));
        bytes.extend(head);
        bytes.extend(self.body);
        bytes.push(sum);
        bytes
    }
}

fn checksum(bytes: &[u8]) -> u8 {
    bytes.iter().copied().fold(0, u8::wrapping_add).wrapping_neg()
}
