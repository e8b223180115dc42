//! When a letter was posted, by the database's clock: the time in which it waits is taken off what its order may wait.

use sea_orm_migration::prelude::*;

/// See the module.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[derive(DeriveIden)]
enum Letter {
    Table,
    PostedAt,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // What a server of an earlier version posted has none.
        let column = ColumnDef::new(Letter::PostedAt).big_integer().null().to_owned();
        manager.alter_table(Table::alter().table(Letter::Table).add_column(column).to_owned()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .alter_table(Table::alter().table(Letter::Table).drop_column(Letter::PostedAt).to_owned())
            .await
    }
}
