//! People.

use rackhand_wire::{
    api::{
        settings::UserSettings,
        user::{Role, User},
    },
    id::{TenantId, UserId},
};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, PaginatorTrait,
    QueryFilter, QueryOrder, Set,
};

use crate::{
    Error, Result, Scope,
    entity::user::{ActiveModel, Column, Entity, Model},
    filter::scoped,
    fresh_id, from_millis, millis, now,
};

/// A user with what is needed to sign in.
pub struct Account {
    /// The user.
    pub user: User,
    /// Whose rows they see.
    pub tenant: TenantId,
    /// Hash of the password, in PHC form.
    pub password_hash: String,
}

/// Says whether nobody exists yet.
///
/// # Errors
/// When the database fails.
pub async fn is_empty(db: &impl ConnectionTrait) -> Result<bool> {
    Ok(Entity::find().count(db).await? == 0)
}

/// Lists the users in scope by name.
///
/// # Errors
/// When the database fails.
pub async fn list(db: &impl ConnectionTrait, scope: &Scope) -> Result<Vec<User>> {
    let found = Entity::find().filter(scoped(scope, Column::TenantId)).order_by_asc(Column::NameKey).all(db);
    Ok(found.await?.iter().map(user).collect())
}

/// Gets one user.
///
/// # Errors
/// [`Error::NotFound`] outside the scope.
pub async fn get(db: &impl ConnectionTrait, scope: &Scope, id: UserId) -> Result<Account> {
    row(db, scope, id).await.map(account)
}

/// Finds a user by the name they sign in with.
///
/// # Errors
/// When the database fails.
pub async fn find_by_name(db: &impl ConnectionTrait, name: &str) -> Result<Option<Account>> {
    let key = name.trim().to_lowercase();
    Ok(Entity::find().filter(Column::NameKey.eq(key)).one(db).await?.map(account))
}

/// Adds a user.
///
/// # Errors
/// A field error when the name is taken.
pub async fn add(
    db: &impl ConnectionTrait,
    tenant: TenantId,
    name: &str,
    password_hash: String,
) -> Result<User> {
    let model = Model {
        id: fresh_id(),
        tenant_id: tenant.0,
        name: name.trim().to_owned(),
        name_key: name.trim().to_lowercase(),
        password_hash,
        role: "admin".into(),
        disabled: false,
        settings: serde_json::to_value(UserSettings::default())?,
        created_at: millis(now()),
        last_seen_at: None,
    };
    let saved = model.into_active_model().insert(db).await.map_err(taken)?;
    Ok(user(&saved))
}

/// What changes in a user; absent values stay.
#[derive(Default)]
pub struct Change {
    /// New name.
    pub name: Option<String>,
    /// New hash of the password.
    pub password_hash: Option<String>,
    /// May not sign in.
    pub disabled: Option<bool>,
}

/// Changes a user.
///
/// # Errors
/// [`Error::NotFound`], or a field error when the name is taken.
pub async fn change(db: &impl ConnectionTrait, scope: &Scope, id: UserId, change: Change) -> Result<User> {
    let mut model = row(db, scope, id).await?.into_active_model();
    if let Some(name) = change.name {
        model.name_key = Set(name.trim().to_lowercase());
        model.name = Set(name.trim().to_owned());
    }
    if let Some(hash) = change.password_hash {
        model.password_hash = Set(hash);
    }
    if let Some(disabled) = change.disabled {
        model.disabled = Set(disabled);
    }
    Ok(user(&model.update(db).await.map_err(taken)?))
}

/// Removes a user.
///
/// # Errors
/// [`Error::NotFound`] outside the scope.
pub async fn remove(db: &impl ConnectionTrait, scope: &Scope, id: UserId) -> Result<()> {
    row(db, scope, id).await?;
    Entity::delete_by_id(id.0).exec(db).await?;
    Ok(())
}

/// Notes that a user signed in.
///
/// # Errors
/// When the database fails.
pub async fn seen(db: &impl ConnectionTrait, id: UserId) -> Result<()> {
    let model = ActiveModel { id: Set(id.0), last_seen_at: Set(Some(millis(now()))), ..Default::default() };
    Entity::update(model).exec(db).await?;
    Ok(())
}

/// Reads a user's settings.
///
/// # Errors
/// [`Error::NotFound`] outside the scope.
pub async fn settings(db: &impl ConnectionTrait, scope: &Scope, id: UserId) -> Result<UserSettings> {
    // Settings of an older version may lack a field; the defaults stand in.
    Ok(serde_json::from_value(row(db, scope, id).await?.settings).unwrap_or_default())
}

/// Replaces a user's settings.
///
/// # Errors
/// [`Error::NotFound`] outside the scope.
pub async fn set_settings(
    db: &impl ConnectionTrait,
    scope: &Scope,
    id: UserId,
    settings: &UserSettings,
) -> Result<()> {
    let mut model = row(db, scope, id).await?.into_active_model();
    model.settings = Set(serde_json::to_value(settings)?);
    model.update(db).await?;
    Ok(())
}

async fn row(db: &impl ConnectionTrait, scope: &Scope, id: UserId) -> Result<Model> {
    let found = Entity::find_by_id(id.0).filter(scoped(scope, Column::TenantId)).one(db).await?;
    found.ok_or(Error::NotFound)
}

fn taken(error: sea_orm::DbErr) -> Error {
    Error::unique(error, "name", "Another user has this name.")
}

pub(crate) fn account(model: Model) -> Account {
    Account { user: user(&model), tenant: TenantId(model.tenant_id), password_hash: model.password_hash }
}

fn user(model: &Model) -> User {
    User {
        id: UserId(model.id),
        name: model.name.clone(),
        role: Role::Admin,
        disabled: model.disabled,
        created_at: from_millis(model.created_at),
        last_seen_at: model.last_seen_at.map(from_millis),
    }
}
