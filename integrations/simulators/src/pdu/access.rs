//! Who may read and write a simulated PDU.

use async_snmp::agent::{SecurityModel, VacmBuilder};
use async_snmp::{AgentBuilder, AuthProtocol, CryptoResult, PrivProtocol, SecurityLevel, oid};

/// The credentials a simulated PDU accepts.
#[derive(Debug, Clone)]
pub struct PduAccess {
    /// Community that may read.
    pub read_community: String,
    /// Community that may read and write.
    pub write_community: String,
    /// Users of SNMP version 3.
    pub v3: Vec<V3User>,
}

/// A user of SNMP version 3, with authentication and privacy.
#[derive(Debug, Clone)]
pub struct V3User {
    /// Name.
    pub name: String,
    /// Authentication.
    pub auth: V3Auth,
    /// Authentication password, at least 8 characters.
    pub auth_password: String,
    /// Privacy.
    pub privacy: V3Privacy,
    /// Privacy password, at least 8 characters.
    pub privacy_password: String,
    /// Whether the user may write.
    pub rights: Rights,
}

/// What a user may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rights {
    /// Read only.
    Read,
    /// Read and write.
    ReadWrite,
}

/// Authentication protocols.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum V3Auth {
    /// HMAC-SHA-96.
    Sha1,
    /// HMAC-SHA-256.
    Sha256,
    /// HMAC-SHA-512.
    Sha512,
}

/// Privacy protocols.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum V3Privacy {
    /// AES with 128 bits.
    Aes128,
    /// AES with 256 bits, key extended as net-snmp does.
    Aes256,
}

impl Default for PduAccess {
    /// Communities `public` and `private`, user `rackhand` with SHA-256 and AES-128.
    fn default() -> PduAccess {
        let user = V3User {
            name: "rackhand".to_owned(),
            auth: V3Auth::Sha256,
            auth_password: "rackhand-auth".to_owned(),
            privacy: V3Privacy::Aes128,
            privacy_password: "rackhand-priv".to_owned(),
            rights: Rights::ReadWrite,
        };
        PduAccess {
            read_community: "public".to_owned(),
            write_community: "private".to_owned(),
            v3: vec![user],
        }
    }
}

impl PduAccess {
    /// Lists the communities that are answered.
    pub(super) fn communities(&self) -> [&[u8]; 2] {
        [self.read_community.as_bytes(), self.write_community.as_bytes()]
    }

    /// Writes down who may do what.
    pub(super) fn grant(&self, vacm: VacmBuilder) -> VacmBuilder {
        let mut vacm = vacm.view("all", |view| view.include(oid!(1, 3, 6, 1)));
        for model in [SecurityModel::V1, SecurityModel::V2c] {
            vacm = vacm
                .group(self.read_community.clone(), model, "read")
                .group(self.write_community.clone(), model, "write")
                .access("read", model, SecurityLevel::NoAuthNoPriv, |access| access.read_view("all"))
                .access("write", model, SecurityLevel::NoAuthNoPriv, |access| {
                    access.read_view("all").write_view("all")
                });
        }
        for user in &self.v3 {
            let group = match user.rights {
                Rights::Read => "read",
                Rights::ReadWrite => "write",
            };
            vacm = vacm.group(user.name.clone(), SecurityModel::Usm, group);
        }
        vacm.access("read", SecurityModel::Usm, SecurityLevel::AuthNoPriv, |access| access.read_view("all"))
            .access("write", SecurityModel::Usm, SecurityLevel::AuthNoPriv, |access| {
                access.read_view("all").write_view("all")
            })
    }
}

impl V3User {
    /// Adds the user to an agent.
    pub(super) fn add_to(&self, builder: AgentBuilder) -> CryptoResult<AgentBuilder> {
        let auth = match self.auth {
            V3Auth::Sha1 => AuthProtocol::Sha1,
            V3Auth::Sha256 => AuthProtocol::Sha256,
            V3Auth::Sha512 => AuthProtocol::Sha512,
        };
        let privacy = match self.privacy {
            V3Privacy::Aes128 => PrivProtocol::Aes128,
            V3Privacy::Aes256 => PrivProtocol::Aes256Blumenthal,
        };
        builder.usm_user(self.name.clone(), |user| {
            user.auth_priv(auth, &self.auth_password, privacy, &self.privacy_password)
        })
    }
}
