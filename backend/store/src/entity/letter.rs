//! Table `letter`: what one server has for another. Rows live for moments.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "letter")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub to_node: Uuid,
    pub from_node: Uuid,
    pub agent_id: Uuid,
    pub epoch: i64,
    pub content: Json,
    pub secrets: Option<Vec<u8>>,
    pub posted_at: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
