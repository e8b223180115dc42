//! Jobs, their steps and what they hold.

use sea_orm_migration::prelude::*;

use crate::index::{index, unique};

/// See the module.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        create_job(manager).await?;
        create_step(manager).await?;
        create_outlet_lock(manager).await?;
        create_idempotency(manager).await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in ["idempotency", "outlet_lock", "step", "job"] {
            manager.drop_table(Table::drop().table(Alias::new(table)).to_owned()).await?;
        }
        Ok(())
    }
}

/// Durable work. `active_server_id` is set while a power job is under way: it is unique, so there is one at a time per server.
async fn create_job(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let mut table = Table::create();
    table.table(Alias::new("job"));
    table.col(ColumnDef::new(Alias::new("id")).uuid().not_null().primary_key());
    table.col(ColumnDef::new(Alias::new("tenant_id")).uuid().not_null());
    table.col(ColumnDef::new(Alias::new("kind")).text().not_null());
    table.col(ColumnDef::new(Alias::new("state")).text().not_null());
    table.col(ColumnDef::new(Alias::new("server_id")).uuid().null());
    table.col(ColumnDef::new(Alias::new("active_server_id")).uuid().null().unique_key());
    table.col(ColumnDef::new(Alias::new("endpoint_id")).uuid().null());
    table.col(ColumnDef::new(Alias::new("action")).text().null());
    table.col(ColumnDef::new(Alias::new("via")).text().null());
    table.col(ColumnDef::new(Alias::new("title")).text().not_null());
    table.col(ColumnDef::new(Alias::new("requested_by")).text().not_null());
    table.col(ColumnDef::new(Alias::new("source_ip")).text().null());
    table.col(ColumnDef::new(Alias::new("request")).json().not_null());
    table.col(ColumnDef::new(Alias::new("run")).json().null());
    table.col(ColumnDef::new(Alias::new("reason")).text().null());
    table.col(ColumnDef::new(Alias::new("summary")).text().null());
    table.col(ColumnDef::new(Alias::new("proof")).text().null());
    table.col(ColumnDef::new(Alias::new("result")).json().null());
    table.col(ColumnDef::new(Alias::new("cancel_requested")).boolean().not_null());
    table.col(ColumnDef::new(Alias::new("alarm")).boolean().not_null());
    table.col(ColumnDef::new(Alias::new("cut_at")).big_integer().null());
    table.col(ColumnDef::new(Alias::new("created_at")).big_integer().not_null());
    table.col(ColumnDef::new(Alias::new("started_at")).big_integer().null());
    table.col(ColumnDef::new(Alias::new("finished_at")).big_integer().null());
    table.col(ColumnDef::new(Alias::new("version")).big_integer().not_null());
    manager.create_table(table).await?;
    index(manager, "job", &["state"]).await?;
    index(manager, "job", &["server_id", "id"]).await?;
    index(manager, "job", &["cut_at"]).await?;
    Ok(())
}

/// Steps of jobs: stored before they are done.
async fn create_step(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let mut table = Table::create();
    table.table(Alias::new("step"));
    table.col(ColumnDef::new(Alias::new("id")).uuid().not_null().primary_key());
    table.col(ColumnDef::new(Alias::new("job_id")).uuid().not_null());
    table.col(ColumnDef::new(Alias::new("seq")).integer().not_null());
    table.col(ColumnDef::new(Alias::new("phase")).text().not_null());
    table.col(ColumnDef::new(Alias::new("title")).text().not_null());
    table.col(ColumnDef::new(Alias::new("reason")).text().not_null());
    table.col(ColumnDef::new(Alias::new("path")).text().null());
    table.col(ColumnDef::new(Alias::new("command_id")).uuid().null());
    table.col(ColumnDef::new(Alias::new("outcome")).text().null());
    table.col(ColumnDef::new(Alias::new("fault")).text().null());
    table.col(ColumnDef::new(Alias::new("detail")).text().not_null());
    table.col(ColumnDef::new(Alias::new("wait_ms")).big_integer().null());
    table.col(ColumnDef::new(Alias::new("started_at")).big_integer().not_null());
    table.col(ColumnDef::new(Alias::new("finished_at")).big_integer().null());
    manager.create_table(table).await?;
    unique(manager, "step", &["job_id", "seq"]).await?;
    Ok(())
}

/// Outlets that a job is about to switch.
async fn create_outlet_lock(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let mut table = Table::create();
    table.table(Alias::new("outlet_lock"));
    table.col(ColumnDef::new(Alias::new("outlet_key")).text().not_null().primary_key());
    table.col(ColumnDef::new(Alias::new("job_id")).uuid().not_null());
    table.col(ColumnDef::new(Alias::new("taken_at")).big_integer().not_null());
    manager.create_table(table).await?;
    index(manager, "outlet_lock", &["job_id"]).await?;
    Ok(())
}

/// Answers to requests that carried an Idempotency-Key.
async fn create_idempotency(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let mut table = Table::create();
    table.table(Alias::new("idempotency"));
    table.col(ColumnDef::new(Alias::new("id")).text().not_null().primary_key());
    table.col(ColumnDef::new(Alias::new("tenant_id")).uuid().not_null());
    table.col(ColumnDef::new(Alias::new("body_hash")).text().not_null());
    table.col(ColumnDef::new(Alias::new("status")).integer().not_null());
    table.col(ColumnDef::new(Alias::new("location")).text().null());
    table.col(ColumnDef::new(Alias::new("body")).json().not_null());
    table.col(ColumnDef::new(Alias::new("created_at")).big_integer().not_null());
    manager.create_table(table).await?;
    index(manager, "idempotency", &["created_at"]).await?;
    Ok(())
}
