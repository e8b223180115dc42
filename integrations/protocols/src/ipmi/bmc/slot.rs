use std::time::Duration;

use super::super::{
    Entropy, Level, Suite,
    crypto::Code,
    keys::{Exchange, Keys},
    legacy::Signature,
    sealed,
    window::Window,
};

/// One session, open or on its way.
pub(super) struct Slot {
    pub id: u32,
    pub touched: Duration,
    pub state: State,
}

pub(super) enum State {
    /// Open Session was answered.
    Begun { suite: Suite, console_id: u32 },
    /// RAKP 1 was answered.
    Proved { exchange: Box<Exchange>, limit: Level },
    /// Get Session Challenge was answered.
    Challenged { signature: Signature, challenge: [u8; 16] },
    /// Open.
    Open(Box<Live>),
}

/// An open session.
pub(super) struct Live {
    pub line: Line,
    pub level: Level,
    pub limit: Level,
    pub inbound: Window,
    pub outbound: u32,
}

/// How packets of an open session are protected, seen from the BMC.
pub(super) enum Line {
    Plus { exchange: Box<Exchange>, session_key: Code, keys: Box<Keys> },
    Legacy { signature: Signature, password: [u8; 16] },
}

impl Slot {
    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Open(_))
    }
}

impl Live {
    /// Seals a message for the console of the session that the BMC calls `id`.
    pub fn seal(&mut self, id: u32, message: &[u8], entropy: &mut Entropy) -> Vec<u8> {
        let seq = self.outbound;
        self.outbound = seq.wrapping_add(1).max(1);
        match &self.line {
            Line::Plus { exchange, keys, .. } => {
                sealed::seal(keys, exchange.console_id, seq, entropy.bytes16(), message)
            }
            Line::Legacy { signature, password } => signature.seal(*password, id, seq, message),
        }
    }
}
