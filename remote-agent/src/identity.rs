//! Who this agent is: keys that were made here and never leave, and the certificate that the backend gave.
//!
//! A renewed key is saved beside the present one before the backend hears of it, and takes its place once its
//! certificate is saved too, so that no crash leaves the agent without a pair that the backend accepts.

use rackhand_wire::id::AgentId;
use rcgen::{CertificateParams, KeyPair, PKCS_ED25519};
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, fchown},
    path::{Path, PathBuf},
};
use x509_parser::pem::parse_x509_pem;

use crate::sealing::SealingKey;

/// Where an agent belongs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Home {
    /// Its id.
    pub agent: AgentId,
    /// Its name, for people.
    pub name: String,
    /// The backend's address.
    pub server: String,
    /// SHA-256 of the backend's public key, when its certificate is its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<String>,
}

/// The folder of an identity.
#[derive(Debug, Clone)]
pub struct Folder(PathBuf);

/// An identity that may be used.
pub struct Identity {
    /// Where it belongs.
    pub home: Home,
    /// The key that signs.
    pub key: KeyPair,
    /// Its certificate, PEM.
    pub certificate: String,
    /// When that ends, in seconds since 1970.
    pub until: i64,
    /// The key to which credentials are sealed.
    pub sealing: SealingKey,
}

const HOME: &str = "agent.json";
const KEY: &str = "identity.key";
const CERTIFICATE: &str = "identity.pem";
const NEXT_KEY: &str = "identity-next.key";
const SEALING: &str = "sealing.key";
const ENROL_KEY: &str = "enrol.key";
const ENROL_SEALING: &str = "enrol-sealing.key";

