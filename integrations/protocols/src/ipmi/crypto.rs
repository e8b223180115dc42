//! The three primitives of suites 3 and 17: keyed hashes, AES-CBC and a comparison in constant time.

use aes::{
    Aes128, Block,
    cipher::{BlockModeDecrypt, BlockModeEncrypt, InnerIvInit},
};
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::Suite;

/// A key exchange or integrity code, possibly truncated.
#[derive(Clone, Copy)]
pub(crate) struct Code {
    bytes: [u8; 32],
    len: usize,
}

impl Code {
    fn new(from: &[u8]) -> Self {
        let mut bytes = [0; 32];
        let mut len = 0;
        for (to, byte) in bytes.iter_mut().zip(from) {
            *to = *byte;
            len += 1;
        }
        Self { bytes, len }
    }

    pub fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    pub fn truncated(mut self, len: usize) -> Self {
        self.len = self.len.min(len);
        self
    }

    pub fn matches(&self, other: &[u8]) -> bool {
        same(self.as_slice(), other)
    }
}

/// Compares without telling by the time it takes where the first difference is.
pub(crate) fn same(left: &[u8], right: &[u8]) -> bool {
    left.ct_eq(right).into()
}

/// A hash keyed once and used many times.
#[derive(Clone)]
pub(crate) enum Keyed {
    Sha1(Hmac<Sha1>),
    Sha256(Hmac<Sha256>),
}

impl Keyed {
    /// Keys the hash of `suite`; a key is at most a block of 64 bytes, longer ones do not occur here.
    pub fn new(suite: Suite, key: &[u8]) -> Self {
        // HMAC pads short keys with zeros, so a zero-filled block is the same key.
        let mut block = [0; 64];
        for (to, byte) in block.iter_mut().zip(key) {
            *to = *byte;
        }
        match suite {
            Suite::Three => Self::Sha1(Hmac::new(&block.into())),
            Suite::Seventeen => Self::Sha256(Hmac::new(&block.into())),
        }
    }

    pub fn code(&self, parts: &[&[u8]]) -> Code {
        match self {
            Self::Sha1(mac) => Code::new(&feed(mac.clone(), parts).finalize().into_bytes()),
            Self::Sha256(mac) => Code::new(&feed(mac.clone(), parts).finalize().into_bytes()),
        }
    }
}

fn feed<M: Mac>(mut mac: M, parts: &[&[u8]]) -> M {
    for part in parts {
        mac.update(part);
    }
    mac
}

/// Encrypts whole blocks in place.
pub(crate) fn encrypt(key: &Aes128, iv: [u8; 16], blocks: &mut [u8]) {
    let (blocks, _) = Block::slice_as_chunks_mut(blocks);
    cbc::Encryptor::inner_iv_init(key.clone(), &iv.into()).encrypt_blocks(blocks);
}

/// Decrypts whole blocks in place.
pub(crate) fn decrypt(key: &Aes128, iv: [u8; 16], blocks: &mut [u8]) {
    let (blocks, _) = Block::slice_as_chunks_mut(blocks);
    cbc::Decryptor::inner_iv_init(key.clone(), &iv.into()).decrypt_blocks(blocks);
}
