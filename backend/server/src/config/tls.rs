//! How the server is told to speak TLS.

use clap::{Args, ValueEnum};
use serde::Deserialize;
use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

use crate::Failure;

#[expect(clippy::doc_markdown, reason = "these comments are the help text")]
/// Where the certificate comes from.
#[derive(ValueEnum, Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// No TLS: loopback alone, or a proxy in front
    Off,
    /// From tls_cert and tls_key
    Files,
    /// Made here; agents trust its key, browsers ask
    SelfSigned,
    /// From Let's Encrypt or another authority that speaks ACME; using it agrees to its terms
    Acme,
}

#[expect(clippy::doc_markdown, reason = "these comments are the help text")]
/// Options of TLS.
#[derive(Args, Debug, Clone, Default)]
pub struct TlsOptions {
    /// Speak TLS, with a certificate from where [default: files when tls_cert is given, else off]
    #[arg(long, value_name = "HOW", env = "RACKHAND_TLS")]
    pub tls: Option<Mode>,
    /// The certificate and those between it and its authority (PEM); read again when it changes
    #[arg(long, value_name = "FILE", env = "RACKHAND_TLS_CERT")]
    pub tls_cert: Option<PathBuf>,
    /// The certificate's private key (PEM)
    #[arg(long, value_name = "FILE", env = "RACKHAND_TLS_KEY")]
    pub tls_key: Option<PathBuf>,
    /// Mail address for the ACME authority
    #[arg(long, value_name = "MAIL", env = "RACKHAND_ACME_CONTACT")]
    pub acme_contact: Option<String>,
    /// Directory of the ACME authority [default: Let's Encrypt]
    #[arg(long, value_name = "URL", env = "RACKHAND_ACME_DIRECTORY")]
    pub acme_directory: Option<String>,
    /// Certificates (PEM) to trust as well when talking to the ACME authority
    #[arg(long, value_name = "FILE", env = "RACKHAND_ACME_ROOT")]
    pub acme_root: Option<PathBuf>,
    /// Where the authority's question is answered; everything else there is sent to https
    /// [default: 0.0.0.0:80]
    #[arg(long, value_name = "ADDR", env = "RACKHAND_ACME_HTTP_LISTEN", value_parser = super::address)]
    pub acme_http_listen: Option<SocketAddr>,
}

/// How TLS is spoken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tls {
    /// With a certificate from files.
    Files(Files),
    /// With one that is made here.
    SelfSigned,
    /// With one that an authority gives.
    Acme(Acme),
}

/// Files of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// The certificate with its chain.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// An authority that speaks ACME (RFC 8555).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acme {
    /// Mail address.
    pub contact: Option<String>,
    /// Its directory.
    pub directory: String,
    /// More certificates to trust when talking to it.
    pub root: Option<PathBuf>,
    /// Where its question is answered.
    pub http_listen: SocketAddr,
}

const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";

impl TlsOptions {
    /// Takes what is absent here from `other`. How and which files belong together: who says one of the three
    /// here means all of them.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        let here = self.tls.is_some() || self.tls_cert.is_some() || self.tls_key.is_some();
        let (tls, tls_cert, tls_key) = if here && self.tls != Some(Mode::Files) {
            (self.tls, self.tls_cert, self.tls_key)
        } else {
            (self.tls.or(other.tls), self.tls_cert.or(other.tls_cert), self.tls_key.or(other.tls_key))
        };
        Self {
            tls,
            tls_cert,
            tls_key,
            acme_contact: self.acme_contact.or(other.acme_contact),
            acme_directory: self.acme_directory.or(other.acme_directory),
            acme_root: self.acme_root.or(other.acme_root),
            acme_http_listen: self.acme_http_listen.or(other.acme_http_listen),
        }
    }

    /// Makes one way of it.
    ///
    /// # Errors
    /// When the options contradict one another.
    pub fn settle(self) -> Result<Option<Tls>, Failure> {
        let named = self.tls_cert.is_some() || self.tls_key.is_some();
        let mode = self.tls.unwrap_or(if named { Mode::Files } else { Mode::Off });
        let no = |why: &str| Err(Failure::new("use TLS", why));
        match (mode, self.tls_cert, self.tls_key) {
            (Mode::Files, Some(cert), Some(key)) => Ok(Some(Tls::Files(Files { cert, key }))),
            (Mode::Files, Some(_), None) => no("tls_cert is given without tls_key; name the key's file too"),
            (Mode::Files, None, Some(_)) => {
                no("tls_key is given without tls_cert; name the certificate's file too")
            }
            (Mode::Files, None, None) => no("tls = \"files\" needs tls_cert and tls_key"),
            (Mode::Off | Mode::SelfSigned | Mode::Acme, _, _) if named => {
                no("tls_cert and tls_key are files; leave them out, or say tls = \"files\"")
            }
            (Mode::Off, _, _) => Ok(None),
            (Mode::SelfSigned, _, _) => Ok(Some(Tls::SelfSigned)),
            (Mode::Acme, _, _) => Ok(Some(Tls::Acme(Acme {
                contact: self.acme_contact,
                directory: self.acme_directory.unwrap_or_else(|| LETS_ENCRYPT.to_owned()),
                root: self.acme_root,
                http_listen: self.acme_http_listen.unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], 80))),
            }))),
        }
    }
}

