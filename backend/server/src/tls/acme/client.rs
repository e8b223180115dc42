//! HTTPS to the authority.

use bytes::Bytes;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use std::{path::Path, pin::Pin, sync::Arc};

struct Https(Client<HttpsConnector<HttpConnector>, BodyWrapper<Bytes>>);

/// Makes a client that trusts the world's authorities and those of a file.
///
/// # Errors
/// In words, when the file cannot be used.
pub fn client(root: Option<&Path>) -> Result<Box<dyn HttpClient>, String> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(path) = root {
        let unusable = |why: &dyn std::fmt::Display| format!("acme_root {}: {why}", path.display());
        let certificates = CertificateDer::pem_file_iter(path).map_err(|error| unusable(&error))?;
        for certificate in certificates {
            let certificate = certificate.map_err(|error| unusable(&error))?;
            roots.add(certificate).map_err(|error| unusable(&error))?;
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config =
        config.map_err(|error| error.to_string())?.with_root_certificates(roots).with_no_client_auth();
    let connector = HttpsConnectorBuilder::new().with_tls_config(config).https_only().enable_http1().build();
    Ok(Box::new(Https(Client::builder(TokioExecutor::new()).build(connector))))
}

type Answer = Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>>;

impl HttpClient for Https {
    fn request(&self, request: http::Request<BodyWrapper<Bytes>>) -> Answer {
        let answer = self.0.request(request);
        Box::pin(async move {
            answer.await.map(BytesResponse::from).map_err(|error| Error::Other(Box::new(error)))
        })
    }
}
