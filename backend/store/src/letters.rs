//! What one server has for another: frames for an agent that is connected there, and what came back.

use rackhand_wire::{
    Secrets,
    id::{AgentId, NodeId},
};
use sea_orm::{
    ActiveModelTrait, ActiveValue::NotSet, ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter,
    QueryOrder, QuerySelect, Set,
};
use serde_json::Value;
use std::time::Duration;

use crate::{
    Db, Result,
    entity::letter::{ActiveModel, Column, Entity, Model},
    nodes,
};

/// So many are read at a time.
const SOME: u64 = 200;

/// A letter.
pub struct Letter {
    /// Its number; letters of one sender are read in order.
    pub id: i64,
    /// For whom.
    pub to: NodeId,
    /// From whom.
    pub from: NodeId,
    /// The agent that it is about.
    pub agent: AgentId,
    /// The session that it is about.
    pub epoch: i64,
    /// What it says.
    pub content: Value,
    /// Credentials, if it has any; sealed at rest.
    pub secrets: Option<Secrets>,
    /// How long it has waited since it was written.
    pub age: Duration,
}

/// Posts a letter; its number and its age are told by the database. It is written last of all, so that what it says of
/// times is still so when its age begins to count.
///
/// # Errors
/// When the database fails.
pub async fn post(db: &Db, write: impl FnOnce() -> Result<Letter>) -> Result<()> {
    let posted_at = nodes::clock(db.writer()).await?;
    let letter = write()?;
    let sealed =
        letter.secrets.map(|secrets| db.keys().seal(letter.agent.0.as_bytes(), &secrets)).transpose()?;
    let model = ActiveModel {
        id: NotSet,
        to_node: Set(letter.to.0),
        from_node: Set(letter.from.0),
        agent_id: Set(letter.agent.0),
        epoch: Set(letter.epoch),
        content: Set(letter.content),
        secrets: Set(sealed),
        posted_at: Set(Some(posted_at)),
    };
    model.insert(db.writer()).await?;
    Ok(())
}

/// Removes what was posted to servers that have gone meanwhile, or by them: nobody will read it.
///
/// # Errors
/// When the database fails.
pub async fn sweep(db: &impl ConnectionTrait) -> Result<()> {
    let lost = Condition::any()
        .add(Column::ToNode.not_in_subquery(nodes::living()))
        .add(Column::FromNode.not_in_subquery(nodes::living()));
    Entity::delete_many().filter(lost).exec(db).await?;
    Ok(())
}

/// Reads the next letters for a server. They stay until they are [`burn`]t. What one that was given up posts when it
/// goes on after all is not read: its jobs are another's.
///
/// # Errors
/// When the database fails.
pub async fn read(db: &Db, to: NodeId) -> Result<Vec<Letter>> {
    let own =
        Condition::all().add(Column::ToNode.eq(to.0)).add(Column::FromNode.in_subquery(nodes::living()));
    let first = Entity::find().filter(own).order_by_asc(Column::Id).limit(SOME);
    let rows = first.all(db.reader()).await?;
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let now = nodes::clock(db.reader()).await?;
    rows.into_iter().map(|row| open(db, row, now)).collect()
}

fn open(db: &Db, row: Model, now: i64) -> Result<Letter> {
    let age = row.posted_at.map_or(0, |posted| u64::try_from(now - posted).unwrap_or_default());
    let secrets = row.secrets.map(|sealed| db.keys().open(row.agent_id.as_bytes(), &sealed)).transpose()?;
    Ok(Letter {
        id: row.id,
        to: NodeId(row.to_node),
        from: NodeId(row.from_node),
        agent: AgentId(row.agent_id),
        epoch: row.epoch,
        content: row.content,
        secrets,
        age: Duration::from_millis(age),
    })
}

/// Removes letters that were dealt with.
///
/// # Errors
/// When the database fails.
pub async fn burn(db: &impl ConnectionTrait, ids: impl IntoIterator<Item = i64>) -> Result<()> {
    Entity::delete_many().filter(Column::Id.is_in(ids)).exec(db).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{bench::database, fresh_id};
    use rackhand_wire::Secret;

    #[tokio::test]
    async fn letters_arrive_in_order_and_their_secrets_are_sealed() {
        let (db, folder) = database().await;
        let tx = db.begin().await.unwrap();
        let home = NodeId(fresh_id());
        let here = nodes::enter(&tx, home, "a", Duration::from_mins(1), false).await.unwrap().id;
        tx.commit().await.unwrap();
        let there = NodeId(fresh_id());
        let agent = AgentId(fresh_id());
        for number in 0..3 {
            let mut secrets = Secrets::default();
            secrets.set("password", Secret::new("canary-in-a-letter"));
            let content = serde_json::json!({ "number": number });
            let secrets = Some(secrets);
            let age = Duration::ZERO;
            let letter = Letter { id: 0, to: there, from: here, agent, epoch: 1, content, secrets, age };
            post(&db, || Ok(letter)).await.unwrap();
        }
        assert!(read(&db, here).await.unwrap().is_empty());
        let lost = Letter {
            id: 0,
            to: there,
            from: NodeId(fresh_id()),
            agent,
            epoch: 1,
            content: Value::Null,
            secrets: None,
            age: Duration::ZERO,
        };
        post(&db, || Ok(lost)).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
        let read_now = read(&db, there).await.unwrap();
        assert_eq!(
            read_now.iter().map(|letter| letter.content["number"].as_i64()).collect::<Vec<_>>(),
            [Some(0), Some(1), Some(2)],
            "what a server that was given up says counts no more"
        );
        let ages = read_now.iter().map(|letter| letter.age);
        assert!(ages.clone().all(|age| age >= Duration::from_millis(20)), "{:?}", ages.collect::<Vec<_>>());
        let secrets = read_now[0].secrets.as_ref().unwrap();
        assert_eq!(secrets.find("password"), Some("canary-in-a-letter"));
        burn(db.writer(), read_now.iter().map(|letter| letter.id)).await.unwrap();
        assert!(read(&db, there).await.unwrap().is_empty());
        for file in ["db", "db-wal"] {
            let bytes = std::fs::read(folder.path().join(file)).unwrap();
            assert!(!bytes.windows(18).any(|window| window == b"canary-in-a-letter"), "{file}");
        }
    }
}
