//! Passwords, tokens and the master key.

use argon2::{Argon2, PasswordHasher, PasswordVerifier, password_hash::phc::PasswordHash};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use rackhand_store::sealed::Keyring;
use sha2::{Digest, Sha256};
use std::{fs, io::Write, os::unix::fs::OpenOptionsExt, path::Path, sync::LazyLock};

use crate::Failure;

/// Makes 256 bits that nobody can guess, for cookies and links.
///
/// # Errors
/// When the system gives no randomness.
pub fn fresh_token() -> Result<String, Failure> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).map_err(|error| Failure::new("ask the system for randomness", error))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// Hashes a token for storing; tokens are random, so one round is enough.
pub fn token_hash(token: &str) -> String {
    Sha256::digest(token.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Hashes a password with argon2id. Slow: call it off the async threads.
///
/// # Errors
/// When the system gives no randomness.
pub fn hash_password(password: &str) -> Result<String, Failure> {
    let hash = Argon2::default().hash_password(password.as_bytes());
    hash.map(|hash| hash.to_string()).map_err(|error| Failure::new("hash a password", error))
}

/// Compares a password with a stored hash, or with a made-up one when there is no such user, so that
/// both take the same time.
pub fn password_fits(password: &str, hash: Option<&str>) -> bool {
    static NOBODY: LazyLock<String> =
        LazyLock::new(|| hash_password("nobody has this password").unwrap_or_default());
    let fits = |hash: &str| {
        PasswordHash::new(hash)
            .is_ok_and(|parsed| Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok())
    };
    if let Some(hash) = hash {
        return fits(hash);
    }
    fits(&NOBODY);
    false
}

/// What a missing master key means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MissingKey {
    /// Nothing is sealed yet: it is made.
    Make,
    /// Something may be sealed with it, or it was named and is not where it was said to be: a new one in its
    /// place would only hide that.
    Refuse,
}

/// Reads the master key, or makes it: 32 bytes in a file that only its owner can read.
///
/// # Errors
/// When the file cannot be read or written, has another size, or others can read it.
pub fn master_key(file: &Path, missing: MissingKey) -> Result<Keyring, Failure> {
    let what = format!("read the master key {}", file.display());
    match fs::read(file) {
        Ok(bytes) => {
            only_owner(file)?;
            let key: [u8; 32] =
                bytes.try_into().map_err(|_| Failure::new(&what, "it must hold exactly 32 bytes"))?;
            Ok(Keyring::new(key))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            if missing == MissingKey::Refuse {
                let why = "it is missing, and nothing that is sealed can be opened without it: bring it back \
                           from its copy. For a new installation with a key of your own, make it first: \
                           head -c 32 /dev/urandom > FILE && chmod 0400 FILE";
                return Err(Failure::new(&what, why));
            }
            let mut key = [0_u8; 32];
            getrandom::fill(&mut key).map_err(|error| Failure::new("make a master key", error))?;
            let mut options = fs::OpenOptions::new();
            let mut new =
                options.write(true).create_new(true).mode(0o400).open(file).map_err(|error| {
                    Failure::new(&format!("make the master key {}", file.display()), error)
                })?;
            new.write_all(&key).and_then(|()| new.sync_all()).map_err(|error| Failure::new(&what, error))?;
            Ok(Keyring::new(key))
        }
        Err(error) => Err(Failure::new(&what, error)),
    }
}

fn only_owner(file: &Path) -> Result<(), Failure> {
    use std::os::unix::fs::PermissionsExt;
    let what = format!("use the master key {}", file.display());
    let mode = fs::metadata(file).map_err(|error| Failure::new(&what, error))?.permissions().mode();
    let others = mode & 0o077;
    if others == 0 {
        return Ok(());
    }
    Err(Failure::new(&what, format!("others can read it (mode {:o}); run chmod 0400 on it", mode & 0o777)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_master_key_is_made_once_and_only_for_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("master.key");
        assert!(master_key(&file, MissingKey::Refuse).is_err() && !file.exists());
        let made = master_key(&file, MissingKey::Make).unwrap().fingerprint();
        assert_eq!(master_key(&file, MissingKey::Refuse).unwrap().fingerprint(), made);
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o400);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o444)).unwrap();
        assert!(master_key(&file, MissingKey::Make).is_err());
    }

    #[test]
    fn only_the_right_password_fits() {
        let hash = hash_password("correct horse battery").unwrap();
        assert!(hash.starts_with("$argon2id$"), "{hash}");
        assert!(password_fits("correct horse battery", Some(&hash)));
        assert!(!password_fits("wrong horse battery", Some(&hash)));
        assert!(!password_fits("nobody has this password", None));
    }
}
