//! Table `server`: machines.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "server")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub tenant_id: Uuid,
    pub name: String,
    pub name_key: String,
    pub rack: String,
    pub site_id: Option<Uuid>,
    pub tags: Json,
    pub notes: String,
    pub feeds_complete: bool,
    pub fallback_enabled: bool,
    pub maintenance: bool,
    pub mismatch_seen: bool,
    pub power_value: String,
    pub confidence: String,
    pub flags: Json,
    pub attention: bool,
    pub power_since: Option<i64>,
    pub checked_at: Option<i64>,
    pub idle_watts: Option<f64>,
    pub dark_since: Option<i64>,
    pub updating_at: Option<i64>,
    pub search: String,
    pub version: i64,
    pub created_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
