//! Single-use tokens with which agents get their identity. Only a hash of the value is kept.

use chrono::{DateTime, Utc};
use rackhand_wire::id::AgentId;
use sea_orm::{ActiveModelTrait, ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, QueryFilter};

use crate::{
    Result,
    entity::agent_token::{Column, Entity, Model},
    fresh_id, from_millis, millis, now,
};

/// A token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// The agent that it makes.
    pub agent: AgentId,
    /// The network that it may be used from.
    pub source: Option<String>,
    /// When it ends.
    pub expires_at: DateTime<Utc>,
}

/// Adds a token in place of the agent's earlier ones.
///
/// # Errors
/// When the database fails.
pub async fn add(db: &impl ConnectionTrait, secret_hash: &str, token: Token) -> Result<()> {
    remove_of_agent(db, token.agent).await?;
    let model = Model {
        id: fresh_id(),
        agent_id: token.agent.0,
        secret_hash: secret_hash.to_owned(),
        source: token.source,
        created_at: millis(now()),
        expires_at: millis(token.expires_at),
    };
    model.into_active_model().insert(db).await?;
    Ok(())
}

/// Finds a token by the hash of its value, ended or not.
///
/// # Errors
/// When the database fails.
pub async fn find(db: &impl ConnectionTrait, secret_hash: &str) -> Result<Option<Token>> {
    let found = Entity::find().filter(Column::SecretHash.eq(secret_hash)).one(db).await?;
    Ok(found.map(|row| Token {
        agent: AgentId(row.agent_id),
        source: row.source,
        expires_at: from_millis(row.expires_at),
    }))
}

/// Finds when the token of an agent ends that waits to be used.
///
/// # Errors
/// When the database fails.
pub async fn waiting(db: &impl ConnectionTrait, agent: AgentId) -> Result<Option<DateTime<Utc>>> {
    let found = Entity::find().filter(Column::AgentId.eq(agent.0)).one(db).await?;
    Ok(found.map(|row| from_millis(row.expires_at)).filter(|until| *until > now()))
}

/// Removes the tokens of an agent: one was used, or none shall be.
///
/// # Errors
/// When the database fails.
pub async fn remove_of_agent(db: &impl ConnectionTrait, agent: AgentId) -> Result<()> {
    Entity::delete_many().filter(Column::AgentId.eq(agent.0)).exec(db).await?;
    Ok(())
}
