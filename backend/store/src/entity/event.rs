//! Table `event`: what happened, for people; may be pruned.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "event")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub tenant_id: Uuid,
    pub at: i64,
    pub kind: String,
    pub severity: String,
    pub message: String,
    pub actor: Option<String>,
    pub server_id: Option<Uuid>,
    pub server_name: Option<String>,
    pub endpoint_id: Option<Uuid>,
    pub job_id: Option<Uuid>,
    pub agent_id: Option<Uuid>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
