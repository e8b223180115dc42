//! Places.

use rackhand_wire::{
    api::site::Site,
    id::{SiteId, TenantId},
};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, PaginatorTrait,
    QueryFilter, QueryOrder, Set,
};

use crate::{
    Error, Result, Scope,
    entity::{
        agent, server,
        site::{Column, Entity, Model},
    },
    filter::scoped,
    fresh_id, from_millis, millis, now,
};

/// Lists the sites in scope by name.
///
/// # Errors
/// When the database fails.
pub async fn list(db: &impl ConnectionTrait, scope: &Scope) -> Result<Vec<Site>> {
    let rows =
        Entity::find().filter(scoped(scope, Column::TenantId)).order_by_asc(Column::NameKey).all(db).await?;
    let mut sites = Vec::with_capacity(rows.len());
    for row in &rows {
        sites.push(site(db, row).await?);
    }
    Ok(sites)
}

/// Gets one site.
///
/// # Errors
/// [`Error::NotFound`] outside the scope.
pub async fn get(db: &impl ConnectionTrait, scope: &Scope, id: SiteId) -> Result<Site> {
    let row = row(db, scope, id).await?;
    site(db, &row).await
}

/// Adds a site.
///
/// # Errors
/// A field error when the name is taken.
pub async fn add(db: &impl ConnectionTrait, tenant: TenantId, name: &str, time_zone: &str) -> Result<Site> {
    let model = Model {
        id: fresh_id(),
        tenant_id: tenant.0,
        name: name.trim().to_owned(),
        name_key: name.trim().to_lowercase(),
        time_zone: time_zone.to_owned(),
        created_at: millis(now()),
    };
    let row = model.into_active_model().insert(db).await.map_err(taken)?;
    site(db, &row).await
}

/// Changes a site; absent values stay.
///
/// # Errors
/// [`Error::NotFound`], or a field error when the name is taken.
pub async fn change(
    db: &impl ConnectionTrait,
    scope: &Scope,
    id: SiteId,
    name: Option<&str>,
    time_zone: Option<&str>,
) -> Result<Site> {
    let mut model = row(db, scope, id).await?.into_active_model();
    if let Some(name) = name {
        model.name = Set(name.trim().to_owned());
        model.name_key = Set(name.trim().to_lowercase());
    }
    if let Some(zone) = time_zone {
        model.time_zone = Set(zone.to_owned());
    }
    let row = model.update(db).await.map_err(taken)?;
    site(db, &row).await
}

/// Removes a site that no server and no agent names.
///
/// # Errors
/// [`Error::InUse`] while one names it.
pub async fn remove(db: &impl ConnectionTrait, scope: &Scope, id: SiteId) -> Result<()> {
    let found = get(db, scope, id).await?;
    if found.servers > 0 {
        return Err(Error::InUse(format!("{} server(s) stand at this site.", found.servers)));
    }
    let agents = agent::Entity::find().filter(agent::Column::SiteId.eq(id.0)).count(db).await?;
    if agents > 0 {
        return Err(Error::InUse(format!("{agents} agent(s) stand at this site.")));
    }
    Entity::delete_by_id(id.0).exec(db).await?;
    Ok(())
}

async fn row(db: &impl ConnectionTrait, scope: &Scope, id: SiteId) -> Result<Model> {
    let found = Entity::find_by_id(id.0).filter(scoped(scope, Column::TenantId)).one(db).await?;
    found.ok_or(Error::NotFound)
}

fn taken(error: sea_orm::DbErr) -> Error {
    Error::unique(error, "name", "Another site has this name.")
}

async fn site(db: &impl ConnectionTrait, row: &Model) -> Result<Site> {
    Ok(Site {
        id: SiteId(row.id),
        name: row.name.clone(),
        time_zone: row.time_zone.clone(),
        servers: server::Entity::find().filter(server::Column::SiteId.eq(row.id)).count(db).await?,
        created_at: from_millis(row.created_at),
    })
}
