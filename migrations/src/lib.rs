//! The database's shape, one step per file, for SQLite and PostgreSQL alike.
//!
//! Ids are UUIDs, times are milliseconds since 1970 (they sort and compare the same in both engines),
//! words of the API are text. Each file owns its table names; nothing here imports an entity, so an
//! old step keeps meaning what it meant.

use sea_orm_migration::prelude::*;

mod index;
mod m20261124_090000_people;
mod m20261124_091000_fleet;
mod m20261124_092000_work;
mod m20261124_093000_record;
mod m20261125_190000_idle_watts;
mod m20261125_200000_audit_head;
mod m20261125_210000_dark_since;
mod m20261125_220000_remote_agents;
mod m20261125_223000_agent_groups;
mod m20261125_230000_agent_log;
mod m20261126_020000_samples;
mod m20261126_021000_replicas;
mod m20261126_110000_steady_leases;
mod m20261126_140000_firmware_update;
mod m20261126_180000_letter_age;

/// Every step, in order.
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261124_090000_people::Migration),
            Box::new(m20261124_091000_fleet::Migration),
            Box::new(m20261124_092000_work::Migration),
            Box::new(m20261124_093000_record::Migration),
            Box::new(m20261125_190000_idle_watts::Migration),
            Box::new(m20261125_200000_audit_head::Migration),
            Box::new(m20261125_210000_dark_since::Migration),
            Box::new(m20261125_220000_remote_agents::Migration),
            Box::new(m20261125_223000_agent_groups::Migration),
            Box::new(m20261125_230000_agent_log::Migration),
            Box::new(m20261126_020000_samples::Migration),
            Box::new(m20261126_021000_replicas::Migration),
            Box::new(m20261126_110000_steady_leases::Migration),
            Box::new(m20261126_140000_firmware_update::Migration),
            Box::new(m20261126_180000_letter_age::Migration),
        ]
    }
}
