//! The certificate authority of a server, read by whoever owns its master key.

use rackhand_store::{Db, sealed::Keyring, settings};
use rcgen::{Issuer, KeyPair};
use std::{fs, path::Path};

/// Opens the database of a server's folder.
pub async fn database(folder: &Path, url: &str) -> Db {
    let key: [u8; 32] = fs::read(folder.join("master.key")).unwrap().try_into().unwrap();
    Db::open(url, Keyring::new(key)).await.unwrap()
}

/// Reads the authority that certifies its agents.
pub async fn authority(db: &Db) -> Issuer<'static, KeyPair> {
    let kept = settings::sealed(db.reader(), db.keys(), "agent_authority").await.unwrap().unwrap();
    let key = KeyPair::from_pem(kept.find("key").unwrap()).unwrap();
    Issuer::from_ca_cert_pem(kept.find("certificate").unwrap(), key).unwrap()
}
