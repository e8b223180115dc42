//! Up to where the samples that an agent keeps are stored.

use sea_orm_migration::prelude::*;

/// See the module.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut spool = ColumnDef::new(Alias::new("spool"));
        spool.uuid().null();
        let mut sampled = ColumnDef::new(Alias::new("sampled"));
        sampled.big_integer().not_null().default(0);
        for column in [&mut spool, &mut sampled] {
            let agent = Table::alter().table(Alias::new("agent")).add_column(column).to_owned();
            manager.alter_table(agent).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for column in ["spool", "sampled"] {
            let agent = Table::alter().table(Alias::new("agent")).drop_column(Alias::new(column)).to_owned();
            manager.alter_table(agent).await?;
        }
        Ok(())
    }
}
