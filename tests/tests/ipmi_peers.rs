//! IPMI, judged by third parties: ipmitool and `FreeIPMI`'s ipmipower drive our simulated BMCs, and our driver meets
//! `OpenIPMI`'s `ipmi_sim`.
//!
//! A peer that is missing fails the test and says how to install it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, also in the functions that its cases share"
)]

#[path = "ipmi_peers/console.rs"]
mod console;
#[path = "ipmi_peers/driver.rs"]
mod driver;
#[path = "ipmi_peers/ipmi_sim.rs"]
mod ipmi_sim;
#[path = "ipmi_peers/line.rs"]
mod line;
#[path = "ipmi_peers/served.rs"]
mod served;
#[path = "ipmi_peers/simulated.rs"]
mod simulated;
