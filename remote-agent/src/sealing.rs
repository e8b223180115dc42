//! Credentials on their way to one agent (RFC 9180, base mode).

use hpke::{
    Deserializable as _, Kem as _, OpModeR, OpModeS, Serializable as _, aead::ChaCha20Poly1305,
    kdf::HkdfSha256, kem::X25519HkdfSha256, single_shot_open, single_shot_seal,
};
use rackhand_wire::{Secrets, agent::Sealed, id::AgentId};
use std::collections::BTreeMap;
use uuid::Uuid;
use zeroize::{Zeroize as _, Zeroizing};

use crate::proof::{hex, unhex};

type Kem = X25519HkdfSha256;

const INFO: &[u8] = b"rackhand agent credentials, version 1";

/// The private half of an agent's sealing key. It has no `Debug`.
pub struct SealingKey(<Kem as hpke::Kem>::PrivateKey);

impl SealingKey {
    /// Makes a fresh one.
    #[must_use]
    pub fn generate() -> Self {
        Self(Kem::gen_keypair().0)
    }

    /// Reads what [`SealingKey::expose`] gave.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let bytes = Zeroizing::new(unhex(text.trim())?);
        <Kem as hpke::Kem>::PrivateKey::from_bytes(&bytes).ok().map(Self)
    }

    /// Hands out the key, for its file.
    #[must_use]
    pub fn expose(&self) -> Zeroizing<String> {
        let mut bytes = self.0.to_bytes();
        let text = Zeroizing::new(hex(&bytes));
        bytes.as_mut_slice().zeroize();
        text
    }

    /// The public half in hex.
    #[must_use]
    pub fn public(&self) -> String {
        hex(&Kem::sk_to_pk(&self.0).to_bytes())
    }

    /// Opens credentials that were sealed to this key for this purpose: the id of a command or of a device.
    #[must_use]
    pub fn open(&self, agent: AgentId, purpose: Uuid, sealed: &Sealed) -> Option<Secrets> {
        let key = <Kem as hpke::Kem>::EncappedKey::from_bytes(&unhex(&sealed.key)?).ok()?;
        let plain = single_shot_open::<ChaCha20Poly1305, HkdfSha256, Kem>(
            &OpModeR::Base,
            &self.0,
            &key,
            INFO,
            &unhex(&sealed.text)?,
            &context(agent, purpose),
        );
        let plain = Zeroizing::new(plain.ok()?);
        let mut values: BTreeMap<String, String> = serde_json::from_slice(&plain).ok()?;
        let secrets = values.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        for value in values.values_mut() {
            value.zeroize();
        }
        Some(secrets)
    }
}

/// Seals credentials to an agent's public key, for the id of a command or of a device.
///
/// `None` when the key is none.
#[must_use]
pub fn seal(public: &str, agent: AgentId, purpose: Uuid, secrets: &Secrets) -> Option<Sealed> {
    let key = <Kem as hpke::Kem>::PublicKey::from_bytes(&unhex(public)?).ok()?;
    let values: BTreeMap<&str, &str> = secrets.expose_all().collect();
    let plain = Zeroizing::new(serde_json::to_vec(&values).ok()?);
    let sealed = single_shot_seal::<ChaCha20Poly1305, HkdfSha256, Kem>(
        &OpModeS::Base,
        &key,
        INFO,
        &plain,
        &context(agent, purpose),
    );
    let (key, text) = sealed.ok()?;
    Some(Sealed { key: hex(&key.to_bytes()), text: hex(&text) })
}

fn context(agent: AgentId, purpose: Uuid) -> Vec<u8> {
    [agent.0.into_bytes(), purpose.into_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_agent_and_purpose_open_what_was_sealed() {
        let id = |n| Uuid::from_u128(n);
        let (key, other) = (SealingKey::generate(), SealingKey::generate());
        let secrets: Secrets = [("password", "hunter2")].into_iter().collect();
        let sealed = seal(&key.public(), AgentId(id(1)), id(2), &secrets).unwrap();
        assert!(!serde_json::to_string(&sealed).unwrap().contains("hunter2"));
        assert!(key.open(AgentId(id(1)), id(2), &sealed) == Some(secrets.clone()));
        assert!(key.open(AgentId(id(1)), id(3), &sealed).is_none());
        assert!(key.open(AgentId(id(3)), id(2), &sealed).is_none());
        assert!(other.open(AgentId(id(1)), id(2), &sealed).is_none());
        let again = SealingKey::read(&key.expose()).unwrap();
        assert!(again.open(AgentId(id(1)), id(2), &sealed) == Some(secrets));
        assert!(
            SealingKey::read("00").is_none()
                && seal("zz", AgentId(id(1)), id(2), &Secrets::default()).is_none()
        );
    }
}
