use super::super::{
    Entropy,
    keys::Keys,
    legacy::Signature,
    packet::{Legacy, Packet, auth},
    sealed,
    window::Window,
};

/// Whether each packet of an IPMI 1.5 session is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PerMessage {
    Signed,
    Unsigned,
}

/// An open session, seen from the console: how its packets are sealed and opened.
pub(super) enum Line {
    /// RMCP+. The keys are this session's own, so that its first packet may bear any number.
    Plus { keys: Box<Keys>, console_id: u32, bmc_id: u32, seq: u32, inbound: Option<Window> },
    /// IPMI 1.5. What it signs with outlives the session, so that the numbers start where this end said.
    Legacy {
        signature: Signature,
        per_message: PerMessage,
        password: [u8; 16],
        id: u32,
        seq: u32,
        inbound: Window,
    },
}

impl Line {
    /// Seals a message under a session sequence number that was not used before.
    pub fn seal(&mut self, message: &[u8], entropy: &mut Entropy) -> Vec<u8> {
        match self {
            Self::Plus { keys, bmc_id, seq, .. } => {
                *seq = next(*seq);
                sealed::seal(keys, *bmc_id, *seq, entropy.bytes16(), message)
            }
            Self::Legacy { signature, per_message, password, id, seq, .. } => {
                let packet = match per_message {
                    PerMessage::Signed => signature.seal(*password, *id, *seq, message),
                    PerMessage::Unsigned => {
                        Legacy { auth: auth::NONE, seq: *seq, session: *id, code: [0; 16], payload: message }
                            .encode()
                    }
                };
                // The BMC gave the number of the first packet.
                *seq = next(*seq);
                packet
            }
        }
    }

    /// The BMC's id of the session.
    pub fn bmc_id(&self) -> u32 {
        match self {
            Self::Plus { bmc_id, .. } => *bmc_id,
            Self::Legacy { id, .. } => *id,
        }
    }

    /// Opens a packet of this session; `None` is somebody else's, or one that came before.
    pub fn open(&mut self, packet: &Packet<'_>) -> Option<Vec<u8>> {
        match (self, packet) {
            (Self::Plus { keys, console_id, inbound, .. }, Packet::Plus(plus))
                if plus.session == *console_id =>
            {
                let message = sealed::open(keys, plus)?;
                let window = inbound.get_or_insert_with(|| Window::before(plus.seq));
                window.accept(plus.seq).then_some(message)
            }
            (Self::Legacy { signature, per_message, password, id, inbound, .. }, Packet::Legacy(legacy))
                if legacy.session == *id =>
            {
                // Without a signature the number says nothing; BMCs leave it at zero.
                let unsigned_is_fine = *per_message == PerMessage::Unsigned && legacy.auth == auth::NONE;
                let counts =
                    unsigned_is_fine || signature.is_genuine(legacy, *password) && inbound.accept(legacy.seq);
                counts.then(|| legacy.payload.to_vec())
            }
            (
                Self::Plus { .. } | Self::Legacy { .. },
                Packet::Ping { .. } | Packet::Plus(_) | Packet::Legacy(_),
            ) => None,
        }
    }
}

/// Zero means "outside any session" and is passed over.
fn next(seq: u32) -> u32 {
    seq.wrapping_add(1).max(1)
}
