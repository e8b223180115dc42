//! Which server an agent is connected to. Where several share the database, this is how they find it, and how they
//! know how long it may still think that it holds its devices: renewals are counted, and each server tells by a clock
//! of its own that nobody sets since when the count has stood.

use rackhand_wire::{
    agent::BootId,
    id::{AgentId, NodeId},
};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, ConnectionTrait, EntityTrait, IntoActiveModel, QueryFilter,
    QuerySelect, QueryTrait, Set,
    sea_query::{Expr, ExprTrait},
};
use std::collections::HashMap;
use uuid::Uuid;

use crate::{
    Result, Tx,
    entity::{
        agent_session::{ActiveModel, Column, Entity, Model},
        device_lease,
    },
};

/// A session as every server sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sitting {
    /// The agent.
    pub agent: AgentId,
    /// The server that it is connected to.
    pub node: NodeId,
    /// Rises with every session of this agent.
    pub epoch: i64,
    /// Which start of the agent it is.
    pub boot: BootId,
    /// It was not heard for longer than it should be.
    pub late: bool,
}

/// Notes that an agent begins a session here; the one before it is over. Gives the session's epoch.
///
/// # Errors
/// When the database fails.
pub async fn sit(tx: &Tx, agent: AgentId, node: NodeId, boot: BootId) -> Result<i64> {
    let Some(before) = Entity::find_by_id(agent.0).one(tx).await? else {
        let first = Model {
            agent_id: agent.0,
            node_id: Some(node.0),
            epoch: 1,
            boot: boot.0,
            late: false,
            renewals: 0,
        };
        return Ok(first.into_active_model().insert(tx).await?.epoch);
    };
    let (epoch, renewals) = (before.epoch + 1, before.renewals + 1);
    let mut model = before.into_active_model();
    model.node_id = Set(Some(node.0));
    model.epoch = Set(epoch);
    model.boot = Set(boot.0);
    // Until it asks for its lease it may at most be thought to have one.
    model.renewals = Set(renewals);
    model.late = Set(false);
    model.update(tx).await?;
    Ok(epoch)
}

/// Notes that a session ended, unless the agent has another one since.
///
/// # Errors
/// When the database fails.
pub async fn leave(db: &impl ConnectionTrait, agent: AgentId, node: NodeId, epoch: i64) -> Result<()> {
    let model = ActiveModel { node_id: Set(None), ..Default::default() };
    let own = here(node).add(Column::AgentId.eq(agent.0)).add(Column::Epoch.eq(epoch));
    Entity::update_many().set(model).filter(own).exec(db).await?;
    Ok(())
}

/// Lists every session.
///
/// # Errors
/// When the database fails.
pub async fn all(db: &impl ConnectionTrait) -> Result<Vec<Sitting>> {
    let rows = Entity::find().filter(Column::NodeId.is_not_null()).all(db).await?;
    Ok(rows.iter().filter_map(sitting).collect())
}

/// Finds an agent's session.
///
/// # Errors
/// When the database fails.
pub async fn find(db: &impl ConnectionTrait, agent: AgentId) -> Result<Option<Sitting>> {
    Ok(Entity::find_by_id(agent.0).one(db).await?.as_ref().and_then(sitting))
}

/// Notes which of a server's agents are not heard in time.
///
/// # Errors
/// When the database fails.
pub async fn note_late(
    db: &impl ConnectionTrait,
    node: NodeId,
    agents: &[AgentId],
    late: bool,
) -> Result<()> {
    let model = ActiveModel { late: Set(late), ..Default::default() };
    let which = here(node).add(Column::AgentId.is_in(ids(agents)));
    Entity::update_many().set(model).filter(which).exec(db).await?;
    Ok(())
}

