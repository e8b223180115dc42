//! Groups of agents, and who of them holds a device.

use sea_orm_migration::prelude::*;

use crate::index::index;

/// See the module.
#[derive(DeriveMigrationName)]
pub struct Migration;

/// Tables whose rows name an agent or a group.
const NAMING: [&str; 2] = ["endpoint", "connection"];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in NAMING {
            let mut group = ColumnDef::new(Alias::new("agent_group"));
            group.text().null();
            manager
                .alter_table(Table::alter().table(Alias::new(table)).add_column(&mut group).to_owned())
                .await?;
        }
        let mut group = Table::create();
        group.table(Alias::new("agent_group"));
        group.col(ColumnDef::new(Alias::new("tenant_id")).uuid().not_null());
        group.col(ColumnDef::new(Alias::new("name")).text().not_null());
        group.col(ColumnDef::new(Alias::new("policy")).text().not_null());
        group.col(ColumnDef::new(Alias::new("members")).json().not_null());
        group.primary_key(Index::create().col(Alias::new("tenant_id")).col(Alias::new("name")));
        manager.create_table(group).await?;
        let mut lease = Table::create();
        lease.table(Alias::new("device_lease"));
        lease.col(ColumnDef::new(Alias::new("endpoint_id")).uuid().not_null().primary_key());
        lease.col(ColumnDef::new(Alias::new("agent_id")).uuid().not_null());
        lease.col(ColumnDef::new(Alias::new("epoch")).big_integer().not_null());
        lease.col(ColumnDef::new(Alias::new("taken_at")).big_integer().not_null());
        manager.create_table(lease).await?;
        index(manager, "device_lease", &["agent_id"]).await?;
        index(manager, "agent", &["group_name"]).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let named = Index::drop().name("ix_agent_group_name").table(Alias::new("agent")).to_owned();
        manager.drop_index(named).await?;
        for table in ["device_lease", "agent_group"] {
            manager.drop_table(Table::drop().table(Alias::new(table)).to_owned()).await?;
        }
        for table in NAMING {
            let group = Alias::new("agent_group");
            manager
                .alter_table(Table::alter().table(Alias::new(table)).drop_column(group).to_owned())
                .await?;
        }
        Ok(())
    }
}
