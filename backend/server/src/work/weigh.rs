//! Weighs what the paths of a server say, stores it, and tells what changed.

use chrono::{DateTime, TimeDelta, Utc};
use rackhand_domain::power::state::{Context, weigh};
use rackhand_store::{Result, Scope, events, now, servers};
use rackhand_wire::{
    PowerValue,
    api::{event::Severity, live::Object, server::Server},
    id::ServerId,
    power::{PowerFlag, ServerPower},
};
use std::collections::BTreeMap;

use crate::app::App;

/// Servers weighed in one transaction: others write in between.
const AT_ONCE: usize = 25;

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
    let touched: Vec<(ServerId, DateTime<Utc>)> = touched.into_iter().collect();
    for some in touched.chunks(AT_ONCE) {
        let mut weighed = Vec::new();
        for (id, at) in some {
            weighed.extend(one(app, *id, *at).await?);
        }
        // Only what is written holds up others who write.
        let (mut changed, mut told) = (Vec::new(), Vec::new());
        let tx = app.db.begin().await?;
        for (server, power, at) in weighed {
            if !servers::set_power(&tx, server.id, &power).await? {
                continue;
            }
            changed.push(server.id);
            let tenant = servers::owner(&tx, &Scope::provider(), server.id).await?;
            for event in news((server.id, &server.name), &server.power, &power, at) {
                told.push(events::add(&tx, tenant, event).await?.id);
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

/// Weighs one, unless it was removed.
async fn one(
    app: &App,
    id: ServerId,
    at: DateTime<Utc>,
) -> Result<Option<(Server, ServerPower, DateTime<Utc>)>> {
    let db = app.db.reader();
    let found = match servers::get(db, &Scope::provider(), id).await {
        Err(rackhand_store::Error::NotFound) => return Ok(None),
        found => found?,
    };
    let timings = app.timings();
    let delta = |duration| TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX);
    let context = Context {
        now: at,
        feeds_complete: found.feeds_complete,
        fallback_enabled: found.fallback_enabled && app.settings().fallback_enabled,
        mismatch_seen: servers::mismatch_seen(db, id).await?,
        stale_after: delta(timings.poll * 3),
        hold_up: delta(timings.discharge),
    };
    let power = weigh(found.power.paths.clone(), &context, &found.power);
    Ok(Some((found, power, at)))
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
            PowerFlag::Degraded => ("server.degraded", Severity::Warning, "runs on part of its feeds only"),
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
            PowerFlag::StaysOffAfterFeed => {
                ("server.stays_off", Severity::Warning, "stays off when its feeds return (restore policy)")
            }
            PowerFlag::Transition => continue,
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
