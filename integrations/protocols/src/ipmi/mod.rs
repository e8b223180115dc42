//! IPMI over LAN: RMCP, the 1.5 session and the RMCP+ session of 2.0, for both ends.
//!
//! [`client::Client`] is the remote console, [`bmc::Bmc`] the managed system. Both take packets and
//! moments and give packets and deadlines. [`command`] holds the commands that are spoken on top.
//! Of the cipher suites only 3 and 17 exist here: the others lack authentication or encryption.

mod crypto;
mod entropy;
mod keys;
mod legacy;
mod level;
mod message;
mod packet;
mod rakp;
mod reader;
mod request;
mod sealed;
mod suite;
mod window;

pub mod bmc;
pub mod client;
pub mod command;

#[cfg(test)]
mod tests;

pub use entropy::Entropy;
pub use ipmi_rs_core::connection::NetFn;
pub use level::Level;
pub use request::{Refusal, Repeat, Request, Response};
pub use suite::Suite;

/// Longest password that a BMC can hold.
pub const MAX_PASSWORD: usize = 20;
/// Longest password of IPMI 1.5.
pub const MAX_LEGACY_PASSWORD: usize = 16;
/// Longest user name.
pub const MAX_USER: usize = 16;
/// Longest key Kg.
pub const MAX_KG: usize = 20;
