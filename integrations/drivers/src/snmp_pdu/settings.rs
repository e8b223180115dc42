//! What a person entered, understood once.

use async_snmp::{Auth, AuthProtocol, CryptoResult, MasterKeys, PrivProtocol, UsmConfig};
use rackhand_wire::{Fault, Reason, Secrets};
use serde_json::Value;

use super::model::{self, Model};

/// Where and how to reach one PDU.
#[derive(Clone)]
pub(super) struct Settings {
    pub host: String,
    pub port: u16,
    pub access: Access,
    /// The model that a person chose; `None` to find it out.
    pub model: Option<&'static Model>,
}

/// The communities of versions 1 and 2c.
#[derive(Clone)]
pub(super) struct Communities {
    read: Auth,
    write: Option<Auth>,
    version: &'static str,
}

/// The credentials in the form that the SNMP library takes.
#[derive(Clone)]
pub(super) enum Access {
    /// Versions 1 and 2c.
    Community(Box<Communities>),
    /// Version 3.
    User(Box<UsmConfig>),
}

impl Access {
    /// Returns what reads are sent with.
    pub(super) fn read(&self) -> Auth {
        match self {
            Access::Community(communities) => communities.read.clone(),
            Access::User(user) => Auth::from((**user).clone()),
        }
    }

    /// Returns what writes are sent with.
    pub(super) fn write(&self) -> Auth {
        match self {
            Access::Community(communities) => communities.write.as_ref().unwrap_or(&communities.read).clone(),
            Access::User(_) => self.read(),
        }
    }

    /// Tells whether writes are sent with other credentials than reads.
    pub(super) fn writes_differ(&self) -> bool {
        match self {
            Access::Community(communities) => communities.write.is_some(),
            Access::User(_) => false,
        }
    }

    /// Returns the protocol's name for people.
    pub(super) fn protocol(&self) -> &'static str {
        match self {
            Access::Community(communities) => communities.version,
            Access::User(_) => "SNMP v3",
        }
    }
}

/// Understands parameters and secrets that were compared with the descriptor.
///
/// # Errors
/// A `Config` fault that names what is missing or wrong.
pub(super) fn parse(params: &Value, secrets: &Secrets) -> Result<Settings, Fault> {
    let text = |name: &str| params.get(name).and_then(Value::as_str).unwrap_or_default();
    let host = text("host");
    if host.is_empty() {
        return Err(bad("the host is missing"));
    }
    let port = match params.get("port") {
        None | Some(Value::Null) => 161,
        Some(port) => port
            .as_u64()
            .and_then(|port| u16::try_from(port).ok())
            .filter(|port| *port > 0)
            .ok_or_else(|| bad("the port is not between 1 and 65535"))?,
    };
    let access = match text("version") {
        "v1" => community(secrets, Auth::v1, "SNMP v1")?,
        "" | "v2c" => community(secrets, Auth::v2c, "SNMP v2c")?,
        "v3" => Access::User(Box::new(user(params, secrets)?)),
        other => return Err(bad(format!("“{other}” is not an SNMP version"))),
    };
    let model = match text("model") {
        "" | "auto" => None,
        key => Some(model::find(key).ok_or_else(|| bad(format!("there is no model “{key}”")))?),
    };
    Ok(Settings { host: host.to_owned(), port, access, model })
}

fn community(secrets: &Secrets, auth: fn(String) -> Auth, version: &'static str) -> Result<Access, Fault> {
    let given = |name| secrets.find(name).filter(|text: &&str| !text.is_empty());
    let read = given("community").ok_or_else(|| bad("the community is missing"))?;
    let write = given("write_community").filter(|write| *write != read);
    let write = write.map(|write| auth(write.to_owned()));
    Ok(Access::Community(Box::new(Communities { read: auth(read.to_owned()), write, version })))
}

fn user(params: &Value, secrets: &Secrets) -> Result<UsmConfig, Fault> {
    let text = |name: &str| params.get(name).and_then(Value::as_str).unwrap_or_default();
    let secret = |name: &str| {
        let value = secrets.find(name).unwrap_or_default();
        if value.len() < 8 { Err(bad(format!("the {name} needs at least 8 characters"))) } else { Ok(value) }
    };
    let name = text("user");
    if name.is_empty() {
        return Err(bad("the user is missing"));
    }
    let auth = match text("auth_protocol") {
        "sha1" => AuthProtocol::Sha1,
        "" | "sha256" => AuthProtocol::Sha256,
        "sha512" => AuthProtocol::Sha512,
        other => return Err(bad(format!("“{other}” is not an authentication protocol"))),
    };
    let privacy = match text("priv_protocol") {
        "none" => None,
        "" | "aes128" => Some(PrivProtocol::Aes128),
        "aes256" => Some(PrivProtocol::Aes256Blumenthal),
        "aes256_reeder" => Some(PrivProtocol::Aes256Reeder),
        other => return Err(bad(format!("“{other}” is not a privacy protocol"))),
    };
    let (auth_password, priv_password) = match privacy {
        None => (secret("auth_password")?, ""),
        Some(_) => (secret("auth_password")?, secret("priv_password")?),
    };
    keys(auth, auth_password, privacy, priv_password)
        .and_then(|keys| UsmConfig::new(name.to_owned()).with_master_keys(keys))
        .map_err(|error| bad(error.to_string()))
}

/// Derives the keys once: a password is hashed a million bytes long for every one of them.
fn keys(
    auth: AuthProtocol,
    auth_password: &str,
    privacy: Option<PrivProtocol>,
    priv_password: &str,
) -> CryptoResult<MasterKeys> {
    let keys = MasterKeys::new(auth, auth_password.as_bytes())?;
    match privacy {
        None => Ok(keys),
        Some(privacy) => keys.with_privacy(privacy, priv_password.as_bytes()),
    }
}

fn bad(detail: impl Into<String>) -> Fault {
    Fault::config(Reason::BadParameter, detail)
}
