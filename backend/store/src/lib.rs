//! Everything that is kept: one private entity per table, one file of plain async functions per table.
//!
//! Functions read `servers::list(&db, &scope, query)`: the [`Scope`] comes right after the handle, so a
//! tenant filter cannot be forgotten. This crate must never decide about power, speak HTTP or know a
//! kind of device. Start with [`Db`].

mod entity;
mod error;
mod filter;
mod page;
mod postgres;
mod time;

pub mod agent_groups;
pub mod agent_log;
pub mod agent_sessions;
pub mod agent_tokens;
pub mod agents;
pub mod audit;
pub mod connections;
pub mod copy;
mod db;
pub mod endpoints;
pub mod events;
pub mod handover;
pub mod idempotency;
pub mod jobs;
pub mod letters;
pub mod locks;
pub mod nodes;
pub mod notices;
pub mod only_agent;
pub mod queue;
pub mod readings;
pub mod sealed;
pub mod search;
pub mod servers;
pub mod sessions;
pub mod settings;
pub mod sites;
pub mod steps;
pub mod tenants;
pub mod tokens;
pub mod users;
pub mod watches;
pub mod weighed;

pub use db::{Db, Tx, in_background};
pub use error::Error;
pub use page::{page_by, page_of};
pub use postgres::ShapeLock;
pub use rackhand_domain::access::Scope;
pub use time::{from_millis, millis, now};

/// What store functions return.
pub type Result<T> = std::result::Result<T, Error>;

/// Makes an id that sorts by time.
#[must_use]
pub fn fresh_id() -> uuid::Uuid {
    uuid::Uuid::now_v7()
}

#[cfg(test)]
mod bench {
    use super::{Db, connections, endpoints, jobs, sealed::Keyring};
    use rackhand_migrations::Migrator;
    use rackhand_wire::{
        Feature, PowerAction, Role, Secrets,
        api::{job::JobKind, power::Via},
        id::{EndpointId, ServerId, TenantId},
    };
    use sea_orm_migration::MigratorTrait as _;

    /// A server that nobody has entered: what it has is free.
    pub const NODE: rackhand_wire::id::NodeId = rackhand_wire::id::NodeId(uuid::Uuid::from_u128(1));

    /// A device of a kind that nobody gave an address.
    pub async fn device(db: &Db, kind: &str, name: &str) -> EndpointId {
        let new = endpoints::New {
            tenant: TenantId::PROVIDER,
            kind: kind.into(),
            name: name.into(),
            agent_id: None,
            agent_group: None,
            params: serde_json::json!({}),
            secrets: Secrets::default(),
            address: None,
        };
        endpoints::add(db.writer(), &Keyring::new([7; 32]), new).await.unwrap().id
    }

    /// A server's place on a device, with power ticked.
    pub fn place(server: ServerId, endpoint: EndpointId, role: Role, outlet: &str) -> connections::New {
        connections::New {
            tenant: TenantId::PROVIDER,
            server,
            endpoint,
            role,
            target: serde_json::json!({"outlet": outlet}),
            target_label: format!("outlet {outlet}"),
            features: vec![Feature::Power],
            agent: None,
            group: None,
        }
    }

    /// A job that switches a server off, at once or behind the present one.
    pub fn off(server: ServerId, waits: bool) -> jobs::New {
        jobs::New {
            tenant: TenantId::PROVIDER,
            kind: JobKind::Power,
            server: Some(server),
            waits,
            endpoint: None,
            power: Some((PowerAction::Off, Via::Auto)),
            title: String::new(),
            requested_by: String::new(),
            source_ip: None,
            request: serde_json::Value::Null,
            node: NODE,
        }
    }

    /// An empty database in a folder of its own.
    pub async fn database() -> (Db, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("db").display());
        let db = Db::open(&url, Keyring::new([7; 32])).await.unwrap();
        Migrator::up(db.writer(), None).await.unwrap();
        (db, folder)
    }
}
