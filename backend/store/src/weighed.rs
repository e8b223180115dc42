//! The power of servers as it is weighed: what their paths said, and what was made of it. Many at once, since every
//! look at a device weighs the servers that hang on it.

use chrono::{DateTime, TimeDelta, Utc};
use rackhand_wire::{
    Fault, FaultCode, PowerValue, Reason, Role,
    id::{EndpointId, ServerId, TenantId},
    power::{PowerFlag, ServerPower},
};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, Set};
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

use crate::{
    Result, Tx,
    entity::{
        connection, endpoint,
        server::{ActiveModel, Column, Entity, Model},
    },
    millis,
    readings::{self, has_power},
    servers,
};

/// A server with what it is weighed by.
pub struct Weighed {
    /// Its id.
    pub id: ServerId,
    /// Whose.
    pub tenant: TenantId,
    /// Its name.
    pub name: String,
    /// Its outlets feed all its supplies.
    pub feeds_complete: bool,
    /// Automatic fallback is allowed.
    pub fallback_enabled: bool,
    /// A wrong mapping was seen and not confirmed since.
    pub mismatch_seen: bool,
    /// What its paths said, and what was made of it before.
    pub power: ServerPower,
    attention: bool,
}

/// Finds what servers are weighed by; those that were removed are left out.
///
/// # Errors
/// When the database fails.
pub async fn find(db: &impl ConnectionTrait, ids: &[ServerId]) -> Result<Vec<Weighed>> {
    let rows = Entity::find().filter(Column::Id.is_in(ids.iter().map(|id| id.0))).all(db).await?;
    let mut paths = readings::evidence(db, ids).await?;
    let weighed = |row: Model| {
        let id = ServerId(row.id);
        Ok(Weighed {
            id,
            tenant: TenantId(row.tenant_id),
            power: servers::power(&row, paths.remove(&id).unwrap_or_default())?,
            feeds_complete: row.feeds_complete,
            fallback_enabled: row.fallback_enabled,
            mismatch_seen: row.mismatch_seen,
            attention: row.attention,
            name: row.name,
        })
    };
    rows.into_iter().map(weighed).collect()
}

/// How long things may take around a loss of power.
#[derive(Debug, Clone, Copy)]
pub struct Spans {
    /// That outlets were read off counts for so long.
    pub fresh: TimeDelta,
    /// A controller that has power again starts for so long.
    pub start: TimeDelta,
}

/// Names the reason of a controller's silence where it cannot but be silent: every server that it controls is known
/// to be without power, or was so until a moment ago, so that it may be starting.
///
/// # Errors
/// When the database fails.
pub async fn explained(
    db: &impl ConnectionTrait,
    controller: EndpointId,
    (fault, at): (Fault, DateTime<Utc>),
    spans: Spans,
) -> Result<Fault> {
    if fault.code != FaultCode::Unreach {
        return Ok(fault);
    }
    let of = connection::Entity::find().filter(connection::Column::EndpointId.eq(controller.0));
    let paths = of.all(db).await?.into_iter().filter(|path| has_power(&path.features));
    let servers: HashSet<_> = paths.map(|path| path.server_id).collect();
    let known = endpoint::Entity::find_by_id(controller.0).one(db).await?.and_then(|row| row.fault);
    let known = known.and_then(|fault| serde_json::from_value::<Fault>(fault).ok());
    let was_dark = known.is_some_and(|fault| fault.reason == Reason::WithoutPower);
    let since = |span| at.checked_sub_signed(span).map_or(i64::MIN, millis);
    let (fresh, start) = (since(spans.fresh), since(spans.start));
    let feeds = feeds(db, &servers).await?;
    let is_dark = |row: &Model| {
        // What was read of the outlets may not have been weighed yet.
        let feeds = feeds.get(&row.id).map(Vec::as_slice).unwrap_or_default();
        let read = |wanted: &str, (state, at): &(Option<String>, Option<i64>)| {
            state.as_deref() == Some(wanted) && at.is_some_and(|at| at >= fresh)
        };
        let is_off = !feeds.is_empty() && feeds.iter().all(|feed| read(FEED_OFF, feed));
        let is_lit = row.dark_since.is_some() && feeds.iter().any(|feed| read(FEED_ON, feed));
        let starts = was_dark && (is_lit || row.power_since.is_some_and(|at| at >= start));
        row.feeds_complete && !row.mismatch_seen && (is_off || starts)
    };
    let rows = Entity::find().filter(Column::Id.is_in(servers)).all(db).await?;
    let is_dark = !rows.is_empty() && rows.iter().all(is_dark);
    Ok(if is_dark { Fault::new(FaultCode::Unreach, Reason::WithoutPower, "") } else { fault })
}

/// How an outlet is stored that was read off, and one that was read on.
const FEED_OFF: &str = "feed_off";
const FEED_ON: &str = "feed_on";

/// What the outlets of servers last said, and when.
async fn feeds(
    db: &impl ConnectionTrait,
    servers: &HashSet<Uuid>,
) -> Result<HashMap<Uuid, Vec<(Option<String>, Option<i64>)>>> {
    let of = connection::Entity::find()
        .filter(connection::Column::ServerId.is_in(servers.iter().copied()))
        .filter(connection::Column::Role.eq("feed"));
    let mut feeds: HashMap<Uuid, Vec<_>> = HashMap::new();
    for row in of.all(db).await?.into_iter().filter(|row| has_power(&row.features)) {
        feeds.entry(row.server_id).or_default().push((row.state, row.checked_at));
    }
    Ok(feeds)
}