/// Renews the leases of agents that are connected to a server; gives those that still are, with how often they have
/// renewed theirs. They may be told so after this alone: whoever takes a device away looks here first.
///
/// # Errors
/// When the database fails.
pub async fn renew(
    db: &impl ConnectionTrait,
    node: NodeId,
    agents: &[AgentId],
) -> Result<HashMap<AgentId, i64>> {
    let which = here(node).add(Column::AgentId.is_in(ids(agents)));
    let once_more = Expr::col(Column::Renewals).add(1);
    let update = Entity::update_many().col_expr(Column::Renewals, once_more).filter(which);
    let renewed = update.exec_with_returning(db).await?;
    Ok(renewed.into_iter().map(|row| (AgentId(row.agent_id), row.renewals)).collect())
}

/// Says how often an agent has renewed its leases; nothing when it never was here.
///
/// # Errors
/// When the database fails.
pub async fn renewals(db: &impl ConnectionTrait, agent: AgentId) -> Result<Option<i64>> {
    Ok(Entity::find_by_id(agent.0).one(db).await?.map(|row| row.renewals))
}

/// The same, and keeps it from being renewed before the end of the transaction.
///
/// # Errors
/// When the database fails.
pub async fn renewals_held(tx: &Tx, agent: AgentId) -> Result<Option<i64>> {
    // SQLite has one transaction at a time and needs no lock.
    Ok(Entity::find_by_id(agent.0).lock_exclusive().one(tx).await?.map(|row| row.renewals))
}

/// Lists how often each agent that holds a device has renewed its leases.
///
/// # Errors
/// When the database fails.
pub async fn holders(db: &impl ConnectionTrait) -> Result<Vec<(AgentId, i64)>> {
    let held = device_lease::Entity::find().select_only().column(device_lease::Column::AgentId).into_query();
    let rows = Entity::find().select_only().columns([Column::AgentId, Column::Renewals]);
    let rows: Vec<(Uuid, i64)> = rows.filter(Column::AgentId.in_subquery(held)).into_tuple().all(db).await?;
    Ok(rows.into_iter().map(|(agent, renewals)| (AgentId(agent), renewals)).collect())
}

fn here(node: NodeId) -> Condition {
    Condition::all().add(Column::NodeId.eq(node.0))
}

fn ids(agents: &[AgentId]) -> impl Iterator<Item = Uuid> + '_ {
    agents.iter().map(|agent| agent.0)
}

fn sitting(row: &Model) -> Option<Sitting> {
    let node = row.node_id.map(NodeId)?;
    let (agent, boot) = (AgentId(row.agent_id), BootId(row.boot));
    Some(Sitting { agent, node, epoch: row.epoch, boot, late: row.late })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{bench::database, fresh_id};

    #[tokio::test]
    async fn the_newest_session_counts() {
        let (db, _folder) = database().await;
        let (agent, boot) = (AgentId(fresh_id()), BootId(fresh_id()));
        let (one, two) = (NodeId(fresh_id()), NodeId(fresh_id()));
        let tx = db.begin().await.unwrap();
        assert_eq!(renewals(&tx, agent).await.unwrap(), None);
        let first = sit(&tx, agent, one, boot).await.unwrap();
        let second = sit(&tx, agent, two, boot).await.unwrap();
        assert!(second > first);
        leave(&tx, agent, one, first).await.unwrap();
        assert_eq!(
            find(&tx, agent).await.unwrap().unwrap().node,
            two,
            "the old session took the new one along"
        );
        let before = renewals(&tx, agent).await.unwrap();
        let elsewhere = renew(&tx, one, &[agent]).await.unwrap();
        assert!(elsewhere.is_empty(), "where it is no more it gets no lease");
        assert_eq!(renewals(&tx, agent).await.unwrap(), before);
        let renewed = renew(&tx, two, &[agent]).await.unwrap();
        assert_eq!(renewed.get(&agent).copied(), before.map(|count| count + 1));
        leave(&tx, agent, two, second).await.unwrap();
        assert_eq!(find(&tx, agent).await.unwrap(), None);
        // It may hold its devices for a while, and a session that begins counts like a renewal.
        let after = renewals_held(&tx, agent).await.unwrap();
        assert!(after > before, "{after:?}");
        sit(&tx, agent, one, boot).await.unwrap();
        assert!(renewals(&tx, agent).await.unwrap() > after);
    }
}
