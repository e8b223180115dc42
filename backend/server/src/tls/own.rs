//! A certificate that nobody vouches for: enough for agents, which are told its key, and for a start.

use rackhand_store::{Db, settings};
use rackhand_wire::{Secret, Secrets};
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256,
};
use std::{
    fs, io,
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use super::pair::Pair;
use crate::Failure;

/// Some programs refuse certificates that last longer than 825 days.
const LIFE: time::Duration = time::Duration::days(800);
/// A new one is made when less is left. The key stays: agents trust it.
const LEFT: chrono::Duration = chrono::Duration::days(60);
/// Clocks may differ.
const BACKDATED: time::Duration = time::Duration::hours(2);

/// Reads the pair of a data folder; makes what is missing, ends soon or is for another name.
///
/// # Errors
/// When it cannot be read or made.
pub fn pair(folder: &Path, host: &str) -> Result<Pair, Failure> {
    let cert = folder.join("tls-self-signed.pem");
    let what = format!("use the self-signed certificate {}", cert.display());
    let failed = |error: &dyn std::fmt::Display| Failure::new(&what, error);
    let key_pem = key(folder)?;
    let kept = fs::read(&cert).ok().and_then(|chain| Pair::read(&chain, key_pem.as_bytes()).ok());
    if let Some(kept) = kept
        && kept.is_for(host)
        && kept.until - rackhand_store::now() > LEFT
    {
        return Ok(kept);
    }
    let pem = KeyPair::from_pem(&key_pem).and_then(|key| certificate(&key, host));
    let pem = pem.map_err(|error| failed(&error))?;
    write(&cert, &pem).map_err(|error| Failure::new(&format!("write {}", cert.display()), error))?;
    Pair::read(pem.as_bytes(), key_pem.as_bytes()).map_err(|unfit| failed(&format!("{unfit:?}")))
}

/// Has all servers on one database show the same key, so that agents may be led to any of them: the key of the first
/// one is kept there, sealed, and those that come later take it.
///
/// # Errors
/// When the database fails, was sealed with another master key, or the key cannot be kept in the folder.
pub async fn share(db: &Db, folder: &Path) -> Result<(), Failure> {
    let tx = db.begin().await?;
    let kept = settings::sealed(&tx, db.keys(), SETTING).await?;
    if let Some(shared) = kept.as_ref().and_then(|kept| kept.find("key")) {
        let file = file(folder);
        let own = fs::read_to_string(&file).ok();
        if own.as_deref() != Some(shared) {
            if own.is_some() {
                let before = file.with_extension("key.before");
                tracing::warn!(kept = %before.display(), "the servers on this database share a key: it replaces the own one");
                fs::rename(&file, &before)
                    .map_err(|error| Failure::new(&format!("rename {}", file.display()), error))?;
            }
            put(&file, shared)?;
        }
    } else {
        let mut secrets = Secrets::default();
        secrets.set("key", Secret::new(key(folder)?));
        settings::seal(&tx, db.keys(), SETTING, &secrets).await?;
    }
    Ok(tx.commit().await.map_err(rackhand_store::Error::from)?)
}

const SETTING: &str = "tls_self_signed";

fn file(folder: &Path) -> PathBuf {
    folder.join("tls-self-signed.key")
}

/// Reads the key of a data folder, or makes it.
fn key(folder: &Path) -> Result<String, Failure> {
    let file = file(folder);
    match fs::read_to_string(&file) {
        Ok(pem) => Ok(pem),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let made = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256);
            let pem = made.map_err(|error| Failure::new("make a key", error))?.serialize_pem();
            put(&file, &pem)?;
            Ok(pem)
        }
        Err(error) => Err(Failure::new(&format!("read {}", file.display()), error)),
    }
}

fn put(file: &Path, pem: &str) -> Result<(), Failure> {
    write(file, pem).map_err(|error| Failure::new(&format!("write {}", file.display()), error))
}

fn certificate(key: &KeyPair, host: &str) -> Result<String, rcgen::Error> {
    let mut names = vec![host.to_owned(), "localhost".into(), "127.0.0.1".into(), "::1".into()];
    names.sort();
    names.dedup();
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "Rackhand");
    params.not_before = time::OffsetDateTime::now_utc() - BACKDATED;
    params.not_after = params.not_before + LIFE;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    Ok(params.self_signed(key)?.pem())
}

/// Replaces a file in one step; its owner alone may read it.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let fresh = PathBuf::from(format!("{}.new", path.display()));
    let mut file = fs::OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&fresh)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&fresh, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn the_key_stays_when_the_name_changes() {
        let folder = tempfile::tempdir().unwrap();
        let first = pair(folder.path(), "a.example").unwrap();
        assert!(first.is_own && first.is_for("a.example") && first.is_for("::1"));
        assert!(pair(folder.path(), "a.example").unwrap().is_same(&first));
        let second = pair(folder.path(), "192.0.2.7").unwrap();
        assert!(second.is_for("192.0.2.7") && !second.is_same(&first));
        assert_eq!(second.key_name, first.key_name);
        let key = fs::metadata(folder.path().join("tls-self-signed.key")).unwrap();
        assert_eq!(key.permissions().mode() & 0o777, 0o600);
    }
}
