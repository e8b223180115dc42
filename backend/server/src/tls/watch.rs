//! Takes up certificates that change on disk.

use rackhand_wire::api::event::Severity;
use std::sync::Arc;

use super::{Hangups, InUse, own, pair, tell};
use crate::{app::App, config::Tls};

/// Looks every minute, and at once on SIGHUP. What cannot be used is said once, and the old one stays.
pub async fn keep(app: Arc<App>, tls: Tls, in_use: Arc<InUse>, mut hangups: Hangups) {
    let mut said = String::new();
    loop {
        hangups.minute(&app).await;
        let found = match &tls {
            Tls::Files(files) => pair::of_files(files),
            Tls::SelfSigned => own::pair(&app.config.data_dir, app.config.host()),
            Tls::Acme(_) => return,
        };
        match found {
            Ok(pair) if in_use.pair().is_some_and(|present| present.is_same(&pair)) => said.clear(),
            Ok(pair) => {
                let until = pair.until.format("%Y-%m-%d %H:%M UTC");
                let message = format!("New connections get the changed certificate, good until {until}.");
                in_use.put(pair);
                said.clear();
                tell(&app, Severity::Info, "tls.changed", message).await;
            }
            Err(failure) => {
                let message = format!("Rackhand {failure}. The certificate that was read before is used on.");
                if message != said {
                    tell(&app, Severity::Alarm, "tls.unusable", message.clone()).await;
                    said = message;
                }
            }
        }
    }
}
