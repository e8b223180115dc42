//! Bearer tokens of scripts. Only a hash of the value is kept.

use chrono::{DateTime, Utc};
use rackhand_wire::{
    api::token::Token,
    id::{TenantId, TokenId, UserId},
};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, ConnectionTrait, EntityTrait, IntoActiveModel, JoinType,
    QueryFilter, QueryOrder, QuerySelect, RelationDef, Set,
};

use crate::{
    Error, Result, Scope,
    entity::{
        token::{ActiveModel, Column, Entity, Model},
        user,
    },
    filter::scoped,
    fresh_id, from_millis, millis, now,
    users::{self, Account},
};

/// What is needed to add a token.
pub struct New {
    /// Whose rights it has.
    pub user: UserId,
    /// Their tenant.
    pub tenant: TenantId,
    /// What it is for.
    pub name: String,
    /// Its first characters.
    pub prefix: String,
    /// Hash of its value.
    pub secret_hash: String,
    /// When it ends.
    pub expires_at: Option<DateTime<Utc>>,
}

/// Lists the tokens in scope, newest first.
///
/// # Errors
/// When the database fails.
pub async fn list(db: &impl ConnectionTrait, scope: &Scope, user: UserId) -> Result<Vec<Token>> {
    let of = scoped(scope, Column::TenantId).add(Column::UserId.eq(user.0));
    let found = Entity::find().filter(of).order_by_desc(Column::Id).all(db).await?;
    Ok(found.iter().map(token).collect())
}

/// Finds a token of a user.
///
/// # Errors
/// When there is none, or the database fails.
pub async fn get(db: &impl ConnectionTrait, scope: &Scope, user: UserId, id: TokenId) -> Result<Token> {
    let of = scoped(scope, Column::TenantId).add(Column::UserId.eq(user.0));
    let found = Entity::find_by_id(id.0).filter(of).one(db).await?;
    Ok(token(&found.ok_or(Error::NotFound)?))
}

/// Adds a token.
///
/// # Errors
/// When the database fails.
pub async fn add(db: &impl ConnectionTrait, new: New) -> Result<Token> {
    let model = Model {
        id: fresh_id(),
        tenant_id: new.tenant.0,
        user_id: new.user.0,
        name: new.name,
        prefix: new.prefix,
        secret_hash: new.secret_hash,
        created_at: millis(now()),
        expires_at: new.expires_at.map(millis),
        last_used_at: None,
    };
    Ok(token(&model.into_active_model().insert(db).await?))
}

/// Finds a live token by the hash of its value, and whose it is.
///
/// # Errors
/// When the database fails.
pub async fn find(db: &impl ConnectionTrait, secret_hash: &str) -> Result<Option<(Token, Account)>> {
    let to_user: RelationDef =
        Entity::belongs_to(user::Entity).from(Column::UserId).to(user::Column::Id).into();
    let found = Entity::find().filter(Column::SecretHash.eq(secret_hash)).filter(live());
    let found = found.select_also(user::Entity).join(JoinType::InnerJoin, to_user).one(db).await?;
    Ok(found.and_then(|(model, user)| Some((token(&model), users::account(user?)))))
}

/// Says whether a token was neither removed nor has ended.
///
/// # Errors
/// When the database fails.
pub async fn is_live(db: &impl ConnectionTrait, id: TokenId) -> Result<bool> {
    Ok(Entity::find_by_id(id.0).filter(live()).one(db).await?.is_some())
}

/// Notes that a token is in use; call it at most once a minute.
///
/// # Errors
/// When the database fails.
pub async fn touch(db: &impl ConnectionTrait, id: TokenId) -> Result<()> {
    let model = ActiveModel { last_used_at: Set(Some(millis(now()))), ..Default::default() };
    Entity::update_many().set(model).filter(Column::Id.eq(id.0)).exec(db).await?;
    Ok(())
}

/// Removes a token of a user.
///
/// # Errors
/// [`Error::NotFound`] when it is not theirs.
pub async fn remove(db: &impl ConnectionTrait, scope: &Scope, user: UserId, id: TokenId) -> Result<Token> {
    let token = get(db, scope, user, id).await?;
    Entity::delete_by_id(id.0).exec(db).await?;
    Ok(token)
}

/// Removes every token of a user.
///
/// # Errors
/// When the database fails.
pub async fn remove_of_user(db: &impl ConnectionTrait, user: UserId) -> Result<()> {
    Entity::delete_many().filter(Column::UserId.eq(user.0)).exec(db).await?;
    Ok(())
}

fn live() -> Condition {
    Condition::any().add(Column::ExpiresAt.is_null()).add(Column::ExpiresAt.gt(millis(now())))
}

fn token(model: &Model) -> Token {
    Token {
        id: TokenId(model.id),
        name: model.name.clone(),
        prefix: model.prefix.clone(),
        user_id: UserId(model.user_id),
        created_at: from_millis(model.created_at),
        expires_at: model.expires_at.map(from_millis),
        last_used_at: model.last_used_at.map(from_millis),
    }
}
