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

mod console;
mod driver;
mod ipmi_sim;
mod line;
mod served;
mod simulated;
