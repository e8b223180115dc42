//! What holds for every message on the agents' line, however odd: it is read or refused without a panic and in
//! bounded memory, and what was read is written and read again as the same.
//!
//! Start with [`meet`]: it reads a message in every way in which either side would before it trusts the other.

use peak_alloc::PeakAlloc;
use rackhand_agent::{
    proof,
    sealing::{self, SealingKey},
};
use rackhand_wire::{
    agent::{
        Answer, Challenge, Hello, Packet, Sealed, Signed, ToAgent, ToBackend, Unread,
        enrol::{Enrol, Enrolled},
        read,
    },
    id::AgentId,
};
use rcgen::CertificateSigningRequestParams;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::sync::LazyLock;
use uuid::Uuid;
use x509_parser::pem::parse_x509_pem;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Bytes of memory that reading may take per byte of a message; messages are at most 1 MiB long.
#[derive(Debug, Clone, Copy)]
enum Bound {
    /// What is read of anybody: texts and small maps.
    Stranger = 32,
    /// What is read of a side that has proved who it is, by its hello or its TLS: it may be any JSON.
    Proved = 192,
}

/// Memory that any reading may take: an error and its words.
const ALWAYS: usize = 4096;

/// Reads a message in every way that either side would.
pub fn meet(message: &[u8]) {
    if let Some(ask) = stable(Bound::Stranger, message, |bytes| serde_json::from_slice::<Enrol>(bytes).ok()) {
        enrol(&ask);
    }
    // A WebSocket's text is UTF-8 before anybody reads it.
    let Ok(text) = std::str::from_utf8(message) else { return };
    plain::<Challenge>(Bound::Stranger, text);
    plain::<Answer>(Bound::Proved, text);
    plain::<Enrolled>(Bound::Stranger, text);
    plain::<Hello>(Bound::Stranger, text);
    if let Some(signed) = plain::<Signed>(Bound::Stranger, text) {
        prove(&signed);
    }
    frame::<ToBackend>(text, &ToBackend::KNOWN);
    if let Some(Packet { sealed: Some(sealed), .. }) = frame::<Packet>(text, &ToAgent::KNOWN) {
        open(&sealed);
    }
}

fn plain<T: Serialize + DeserializeOwned>(bound: Bound, text: &str) -> Option<T> {
    stable(bound, text.as_bytes(), |bytes| serde_json::from_slice(bytes).ok())
}

fn frame<T: Serialize + DeserializeOwned>(text: &str, known: &[&str]) -> Option<T> {
    stable(Bound::Proved, text.as_bytes(), |bytes| match read::<T>(std::str::from_utf8(bytes).ok()?, known) {
        Ok(frame) => Some(frame),
        Err(Unread::Unknown(name)) => {
            assert!(!known.contains(&name.as_str()), "{name} is passed over although it is known");
            None
        }
        Err(Unread::Malformed(_)) => None,
    })
}

/// Reads in bounded memory; what was read is written and read again as the same.
fn stable<T: Serialize>(bound: Bound, bytes: &[u8], read: impl Fn(&[u8]) -> Option<T>) -> Option<T> {
    MEMORY.reset_peak_usage();
    let before = MEMORY.current_usage();
    let found = read(bytes);
    let taken = MEMORY.peak_usage().saturating_sub(before);
    let most = ALWAYS + bytes.len() * bound as usize;
    assert!(taken <= most, "{taken} bytes of memory for {} bytes of message, {most} may be", bytes.len());
    let found = found?;
    let written = serde_json::to_value(&found).unwrap_or_default();
    let again = read(written.to_string().as_bytes()).and_then(|again| serde_json::to_value(&again).ok());
    assert!(again.as_ref().is_some_and(|again| same(again, &written)), "{written} is read as {again:?}");
    Some(found)
}

/// Compares JSON; numbers with a fraction may differ in their last digit, which is where reading them is not exact.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            let pairs = one.iter().zip(other);
            one.len() == other.len()
                && pairs.into_iter().all(|(one, other)| one.0 == other.0 && same(one.1, other.1))
        }
        (Value::Number(one), Value::Number(other)) if one.is_f64() && other.is_f64() => {
            let (one, other) = (one.as_f64().unwrap_or_default(), other.as_f64().unwrap_or_default());
            (one - other).abs() <= one.abs() * 1e-15
        }
        (one, other) => one == other,
    }
}

/// What the backend does with a request before it knows who asks.
fn enrol(ask: &Enrol) {
    if let Ok(request) = CertificateSigningRequestParams::from_pem(&ask.request) {
        drop(rcgen::PublicKeyData::subject_public_key_info(&request.public_key));
    }
    let probe = [("probe", "")].into_iter().collect();
    if let Some(sealed) = sealing::seal(&ask.sealing_key, AgentId(Uuid::nil()), Uuid::nil(), &probe) {
        open(&sealed);
    }
}

/// What the backend does with a hello before it knows who speaks.
fn prove(signed: &Signed) {
    plain::<Hello>(Bound::Stranger, &signed.hello);
    let Ok((_, pem)) = parse_x509_pem(signed.certificate.as_bytes()) else { return };
    let Ok(certificate) = pem.parse_x509() else { return };
    let names = certificate.subject_alternative_name();
    drop(names.map(|names| names.map(|names| names.value.general_names.len())));
    let key = certificate.public_key();
    let fits = proof::fits(key, "00", Some([0; 32]), signed);
    assert_eq!(fits, proof::fits(key, "00", Some([0; 32]), signed), "the same proof is judged the same");
    certificate.verify_signature(Some(key)).ok();
}

/// What an agent does with credentials.
fn open(sealed: &Sealed) {
    static KEY: LazyLock<SealingKey> = LazyLock::new(SealingKey::generate);
    let opened = KEY.open(AgentId(Uuid::nil()), Uuid::nil(), sealed);
    assert!(opened.is_none(), "credentials open that were sealed to nobody");
}
