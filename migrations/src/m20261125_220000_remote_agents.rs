//! Agents that are not part of a backend: how they are known, and what they did by themselves.

use sea_orm_migration::prelude::*;

use crate::index::index;

/// See the module.
#[derive(DeriveMigrationName)]
pub struct Migration;

/// Columns of the table `agent`.
fn agent_columns() -> [ColumnDef; 11] {
    let text = |name: &str| ColumnDef::new(Alias::new(name)).text().null().to_owned();
    let time = |name: &str| ColumnDef::new(Alias::new(name)).big_integer().null().to_owned();
    let flag = |name: &str| ColumnDef::new(Alias::new(name)).boolean().not_null().default(false).to_owned();
    [
        flag("embedded"),
        flag("draining"),
        text("host"),
        text("identity_key"),
        text("next_identity_key"),
        text("sealing_key"),
        time("certificate_at"),
        time("certificate_until"),
        time("revoked_at"),
        time("copies_at"),
        text("source_ip"),
    ]
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for mut column in agent_columns() {
            manager
                .alter_table(Table::alter().table(Alias::new("agent")).add_column(&mut column).to_owned())
                .await?;
        }
        // Until now every agent was part of a backend.
        let mut known = Query::update();
        known.table(Alias::new("agent")).value(Alias::new("embedded"), true);
        manager.exec_stmt(known).await?;
        create_token(manager).await?;
        let mut told = ColumnDef::new(Alias::new("restored"));
        told.text().null();
        manager
            .alter_table(Table::alter().table(Alias::new("step")).add_column(&mut told).to_owned())
            .await?;
        index(manager, "step", &["command_id"]).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .drop_index(Index::drop().name("ix_step_command_id").table(Alias::new("step")).to_owned())
            .await?;
        let restored = Alias::new("restored");
        manager
            .alter_table(Table::alter().table(Alias::new("step")).drop_column(restored).to_owned())
            .await?;
        manager.drop_table(Table::drop().table(Alias::new("agent_token")).to_owned()).await?;
        for column in agent_columns() {
            let name = Alias::new(column.get_column_name());
            manager
                .alter_table(Table::alter().table(Alias::new("agent")).drop_column(name).to_owned())
                .await?;
        }
        Ok(())
    }
}

/// Single-use tokens with which agents get their identity.
async fn create_token(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let mut table = Table::create();
    table.table(Alias::new("agent_token"));
    table.col(ColumnDef::new(Alias::new("id")).uuid().not_null().primary_key());
    table.col(ColumnDef::new(Alias::new("agent_id")).uuid().not_null());
    table.col(ColumnDef::new(Alias::new("secret_hash")).text().not_null().unique_key());
    table.col(ColumnDef::new(Alias::new("source")).text().null());
    table.col(ColumnDef::new(Alias::new("created_at")).big_integer().not_null());
    table.col(ColumnDef::new(Alias::new("expires_at")).big_integer().not_null());
    manager.create_table(table).await?;
    index(manager, "agent_token", &["agent_id"]).await
}
