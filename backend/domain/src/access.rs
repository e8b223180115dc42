//! Whose rows an actor may see.

use rackhand_wire::id::TenantId;

/// The rows that a request may touch: a tenant and everything below it. Every store function takes
/// it right after the handle, so that a tenant filter cannot be forgotten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    tenant: TenantId,
    path: String,
}

impl Scope {
    /// The provider: every row of every tenant.
    #[must_use]
    pub fn provider() -> Self {
        Self { tenant: TenantId::PROVIDER, path: "/".into() }
    }

    /// A tenant by its place in the tree: `/` for the provider, `/<reseller>/<customer>/` below.
    #[must_use]
    pub fn tenant(tenant: TenantId, path: impl Into<String>) -> Self {
        Self { tenant, path: path.into() }
    }

    /// The tenant that new rows belong to.
    #[must_use]
    pub fn owner(&self) -> TenantId {
        self.tenant
    }

    /// Path prefix of every tenant that is visible.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Says whether everything is visible, so that no filter is needed.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.path == "/"
    }
}
