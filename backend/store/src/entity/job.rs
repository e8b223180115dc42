//! Table `job`: durable work. `active_server_id` is set while a power job is under way: it is unique, so there is one at a time per server.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "job")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub tenant_id: Uuid,
    pub kind: String,
    pub state: String,
    pub server_id: Option<Uuid>,
    pub active_server_id: Option<Uuid>,
    pub endpoint_id: Option<Uuid>,
    pub action: Option<String>,
    pub via: Option<String>,
    pub title: String,
    pub requested_by: String,
    pub source_ip: Option<String>,
    pub request: Json,
    pub run: Option<Json>,
    pub reason: Option<String>,
    pub summary: Option<String>,
    pub proof: Option<String>,
    pub result: Option<Json>,
    pub cancel_requested: bool,
    pub alarm: bool,
    pub cut_at: Option<i64>,
    pub created_at: i64,
    pub started_at: Option<i64>,
    pub finished_at: Option<i64>,
    pub version: i64,
    pub node_id: Option<Uuid>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
