//! The power of servers as it is weighed: what their paths said, and what was made of it. Many at once, since every
//! look at a device weighs the servers that hang on it.

use rackhand_wire::{
    id::{ServerId, TenantId},
    power::{PowerFlag, ServerPower},
};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, Set};

use crate::{
    Result, Tx,
    entity::server::{ActiveModel, Column, Entity, Model},
    millis, readings, servers,
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

/// Stores what was made of it, in the transaction in which it was found. Says whether anything that is shown changed.
///
/// # Errors
/// When the database fails.
pub async fn store(tx: &Tx, before: &Weighed, power: &ServerPower) -> Result<bool> {
    let was = &before.power;
    let mismatch = power.flags.contains(&PowerFlag::WiringMismatch);
    // A path that says nothing, or refuses, wants a person as much as a lost feed does.
    let fault = power.paths.iter().any(|path| path.fault.is_some());
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
