//! What a server draws at least while it runs, learnt from its outlets.

use sea_orm_migration::prelude::*;

/// See the module.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[derive(DeriveIden)]
enum Server {
    Table,
    IdleWatts,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let column = ColumnDef::new(Server::IdleWatts).double().null().to_owned();
        manager.alter_table(Table::alter().table(Server::Table).add_column(column).to_owned()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .alter_table(Table::alter().table(Server::Table).drop_column(Server::IdleWatts).to_owned())
            .await
    }
}
