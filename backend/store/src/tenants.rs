//! Customer organisations and their place in the tree.

use rackhand_wire::id::{EndpointId, TenantId};
use sea_orm::{ConnectionTrait, EntityTrait, QuerySelect};

use crate::{
    Error, Result, Scope,
    entity::{endpoint, tenant::Entity},
};

/// Finds whose an endpoint is.
///
/// # Errors
/// [`Error::NotFound`] when there is no such endpoint.
pub async fn of_endpoint(db: &impl ConnectionTrait, id: EndpointId) -> Result<TenantId> {
    let owner = endpoint::Entity::find_by_id(id.0).select_only().column(endpoint::Column::TenantId);
    owner.into_tuple().one(db).await?.map(TenantId).ok_or(Error::NotFound)
}

/// Lists a tenant and its ancestors, the nearest first.
///
/// # Errors
/// [`Error::NotFound`] when there is no such tenant.
pub async fn lineage(db: &impl ConnectionTrait, tenant: TenantId) -> Result<Vec<TenantId>> {
    if tenant == TenantId::PROVIDER {
        return Ok(vec![tenant]);
    }
    let found = Entity::find_by_id(tenant.0).one(db).await?.ok_or(Error::NotFound)?;
    let mut lineage = vec![TenantId::PROVIDER];
    for part in found.path.split('/').filter(|part| !part.is_empty()) {
        lineage.push(part.parse().map_err(|_| Error::Damaged(format!("path {}", found.path)))?);
    }
    lineage.reverse();
    Ok(lineage)
}

/// Tells whose rows the people of a tenant see.
///
/// # Errors
/// [`Error::NotFound`] when there is no such tenant.
pub async fn scope(db: &impl ConnectionTrait, tenant: TenantId) -> Result<Scope> {
    if tenant == TenantId::PROVIDER {
        return Ok(Scope::provider());
    }
    let found = Entity::find_by_id(tenant.0).one(db).await?.ok_or(Error::NotFound)?;
    Ok(Scope::tenant(tenant, found.path))
}
