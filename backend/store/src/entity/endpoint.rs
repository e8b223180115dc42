//! Table `endpoint`: what is added once and controls servers.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "endpoint")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub tenant_id: Uuid,
    pub kind: String,
    pub name: String,
    pub name_key: String,
    pub agent_id: Option<Uuid>,
    pub agent_group: Option<String>,
    pub params: Json,
    pub sealed: Option<Vec<u8>>,
    pub secrets_set: Json,
    pub address: Option<String>,
    pub address_key: Option<String>,
    pub status: String,
    pub fault: Option<Json>,
    pub identity: Option<Json>,
    pub pinned: Option<String>,
    pub outlets: Option<Json>,
    pub outlets_at: Option<i64>,
    pub checked_at: Option<i64>,
    pub version: i64,
    pub created_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