impl Folder {
    /// Uses a folder, made when it is missing and readable by its owner alone.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(path: &Path) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        Ok(Self(path.to_owned()))
    }

    /// Looks at a folder without making it.
    #[must_use]
    pub fn at(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// Says whether somebody was enrolled here.
    #[must_use]
    pub fn is_enrolled(&self) -> bool {
        self.0.join(HOME).exists()
    }

    /// Reads the identity.
    ///
    /// # Errors
    /// When a file is missing or damaged.
    pub fn read(&self) -> io::Result<Identity> {
        let home = serde_json::from_slice(&fs::read(self.0.join(HOME))?)
            .map_err(|error| damaged(HOME, &error.to_string()))?;
        let key = self.key(KEY)?.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, KEY))?;
        let certificate = fs::read_to_string(self.0.join(CERTIFICATE))?;
        let until = end(&certificate).ok_or_else(|| damaged(CERTIFICATE, "it is no certificate"))?;
        let sealing = fs::read_to_string(self.0.join(SEALING))?;
        let sealing = SealingKey::read(&sealing).ok_or_else(|| damaged(SEALING, "it is no key"))?;
        Ok(Identity { home, key, certificate, until, sealing })
    }

    /// Saves keys that a first certificate is asked for, before it is. An identity that is there stays as it is
    /// until the backend has agreed.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn prepare(&self, own: Option<&str>) -> io::Result<(KeyPair, SealingKey)> {
        let key = match own {
            Some(pem) => KeyPair::from_pem(pem).map_err(|error| damaged("the key", &error.to_string()))?,
            None => fresh()?,
        };
        let sealing = SealingKey::generate();
        self.write(ENROL_KEY, key.serialize_pem().as_bytes())?;
        self.write(ENROL_SEALING, sealing.expose().as_bytes())?;
        Ok((key, sealing))
    }

    /// Forgets prepared keys, because the backend did not agree.
    ///
    /// # Errors
    /// When they cannot be removed.
    pub fn discard(&self) -> io::Result<()> {
        [ENROL_KEY, ENROL_SEALING].iter().try_for_each(|name| self.remove(name))
    }

    /// Saves what a first certificate makes of the prepared keys. From here on an earlier identity is of no use:
    /// the backend refuses it already.
    ///
    /// # Errors
    /// When it cannot be written, or the certificate is another key's.
    pub fn settle(&self, home: &Home, certificate: &str) -> io::Result<()> {
        self.take(ENROL_KEY, certificate, || fs::rename(self.0.join(ENROL_SEALING), self.0.join(SEALING)))?;
        self.remove(NEXT_KEY)?;
        let home = serde_json::to_vec_pretty(home).map_err(io::Error::other)?;
        self.write(HOME, &home)
    }

    /// Saves a fresh key beside the present one, or finds the one that waits for its certificate already.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub fn next_key(&self) -> io::Result<KeyPair> {
        if let Some(key) = self.key(NEXT_KEY)? {
            return Ok(key);
        }
        let key = fresh()?;
        self.write(NEXT_KEY, key.serialize_pem().as_bytes())?;
        Ok(key)
    }

    /// Puts the next key with its certificate in the place of the present ones. A crash between the two files
    /// is mended at the next renewal: the old certificate does not fit the new key, and the old key is gone
    /// only after the new certificate is there.
    ///
    /// # Errors
    /// When it cannot be written, or the certificate is another key's.
    pub fn adopt(&self, certificate: &str) -> io::Result<()> {
        if self.key(KEY)?.is_some_and(|key| belongs(certificate, &key)) {
            // It was asked for twice, or came twice.
            return self.write(CERTIFICATE, certificate.as_bytes());
        }
        self.take(NEXT_KEY, certificate, || Ok(()))
    }

    fn take(&self, name: &str, certificate: &str, before: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        let key = self.key(name)?.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, name))?;
        if !belongs(certificate, &key) {
            return Err(damaged("the certificate", "it is for another key"));
        }
        before()?;
        self.write(CERTIFICATE, certificate.as_bytes())?;
        fs::rename(self.0.join(name), self.0.join(KEY))?;
        File::open(&self.0)?.sync_all()
    }

    /// Completes what a crash interrupted between certificate and key.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn mend(&self) -> io::Result<()> {
        let certificate = fs::read_to_string(self.0.join(CERTIFICATE)).unwrap_or_default();
        for name in [NEXT_KEY, ENROL_KEY] {
            if self.key(name)?.is_some_and(|key| belongs(&certificate, &key)) {
                fs::rename(self.0.join(name), self.0.join(KEY))?;
                File::open(&self.0)?.sync_all()?;
            }
        }
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        match fs::remove_file(self.0.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn key(&self, name: &str) -> io::Result<Option<KeyPair>> {
        match fs::read_to_string(self.0.join(name)) {
            Ok(pem) => KeyPair::from_pem(&pem).map(Some).map_err(|error| damaged(name, &error.to_string())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Replaces a file in one step.
    fn write(&self, name: &str, content: &[u8]) -> io::Result<()> {
        let fresh = self.0.join(format!("{name}.new"));
        let mut file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&fresh)?;
        // Root may enrol for the user as whom the agent runs.
        let folder = fs::metadata(&self.0)?;
        if rustix::process::geteuid().is_root() && folder.uid() != 0 {
            fchown(&file, Some(folder.uid()), Some(folder.gid()))?;
        }
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&fresh, self.0.join(name))?;
        File::open(&self.0)?.sync_all()
    }
}

/// Asks for a certificate for a key; names in the request mean nothing.
///
/// # Errors
/// When the key cannot sign.
pub fn request(key: &KeyPair) -> Result<String, rcgen::Error> {
    CertificateParams::default().serialize_request(key)?.pem()
}

fn fresh() -> io::Result<KeyPair> {
    KeyPair::generate_for(&PKCS_ED25519).map_err(io::Error::other)
}

fn belongs(certificate: &str, key: &KeyPair) -> bool {
    let Ok((_, pem)) = parse_x509_pem(certificate.as_bytes()) else { return false };
    pem.parse_x509()
        .is_ok_and(|found| found.public_key().raw == rcgen::PublicKeyData::subject_public_key_info(key))
}

fn end(certificate: &str) -> Option<i64> {
    let (_, pem) = parse_x509_pem(certificate.as_bytes()).ok()?;
    let found = pem.parse_x509().ok()?;
    Some(found.validity().not_after.timestamp())
}

fn damaged(file: &str, why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{file}: {why}"))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, Issuer};
    use uuid::Uuid;

    use super::*;

    fn home(n: u128) -> Home {
        Home {
            agent: AgentId(Uuid::from_u128(n)),
            name: "a".into(),
            server: "http://localhost".into(),
            pin: None,
        }
    }

    /// A certificate for a key, by anybody.
    fn certify(key: &KeyPair) -> String {
        let issuer = Issuer::new(CertificateParams::default(), KeyPair::generate().unwrap());
        CertificateParams::default().signed_by(key, &issuer).unwrap().pem()
    }

    fn enrolled(folder: &Folder, n: u128) -> String {
        let (key, sealing) = folder.prepare(None).unwrap();
        folder.settle(&home(n), &certify(&key)).unwrap();
        sealing.public()
    }

    #[test]
    fn an_enrolment_that_is_refused_leaves_the_identity_as_it_was() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::open(place.path()).unwrap();
        let sealing = enrolled(&folder, 1);
        let renewing = folder.next_key().unwrap();
        folder.prepare(None).unwrap();
        let stands = || {
            let identity = folder.read().unwrap();
            identity.home == home(1) && identity.sealing.public() == sealing
        };
        assert!(stands());
        folder.discard().unwrap();
        folder.discard().unwrap();
        assert!(stands());
        folder.adopt(&certify(&renewing)).unwrap();
        assert!(stands(), "a renewal under way goes on");
        let other = enrolled(&folder, 2);
        let identity = folder.read().unwrap();
        assert!(identity.home == home(2) && identity.sealing.public() == other);
    }

    #[test]
    fn a_crash_between_certificate_and_key_is_mended() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::open(place.path()).unwrap();
        enrolled(&folder, 1);
        let next = folder.next_key().unwrap();
        let certificate = certify(&next);
        folder.write(CERTIFICATE, certificate.as_bytes()).unwrap();
        folder.mend().unwrap();
        assert!(belongs(&certificate, &folder.read().unwrap().key));
        assert!(folder.key(NEXT_KEY).unwrap().is_none());
        let stranger = certify(&KeyPair::generate().unwrap());
        folder.next_key().unwrap();
        assert!(folder.adopt(&stranger).is_err(), "a certificate for another key is of no use");
        assert!(belongs(&certificate, &folder.read().unwrap().key));
    }
}
