//! Table `agent`: processes that touch devices.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "agent")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub tenant_id: Uuid,
    pub name: String,
    pub group_name: String,
    pub site_id: Option<Uuid>,
    pub version: String,
    pub kinds: Json,
    pub last_seen_at: Option<i64>,
    pub created_at: i64,
    pub embedded: bool,
    pub draining: bool,
    pub host: Option<String>,
    pub identity_key: Option<String>,
    pub next_identity_key: Option<String>,
    pub sealing_key: Option<String>,
    pub certificate_at: Option<i64>,
    pub certificate_until: Option<i64>,
    pub revoked_at: Option<i64>,
    pub copies_at: Option<i64>,
    pub source_ip: Option<String>,
    pub told_online: bool,
    pub spool: Option<Uuid>,
    pub sampled: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