/// Stores what was made of it, in the transaction in which it was found. Says whether anything that is shown changed.
///
/// # Errors
/// When the database fails.
pub async fn store(tx: &Tx, before: &Weighed, power: &ServerPower) -> Result<bool> {
    let was = &before.power;
    let mismatch = power.flags.contains(&PowerFlag::WiringMismatch);
    // A path that says nothing, or refuses, wants a person as much as a lost feed does. A controller that is dark
    // with its server cannot but be silent.
    let is_dark =
        power.value == PowerValue::Off && power.dark_since.is_some() && before.feeds_complete && !mismatch;
    let fault = power.paths.iter().filter_map(|path| Some((path.role, path.fault.as_ref()?.code)));
    let fault = fault.into_iter().any(|met| !is_dark || met != (Role::Controller, FaultCode::Unreach));
    let attention = fault || !power.flags.is_empty();
    let changed = (was.value, was.confidence, &was.flags) != (power.value, power.confidence, &power.flags)
        || before.attention != attention;
    let mut model = ActiveModel {
        checked_at: Set(power.checked_at.map(millis)),
        power_since: Set(power.since.map(millis)),
        idle_watts: Set(power.idle_watts),
        dark_since: Set(power.dark_since.map(millis)),
        updating_at: Set(power.updating_at.map(millis)),
        mismatch_seen: Set(before.mismatch_seen || mismatch),
        ..Default::default()
    };
    if changed {
        // Only then, since each of these has an index to keep.
        model.power_value = Set(power.value.code().into());
        model.confidence = Set(serde_json::to_value(power.confidence)?.as_str().unwrap_or("low").to_owned());
        model.flags = Set(serde_json::to_value(&power.flags)?);
        model.attention = Set(attention);
    }
    Entity::update_many().set(model).filter(Column::Id.eq(before.id.0)).exec(tx).await?;
    Ok(changed)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        bench::{database, device, place},
        connections, endpoints, now,
    };

    #[tokio::test]
    async fn silence_is_explained_only_by_outlets_that_are_believed() {
        let (db, _folder) = database().await;
        let tenant = TenantId::PROVIDER;
        let server = serde_json::from_value(json!({"name": "a"})).unwrap();
        let server = servers::add(db.writer(), tenant, server).await.unwrap().id;
        let bmc = device(&db, "ipmi", "bmc").await;
        let spans = Spans { fresh: TimeDelta::minutes(3), start: TimeDelta::minutes(5) };
        let silent = || Fault::unreachable("");
        let reason = async || explained(db.reader(), bmc, (silent(), now()), spans).await.unwrap().reason;
        assert_eq!(reason().await, Reason::NoAnswer, "no server hangs on it");
        let pdu = device(&db, "snmp_pdu", "pdu").await;
        for (on, role) in [(bmc, Role::Controller), (pdu, Role::Feed)] {
            connections::add(db.writer(), place(server, on, role, "1")).await.unwrap();
        }
        let ago = |minutes| Some(millis(now() - TimeDelta::minutes(minutes)));
        let told = async |state: &str, minutes| {
            let model = connection::ActiveModel {
                state: Set(Some(state.into())),
                checked_at: Set(ago(minutes)),
                ..Default::default()
            };
            let feeds = connection::Column::Role.eq("feed");
            connection::Entity::update_many().set(model).filter(feeds).exec(db.writer()).await.unwrap();
        };
        let known = async |complete, mismatch, minutes| {
            let model = ActiveModel {
                feeds_complete: Set(complete),
                mismatch_seen: Set(mismatch),
                power_since: Set(ago(minutes)),
                ..Default::default()
            };
            Entity::update_many().set(model).exec(db.writer()).await.unwrap();
        };
        for (state, minutes, complete, mismatch, expected, why) in [
            ("feed_off", 1, true, false, Reason::WithoutPower, "dark"),
            ("feed_off", 1, false, false, Reason::NoAnswer, "not all feeds"),
            ("feed_off", 1, true, true, Reason::NoAnswer, "others' outlets"),
            ("feed_off", 4, true, false, Reason::NoAnswer, "read long ago"),
            ("feed_on", 1, true, false, Reason::NoAnswer, "it was not dark"),
        ] {
            told(state, minutes).await;
            known(complete, mismatch, 1).await;
            assert_eq!(reason().await, expected, "{why}");
        }
        let identity = Err(Fault::new(FaultCode::Unreach, Reason::WithoutPower, ""));
        let look = endpoints::Look { identity, outlets: None, at: now() };
        endpoints::looked(db.writer(), bmc, look).await.unwrap();
        told("feed_on", 1).await;
        for (minutes, expected) in [(4, Reason::WithoutPower), (6, Reason::NoAnswer)] {
            known(true, false, minutes).await;
            assert_eq!(reason().await, expected, "lit for {minutes} min");
        }
        let refused = Fault::auth(Reason::WrongPassword, "");
        assert_eq!(explained(db.reader(), bmc, (refused.clone(), now()), spans).await.unwrap(), refused);
    }
}
