//! What happened to an agent: events name it, and each edge of its presence is told once.

use sea_orm_migration::prelude::*;

use crate::index::index;

/// See the module.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut agent = ColumnDef::new(Alias::new("agent_id"));
        agent.uuid().null();
        manager
            .alter_table(Table::alter().table(Alias::new("event")).add_column(&mut agent).to_owned())
            .await?;
        index(manager, "event", &["agent_id", "at"]).await?;
        let mut told = ColumnDef::new(Alias::new("told_online"));
        told.boolean().not_null().default(false);
        manager.alter_table(Table::alter().table(Alias::new("agent")).add_column(&mut told).to_owned()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let index = Index::drop().name("ix_event_agent_id_at").table(Alias::new("event")).to_owned();
        manager.drop_index(index).await?;
        for (table, column) in [("event", "agent_id"), ("agent", "told_online")] {
            let column = Alias::new(column);
            manager
                .alter_table(Table::alter().table(Alias::new(table)).drop_column(column).to_owned())
                .await?;
        }
        Ok(())
    }
}
