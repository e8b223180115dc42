//! Where each tenant's audit chain ends, so that records cannot be taken from its end unnoticed.

use sea_orm_migration::prelude::*;

/// See the module.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[derive(DeriveIden)]
enum Tenant {
    Table,
    Id,
    Path,
    Name,
    CreatedAt,
    AuditSeq,
    AuditHash,
}

/// The provider is tenant nil, the parent of all; its row carries the end of its chain.
async fn add_provider(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let row = Query::insert()
        .into_table(Tenant::Table)
        .columns([Tenant::Id, Tenant::Path, Tenant::Name, Tenant::CreatedAt])
        .values_panic([uuid::Uuid::nil().into(), "/".into(), "Provider".into(), 0_i64.into()])
        .on_conflict(OnConflict::column(Tenant::Id).do_nothing().to_owned())
        .to_owned();
    manager.execute(row).await
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let seq = ColumnDef::new(Tenant::AuditSeq).big_integer().not_null().default(0).to_owned();
        let hash = ColumnDef::new(Tenant::AuditHash).text().not_null().default("").to_owned();
        // SQLite adds one column at a time.
        for column in [seq, hash] {
            manager.alter_table(Table::alter().table(Tenant::Table).add_column(column).to_owned()).await?;
        }
        add_provider(manager).await?;
        let heads = "UPDATE tenant SET \
             audit_seq = COALESCE((SELECT MAX(seq) FROM audit WHERE audit.tenant_id = tenant.id), 0), \
             audit_hash = COALESCE((SELECT hash FROM audit WHERE audit.tenant_id = tenant.id \
             ORDER BY seq DESC LIMIT 1), '')";
        manager.get_connection().execute_unprepared(heads).await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for column in [Tenant::AuditSeq, Tenant::AuditHash] {
            manager.alter_table(Table::alter().table(Tenant::Table).drop_column(column).to_owned()).await?;
        }
        Ok(())
    }
}
