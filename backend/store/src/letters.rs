//! What one server has for another: frames for an agent that is connected there, and what came back.

use rackhand_wire::{
    Secrets,
    id::{AgentId, NodeId},
};
use sea_orm::{
    ActiveModelTrait, ActiveValue::NotSet, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter,
    QueryOrder, QuerySelect, Set,
};
use serde_json::Value;

use crate::{
    Db, Result,
    entity::letter::{ActiveModel, Column, Entity, Model},
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
}

/// Posts a letter; its number is given by the database.
///
/// # Errors
/// When the database fails.
pub async fn post(db: &Db, letter: Letter) -> Result<()> {
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
    };
    model.insert(db.writer()).await?;
    Ok(())
}

/// Reads the next letters for a server. They stay until they are [`burn`]t.
///
/// # Errors
/// When the database fails.
pub async fn read(db: &Db, to: NodeId) -> Result<Vec<Letter>> {
    let own = Entity::find().filter(Column::ToNode.eq(to.0)).order_by_asc(Column::Id).limit(SOME);
    own.all(db.reader()).await?.into_iter().map(|row| open(db, row)).collect()
}

fn open(db: &Db, row: Model) -> Result<Letter> {
    let secrets = row.secrets.map(|sealed| db.keys().open(row.agent_id.as_bytes(), &sealed)).transpose()?;
    Ok(Letter {
        id: row.id,
        to: NodeId(row.to_node),
        from: NodeId(row.from_node),
        agent: AgentId(row.agent_id),
        epoch: row.epoch,
        content: row.content,
        secrets,
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
        let (here, there) = (NodeId(fresh_id()), NodeId(fresh_id()));
        let agent = AgentId(fresh_id());
        for number in 0..3 {
            let mut secrets = Secrets::default();
            secrets.set("password", Secret::new("canary-in-a-letter"));
            let content = serde_json::json!({ "number": number });
            let secrets = Some(secrets);
            let letter = Letter { id: 0, to: there, from: here, agent, epoch: 1, content, secrets };
            post(&db, letter).await.unwrap();
        }
        assert!(read(&db, here).await.unwrap().is_empty());
        let read_now = read(&db, there).await.unwrap();
        assert_eq!(
            read_now.iter().map(|letter| letter.content["number"].as_i64()).collect::<Vec<_>>(),
            [Some(0), Some(1), Some(2)]
        );
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
