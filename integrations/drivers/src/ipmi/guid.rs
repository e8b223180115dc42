//! The GUID of a managed system as text: what is pinned when a BMC is added.

use super::settings::hexadecimal;

/// Writes a GUID in the order in which it came over the wire. BMCs disagree on which bytes come first, so
/// the text identifies a machine, but need not be the one printed by its firmware.
pub(super) fn text(guid: [u8; 16]) -> String {
    let mut text = String::with_capacity(36);
    for (place, byte) in guid.iter().enumerate() {
        if matches!(place, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.extend(
            [byte >> 4, byte & 0x0f].into_iter().filter_map(|digit| char::from_digit(digit.into(), 16)),
        );
    }
    text
}

/// Reads what [`text`] wrote.
pub(super) fn parse(text: &str) -> Option<[u8; 16]> {
    hexadecimal(&text.replace('-', ""))?.try_into().ok()
}
