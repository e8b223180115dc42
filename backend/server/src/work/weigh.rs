//! Weighs what the paths of a server say, stores it, and tells what changed.

use chrono::{DateTime, TimeDelta, Utc};
use rackhand_domain::power::state::{Context, fed_again, forget_until, weigh};
use rackhand_store::{
    Result, events, in_background, now, readings, steps, watches,
    weighed::{self, Weighed},
};
use rackhand_wire::{
    PowerValue,
    api::{event::Severity, live::Object},
    id::ServerId,
    power::{PowerFlag, ServerPower},
};
use std::{collections::BTreeMap, sync::Arc};

use crate::app::App;

/// The word of the event that tells of a lost feed.
const DEGRADED: &str = "server.degraded";

/// Servers weighed in one transaction: others write in between.
const AT_ONCE: usize = 25;

/// Doubts all the time what nobody looks at any more. A look weighs its server; where no look comes, because the
/// agent is away, nothing else would.
pub async fn watch(app: Arc<App>) {
    loop {
        tokio::time::sleep(app.timings().server_sweep).await;
        if let Err(error) = in_background(doubt(&app)).await {
            tracing::warn!(%error, "could not look which servers nobody looks at");
        }
    }
}

/// One statement for all of them: that what is stale is unsure needs no weighing. A firmware update that is long over
/// is let go of by weighing.
async fn doubt(app: &App) -> Result<()> {
    if let Some(since) = now().checked_sub_signed(firmware_update(app)) {
        let over = watches::updating(&app.db, since).await?;
        servers(app, over.into_iter().map(|server| (server, now())).collect()).await?;
    }
    let Some(since) = now().checked_sub_signed(stale_after(app)) else { return Ok(()) };
    for server in watches::doubt(&app.db, since).await? {
        app.live.tell(Object::Server, server);
    }
    Ok(())
}

/// Lets go of a firmware update that is over since the last sweep.
pub fn let_go(app: &App, power: &mut ServerPower) {
    if power.updating_at.is_none_or(|at| now() - at > firmware_update(app)) {
        power.flags.retain(|flag| *flag != PowerFlag::FirmwareUpdate);
    }
}

/// Weighs a server again.
///
/// # Errors
/// When the database fails.
pub async fn server(app: &App, id: ServerId) -> Result<()> {
    servers(app, BTreeMap::from([(id, now())])).await
}

/// Weighs servers whose paths said something then: what is told late is weighed, and told on, as of its own time.
///
/// # Errors
/// When the database fails.
pub async fn servers(app: &App, touched: BTreeMap<ServerId, DateTime<Utc>>) -> Result<()> {
    let ids: Vec<ServerId> = touched.keys().copied().collect();
    for some in ids.chunks(AT_ONCE) {
        let (mut changed, mut told) = (Vec::new(), Vec::new());
        let tx = app.db.begin().await?;
        for server in weighed::find(&tx, some).await? {
            let at = touched.get(&server.id).copied().unwrap_or_else(now);
            let (context, mut paths) = (context(app, &server, at), server.power.paths.clone());
            if let Some(until) = fed_again(&server.power, &context) {
                forget_until(&mut paths, until);
                readings::forget_controllers(&tx, server.id, until).await?;
            }
            let power = weigh(paths, &context, &server.power);
            if !weighed::store(&tx, &server, &power).await? {
                continue;
            }
            changed.push(server.id);
            let mut news = news((server.id, &server.name), &server.power, &power, at);
            // A job switches one outlet after the other; what it leaves is told with its end.
            if news.iter().any(|event| event.kind == DEGRADED)
                && steps::switches_feeds(&tx, server.id).await?
            {
                news.retain(|event| event.kind != DEGRADED);
            }
            for event in news {
                told.push(events::add(&tx, server.tenant, event).await?.id);
            }
        }
        tx.commit().await?;
        for id in changed {
            app.live.tell(Object::Server, id);
        }
        for id in told {
            app.live.tell(Object::Event, id);
        }
    }
    Ok(())
}

fn context(app: &App, server: &Weighed, at: DateTime<Utc>) -> Context {
    let timings = app.timings();
    let delta = |duration| TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX);
    Context {
        now: at,
        feeds_complete: server.feeds_complete,
        fallback_enabled: server.fallback_enabled && app.settings().fallback_enabled,
        mismatch_seen: server.mismatch_seen,
        stale_after: stale_after(app),
        firmware_update: firmware_update(app),
        hold_up: delta(timings.discharge),
    }
}

/// A BMC that fell silent while its firmware was written is taken to be writing for so long.
fn firmware_update(app: &App) -> TimeDelta {
    TimeDelta::from_std(app.timings().firmware_update).unwrap_or(TimeDelta::MAX)
}

/// Evidence older than this counts for less: several looks in a row are missing.
fn stale_after(app: &App) -> TimeDelta {
    TimeDelta::from_std(app.timings().poll * 3).unwrap_or(TimeDelta::MAX)
}

/// What is told of a change.
fn news(
    (id, name): (ServerId, &str),
    before: &ServerPower,
    after: &ServerPower,
    at: DateTime<Utc>,
) -> Vec<events::New> {
    let mut news = Vec::new();
    if before.value != after.value {
        let (word, sentence) = match after.value {
            PowerValue::On => ("power.on", "is on"),
            PowerValue::Off => ("power.off", "is off"),
            PowerValue::Fed => ("power.fed", "is fed; whether it runs is not known"),
            PowerValue::Unknown => ("power.unknown", "cannot be asked any more"),
        };
        news.push((word, Severity::Info, format!("{name} {sentence}.")));
    }
    for flag in after.flags.iter().filter(|flag| !before.flags.contains(flag)) {
        let (word, severity, sentence) = match flag {
            PowerFlag::Degraded => (DEGRADED, Severity::Warning, "runs on part of its feeds only"),
            PowerFlag::WiringMismatch => (
                "server.wiring_mismatch",
                Severity::Alarm,
                "answered after its outlets were read off: the outlets feed something else",
            ),
            PowerFlag::IdentityMismatch => (
                "server.identity_mismatch",
                Severity::Alarm,
                "has another BMC at its address than the one added",
            ),
            PowerFlag::FirmwareUpdate => (
                "server.firmware_update",
                Severity::Warning,
                "has a BMC whose firmware is being written: power actions are refused meanwhile",
            ),
            PowerFlag::StaysOffAfterFeed => {
                ("server.stays_off", Severity::Warning, "stays off when its feeds return (restore policy)")
            }
        };
        news.push((word, severity, format!("{name} {sentence}.")));
    }
    let event = |(kind, severity, message): (&str, Severity, String)| events::New {
        kind: kind.into(),
        severity: Some(severity),
        message,
        server: Some((id, name.to_owned())),
        at: Some(at),
        ..Default::default()
    };
    news.into_iter().map(event).collect()
}
