//! When a controller of a server last said that its firmware is being written.

use sea_orm_migration::prelude::*;

/// See the module.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[derive(DeriveIden)]
enum Server {
    Table,
    UpdatingAt,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let column = ColumnDef::new(Server::UpdatingAt).big_integer().null().to_owned();
        manager.alter_table(Table::alter().table(Server::Table).add_column(column).to_owned()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .alter_table(Table::alter().table(Server::Table).drop_column(Server::UpdatingAt).to_owned())
            .await
    }
}
