//! Sites, agents, servers and what controls them.

use sea_orm_migration::prelude::*;

use crate::index::{index, unique};

/// See the module.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        create_site(manager).await?;
        create_agent(manager).await?;
        create_server(manager).await?;
        create_endpoint(manager).await?;
        create_connection(manager).await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in ["connection", "endpoint", "server", "agent", "site"] {
            manager.drop_table(Table::drop().table(Alias::new(table)).to_owned()).await?;
        }
        Ok(())
    }
}

/// Places.
async fn create_site(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let mut table = Table::create();
    table.table(Alias::new("site"));
    table.col(ColumnDef::new(Alias::new("id")).uuid().not_null().primary_key());
    table.col(ColumnDef::new(Alias::new("tenant_id")).uuid().not_null());
    table.col(ColumnDef::new(Alias::new("name")).text().not_null());
    table.col(ColumnDef::new(Alias::new("name_key")).text().not_null());
    table.col(ColumnDef::new(Alias::new("time_zone")).text().not_null());
    table.col(ColumnDef::new(Alias::new("created_at")).big_integer().not_null());
    manager.create_table(table).await?;
    unique(manager, "site", &["tenant_id", "name_key"]).await?;
    Ok(())
}

/// Processes that touch devices.
async fn create_agent(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let mut table = Table::create();
    table.table(Alias::new("agent"));
    table.col(ColumnDef::new(Alias::new("id")).uuid().not_null().primary_key());
    table.col(ColumnDef::new(Alias::new("tenant_id")).uuid().not_null());
    table.col(ColumnDef::new(Alias::new("name")).text().not_null().unique_key());
    table.col(ColumnDef::new(Alias::new("group_name")).text().not_null());
    table.col(ColumnDef::new(Alias::new("site_id")).uuid().null());
    table.col(ColumnDef::new(Alias::new("version")).text().not_null());
    table.col(ColumnDef::new(Alias::new("kinds")).json().not_null());
    table.col(ColumnDef::new(Alias::new("last_seen_at")).big_integer().null());
    table.col(ColumnDef::new(Alias::new("created_at")).big_integer().not_null());
    manager.create_table(table).await?;
    Ok(())
}

/// Machines.
async fn create_server(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let mut table = Table::create();
    table.table(Alias::new("server"));
    table.col(ColumnDef::new(Alias::new("id")).uuid().not_null().primary_key());
    table.col(ColumnDef::new(Alias::new("tenant_id")).uuid().not_null());
    table.col(ColumnDef::new(Alias::new("name")).text().not_null());
    table.col(ColumnDef::new(Alias::new("name_key")).text().not_null());
    table.col(ColumnDef::new(Alias::new("rack")).text().not_null());
    table.col(ColumnDef::new(Alias::new("site_id")).uuid().null());
    table.col(ColumnDef::new(Alias::new("tags")).json().not_null());
    table.col(ColumnDef::new(Alias::new("notes")).text().not_null());
    table.col(ColumnDef::new(Alias::new("feeds_complete")).boolean().not_null());
    table.col(ColumnDef::new(Alias::new("fallback_enabled")).boolean().not_null());
    table.col(ColumnDef::new(Alias::new("maintenance")).boolean().not_null());
    table.col(ColumnDef::new(Alias::new("mismatch_seen")).boolean().not_null());
    table.col(ColumnDef::new(Alias::new("power_value")).text().not_null());
    table.col(ColumnDef::new(Alias::new("confidence")).text().not_null());
    table.col(ColumnDef::new(Alias::new("flags")).json().not_null());
    table.col(ColumnDef::new(Alias::new("attention")).boolean().not_null());
    table.col(ColumnDef::new(Alias::new("power_since")).big_integer().null());
    table.col(ColumnDef::new(Alias::new("checked_at")).big_integer().null());
    table.col(ColumnDef::new(Alias::new("search")).text().not_null());
    table.col(ColumnDef::new(Alias::new("version")).big_integer().not_null());
    table.col(ColumnDef::new(Alias::new("created_at")).big_integer().not_null());
    manager.create_table(table).await?;
    index(manager, "server", &["rack", "id"]).await?;
    index(manager, "server", &["power_value", "id"]).await?;
    index(manager, "server", &["checked_at", "id"]).await?;
    index(manager, "server", &["name_key", "id"]).await?;
    index(manager, "server", &["attention"]).await?;
    unique(manager, "server", &["tenant_id", "name_key"]).await?;
    Ok(())
}

