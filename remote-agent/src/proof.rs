//! The proof that an agent is the one of its certificate: a signature over the backend's nonce.
//!
//! Both sides use this file, so that they cannot differ in what is signed.

use rackhand_wire::agent::{Challenge, Hello, Signed};
use rcgen::{KeyPair, SigningKey as _};
use ring::signature::{ECDSA_P256_SHA256_ASN1, ED25519, UnparsedPublicKey};
use sha2::{Digest, Sha256};
use x509_parser::{
    oid_registry::{OID_KEY_TYPE_EC_PUBLIC_KEY, OID_SIG_ED25519},
    x509::SubjectPublicKeyInfo,
};

/// Label of the TLS exporter (RFC 8446 section 7.5) that binds a hello to its connection.
pub const EXPORTER: &[u8] = b"EXPORTER-rackhand-agent-hello";

/// Keying material of the connection under the hello, when TLS ends at the backend itself.
pub type Binding = Option<[u8; 32]>;

/// Signs a hello.
///
/// # Errors
/// When the key cannot sign.
pub fn sign(
    key: &KeyPair,
    certificate: &str,
    challenge: &Challenge,
    binding: Binding,
    hello: &Hello,
) -> Result<Signed, rcgen::Error> {
    let hello = serde_json::to_string(hello).map_err(|_| rcgen::Error::RemoteKeyError)?;
    let signature = key.sign(&message(&challenge.nonce, binding, &hello))?;
    Ok(Signed { hello, certificate: certificate.to_owned(), signature: hex(&signature) })
}

/// Says whether a hello was signed by this key for this nonce on this connection.
#[must_use]
pub fn fits(key: &SubjectPublicKeyInfo<'_>, nonce: &str, binding: Binding, signed: &Signed) -> bool {
    let Some(signature) = unhex(&signed.signature) else { return false };
    let message = message(nonce, binding, &signed.hello);
    let point = key.subject_public_key.data.as_ref();
    if key.algorithm.algorithm == OID_SIG_ED25519 {
        return UnparsedPublicKey::new(&ED25519, point).verify(&message, &signature).is_ok();
    }
    key.algorithm.algorithm == OID_KEY_TYPE_EC_PUBLIC_KEY
        && UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point).verify(&message, &signature).is_ok()
}

/// Names a public key: SHA-256 of its `SubjectPublicKeyInfo` (RFC 5280 section 4.1.2.7).
#[must_use]
pub fn key_name(spki_der: &[u8]) -> String {
    hex(&Sha256::digest(spki_der))
}

/// Every part with its length before it, so that no two texts give the same bytes.
fn message(nonce: &str, binding: Binding, hello: &str) -> Vec<u8> {
    let mut message = b"rackhand agent hello, version 1".to_vec();
    for part in [nonce.as_bytes(), binding.as_ref().map_or(&[], |binding| binding), hello.as_bytes()] {
        message.extend_from_slice(&(part.len() as u64).to_be_bytes());
        message.extend_from_slice(part);
    }
    message
}

/// Writes bytes in hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads hexadecimal.
#[must_use]
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use rackhand_wire::{
        agent::{BootId, Protocols},
        id::AgentId,
    };
    use rcgen::{PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PublicKeyData as _};
    use x509_parser::prelude::FromDer as _;

    use super::*;

    fn hello() -> Hello {
        Hello {
            agent: AgentId(uuid::Uuid::from_u128(1)),
            boot: BootId(uuid::Uuid::from_u128(2)),
            protocols: Protocols::OURS,
            version: "1.0".into(),
            host: "rack-7".into(),
            kinds: std::collections::BTreeMap::default(),
            watching: None,
        }
    }

    #[test]
    fn only_this_key_nonce_connection_and_hello_fit() {
        for algorithm in [&PKCS_ED25519, &PKCS_ECDSA_P256_SHA256] {
            let (key, other) =
                (KeyPair::generate_for(algorithm).unwrap(), KeyPair::generate_for(algorithm).unwrap());
            let challenge = Challenge { nonce: "aa".into(), protocols: Protocols::OURS, binding: true };
            let binding = Some([7; 32]);
            let signed = sign(&key, "", &challenge, binding, &hello()).unwrap();
            let (own, others) = (key.subject_public_key_info(), other.subject_public_key_info());
            let (_, own) = SubjectPublicKeyInfo::from_der(&own).unwrap();
            let (_, others) = SubjectPublicKeyInfo::from_der(&others).unwrap();
            assert!(fits(&own, "aa", binding, &signed));
            assert!(!fits(&others, "aa", binding, &signed));
            assert!(!fits(&own, "ab", binding, &signed));
            assert!(!fits(&own, "aa", None, &signed));
            let changed = Signed { hello: signed.hello.replace("rack-7", "rack-8"), ..signed.clone() };
            assert!(!fits(&own, "aa", binding, &changed));
            let torn = Signed { signature: "0g".into(), ..signed };
            assert!(!fits(&own, "aa", binding, &torn));
        }
    }

    #[test]
    fn hexadecimal_is_read_as_it_was_written() {
        assert_eq!(unhex(&hex(&[0, 15, 255])), Some(vec![0, 15, 255]));
        for wrong in ["0", "0g", "é0", "+1"] {
            assert_eq!(unhex(wrong), None, "{wrong}");
        }
    }
}
