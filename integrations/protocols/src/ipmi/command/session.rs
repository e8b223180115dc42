//! Commands about channels and sessions.

/// Get Channel Authentication Capabilities.
pub const AUTH_CAPABILITIES: u8 = 0x38;
/// Get Session Challenge (IPMI 1.5).
pub const CHALLENGE: u8 = 0x39;
/// Activate Session (IPMI 1.5).
pub const ACTIVATE: u8 = 0x3a;
/// Set Session Privilege Level.
pub const SET_LEVEL: u8 = 0x3b;
/// Close Session.
pub const CLOSE: u8 = 0x3c;
/// Get Channel Cipher Suites.
pub const CIPHER_SUITES: u8 = 0x54;

/// "The channel over which this request came."
pub(crate) const THIS_CHANNEL: u8 = 0x0e;
/// Asks for, and marks, the 2.0 form of the capabilities.
pub(crate) const EXTENDED: u8 = 0x80;

/// Answer to Get Channel Authentication Capabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Capabilities {
    /// Bits of the signatures that IPMI 1.5 sessions may use.
    pub signatures: u8,
    /// RMCP+ is spoken.
    pub speaks_plus: bool,
}

impl Capabilities {
    pub fn parse(data: &[u8]) -> Option<Self> {
        let [_channel, kinds, _status, extended, ..] = *data else { return None };
        Some(Self { signatures: kinds & 0x3f, speaks_plus: kinds & EXTENDED != 0 && extended & 0x02 != 0 })
    }
}
