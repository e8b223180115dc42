//! Weighs what the paths of a server say, stores it, and tells what changed.

use chrono::TimeDelta;
use rackhand_domain::power::state::{Context, weigh};
use rackhand_store::{Scope, events, now, servers};
use rackhand_wire::{
    PowerValue,
    api::{event::Severity, live::Object},
    id::ServerId,
    power::{PowerFlag, ServerPower},
};

use crate::app::App;

/// Weighs a server again.
///
/// # Errors
/// When the database fails.
pub async fn server(app: &App, id: ServerId) -> rackhand_store::Result<()> {
    let found = match servers::get(app.db.reader(), &Scope::provider(), id).await {
        Err(rackhand_store::Error::NotFound) => return Ok(()),
        found => found?,
    };
    let timings = app.timings();
    let delta = |duration| TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX);
    let context = Context {
        now: now(),
        feeds_complete: found.feeds_complete,
        fallback_enabled: found.fallback_enabled && app.settings().fallback_enabled,
        mismatch_seen: servers::mismatch_seen(app.db.reader(), id).await?,
        stale_after: delta(timings.poll * 3),
        hold_up: delta(timings.discharge),
    };
    let power = weigh(found.power.paths.clone(), &context, &found.power);
    if servers::set_power(app.db.writer(), id, &power).await? {
        app.live.tell(Object::Server, id);
        tell(app, id, &found.name, &found.power, &power).await?;
    }
    Ok(())
}

async fn tell(
    app: &App,
    id: ServerId,
    name: &str,
    before: &ServerPower,
    after: &ServerPower,
) -> rackhand_store::Result<()> {
    let tenant = servers::owner(app.db.reader(), &Scope::provider(), id).await?;
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
    for (kind, severity, message) in news {
        let event = events::New {
            kind: kind.into(),
            severity: Some(severity),
            message,
            server: Some((id, name.to_owned())),
            ..Default::default()
        };
        super::tell(app, tenant, event).await;
    }
    Ok(())
}
