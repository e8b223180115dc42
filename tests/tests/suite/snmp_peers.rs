//! SNMP, judged by third parties: net-snmp's tools drive our simulated PDUs, and our driver meets net-snmp's agent
//! and recordings of real PDUs served by snmpsim.
//!
//! The recordings stand in `$RACKHAND_FIXTURES/snmprec`; they are read and never copied into the project. A peer
//! that is missing fails the test and says how to install it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, also in the functions that its cases share"
)]

mod driver;
mod records;
mod simulated;
mod snmpd;
