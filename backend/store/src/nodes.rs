//! The servers that share this database.
//!
//! Each says every few seconds that it lives; whoever has said nothing for long is buried by the others: its jobs
//! and agents are free from then on. Signs of life are counted, and each server tells by a clock of its own that nobody
//! sets since when the count has stood. Only who begins, and has not watched yet, goes by the database's time of day.

use rackhand_wire::id::NodeId;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, ConnectionTrait, DbBackend, EntityTrait, IntoActiveModel,
    QueryFilter, QuerySelect, Set, Statement,
    sea_query::{Expr, ExprTrait},
};
use std::time::Duration;
use uuid::Uuid;

use crate::{
    Error, Result, Tx,
    entity::{
        agent_session, job, letter,
        node::{ActiveModel, Column, Entity, Model},
    },
    fresh_id, millis, now,
};

/// A server as the others know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// This start of it.
    pub id: NodeId,
    /// Its name.
    pub name: String,
}

/// Enters a server that begins. `home` is its data folder's own id: whoever began there before has ended.
/// `alone` says that no other can be on this database.
///
/// # Errors
/// [`Error::InUse`] while a living server of another folder has the name.
pub async fn enter(tx: &Tx, home: NodeId, name: &str, dead_after: Duration, alone: bool) -> Result<Node> {
    let now = clock(tx).await?;
    let known = Entity::find().all(tx).await?;
    for before in known.iter().filter(|row| alone || row.home == home.0) {
        remove(tx, before.id).await?;
    }
    let is_other = |row: &&Model| !alone && row.home != home.0 && row.name == name;
    if known.iter().find(is_other).is_some_and(|row| row.seen_at > now - long(dead_after)) {
        return Err(Error::InUse(format!(
            "another server on this database is called “{name}”; give this one a name of its own with --node"
        )));
    }
    let model = Model { id: fresh_id(), home: home.0, name: name.to_owned(), seen_at: now, beats: 0 };
    let row = model.into_active_model().insert(tx).await?;
    Ok(Node { id: NodeId(row.id), name: row.name })
}

/// Says that a server lives; says whether the others still think so.
///
/// # Errors
/// When the database fails.
pub async fn beat(db: &impl ConnectionTrait, id: NodeId) -> Result<bool> {
    let model = ActiveModel { seen_at: Set(clock(db).await?), ..Default::default() };
    let once_more = Expr::col(Column::Beats).add(1);
    let own = Entity::update_many().set(model).col_expr(Column::Beats, once_more).filter(Column::Id.eq(id.0));
    Ok(own.exec(db).await?.rows_affected > 0)
}

/// Says how often each server has said that it lives.
///
/// # Errors
/// When the database fails.
pub async fn beats(db: &impl ConnectionTrait) -> Result<Vec<(NodeId, i64)>> {
    let counts: Vec<(Uuid, i64)> =
        Entity::find().select_only().columns([Column::Id, Column::Beats]).into_tuple().all(db).await?;
    Ok(counts.into_iter().map(|(id, beats)| (NodeId(id), beats)).collect())
}

/// Removes servers whose count has stood for too long, unless it rose meanwhile, and frees what they had; lists those
/// that were removed.
///
/// # Errors
/// When the database fails.
pub async fn bury(tx: &Tx, silent: &[(NodeId, i64)]) -> Result<Vec<Node>> {
    let mut dead = Vec::new();
    for (id, beats) in silent {
        let unheard = Entity::find_by_id(id.0).filter(Column::Beats.eq(*beats)).lock_exclusive();
        if let Some(row) = unheard.one(tx).await? {
            remove(tx, row.id).await?;
            dead.push(Node { id: NodeId(row.id), name: row.name });
        }
    }
    Ok(dead)
}

/// Removes a server that stops, and frees what it had.
///
/// # Errors
/// When the database fails.
pub async fn leave(tx: &Tx, id: NodeId) -> Result<()> {
    remove(tx, id.0).await
}

/// Lists the servers that said within this time that they live.
///
/// # Errors
/// When the database fails.
pub async fn living_since(db: &impl ConnectionTrait, within: Duration) -> Result<Vec<Node>> {
    let after = Column::SeenAt.gt(clock(db).await? - long(within));
    let rows = Entity::find().filter(after).all(db).await?;
    Ok(rows.into_iter().map(|row| Node { id: NodeId(row.id), name: row.name }).collect())
}

