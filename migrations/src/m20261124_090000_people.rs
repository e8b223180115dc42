//! Tenants, users and their ways in.

use sea_orm_migration::prelude::*;

use crate::index::index;

/// See the module.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        create_tenant(manager).await?;
        create_user(manager).await?;
        create_session(manager).await?;
        create_token(manager).await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in ["token", "session", "user", "tenant"] {
            manager.drop_table(Table::drop().table(Alias::new(table)).to_owned()).await?;
        }
        Ok(())
    }
}

/// Customer organisations; the provider is the one with the nil id and the path `/`.
async fn create_tenant(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let mut table = Table::create();
    table.table(Alias::new("tenant"));
    table.col(ColumnDef::new(Alias::new("id")).uuid().not_null().primary_key());
    table.col(ColumnDef::new(Alias::new("parent_id")).uuid().null());
    table.col(ColumnDef::new(Alias::new("path")).text().not_null().unique_key());
    table.col(ColumnDef::new(Alias::new("name")).text().not_null());
    table.col(ColumnDef::new(Alias::new("created_at")).big_integer().not_null());
    manager.create_table(table).await?;
    Ok(())
}

/// People.
async fn create_user(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let mut table = Table::create();
    table.table(Alias::new("user"));
    table.col(ColumnDef::new(Alias::new("id")).uuid().not_null().primary_key());
    table.col(ColumnDef::new(Alias::new("tenant_id")).uuid().not_null());
    table.col(ColumnDef::new(Alias::new("name")).text().not_null());
    table.col(ColumnDef::new(Alias::new("name_key")).text().not_null().unique_key());
    table.col(ColumnDef::new(Alias::new("password_hash")).text().not_null());
    table.col(ColumnDef::new(Alias::new("role")).text().not_null());
    table.col(ColumnDef::new(Alias::new("disabled")).boolean().not_null());
    table.col(ColumnDef::new(Alias::new("settings")).json().not_null());
    table.col(ColumnDef::new(Alias::new("created_at")).big_integer().not_null());
    table.col(ColumnDef::new(Alias::new("last_seen_at")).big_integer().null());
    manager.create_table(table).await?;
    index(manager, "user", &["tenant_id"]).await?;
    Ok(())
}

/// Sign-ins of browsers.
async fn create_session(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let mut table = Table::create();
    table.table(Alias::new("session"));
    table.col(ColumnDef::new(Alias::new("id")).uuid().not_null().primary_key());
    table.col(ColumnDef::new(Alias::new("tenant_id")).uuid().not_null());
    table.col(ColumnDef::new(Alias::new("user_id")).uuid().not_null());
    table.col(ColumnDef::new(Alias::new("secret_hash")).text().not_null().unique_key());
    table.col(ColumnDef::new(Alias::new("csrf_token")).text().not_null());
    table.col(ColumnDef::new(Alias::new("source_ip")).text().null());
    table.col(ColumnDef::new(Alias::new("created_at")).big_integer().not_null());
    table.col(ColumnDef::new(Alias::new("last_used_at")).big_integer().not_null());
    table.col(ColumnDef::new(Alias::new("expires_at")).big_integer().not_null());
    manager.create_table(table).await?;
    index(manager, "session", &["user_id"]).await?;
    index(manager, "session", &["expires_at"]).await?;
    Ok(())
}

/// Bearer tokens of scripts.
async fn create_token(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let mut table = Table::create();
    table.table(Alias::new("token"));
    table.col(ColumnDef::new(Alias::new("id")).uuid().not_null().primary_key());
    table.col(ColumnDef::new(Alias::new("tenant_id")).uuid().not_null());
    table.col(ColumnDef::new(Alias::new("user_id")).uuid().not_null());
    table.col(ColumnDef::new(Alias::new("name")).text().not_null());
    table.col(ColumnDef::new(Alias::new("prefix")).text().not_null());
    table.col(ColumnDef::new(Alias::new("secret_hash")).text().not_null().unique_key());
    table.col(ColumnDef::new(Alias::new("created_at")).big_integer().not_null());
    table.col(ColumnDef::new(Alias::new("expires_at")).big_integer().null());
    table.col(ColumnDef::new(Alias::new("last_used_at")).big_integer().null());
    manager.create_table(table).await?;
    index(manager, "token", &["user_id"]).await?;
    Ok(())
}
