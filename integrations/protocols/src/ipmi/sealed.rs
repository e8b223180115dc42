//! Packets of an open RMCP+ session: encrypted and signed.

use super::{
    crypto,
    keys::Keys,
    packet::{Plus, payload, plus_start},
    reader::Reader,
};

const ENCRYPTED_AND_SIGNED: u8 = 0xc0;
/// Length of the RMCP header, which the integrity code does not cover.
const RMCP_HEADER: usize = 4;

/// Encrypts and signs a message for the session `session` of the other end.
pub(crate) fn seal(keys: &Keys, session: u32, seq: u32, iv: [u8; 16], message: &[u8]) -> Vec<u8> {
    let mut cipher = Vec::with_capacity(message.len() + 33);
    cipher.extend(message);
    let padding = 15 - message.len() % 16;
    cipher.extend((1_u8..).take(padding));
    cipher.push(u8::try_from(padding).unwrap_or(0));
    crypto::encrypt(&keys.cipher, iv, &mut cipher);
    let mut carried = Vec::with_capacity(16 + cipher.len());
    carried.extend(iv);
    carried.extend(cipher);

    let mut packet = plus_start(ENCRYPTED_AND_SIGNED | payload::IPMI, session, seq, &carried);
    // The signed part, with pad length and next header, is a multiple of four.
    let padding = (4 - (packet.len() - RMCP_HEADER + 2) % 4) % 4;
    packet.extend(std::iter::repeat_n(0xff, padding));
    packet.extend([u8::try_from(padding).unwrap_or(0), 7]);
    let code = keys.integrity.code(&[packet.get(RMCP_HEADER..).unwrap_or_default()]);
    packet.extend(code.truncated(keys.suite.tag_len()).as_slice());
    packet
}

/// Verifies and decrypts a packet; `None` is a packet that the other end of this session did not send.
pub(crate) fn open(keys: &Keys, packet: &Plus<'_>) -> Option<Vec<u8>> {
    if !packet.encrypted || !packet.authenticated || packet.kind != payload::IPMI {
        return None;
    }
    let signed_len = packet.body.len().checked_sub(keys.suite.tag_len())?;
    let (signed, code) = packet.body.split_at_checked(signed_len)?;
    if !keys.integrity.code(&[signed]).truncated(keys.suite.tag_len()).matches(code) {
        return None;
    }
    let mut reader = Reader::new(packet.payload);
    let iv = reader.array()?;
    let mut plain = reader.rest().to_vec();
    if plain.is_empty() || !plain.len().is_multiple_of(16) {
        return None;
    }
    crypto::decrypt(&keys.cipher, iv, &mut plain);
    let padding = usize::from(plain.pop()?);
    plain.truncate(plain.len().checked_sub(padding)?);
    Some(plain)
}
