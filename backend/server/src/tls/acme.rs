//! Certificates from an authority that speaks ACME (RFC 8555).
//!
//! Account, certificate and key are sealed in the database, so that replicas share them; a lease lets one of them
//! ask at a time.

mod client;

use chrono::TimeDelta;
use instant_acme::{
    Account, AccountCredentials, AuthorizationStatus, ChallengeType, Identifier, NewAccount, NewOrder, Order,
    OrderStatus, RetryPolicy,
};
use rackhand_store::{now, settings};
use rackhand_wire::{Secret, Secrets, api::event::Severity};
use std::{
    error::Error as _,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{Hangups, InUse, challenge, pair::Pair, tell};
use crate::{app::App, config::Acme};

const SETTING: &str = "acme";
const LEASE: &str = "acme_lease";

/// An authority that has not given a certificate by then will not.
const PATIENCE: Duration = Duration::from_mins(2);
/// Another replica asks once the one that does must have given up.
const LEASED: Duration = Duration::from_mins(3);
/// Pause after the first failure; doubles. Let's Encrypt lets a name fail five times an hour.
const FIRST_PAUSE: Duration = Duration::from_mins(15);
/// No pause is longer.
const LONGEST_PAUSE: Duration = Duration::from_hours(6);

/// Keeps a certificate for the server's name in use, renewed after two thirds of its life.
pub async fn keep(app: Arc<App>, acme: Acme, in_use: Arc<InUse>, mut hangups: Hangups) {
    let holder = rackhand_store::fresh_id().to_string();
    let mut pause = FIRST_PAUSE;
    let mut not_before = Instant::now();
    loop {
        match look(&app, &acme, &in_use).await {
            Ok(Some(kept)) if Instant::now() >= not_before => {
                match leased(&app, &acme, &holder, kept).await {
                    Ok(Some(pair)) => {
                        let host = app.config.host();
                        let until = pair.until.format("%Y-%m-%d %H:%M UTC");
                        let message =
                            format!("The authority gave a certificate for {host}, good until {until}.");
                        in_use.put(pair);
                        pause = FIRST_PAUSE;
                        tell(&app, Severity::Info, "tls.certificate", message).await;
                    }
                    Ok(None) => tracing::debug!("another replica asks the authority"),
                    Err(why) => {
                        not_before = Instant::now() + pause.mul_f64(app.config.time_scale);
                        complain(&app, &in_use, &why, pause).await;
                        pause = (pause * 2).min(LONGEST_PAUSE);
                    }
                }
            }
            Ok(_) => {}
            Err(error) => tracing::error!(%error, "cannot look up the certificate"),
        }
        if hangups.minute(&app).await {
            not_before = Instant::now();
        }
    }
}

async fn complain(app: &App, in_use: &InUse, why: &str, pause: Duration) {
    let present = in_use.pair().map_or_else(
        || "There is none, so nobody can connect".to_owned(),
        |pair| format!("The present one is good until {}", pair.until.format("%Y-%m-%d %H:%M UTC")),
    );
    let message = format!(
        "No certificate for {}: {}. {present}; the next try is in {} minutes, or at once on SIGHUP.",
        app.config.host(),
        why.trim_end_matches('.'),
        pause.as_secs() / 60
    );
    tell(app, Severity::Alarm, "tls.certificate_failed", message).await;
}

/// Uses what the database keeps, which another replica may have renewed. Gives it when a certificate is due.
async fn look(app: &App, acme: &Acme, in_use: &InUse) -> rackhand_store::Result<Option<Secrets>> {
    let kept = settings::sealed(app.db.reader(), app.db.keys(), SETTING).await?.unwrap_or_default();
    // Another authority knows neither the account nor why its name was on the certificate.
    let kept = if kept.find("directory") == Some(&acme.directory) { kept } else { Secrets::default() };
    let pair = kept.find("certificate").zip(kept.find("key"));
    let pair = pair.and_then(|(chain, key)| Pair::read(chain.as_bytes(), key.as_bytes()).ok());
    let Some(pair) = pair.filter(|pair| pair.is_for(app.config.host())) else { return Ok(Some(kept)) };
    let is_due = now() >= pair.from + (pair.until - pair.from) * 2 / 3;
    if !in_use.pair().is_some_and(|present| present.is_same(&pair)) {
        in_use.put(pair);
    }
    Ok(is_due.then_some(kept))
}

/// Asks for a certificate unless another replica does; gives it once it is kept.
async fn leased(app: &App, acme: &Acme, holder: &str, kept: Secrets) -> Result<Option<Pair>, String> {
    let in_words = |error: rackhand_store::Error| format!("the database fails: {error}");
    let life = TimeDelta::from_std(LEASED.mul_f64(app.config.time_scale)).unwrap_or_default();
    if !settings::lease(&app.db, LEASE, holder, life).await.map_err(in_words)? {
        return Ok(None);
    }
    let asked = tokio::time::timeout(PATIENCE, obtain(app, acme, kept)).await;
    let pair = asked.unwrap_or_else(|_| Err("the authority did not finish within two minutes".into()));
    settings::lease(&app.db, LEASE, holder, TimeDelta::zero()).await.map_err(in_words)?;
    pair.map(Some)
}

async fn obtain(app: &App, acme: &Acme, mut kept: Secrets) -> Result<Pair, String> {
    let account = account(app, acme, &mut kept).await?;
    let host = app.config.host();
    let name = match host.parse::<IpAddr>() {
        Ok(address) => Identifier::Ip(address),
        Err(_) => Identifier::Dns(host.to_ascii_lowercase()),
    };
    let mut order = account.new_order(&NewOrder::new(&[name])).await.map_err(|error| words(&error))?;
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization.map_err(|error| words(&error))?;
        if authorization.status == AuthorizationStatus::Valid {
            continue;
        }
        let challenge = authorization.challenge(ChallengeType::Http01);
        let mut challenge = challenge.ok_or("the authority does not offer to ask over HTTP (http-01)")?;
        let answer = challenge.key_authorization().as_str().to_owned();
        let prepared = challenge::prepare(app, &challenge.token, &answer).await;
        prepared.map_err(|error| format!("the answer for the authority cannot be kept: {error}"))?;
        challenge.set_ready().await.map_err(|error| words(&error))?;
    }
    let retries = RetryPolicy::new().timeout(PATIENCE);
    let ready = order.poll_ready(&retries).await;
    if !matches!(ready, Ok(OrderStatus::Ready)) {
        let objection = objection(&mut order).await;
        let otherwise = || match &ready {
            Err(error) => words(error),
            Ok(_) => "the authority refuses and says no more".into(),
        };
        return Err(objection.unwrap_or_else(otherwise));
    }
    let key = order.finalize().await.map_err(|error| words(&error))?;
    let chain = order.poll_certificate(&retries).await.map_err(|error| words(&error))?;
    let pair = Pair::read(chain.as_bytes(), key.as_bytes())
        .map_err(|unfit| format!("what the authority gave cannot be used: {unfit:?}"))?;
    kept.set("certificate", Secret::new(chain));
    kept.set("key", Secret::new(key));
    keep_sealed(app, &kept).await?;
    Ok(pair)
}

