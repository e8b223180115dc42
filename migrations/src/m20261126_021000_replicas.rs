//! Several servers on one database: who they are, which of them has which agent and which job, and what they
//! have for one another.

use sea_orm_migration::prelude::*;

use crate::index::index;

/// See the module.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut node = Table::create();
        node.table(Alias::new("node"));
        node.col(ColumnDef::new(Alias::new("id")).uuid().not_null().primary_key());
        node.col(ColumnDef::new(Alias::new("home")).uuid().not_null());
        node.col(ColumnDef::new(Alias::new("name")).text().not_null());
        node.col(ColumnDef::new(Alias::new("seen_at")).big_integer().not_null());
        manager.create_table(node).await?;
        let mut session = Table::create();
        session.table(Alias::new("agent_session"));
        session.col(ColumnDef::new(Alias::new("agent_id")).uuid().not_null().primary_key());
        session.col(ColumnDef::new(Alias::new("node_id")).uuid().null());
        session.col(ColumnDef::new(Alias::new("epoch")).big_integer().not_null());
        session.col(ColumnDef::new(Alias::new("boot")).uuid().not_null());
        session.col(ColumnDef::new(Alias::new("renewed_at")).big_integer().not_null());
        session.col(ColumnDef::new(Alias::new("late")).boolean().not_null());
        manager.create_table(session).await?;
        let mut letter = Table::create();
        letter.table(Alias::new("letter"));
        letter.col(ColumnDef::new(Alias::new("id")).big_integer().not_null().auto_increment().primary_key());
        letter.col(ColumnDef::new(Alias::new("to_node")).uuid().not_null());
        letter.col(ColumnDef::new(Alias::new("from_node")).uuid().not_null());
        letter.col(ColumnDef::new(Alias::new("agent_id")).uuid().not_null());
        letter.col(ColumnDef::new(Alias::new("epoch")).big_integer().not_null());
        letter.col(ColumnDef::new(Alias::new("content")).json().not_null());
        letter.col(ColumnDef::new(Alias::new("secrets")).binary().null());
        manager.create_table(letter).await?;
        let mut performer = ColumnDef::new(Alias::new("node_id"));
        performer.uuid().null();
        manager
            .alter_table(Table::alter().table(Alias::new("job")).add_column(&mut performer).to_owned())
            .await?;
        index(manager, "letter", &["to_node", "id"]).await?;
        index(manager, "agent_session", &["node_id"]).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in ["node", "agent_session", "letter"] {
            manager.drop_table(Table::drop().table(Alias::new(table)).to_owned()).await?;
        }
        let performer = Alias::new("node_id");
        manager.alter_table(Table::alter().table(Alias::new("job")).drop_column(performer).to_owned()).await
    }
}
