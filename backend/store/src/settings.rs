//! Settings of the installation, and what the installation remembers of itself.

use chrono::TimeDelta;
use rackhand_wire::{Secrets, api::settings::InstallationSettings, id::TenantId};
use sea_orm::{ActiveModelTrait, ConnectionTrait, EntityTrait, IntoActiveModel, Set};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Db, Error, Result,
    entity::setting::{Entity, Model},
    millis, now,
    sealed::Keyring,
};

/// Reads the installation's settings; absent ones have their defaults.
///
/// # Errors
/// When the database fails.
pub async fn installation(db: &impl ConnectionTrait) -> Result<InstallationSettings> {
    let value = find(db, "installation").await?;
    Ok(value.and_then(|value| serde_json::from_value(value).ok()).unwrap_or_default())
}

/// Replaces the installation's settings.
///
/// # Errors
/// When the database fails.
pub async fn set_installation(db: &impl ConnectionTrait, settings: &InstallationSettings) -> Result<()> {
    set(db, "installation", serde_json::to_value(settings)?).await
}

/// Compares the master key with the one that sealed this database, or remembers it when new.
///
/// # Errors
/// [`Error::Sealed`] with another key.
pub async fn check_master_key(db: &impl ConnectionTrait, keys: &Keyring) -> Result<()> {
    let ours = Value::from(keys.fingerprint());
    match find(db, "master_key").await? {
        None => set(db, "master_key", ours).await,
        Some(theirs) if theirs == ours => Ok(()),
        Some(_) => Err(Error::Sealed),
    }
}

/// Reads secrets of the installation itself.
///
/// # Errors
/// [`Error::Sealed`] with another master key.
pub async fn sealed(db: &impl ConnectionTrait, keys: &Keyring, name: &str) -> Result<Option<Secrets>> {
    let Some(value) = find(db, name).await? else { return Ok(None) };
    let bytes: Vec<u8> = serde_json::from_value(value)?;
    keys.open(name.as_bytes(), &bytes).map(Some)
}

/// Keeps secrets of the installation itself.
///
/// # Errors
/// When the database fails.
pub async fn seal(db: &impl ConnectionTrait, keys: &Keyring, name: &str, secrets: &Secrets) -> Result<()> {
    set(db, name, serde_json::to_value(keys.seal(name.as_bytes(), secrets)?)?).await
}

/// Takes a lease that one process at a time may hold, or lengthens it; without a life it is given back. Says
/// whether it is held now.
///
/// # Errors
/// When the database fails.
pub async fn lease(db: &Db, name: &str, holder: &str, life: TimeDelta) -> Result<bool> {
    let tx = db.begin().await?;
    let kept: Option<Lease> = find(&tx, name).await?.and_then(|value| serde_json::from_value(value).ok());
    if kept.is_some_and(|kept| kept.holder != holder && kept.until > millis(now())) {
        return Ok(false);
    }
    let lease = Lease { holder: holder.to_owned(), until: millis(now() + life) };
    set(&tx, name, serde_json::to_value(lease)?).await?;
    tx.commit().await?;
    Ok(true)
}

#[derive(Serialize, Deserialize)]
struct Lease {
    holder: String,
    until: i64,
}

async fn find(db: &impl ConnectionTrait, name: &str) -> Result<Option<Value>> {
    let key = (TenantId::PROVIDER.0, name.to_owned());
    Ok(Entity::find_by_id(key).one(db).await?.map(|row| row.value))
}

async fn set(db: &impl ConnectionTrait, name: &str, value: Value) -> Result<()> {
    let key = (TenantId::PROVIDER.0, name.to_owned());
    if let Some(found) = Entity::find_by_id(key).one(db).await? {
        let mut model = found.into_active_model();
        model.value = Set(value);
        model.update(db).await?;
    } else {
        let model = Model { tenant_id: TenantId::PROVIDER.0, name: name.to_owned(), value };
        model.into_active_model().insert(db).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rackhand_migrations::Migrator;
    use sea_orm_migration::MigratorTrait;

    #[tokio::test]
    async fn a_lease_has_one_holder_until_it_ends_or_is_given_back() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("a.db").display());
        let db = Db::open(&url, Keyring::new([7; 32])).await.unwrap();
        Migrator::up(db.writer(), None).await.unwrap();
        let lease = async |holder, life| lease(&db, "x", holder, life).await.unwrap();
        let minute = TimeDelta::minutes(1);
        assert!(lease("a", minute).await);
        assert!(!lease("b", minute).await);
        assert!(lease("a", TimeDelta::zero()).await, "given back");
        assert!(lease("b", TimeDelta::seconds(-1)).await, "ended already");
        assert!(lease("a", minute).await);
        assert!(!lease("b", minute).await);
    }
}
