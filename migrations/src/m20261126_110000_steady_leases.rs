//! Signs of life that are counted, not dated: a clock that is set would end leases and servers that live.

use sea_orm_migration::prelude::*;

/// See the module.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        swap(manager, "agent_session", "renewed_at", "renewals").await?;
        let add = Table::alter().table(Alias::new("node")).add_column(count("beats")).to_owned();
        manager.alter_table(add).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        swap(manager, "agent_session", "renewals", "renewed_at").await?;
        let beats = Alias::new("beats");
        manager.alter_table(Table::alter().table(Alias::new("node")).drop_column(beats).to_owned()).await
    }
}

async fn swap(manager: &SchemaManager<'_>, table: &str, from: &str, to: &str) -> Result<(), DbErr> {
    let add = Table::alter().table(Alias::new(table)).add_column(count(to)).to_owned();
    manager.alter_table(add).await?;
    let drop = Table::alter().table(Alias::new(table)).drop_column(Alias::new(from)).to_owned();
    manager.alter_table(drop).await
}

fn count(name: &str) -> ColumnDef {
    ColumnDef::new(Alias::new(name)).big_integer().not_null().default(0).to_owned()
}
