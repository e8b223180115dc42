//! Answers to requests that carried an `Idempotency-Key`, kept for 24 hours.

use chrono::TimeDelta;
use rackhand_wire::id::TenantId;
use sea_orm::{ActiveModelTrait, ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, QueryFilter};
use serde_json::Value;

use crate::{
    Result,
    entity::idempotency::{Column, Entity, Model},
    millis, now,
};

/// A kept answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept {
    /// Keyed hash of method, path and body of the request.
    pub body_hash: String,
    /// HTTP status.
    pub status: u16,
    /// `Location` header.
    pub location: Option<String>,
    /// Body.
    pub body: Value,
}

/// Finds the answer that was given for a key.
///
/// # Errors
/// When the database fails.
pub async fn find(db: &impl ConnectionTrait, tenant: TenantId, key: &str) -> Result<Option<Kept>> {
    let oldest = millis(now() - TimeDelta::hours(24));
    let found = Entity::find_by_id(id(tenant, key)).filter(Column::CreatedAt.gt(oldest)).one(db).await?;
    Ok(found.map(|row| Kept {
        body_hash: row.body_hash,
        status: u16::try_from(row.status).unwrap_or(200),
        location: row.location,
        body: row.body,
    }))
}

/// Keeps an answer, in the transaction of what it answers.
///
/// # Errors
/// When the database fails, or the key was used in the meantime.
pub async fn keep(db: &impl ConnectionTrait, tenant: TenantId, key: &str, kept: Kept) -> Result<()> {
    Entity::delete_many()
        .filter(Column::CreatedAt.lte(millis(now() - TimeDelta::hours(24))))
        .exec(db)
        .await?;
    let model = Model {
        id: id(tenant, key),
        tenant_id: tenant.0,
        body_hash: kept.body_hash,
        status: i32::from(kept.status),
        location: kept.location,
        body: kept.body,
        created_at: millis(now()),
    };
    model.into_active_model().insert(db).await?;
    Ok(())
}

fn id(tenant: TenantId, key: &str) -> String {
    format!("{tenant}/{key}")
}