impl Tls {
    /// Compares it with the address under which people reach the server.
    ///
    /// # Errors
    /// When they do not agree.
    pub fn check(&self, public_url: &str, host: &str) -> Result<(), Failure> {
        if let Some(rest) = public_url.strip_prefix("http://") {
            let why = format!(
                "“{public_url}” says http, but TLS is on, so browsers would lose their sign-in: set public_url \
                 to https://{rest}, or leave TLS to a proxy with tls = \"off\""
            );
            return Err(Failure::new("use public_url", why));
        }
        let Self::Acme(acme) = self else { return Ok(()) };
        if !acme.directory.starts_with("https://") {
            let why = format!("“{}” must begin with https://", acme.directory);
            return Err(Failure::new("use acme_directory", why));
        }
        let is_near = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
        if is_near {
            let why = format!(
                "an authority gives no certificate for {host}: set public_url to the name under which it can \
                 reach this server, or say tls = \"self-signed\""
            );
            return Err(Failure::new("use ACME", why));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_come_in_pairs_and_exclude_other_ways() {
        let files = |cert: Option<&str>, key: Option<&str>, tls| TlsOptions {
            tls_cert: cert.map(PathBuf::from),
            tls_key: key.map(PathBuf::from),
            tls,
            ..TlsOptions::default()
        };
        let both = files(Some("c"), Some("k"), None).settle().unwrap();
        assert_eq!(both, Some(Tls::Files(Files { cert: "c".into(), key: "k".into() })));
        for (options, remedy) in [
            (files(Some("c"), None, None), "name the key's file too"),
            (files(None, Some("k"), None), "name the certificate's file too"),
            (files(None, None, Some(Mode::Files)), "needs tls_cert and tls_key"),
            (files(Some("c"), Some("k"), Some(Mode::Acme)), "leave them out"),
            (files(Some("c"), Some("k"), Some(Mode::Off)), "leave them out"),
        ] {
            let said = options.settle().unwrap_err().to_string();
            assert!(said.contains(remedy), "{said}");
        }
        assert_eq!(TlsOptions::default().settle().unwrap(), None);
    }

    #[test]
    fn a_flag_sets_the_files_of_the_file_aside() {
        let file = TlsOptions {
            tls_cert: Some("c".into()),
            tls_key: Some("k".into()),
            acme_contact: Some("a@example.com".into()),
            ..TlsOptions::default()
        };
        let flag = |tls| TlsOptions { tls: Some(tls), ..TlsOptions::default() };
        assert_eq!(flag(Mode::SelfSigned).or(file.clone()).settle().unwrap(), Some(Tls::SelfSigned));
        assert_eq!(flag(Mode::Off).or(file.clone()).settle().unwrap(), None);
        assert!(matches!(flag(Mode::Files).or(file.clone()).settle().unwrap(), Some(Tls::Files(_))));
        let Some(Tls::Acme(acme)) = flag(Mode::Acme).or(file).settle().unwrap() else { panic!("no ACME") };
        assert_eq!(acme.contact.as_deref(), Some("a@example.com"));
    }

    #[test]
    fn the_public_address_must_agree() {
        let said = Tls::SelfSigned.check("http://a.example:8443", "a.example").unwrap_err().to_string();
        assert!(said.contains("https://a.example:8443"), "{said}");
        assert!(Tls::SelfSigned.check("https://localhost", "localhost").is_ok());
        let acme = TlsOptions { tls: Some(Mode::Acme), ..TlsOptions::default() }.settle().unwrap().unwrap();
        assert!(
            acme.check("https://localhost", "localhost").unwrap_err().to_string().contains("self-signed")
        );
        assert!(acme.check("https://panel.example.com", "panel.example.com").is_ok());
    }
}
