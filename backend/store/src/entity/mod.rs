//! One entity per table; private to the store.

pub mod agent;
pub mod agent_group;
pub mod agent_session;
pub mod agent_token;
pub mod audit;
pub mod connection;
pub mod device_lease;
pub mod endpoint;
pub mod event;
pub mod idempotency;
pub mod job;
pub mod letter;
pub mod node;
pub mod outlet_lock;
pub mod server;
pub mod session;
pub mod setting;
pub mod site;
pub mod step;
pub mod tenant;
pub mod token;
pub mod user;
