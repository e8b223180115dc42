//! Rackhand's own certificate authority: says of a public key whose it is.

use chrono::{DateTime, Utc};
use rackhand_agent::proof::key_name;
use rackhand_store::{Db, settings};
use rackhand_wire::{Secret, Secrets, agent::Refusal, id::AgentId};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_ED25519, SanType,
};
use std::time::Duration;
use x509_parser::{
    certificate::X509Certificate,
    extensions::GeneralName,
    pem::{Pem, parse_x509_pem},
    x509::SubjectPublicKeyInfo,
};

use crate::Failure;

/// The authority. Its key never leaves the process but sealed.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: Pem,
    life: Duration,
}

/// A certificate that was made.
pub struct Made {
    /// PEM.
    pub certificate: String,
    /// Name of its key.
    pub key: String,
    /// When it was made.
    pub from: DateTime<Utc>,
    /// When it ends.
    pub until: DateTime<Utc>,
}

/// A certificate of this authority.
pub struct Checked {
    certificate: Pem,
    /// Whose it is.
    pub agent: AgentId,
    /// Name of its key.
    pub key: String,
    /// When it ends.
    pub until: DateTime<Utc>,
}

/// Clocks may differ by as much before a fresh certificate is refused somewhere.
const BACKDATED: time::Duration = time::Duration::hours(2);

const NAME: &str = "Rackhand agents";
const SETTING: &str = "agent_authority";

impl Authority {
    /// Opens the authority of a database, or makes it.
    ///
    /// # Errors
    /// When the database fails or was sealed with another master key.
    pub async fn open(db: &Db, life: Duration) -> Result<Self, Failure> {
        let what = "open the agents' certificate authority";
        let failed = |error: rcgen::Error| Failure::new(what, error);
        let tx = db.begin().await?;
        let kept = settings::sealed(&tx, db.keys(), SETTING).await?;
        let (key, certificate) = match kept.as_ref().map(|kept| (kept.find("key"), kept.find("certificate")))
        {
            Some((Some(key), Some(certificate))) => {
                (KeyPair::from_pem(key).map_err(failed)?, certificate.to_owned())
            }
            Some(_) => return Err(Failure::new(what, "it is incomplete")),
            None => {
                let key = KeyPair::generate_for(&PKCS_ED25519).map_err(failed)?;
                let certificate = own(&key).map_err(failed)?;
                let mut secrets = Secrets::default();
                secrets.set("key", Secret::new(key.serialize_pem()));
                secrets.set("certificate", Secret::new(certificate.clone()));
                settings::seal(&tx, db.keys(), SETTING, &secrets).await?;
                (key, certificate)
            }
        };
        tx.commit().await.map_err(rackhand_store::Error::from)?;
        let issuer = Issuer::from_ca_cert_pem(&certificate, key).map_err(failed)?;
        let (_, certificate) =
            parse_x509_pem(certificate.as_bytes()).map_err(|error| Failure::new(what, error))?;
        Ok(Self { issuer, certificate, life })
    }

    /// Certifies the key of a request, which is signed by that key. What else it says means nothing.
    ///
    /// # Errors
    /// When it is no request or its key is of another kind.
    pub fn certify(&self, agent: AgentId, request: &str) -> Result<Made, rcgen::Error> {
        let request = CertificateSigningRequestParams::from_pem(request)?;
        let now = time::OffsetDateTime::now_utc();
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, agent.to_string());
        params.subject_alt_names = vec![SanType::URI(uri(agent).try_into()?)];
        params.not_before = now - BACKDATED;
        params.not_after = now + self.life;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&request.public_key, &self.issuer)?;
        let spki = rcgen::PublicKeyData::subject_public_key_info(&request.public_key);
        let from = rackhand_store::now();
        Ok(Made { certificate: certificate.pem(), key: key_name(&spki), from, until: from + self.life })
    }

    /// Checks that a certificate is of this authority; whether it has ended is for the caller to judge.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn check(&self, certificate: &str) -> Result<Checked, Refusal> {
        let forged = Refusal::ForgedCertificate;
        let (_, pem) = parse_x509_pem(certificate.as_bytes()).map_err(|_| forged)?;
        let found = pem.parse_x509().map_err(|_| forged)?;
        let own = self.certificate.parse_x509().map_err(|_| forged)?;
        found.verify_signature(Some(own.public_key())).map_err(|_| forged)?;
        let agent = whose(&found).ok_or(forged)?;
        let key = key_name(found.public_key().raw);
        let until = DateTime::from_timestamp(found.validity().not_after.timestamp(), 0).ok_or(forged)?;
        Ok(Checked { certificate: pem, agent, key, until })
    }

    /// How long certificates last.
    pub fn life(&self) -> Duration {
        self.life
    }
}

impl Checked {
    /// Uses the public key of the certificate.
    ///
    /// # Errors
    /// When the certificate cannot be read.
    pub fn with_key<T>(&self, use_key: impl FnOnce(&SubjectPublicKeyInfo<'_>) -> T) -> Result<T, Refusal> {
        let found = self.certificate.parse_x509().map_err(|_| Refusal::ForgedCertificate)?;
        Ok(use_key(found.public_key()))
    }
}

fn own(key: &KeyPair) -> Result<String, rcgen::Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, NAME);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.not_before = time::OffsetDateTime::now_utc() - BACKDATED;
    params.not_after = params.not_before + time::Duration::days(365 * 30);
    Ok(params.self_signed(key)?.pem())
}

fn uri(agent: AgentId) -> String {
    format!("rackhand:agent:{agent}")
}

fn whose(certificate: &X509Certificate<'_>) -> Option<AgentId> {
    let names = certificate.subject_alternative_name().ok()??;
    names.value.general_names.iter().find_map(|name| {
        let GeneralName::URI(uri) = name else { return None };
        uri.strip_prefix("rackhand:agent:")?.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use rackhand_agent::identity::request;
    use rackhand_store::fresh_id;

    use super::*;
    use crate::agents::bench::database;

    #[tokio::test]
    async fn a_certificate_is_known_by_the_authority_that_made_it_alone() {
        let (db, _folder) = database().await;
        let life = Duration::from_hours(24);
        let authority = Authority::open(&db, life).await.unwrap();
        let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let agent = AgentId(fresh_id());
        let made = authority.certify(agent, &request(&key).unwrap()).unwrap();
        let again = Authority::open(&db, life).await.unwrap();
        let checked = again.check(&made.certificate).unwrap();
        assert_eq!((checked.agent, &checked.key), (agent, &made.key));
        assert!((checked.until - made.until).num_seconds().abs() <= 1);
        let (other, _folder) = database().await;
        let other = Authority::open(&other, life).await.unwrap();
        assert_eq!(other.check(&made.certificate).err(), Some(Refusal::ForgedCertificate));
        assert_eq!(again.check("nonsense").err(), Some(Refusal::ForgedCertificate));
        assert!(again.certify(agent, "nonsense").is_err());
    }
}
