//! TLS of the server's own, judged by openssl, curl and pebble, and by agents that meet it.
//!
//! A peer that is missing fails the test and says how to install it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, also in the functions that its cases share"
)]

#[path = "tls/acme.rs"]
mod acme;
#[path = "tls/agents.rs"]
mod agents;
#[path = "tls/bench.rs"]
mod bench;
#[path = "tls/files.rs"]
mod files;
#[path = "tls/own.rs"]
mod own;
