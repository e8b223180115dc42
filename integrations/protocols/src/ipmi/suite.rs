/// A cipher suite of IPMI 2.0. Only suites that authenticate and encrypt are spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suite {
    /// HMAC-SHA1, SHA1-96, AES-CBC-128.
    Three,
    /// HMAC-SHA256, SHA256-128, AES-CBC-128.
    Seventeen,
}

impl Suite {
    /// Both, the stronger first.
    pub const ALL: [Self; 2] = [Self::Seventeen, Self::Three];

    /// The number that people know.
    #[must_use]
    pub fn id(self) -> u8 {
        match self {
            Self::Three => 3,
            Self::Seventeen => 17,
        }
    }

    /// Algorithm numbers for authentication, integrity and confidentiality.
    pub(crate) fn algorithms(self) -> [u8; 3] {
        match self {
            Self::Three => [1, 1, 1],
            Self::Seventeen => [3, 4, 1],
        }
    }

    pub(crate) fn from_algorithms(numbers: [u8; 3]) -> Option<Self> {
        Self::ALL.into_iter().find(|suite| suite.algorithms() == numbers)
    }

    /// Length of a key exchange code.
    pub(crate) fn digest_len(self) -> usize {
        match self {
            Self::Three => 20,
            Self::Seventeen => 32,
        }
    }

    /// Length of a truncated integrity code.
    pub(crate) fn tag_len(self) -> usize {
        match self {
            Self::Three => 12,
            Self::Seventeen => 16,
        }
    }

    /// Packs suites as Get Channel Cipher Suites answers them.
    pub(crate) fn records(suites: &[Self]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for suite in suites {
            let [authentication, integrity, confidentiality] = suite.algorithms();
            bytes.extend([0xc0, suite.id(), authentication, 0x40 | integrity, 0x80 | confidentiality]);
        }
        bytes
    }

    /// Lists the suite numbers in such records; OEM records (0xC1) are passed over.
    pub(crate) fn ids_in_records(bytes: &[u8]) -> Vec<u8> {
        let mut ids = Vec::new();
        let mut previous = 0;
        for &byte in bytes {
            if previous == 0xc0 {
                ids.push(byte);
                previous = 0;
            } else {
                previous = byte;
            }
        }
        ids
    }
}
