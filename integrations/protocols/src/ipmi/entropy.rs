use sha2::{Digest, Sha256};

/// Random bytes grown from a seed: unpredictable as long as the seed is, repeatable when it is known.
///
/// Nonces and initialisation vectors come from here, so that a session needs one call to the
/// operating system and a test needs none.
pub struct Entropy {
    seed: [u8; 32],
    count: u64,
}

impl Entropy {
    /// Grows from `seed`, which must come from the operating system's generator outside tests.
    #[must_use]
    pub fn new(seed: [u8; 32]) -> Self {
        Self { seed, count: 0 }
    }

    /// Gives 16 fresh bytes.
    pub fn bytes16(&mut self) -> [u8; 16] {
        self.count += 1;
        let mut hash = Sha256::new();
        hash.update(self.seed);
        hash.update(self.count.to_le_bytes());
        let mut bytes = [0; 16];
        for (to, from) in bytes.iter_mut().zip(hash.finalize()) {
            *to = from;
        }
        bytes
    }

    /// Gives a fresh number that is not zero, as session ids must be.
    pub fn nonzero(&mut self) -> u32 {
        let [a, b, c, d, ..] = self.bytes16();
        u32::from_le_bytes([a, b, c, d]).max(1)
    }
}
