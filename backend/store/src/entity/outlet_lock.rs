//! Table `outlet_lock`: outlets that a job is about to switch.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "outlet_lock")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub outlet_key: String,
    pub job_id: Uuid,
    pub taken_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
