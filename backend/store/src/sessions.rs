//! Sign-ins of browsers. Only a hash of the cookie's value is kept.

use chrono::{DateTime, TimeDelta, Utc};
use rackhand_wire::id::{SessionId, TenantId, UserId};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, ConnectionTrait, EntityTrait, IntoActiveModel, JoinType,
    QueryFilter, QuerySelect, RelationDef, Set,
};

use crate::{
    Result,
    entity::{
        session::{ActiveModel, Column, Entity, Model},
        user,
    },
    fresh_id, from_millis, millis, now,
    users::{self, Account},
};

/// A sign-in.
#[derive(Debug, Clone)]
pub struct Session {
    /// Id.
    pub id: SessionId,
    /// Whose.
    pub user: UserId,
    /// Their tenant.
    pub tenant: TenantId,
    /// Sent back with every change.
    pub csrf_token: String,
    /// When it ends at the latest.
    pub expires_at: DateTime<Utc>,
    /// When it was used last, to the minute.
    pub last_used_at: DateTime<Utc>,
}

/// A session unused for this long has ended.
pub const IDLE: TimeDelta = TimeDelta::hours(12);

/// A session ends after this, used or not.
pub const ABSOLUTE: TimeDelta = TimeDelta::days(7);

/// Adds a session.
///
/// # Errors
/// When the database fails.
pub async fn add(
    db: &impl ConnectionTrait,
    (user, tenant): (UserId, TenantId),
    secret_hash: String,
    csrf_token: String,
    source_ip: Option<String>,
) -> Result<Session> {
    let at = now();
    let model = Model {
        id: fresh_id(),
        tenant_id: tenant.0,
        user_id: user.0,
        secret_hash,
        csrf_token,
        source_ip,
        created_at: millis(at),
        last_used_at: millis(at),
        expires_at: millis(at + ABSOLUTE),
    };
    Ok(session(&model.into_active_model().insert(db).await?))
}

/// Finds a live session by the hash of its secret, and whose it is.
///
/// # Errors
/// When the database fails.
pub async fn find(db: &impl ConnectionTrait, secret_hash: &str) -> Result<Option<(Session, Account)>> {
    let to_user: RelationDef =
        Entity::belongs_to(user::Entity).from(Column::UserId).to(user::Column::Id).into();
    let found = Entity::find().filter(live().add(Column::SecretHash.eq(secret_hash)));
    let found = found.select_also(user::Entity).join(JoinType::InnerJoin, to_user).one(db).await?;
    Ok(found.and_then(|(model, user)| Some((session(&model), users::account(user?)))))
}

/// Notes that a session is in use; call it at most once a minute.
///
/// # Errors
/// When the database fails.
pub async fn touch(db: &impl ConnectionTrait, id: SessionId) -> Result<()> {
    let model = ActiveModel { id: Set(id.0), last_used_at: Set(millis(now())), ..Default::default() };
    Entity::update_many().set(model).filter(Column::Id.eq(id.0)).exec(db).await?;
    Ok(())
}

/// Says whether a session has not ended.
///
/// # Errors
/// When the database fails.
pub async fn is_live(db: &impl ConnectionTrait, id: SessionId) -> Result<bool> {
    Ok(Entity::find_by_id(id.0).filter(live()).one(db).await?.is_some())
}

/// Ends a session.
///
/// # Errors
/// When the database fails.
pub async fn remove(db: &impl ConnectionTrait, id: SessionId) -> Result<()> {
    Entity::delete_by_id(id.0).exec(db).await?;
    Ok(())
}

/// Ends every session of a user but `except`.
///
/// # Errors
/// When the database fails.
pub async fn remove_of_user(
    db: &impl ConnectionTrait,
    user: UserId,
    except: Option<SessionId>,
) -> Result<()> {
    let mut which = Condition::all().add(Column::UserId.eq(user.0));
    if let Some(kept) = except {
        which = which.add(Column::Id.ne(kept.0));
    }
    Entity::delete_many().filter(which).exec(db).await?;
    Ok(())
}

/// Forgets sessions that have ended.
///
/// # Errors
/// When the database fails.
pub async fn prune(db: &impl ConnectionTrait) -> Result<()> {
    let at = now();
    let ended = Condition::any()
        .add(Column::ExpiresAt.lte(millis(at)))
        .add(Column::LastUsedAt.lte(millis(at - IDLE)));
    Entity::delete_many().filter(ended).exec(db).await?;
    Ok(())
}

fn live() -> Condition {
    let at = now();
    Condition::all().add(Column::ExpiresAt.gt(millis(at))).add(Column::LastUsedAt.gt(millis(at - IDLE)))
}

fn session(model: &Model) -> Session {
    Session {
        id: SessionId(model.id),
        user: UserId(model.user_id),
        tenant: TenantId(model.tenant_id),
        csrf_token: model.csrf_token.clone(),
        expires_at: from_millis(model.expires_at),
        last_used_at: from_millis(model.last_used_at),
    }
}
