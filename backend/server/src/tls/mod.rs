//! TLS of the server's own: a certificate that is exchanged while connections live on.

mod acme;
mod challenge;
mod own;
mod pair;
mod socket;
mod watch;

use rackhand_store::{Db, events};
use rackhand_wire::{api::event::Severity, id::TenantId};
use rustls::{
    ServerConfig,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};
use tokio::signal::unix::{Signal, SignalKind, signal};

use self::pair::Pair;
use crate::{
    Failure,
    app::App,
    config::{Config, Tls},
};

pub use socket::met;

/// The certificate that new connections get. Those that stand keep theirs.
#[derive(Debug, Default)]
pub struct InUse(RwLock<Option<Pair>>);

impl InUse {
    /// Uses a certificate from now on.
    pub fn put(&self, pair: Pair) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(pair);
    }

    /// What is in use.
    pub fn pair(&self) -> Option<Pair> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Name of the key that agents must be told, because nobody vouches for it.
    pub fn pin(&self) -> Option<String> {
        self.pair().filter(|pair| pair.is_own).map(|pair| pair.key_name)
    }
}

impl ResolvesServerCert for InUse {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.pair().map(|pair| pair.certified)
    }
}

/// Gets the certificate, as far as it can be had without asking anybody; `None` without TLS.
///
/// # Errors
/// When it cannot be used.
pub async fn open(config: &Config, db: &Db) -> Result<Option<Arc<InUse>>, Failure> {
    let in_use = InUse::default();
    if matches!(config.tls, Some(Tls::SelfSigned)) && db.is_shared() {
        own::share(db, &config.data_dir).await?;
    }
    match &config.tls {
        None => return Ok(None),
        Some(Tls::Files(files)) => in_use.put(pair::of_files(files)?),
        Some(Tls::SelfSigned) => in_use.put(own::pair(&config.data_dir, config.host())?),
        // What the authority gave is in the database; `keep` looks there first.
        Some(Tls::Acme(_)) => {}
    }
    Ok(Some(Arc::new(in_use)))
}

/// How connections are accepted: TLS 1.3, or 1.2 for what cannot do better.
///
/// # Errors
/// When the library refuses.
pub fn server_config(in_use: &Arc<InUse>) -> Result<ServerConfig, Failure> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| Failure::new("use TLS", error))?;
    Ok(builder.with_no_client_auth().with_cert_resolver(Arc::<InUse>::clone(in_use)))
}

/// Begins to keep the certificate fresh.
///
/// # Errors
/// When the authority's question cannot be answered where it will be asked.
pub fn keep(app: &Arc<App>) -> Result<(), Failure> {
    let (Some(in_use), Some(tls)) = (app.tls.clone(), app.config.tls.clone()) else { return Ok(()) };
    let hangups = Hangups(signal(SignalKind::hangup()).map_err(|error| Failure::new("hear SIGHUP", error))?);
    match tls {
        Tls::Files(_) | Tls::SelfSigned => {
            tokio::spawn(watch::keep(Arc::clone(app), tls, in_use, hangups));
        }
        Tls::Acme(acme) => {
            challenge::listen(app, acme.http_listen)?;
            tokio::spawn(acme::keep(Arc::clone(app), acme, in_use, hangups));
        }
    }
    Ok(())
}

/// Requests to look at once.
struct Hangups(Signal);

impl Hangups {
    /// Waits for a minute of the product's time or the next request; says whether it was a request.
    async fn minute(&mut self, app: &App) -> bool {
        let minute = Duration::from_mins(1).mul_f64(app.config.time_scale);
        tokio::select! {
            _ = self.0.recv() => true,
            () = tokio::time::sleep(minute) => false,
        }
    }
}

/// Puts on record what became of the certificate.
async fn tell(app: &App, severity: Severity, kind: &str, message: String) {
    match severity {
        Severity::Alarm | Severity::Warning => tracing::error!("{message}"),
        Severity::Info => tracing::info!("{message}"),
    }
    let event = events::New { kind: kind.into(), severity: Some(severity), message, ..Default::default() };
    crate::work::tell(app, TenantId::PROVIDER, event).await;
}
