//! The record is read by time, over all tenants.

use sea_orm_migration::prelude::*;

use crate::index::index;

/// See the module.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        index(manager, "audit", &["at", "tenant_id", "seq"]).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let index = Index::drop().name("ix_audit_at_tenant_id_seq").table(Alias::new("audit")).to_owned();
        manager.drop_index(index).await
    }
}
