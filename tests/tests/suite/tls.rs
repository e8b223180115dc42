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

mod acme;
mod agents;
mod bench;
mod files;
mod own;
