//! Customer organisations and their place in the tree.

use rackhand_wire::id::TenantId;
use sea_orm::{ConnectionTrait, EntityTrait};

use crate::{Error, Result, Scope, entity::tenant::Entity};

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
