//! Jobs that wait for their turn behind another one of their server.

use rackhand_wire::{
    api::job::JobState,
    id::{JobId, ServerId},
};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::Expr,
};
use uuid::Uuid;

use crate::{
    Result, Tx,
    entity::job::{Column, Entity},
    jobs::{self, Ending, Work},
};

/// Gives a waiting job its turn on every server where none is under way.
///
/// # Errors
/// When the database fails.
pub async fn wake(tx: &Tx) -> Result<()> {
    let servers: Vec<Option<Uuid>> = Entity::find()
        .select_only()
        .column(Column::ServerId)
        .distinct()
        .filter(waiting())
        .into_tuple()
        .all(tx)
        .await?;
    for server in servers.into_iter().flatten() {
        if jobs::find_active(tx, ServerId(server)).await?.is_none() {
            promote(tx, server).await?;
        }
    }
    Ok(())
}

/// Lists those that wait, the oldest first.
///
/// # Errors
/// When the database fails.
pub async fn list(db: &impl ConnectionTrait) -> Result<Vec<Work>> {
    let oldest = Entity::find().select_only().column(Column::Id).filter(waiting());
    let ids: Vec<Uuid> = oldest.order_by_asc(Column::Id).into_tuple().all(db).await?;
    let mut all = Vec::with_capacity(ids.len());
    for id in ids {
        all.push(jobs::work(db, JobId(id)).await?);
    }
    Ok(all)
}

/// Finds the power job of a server whose turn comes last: the newest that waits, or the one that is under way.
///
/// # Errors
/// When the database fails.
pub async fn last(tx: &Tx, server: ServerId) -> Result<Option<Work>> {
    let own = waiting().add(Column::ServerId.eq(server.0));
    let newest = Entity::find().select_only().column(Column::Id).filter(own).order_by_desc(Column::Id);
    let id = match newest.into_tuple::<Uuid>().one(tx).await? {
        Some(id) => Some(JobId(id)),
        None => jobs::find_active(tx, server).await?.map(|job| job.id),
    };
    match id {
        Some(id) => jobs::work(tx, id).await.map(Some),
        None => Ok(None),
    }
}

/// Ends one before its turn comes; says whether it was still waiting.
///
/// # Errors
/// When the database fails.
pub async fn end(tx: &Tx, id: JobId, ending: Ending) -> Result<bool> {
    let still = waiting().add(Column::Id.eq(id.0));
    Ok(jobs::close(tx, still, ending).await?.rows_affected > 0)
}

fn waiting() -> Condition {
    Condition::all()
        .add(Column::ServerId.is_not_null())
        .add(Column::State.eq(JobState::Queued.code()))
        .add(Column::ActiveServerId.is_null())
}

/// Gives the oldest waiting job of a server its turn.
pub(crate) async fn promote(tx: &Tx, server: Uuid) -> Result<Option<JobId>> {
    loop {
        let oldest = Entity::find().select_only().column(Column::Id).filter(waiting());
        let oldest = oldest.filter(Column::ServerId.eq(server)).order_by_asc(Column::Id);
        let Some(id) = oldest.into_tuple::<Uuid>().one(tx).await? else { return Ok(None) };
        let turn = Entity::update_many().col_expr(Column::ActiveServerId, Expr::value(server));
        // A person may have stopped it at this moment; then the next one is due.
        if turn.filter(waiting().add(Column::Id.eq(id))).exec(tx).await?.rows_affected > 0 {
            return Ok(Some(JobId(id)));
        }
    }
}