async fn remove(tx: &Tx, id: Uuid) -> Result<()> {
    let freed = job::ActiveModel { node_id: Set(None), ..Default::default() };
    job::Entity::update_many().set(freed).filter(job::Column::NodeId.eq(id)).exec(tx).await?;
    let gone = agent_session::ActiveModel { node_id: Set(None), ..Default::default() };
    let own = agent_session::Column::NodeId.eq(id);
    agent_session::Entity::update_many().set(gone).filter(own).exec(tx).await?;
    let of = Condition::any().add(letter::Column::ToNode.eq(id)).add(letter::Column::FromNode.eq(id));
    letter::Entity::delete_many().filter(of).exec(tx).await?;
    Entity::delete_by_id(id).exec(tx).await?;
    Ok(())
}

/// The ids of the living servers, for a filter.
pub(crate) fn living() -> sea_orm::sea_query::SelectStatement {
    use sea_orm::QueryTrait as _;
    Entity::find().select_only().column(Column::Id).into_query()
}

/// The database's own time, in milliseconds since 1970.
pub(crate) async fn clock(db: &impl ConnectionTrait) -> Result<i64> {
    if db.get_database_backend() != DbBackend::Postgres {
        return Ok(millis(now()));
    }
    let ask = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now";
    let row = db.query_one_raw(Statement::from_string(DbBackend::Postgres, ask)).await?;
    let row = row.ok_or_else(|| Error::Damaged("the database does not tell the time".into()))?;
    Ok(row.try_get("", "now")?)
}

pub(crate) fn long(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        agent_sessions,
        bench::database,
        jobs::{self, New},
    };
    use rackhand_wire::{
        agent::BootId,
        api::job::JobKind,
        id::{AgentId, TenantId},
    };

    const LONG: Duration = Duration::from_mins(1);

    #[tokio::test]
    async fn what_a_dead_server_had_is_free() {
        let (db, _folder) = database().await;
        let tx = db.begin().await.unwrap();
        let (one, two) = (NodeId(fresh_id()), NodeId(fresh_id()));
        let dead = enter(&tx, one, "a", LONG, false).await.unwrap();
        let alive = enter(&tx, two, "b", LONG, false).await.unwrap();
        assert!(matches!(enter(&tx, NodeId(fresh_id()), "a", LONG, false).await, Err(Error::InUse(_))));
        let agent = AgentId(fresh_id());
        agent_sessions::sit(&tx, agent, dead.id, BootId(fresh_id())).await.unwrap();
        let new = New {
            tenant: TenantId::PROVIDER,
            kind: JobKind::EndpointTest,
            server: None,
            waits: false,
            endpoint: None,
            power: None,
            title: String::new(),
            requested_by: String::new(),
            source_ip: None,
            request: serde_json::Value::Null,
            node: dead.id,
        };
        let job = jobs::add(&tx, new).await.unwrap().id;
        assert!(jobs::claim_due(&tx, alive.id).await.unwrap().is_empty());
        let seen = beats(&tx).await.unwrap();
        assert!(beat(&tx, alive.id).await.unwrap());
        // Whoever gave a sign meanwhile lives, however long was waited for it.
        assert_eq!(bury(&tx, &seen).await.unwrap(), std::slice::from_ref(&dead));
        assert!(!beat(&tx, dead.id).await.unwrap() && beat(&tx, alive.id).await.unwrap());
        assert_eq!(agent_sessions::all(&tx).await.unwrap(), []);
        assert_eq!(jobs::claim_due(&tx, alive.id).await.unwrap(), [job]);
        assert!(jobs::claim_due(&tx, alive.id).await.unwrap().is_empty(), "it has it already");
        let stale = jobs::progress(&tx, job, dead.id, jobs::Progress::default()).await;
        assert!(matches!(stale, Err(Error::Taken)), "a server that was buried goes on");
    }

    #[tokio::test]
    async fn a_server_that_begins_again_frees_what_it_had_at_once() {
        let (db, _folder) = database().await;
        let tx = db.begin().await.unwrap();
        let home = NodeId(fresh_id());
        let before = enter(&tx, home, "a", LONG, false).await.unwrap();
        let after = enter(&tx, home, "a", LONG, false).await.unwrap();
        assert_eq!(living_since(&tx, LONG).await.unwrap(), [after]);
        assert!(!beat(&tx, before.id).await.unwrap());
    }
}
