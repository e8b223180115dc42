//! Secrets at rest: envelope encryption.
//!
//! Every sealed value has a data key of its own (ChaCha20-Poly1305), itself sealed with the master key.
//! The row's id is authenticated with it, so a sealed value cannot be moved to another row.

use chacha20poly1305::{
    ChaCha20Poly1305, Key, KeyInit, Nonce,
    aead::{Aead, Payload},
};
use hmac::{Hmac, Mac};
use rackhand_wire::Secrets;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use zeroize::{Zeroize, Zeroizing};

use crate::{Error, Result};

const VERSION: u8 = 1;
const NONCE: usize = 12;
const KEY: usize = 32;
const TAG: usize = 16;
const HEADER: usize = 1 + NONCE + KEY + TAG + NONCE;

/// The master key. It has no `Debug`.
pub struct Keyring {
    master: Zeroizing<[u8; KEY]>,
}

impl Keyring {
    /// Takes the master key.
    #[must_use]
    pub fn new(master: [u8; KEY]) -> Self {
        Self { master: Zeroizing::new(master) }
    }

    /// A key that opens nothing: for whoever moves sealed values without reading them.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn none() -> Result<Self> {
        let mut master = [0; KEY];
        getrandom::fill(&mut master).map_err(|_| Error::Sealed)?;
        Ok(Self::new(master))
    }

    /// A name for the key that tells nothing about it; a database remembers which key seals it.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(b"rackhand master key fingerprint");
        hash.update(self.master.as_slice());
        hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }

    /// A name for bytes that may hold secrets: the same bytes have the same name for the same purpose, and
    /// without the master key nobody can tell whether a guess fits it.
    #[must_use]
    pub fn fingerprint_of(&self, purpose: &str, bytes: &[u8]) -> String {
        let key = Zeroizing::new(keyed(self.master.as_slice(), purpose.as_bytes()));
        keyed(key.as_slice(), bytes).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Seals secrets for the row named by `owner`.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn seal(&self, owner: &[u8], secrets: &Secrets) -> Result<Vec<u8>> {
        let plain: BTreeMap<&str, &str> = secrets.expose_all().collect();
        let plain = Zeroizing::new(serde_json::to_vec(&plain)?);
        let mut data_key = Zeroizing::new([0_u8; KEY]);
        let (mut outer, mut inner) = ([0_u8; NONCE], [0_u8; NONCE]);
        for buffer in [data_key.as_mut_slice(), outer.as_mut_slice(), inner.as_mut_slice()] {
            getrandom::fill(buffer).map_err(|_| Error::Sealed)?;
        }
        let wrapped = encrypt(&self.master, &outer, owner, data_key.as_slice())?;
        let body = encrypt(&data_key, &inner, owner, &plain)?;
        let mut sealed = Vec::with_capacity(HEADER + body.len());
        sealed.push(VERSION);
        sealed.extend_from_slice(&outer);
        sealed.extend_from_slice(&wrapped);
        sealed.extend_from_slice(&inner);
        sealed.extend_from_slice(&body);
        Ok(sealed)
    }

    /// Opens what was sealed for `owner`.
    ///
    /// # Errors
    /// [`Error::Sealed`] with another key, another owner or a changed byte.
    pub fn open(&self, owner: &[u8], sealed: &[u8]) -> Result<Secrets> {
        let part = |from: usize, to: usize| sealed.get(from..to).ok_or(Error::Sealed);
        if sealed.first() != Some(&VERSION) {
            return Err(Error::Sealed);
        }
        let outer = part(1, 1 + NONCE)?;
        let wrapped = part(1 + NONCE, 1 + NONCE + KEY + TAG)?;
        let inner = part(HEADER - NONCE, HEADER)?;
        let body = sealed.get(HEADER..).ok_or(Error::Sealed)?;
        let data_key: Zeroizing<Vec<u8>> = decrypt(self.master.as_slice(), outer, owner, wrapped)?;
        let plain = decrypt(&data_key, inner, owner, body)?;
        let mut values: BTreeMap<String, String> = serde_json::from_slice(&plain)?;
        let secrets = values.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        values.values_mut().for_each(Zeroize::zeroize);
        Ok(secrets)
    }
}

/// HMAC-SHA-256 with a key of 32 bytes, which HMAC itself fills up with zeros.
fn keyed(key: &[u8], bytes: &[u8]) -> [u8; KEY] {
    let mut block = hmac::digest::Key::<Hmac<Sha256>>::default();
    block.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
    let mut mac = <Hmac<Sha256> as KeyInit>::new(&block);
    block.as_mut_slice().zeroize();
    mac.update(bytes);
    mac.finalize().into_bytes().into()
}

fn encrypt(key: &[u8; KEY], nonce: &[u8; NONCE], owner: &[u8], plain: &[u8]) -> Result<Vec<u8>> {
    let cipher = ChaCha20Poly1305::new(&Key::from(*key));
    cipher.encrypt(&Nonce::from(*nonce), Payload { msg: plain, aad: owner }).map_err(|_| Error::Sealed)
}

fn decrypt(key: &[u8], nonce: &[u8], owner: &[u8], body: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
    let key: [u8; KEY] = key.try_into().map_err(|_| Error::Sealed)?;
    let nonce: [u8; NONCE] = nonce.try_into().map_err(|_| Error::Sealed)?;
    let cipher = ChaCha20Poly1305::new(&Key::from(key));
    let plain = cipher.decrypt(&Nonce::from(nonce), Payload { msg: body, aad: owner });
    plain.map(Zeroizing::new).map_err(|_| Error::Sealed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets() -> Secrets {
        [("password", "hunter2"), ("kg", "0x00")].into_iter().collect()
    }

    #[test]
    fn only_the_same_key_and_row_open_it() {
        let ring = Keyring::new([7; 32]);
        let sealed = ring.seal(b"row 1", &secrets()).unwrap();
        assert!(ring.open(b"row 1", &sealed).unwrap() == secrets());
        assert!(ring.open(b"row 2", &sealed).is_err());
        assert!(Keyring::new([8; 32]).open(b"row 1", &sealed).is_err());
        assert!(!sealed.windows(7).any(|window| window == b"hunter2"));
    }

    #[test]
    fn a_fingerprint_depends_on_key_purpose_and_bytes() {
        let ring = Keyring::new([7; 32]);
        let print = ring.fingerprint_of("a", b"hunter2");
        assert_eq!(print, ring.fingerprint_of("a", b"hunter2"));
        assert_ne!(print, ring.fingerprint_of("b", b"hunter2"));
        assert_ne!(print, ring.fingerprint_of("a", b"hunter3"));
        assert_ne!(print, Keyring::new([8; 32]).fingerprint_of("a", b"hunter2"));
    }

    #[test]
    fn hmac_is_that_of_its_standard() {
        // RFC 4231, test case 1, whose key of 20 bytes is filled up the same way.
        let expected = "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7";
        let told: String = keyed(&[0x0b; 20], b"Hi There").iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(told, expected);
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        let ring = Keyring::new([7; 32]);
        let sealed = ring.seal(b"row", &secrets()).unwrap();
        for at in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[at] ^= 1;
            assert!(ring.open(b"row", &damaged).is_err(), "byte {at}");
        }
    }
}
