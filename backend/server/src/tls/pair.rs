//! A certificate with its key.

use chrono::{DateTime, Utc};
use rackhand_agent::proof::key_name;
use rustls::{
    crypto::ring::default_provider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    sign::CertifiedKey,
};
use std::{fs, path::Path, sync::Arc};
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use crate::{Failure, config::Files};

/// A certificate with its key, ready for use.
#[derive(Debug, Clone)]
pub struct Pair {
    /// Chain and key.
    pub certified: Arc<CertifiedKey>,
    /// Name of the public key.
    pub key_name: String,
    /// It is signed by its own key.
    pub is_own: bool,
    /// When it begins.
    pub from: DateTime<Utc>,
    /// When it ends.
    pub until: DateTime<Utc>,
    names: Vec<String>,
}

impl Pair {
    /// Reads a chain and a key in PEM.
    ///
    /// # Errors
    /// Whose fault it is, and in words what is wrong.
    pub fn read(chain: &[u8], key: &[u8]) -> Result<Self, Unfit> {
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain).collect();
        let certificates = certificates.map_err(|error| Unfit::Certificate(error.to_string()))?;
        let Some(first) = certificates.first() else {
            return Err(Unfit::Certificate("it holds no certificate in PEM".into()));
        };
        let unreadable = |_| Unfit::Certificate("its first certificate cannot be read".into());
        let (_, leaf) = X509Certificate::from_der(first).map_err(unreadable)?;
        let spki = leaf.public_key();
        let (key_name, is_own) = (key_name(spki.raw), leaf.verify_signature(Some(spki)).is_ok());
        let moment = |seconds| DateTime::from_timestamp(seconds, 0).unwrap_or_default();
        let (from, until) =
            (moment(leaf.validity().not_before.timestamp()), moment(leaf.validity().not_after.timestamp()));
        let names = names(&leaf);
        let key = PrivateKeyDer::from_pem_slice(key)
            .map_err(|_| Unfit::Key("it holds no private key in PEM".into()))?;
        let certified = CertifiedKey::from_der(certificates, key, &default_provider()).map_err(|error| {
            if matches!(error, rustls::Error::InconsistentKeys(_)) {
                return Unfit::Key("it does not fit the certificate; both come from one request".into());
            }
            Unfit::Key(error.to_string())
        })?;
        Ok(Self { certified: Arc::new(certified), key_name, is_own, from, until, names })
    }

    /// Says whether it is for a name or address.
    pub fn is_for(&self, host: &str) -> bool {
        self.names.iter().any(|name| name.eq_ignore_ascii_case(host))
    }

    /// Says whether both are the same certificate.
    pub fn is_same(&self, other: &Self) -> bool {
        self.certified.cert == other.certified.cert
    }
}

/// What cannot be used, and why.
#[derive(Debug)]
pub enum Unfit {
    /// The certificate.
    Certificate(String),
    /// The key.
    Key(String),
}

fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(names)) = certificate.subject_alternative_name() else { return Vec::new() };
    let address = |bytes: &[u8]| match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(|bytes| std::net::IpAddr::from(bytes).to_string()),
        _ => <[u8; 16]>::try_from(bytes).ok().map(|bytes| std::net::IpAddr::from(bytes).to_string()),
    };
    let found = names.value.general_names.iter().filter_map(|name| {
        if let GeneralName::DNSName(name) = name {
            return Some((*name).to_owned());
        }
        if let GeneralName::IPAddress(bytes) = name { address(bytes) } else { None }
    });
    found.collect()
}

/// Reads the pair that an administrator keeps in files.
///
/// # Errors
/// Which file is at fault, and why.
pub fn of_files(files: &Files) -> Result<Pair, Failure> {
    let (of_cert, of_key) =
        (format!("use tls_cert {}", files.cert.display()), format!("use tls_key {}", files.key.display()));
    let bytes = |path: &Path, what: &str| fs::read(path).map_err(|error| Failure::new(what, error));
    let (chain, key) = (bytes(&files.cert, &of_cert)?, bytes(&files.key, &of_key)?);
    Pair::read(&chain, &key).map_err(|unfit| match unfit {
        Unfit::Certificate(why) => Failure::new(&of_cert, why),
        Unfit::Key(why) => Failure::new(&of_key, why),
    })
}
