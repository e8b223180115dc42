//! Table `connection`: what ties a server to an endpoint, with what the path last said.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "connection")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub tenant_id: Uuid,
    pub server_id: Uuid,
    pub endpoint_id: Uuid,
    pub role: String,
    pub target: Json,
    pub target_key: String,
    pub target_label: String,
    pub features: Json,
    pub agent_id: Option<Uuid>,
    pub agent_group: Option<String>,
    pub state: Option<String>,
    pub fault: Option<Json>,
    pub watts: Option<f64>,
    pub restore_policy: Option<String>,
    pub checked_at: Option<i64>,
    pub created_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
