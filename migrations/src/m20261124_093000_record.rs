//! Events, audit records and settings.

use sea_orm_migration::prelude::*;

use crate::index::index;

/// See the module.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        create_event(manager).await?;
        create_audit(manager).await?;
        create_setting(manager).await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in ["setting", "audit", "event"] {
            manager.drop_table(Table::drop().table(Alias::new(table)).to_owned()).await?;
        }
        Ok(())
    }
}

/// What happened, for people; may be pruned.
async fn create_event(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let mut table = Table::create();
    table.table(Alias::new("event"));
    table.col(ColumnDef::new(Alias::new("id")).uuid().not_null().primary_key());
    table.col(ColumnDef::new(Alias::new("tenant_id")).uuid().not_null());
    table.col(ColumnDef::new(Alias::new("at")).big_integer().not_null());
    table.col(ColumnDef::new(Alias::new("kind")).text().not_null());
    table.col(ColumnDef::new(Alias::new("severity")).text().not_null());
    table.col(ColumnDef::new(Alias::new("message")).text().not_null());
    table.col(ColumnDef::new(Alias::new("actor")).text().null());
    table.col(ColumnDef::new(Alias::new("server_id")).uuid().null());
    table.col(ColumnDef::new(Alias::new("server_name")).text().null());
    table.col(ColumnDef::new(Alias::new("endpoint_id")).uuid().null());
    table.col(ColumnDef::new(Alias::new("job_id")).uuid().null());
    manager.create_table(table).await?;
    index(manager, "event", &["server_id", "id"]).await?;
    index(manager, "event", &["at"]).await?;
    Ok(())
}

/// Who did what, hash-chained per tenant; never pruned.
async fn create_audit(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let mut table = Table::create();
    table.table(Alias::new("audit"));
    table.col(ColumnDef::new(Alias::new("tenant_id")).uuid().not_null());
    table.col(ColumnDef::new(Alias::new("seq")).big_integer().not_null());
    table.col(ColumnDef::new(Alias::new("at")).big_integer().not_null());
    table.col(ColumnDef::new(Alias::new("actor")).text().not_null());
    table.col(ColumnDef::new(Alias::new("source_ip")).text().null());
    table.col(ColumnDef::new(Alias::new("action")).text().not_null());
    table.col(ColumnDef::new(Alias::new("object")).text().not_null());
    table.col(ColumnDef::new(Alias::new("object_name")).text().not_null());
    table.col(ColumnDef::new(Alias::new("detail")).text().not_null());
    table.col(ColumnDef::new(Alias::new("request_id")).text().null());
    table.col(ColumnDef::new(Alias::new("previous_hash")).text().not_null());
    table.col(ColumnDef::new(Alias::new("hash")).text().not_null());
    table.primary_key(Index::create().col(Alias::new("tenant_id")).col(Alias::new("seq")));
    manager.create_table(table).await?;
    index(manager, "audit", &["object"]).await?;
    Ok(())
}

/// Settings by name.
async fn create_setting(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let mut table = Table::create();
    table.table(Alias::new("setting"));
    table.col(ColumnDef::new(Alias::new("tenant_id")).uuid().not_null());
    table.col(ColumnDef::new(Alias::new("name")).text().not_null());
    table.col(ColumnDef::new(Alias::new("value")).json().not_null());
    table.primary_key(Index::create().col(Alias::new("tenant_id")).col(Alias::new("name")));
    manager.create_table(table).await?;
    Ok(())
}
