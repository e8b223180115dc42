//! Table `step`: steps of jobs: stored before they are done.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "step")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub job_id: Uuid,
    pub seq: i32,
    pub phase: String,
    pub title: String,
    pub reason: String,
    pub path: Option<String>,
    pub command_id: Option<Uuid>,
    pub outcome: Option<String>,
    pub fault: Option<String>,
    pub detail: String,
    pub wait_ms: Option<i64>,
    pub started_at: i64,
    pub finished_at: Option<i64>,
    pub restored: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
