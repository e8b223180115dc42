//! Outlets that a job is about to switch: no two jobs hold one at a time.

use rackhand_wire::id::JobId;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, QueryFilter};

use crate::{
    Result, Tx,
    entity::outlet_lock::{Column, Entity, Model},
    millis, now,
};

/// Takes every lock or none, in sorted order. Gives the job that holds the first one that is taken.
///
/// # Errors
/// When the database fails.
pub async fn take(tx: &Tx, job: JobId, outlets: &[String]) -> Result<Option<JobId>> {
    let mut sorted: Vec<&String> = outlets.iter().collect();
    sorted.sort();
    sorted.dedup();
    let held =
        Entity::find().filter(Column::OutletKey.is_in(sorted.iter().map(|key| key.as_str()))).all(tx).await?;
    if let Some(other) = held.iter().find(|row| row.job_id != job.0) {
        return Ok(Some(JobId(other.job_id)));
    }
    for key in sorted {
        if !held.iter().any(|row| &row.outlet_key == key) {
            let model = Model { outlet_key: key.clone(), job_id: job.0, taken_at: millis(now()) };
            Entity::insert(model.into_active_model()).exec(tx).await?;
        }
    }
    Ok(None)
}

/// Gives back every lock of a job.
///
/// # Errors
/// When the database fails.
pub async fn release(db: &impl ConnectionTrait, job: JobId) -> Result<()> {
    Entity::delete_many().filter(Column::JobId.eq(job.0)).exec(db).await?;
    Ok(())
}
