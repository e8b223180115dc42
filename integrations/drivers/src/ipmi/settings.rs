//! Reads what was entered in the form.

use rackhand_driver::{Opening, Place};
use rackhand_protocols::ipmi::{
    Level, MAX_KG, MAX_LEGACY_PASSWORD, Suite,
    client::{Cipher, LegacyUse, Pace, Settings, Wanted},
};
use rackhand_wire::{Fault, FieldError, Reason, Secrets, Timings};
use serde_json::Value;
use zeroize::Zeroizing;

use super::{PORT, guid};

/// Longest key as entered: `0x` and two digits per byte.
pub(super) const MAX_KG_TEXT: usize = 2 + 2 * MAX_KG;

/// Handshakes that must stay unanswered before a BMC is called unreachable.
const LEAST_RESTARTS: u32 = 3;

/// Finds what the descriptor cannot say.
pub(super) fn check(params: &Value, secrets: &Secrets) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let password = secrets.find("password").unwrap_or_default();
    if allows_legacy(params) == LegacyUse::Allowed && password.len() > MAX_LEGACY_PASSWORD {
        let length = password.len();
        let message = format!("With IPMI 1.5 a password has at most 16 bytes; this one has {length}.");
        errors.push(FieldError::new("password", "too_long", message));
    }
    if let Some(Err(message)) = secrets.find("kg").map(key) {
        errors.push(FieldError::new("kg", "not_a_key", message));
    }
    errors
}

/// Reads where the BMC is.
pub(super) fn place(opening: &Opening<'_>) -> Result<Place, Fault> {
    let params = opening.params;
    let host = text(params, "host").ok_or_else(|| bad("the BMC's address is missing"))?;
    let port = match params.get("port") {
        None | Some(Value::Null) => PORT,
        Some(port) => {
            let number = port.as_u64().and_then(|number| u16::try_from(number).ok());
            number.ok_or_else(|| bad("the port is not a port"))?
        }
    };
    Ok(Place::new(host, port, opening.guard))
}

/// Reads how the BMC is spoken to.
pub(super) fn parse(opening: &Opening<'_>) -> Result<Settings, Fault> {
    let (params, secrets) = (opening.params, opening.secrets);
    let user = text(params, "user").ok_or_else(|| bad("the user is missing"))?;
    let password = secrets.find("password").ok_or_else(|| bad("the password is missing"))?;
    let kg = secrets.find("kg").filter(|kg| !kg.is_empty()).map(key).transpose().map_err(bad)?;
    let cipher = match text(params, "cipher").unwrap_or("auto") {
        "auto" => Cipher::Auto,
        "17" => Cipher::Only(Suite::Seventeen),
        "3" => Cipher::Only(Suite::Three),
        other => return Err(bad(&format!("there is no cipher suite “{other}” here"))),
    };
    let level = match text(params, "privilege").unwrap_or("highest") {
        "highest" => Wanted::Highest,
        "administrator" => Wanted::Exactly(Level::Administrator),
        "operator" => Wanted::Exactly(Level::Operator),
        other => return Err(bad(&format!("there is no privilege level “{other}”"))),
    };
    let pinned = match opening.pinned {
        None => None,
        Some(text) => Some(guid::parse(text).ok_or_else(|| bad("the pinned identity is not a GUID"))?),
    };
    Ok(Settings {
        user: user.as_bytes().to_vec(),
        password: Zeroizing::new(password.as_bytes().to_vec()),
        kg,
        cipher,
        level,
        legacy: allows_legacy(params),
        pinned,
        pace: pace(opening.timings),
    })
}

fn pace(timings: &Timings) -> Pace {
    Pace {
        first_retry: timings.ipmi_first_retry,
        unreachable_after: timings.unreachable_after,
        least_restarts: LEAST_RESTARTS,
        answer_lost_after: timings.answer_lost_after,
    }
}

fn allows_legacy(params: &Value) -> LegacyUse {
    match params.get("allow_1_5").and_then(Value::as_bool) {
        Some(true) => LegacyUse::Allowed,
        Some(false) | None => LegacyUse::Refused,
    }
}

/// Reads a key: text, or hexadecimal digits after `0x`.
fn key(text: &str) -> Result<Zeroizing<Vec<u8>>, &'static str> {
    let bytes = match text.strip_prefix("0x") {
        None => text.as_bytes().to_vec(),
        Some(digits) => hexadecimal(digits).ok_or("After 0x there must be pairs of hexadecimal digits.")?,
    };
    let bytes = Zeroizing::new(bytes);
    if bytes.len() > MAX_KG { Err("The BMC key has at most 20 bytes.") } else { Ok(bytes) }
}

/// Reads pairs of hexadecimal digits.
pub(super) fn hexadecimal(digits: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    let byte = |pair: &[u8; 2]| {
        let text = std::str::from_utf8(pair).ok().filter(|text| !text.starts_with('+'))?;
        u8::from_str_radix(text, 16).ok()
    };
    if rest.is_empty() { pairs.iter().map(byte).collect() } else { None }
}

fn text<'a>(params: &'a Value, name: &str) -> Option<&'a str> {
    params.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
}

fn bad(detail: &str) -> Fault {
    Fault::config(Reason::BadParameter, detail)
}