/// Opens the account at the authority, or makes one.
async fn account(app: &App, acme: &Acme, kept: &mut Secrets) -> Result<Account, String> {
    let builder = || Ok::<_, String>(Account::builder_with_http(client::client(acme.root.as_deref())?));
    if let Some(credentials) = kept.find("account") {
        let credentials: AccountCredentials = serde_json::from_str(credentials)
            .map_err(|error| format!("the account that was kept cannot be read: {error}"))?;
        return builder()?.from_credentials(credentials).await.map_err(|error| words(&error));
    }
    let contact = acme.contact.as_ref().map(|contact| {
        if contact.starts_with("mailto:") { contact.clone() } else { format!("mailto:{contact}") }
    });
    let contact: Vec<&str> = contact.iter().map(String::as_str).collect();
    let new = NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
    let (account, credentials) =
        builder()?.create(&new, acme.directory.clone(), None).await.map_err(|error| words(&error))?;
    let credentials = serde_json::to_string(&credentials).map_err(|error| error.to_string())?;
    kept.set("account", Secret::new(credentials));
    kept.set("directory", Secret::new(acme.directory.clone()));
    keep_sealed(app, kept).await?;
    Ok(account)
}

async fn keep_sealed(app: &App, kept: &Secrets) -> Result<(), String> {
    let sealed = settings::seal(app.db.writer(), app.db.keys(), SETTING, kept).await;
    sealed.map_err(|error| format!("what the authority gave cannot be kept: {error}"))
}

/// What the authority holds against the answer that it got.
async fn objection(order: &mut Order) -> Option<String> {
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        let state = authorization.refresh().await.ok()?;
        let problem = state.challenges.iter().find_map(|challenge| challenge.error.as_ref());
        if let Some(problem) = problem {
            return problem.detail.clone();
        }
    }
    None
}

fn words(error: &instant_acme::Error) -> String {
    if let instant_acme::Error::Api(problem) = error
        && let Some(detail) = &problem.detail
    {
        return detail.clone();
    }
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(deeper) = source {
        text = format!("{text}: {deeper}");
        source = deeper.source();
    }
    text
}