/// What is added once and controls servers.
async fn create_endpoint(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let mut table = Table::create();
    table.table(Alias::new("endpoint"));
    table.col(ColumnDef::new(Alias::new("id")).uuid().not_null().primary_key());
    table.col(ColumnDef::new(Alias::new("tenant_id")).uuid().not_null());
    table.col(ColumnDef::new(Alias::new("kind")).text().not_null());
    table.col(ColumnDef::new(Alias::new("name")).text().not_null());
    table.col(ColumnDef::new(Alias::new("name_key")).text().not_null());
    table.col(ColumnDef::new(Alias::new("agent_id")).uuid().null());
    table.col(ColumnDef::new(Alias::new("params")).json().not_null());
    table.col(ColumnDef::new(Alias::new("sealed")).binary().null());
    table.col(ColumnDef::new(Alias::new("secrets_set")).json().not_null());
    table.col(ColumnDef::new(Alias::new("address")).text().null());
    table.col(ColumnDef::new(Alias::new("address_key")).text().null().unique_key());
    table.col(ColumnDef::new(Alias::new("status")).text().not_null());
    table.col(ColumnDef::new(Alias::new("fault")).json().null());
    table.col(ColumnDef::new(Alias::new("identity")).json().null());
    table.col(ColumnDef::new(Alias::new("pinned")).text().null());
    table.col(ColumnDef::new(Alias::new("outlets")).json().null());
    table.col(ColumnDef::new(Alias::new("outlets_at")).big_integer().null());
    table.col(ColumnDef::new(Alias::new("checked_at")).big_integer().null());
    table.col(ColumnDef::new(Alias::new("version")).big_integer().not_null());
    table.col(ColumnDef::new(Alias::new("created_at")).big_integer().not_null());
    manager.create_table(table).await?;
    index(manager, "endpoint", &["kind"]).await?;
    unique(manager, "endpoint", &["tenant_id", "name_key"]).await?;
    Ok(())
}

/// What ties a server to an endpoint, with what the path last said.
async fn create_connection(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let mut table = Table::create();
    table.table(Alias::new("connection"));
    table.col(ColumnDef::new(Alias::new("id")).uuid().not_null().primary_key());
    table.col(ColumnDef::new(Alias::new("tenant_id")).uuid().not_null());
    table.col(ColumnDef::new(Alias::new("server_id")).uuid().not_null());
    table.col(ColumnDef::new(Alias::new("endpoint_id")).uuid().not_null());
    table.col(ColumnDef::new(Alias::new("role")).text().not_null());
    table.col(ColumnDef::new(Alias::new("target")).json().not_null());
    table.col(ColumnDef::new(Alias::new("target_key")).text().not_null());
    table.col(ColumnDef::new(Alias::new("target_label")).text().not_null());
    table.col(ColumnDef::new(Alias::new("features")).json().not_null());
    table.col(ColumnDef::new(Alias::new("agent_id")).uuid().null());
    table.col(ColumnDef::new(Alias::new("state")).text().null());
    table.col(ColumnDef::new(Alias::new("fault")).json().null());
    table.col(ColumnDef::new(Alias::new("watts")).double().null());
    table.col(ColumnDef::new(Alias::new("restore_policy")).text().null());
    table.col(ColumnDef::new(Alias::new("checked_at")).big_integer().null());
    table.col(ColumnDef::new(Alias::new("created_at")).big_integer().not_null());
    manager.create_table(table).await?;
    index(manager, "connection", &["server_id"]).await?;
    index(manager, "connection", &["endpoint_id"]).await?;
    unique(manager, "connection", &["server_id", "endpoint_id", "target_key"]).await?;
    Ok(())
}
