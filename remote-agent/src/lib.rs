//! The process that touches devices.
//!
//! It takes commands from a backend, runs each at most once and answers. Every backend embeds one, so
//! that there is exactly one path to a device. One task per device is that device's only writer; what
//! a command is about to change is in the [`journal`] before the device hears of it. The backend
//! reaches descriptors through [`catalogue`] only; this crate must never know its database.

pub mod catalogue;
pub mod cli;
pub mod config;
pub mod failpoint;
pub mod files;
pub mod identity;
pub mod journal;
pub mod line;
pub mod poller;
pub mod proof;
pub mod sealing;

mod agent;
mod clock;
mod link;
mod outbox;
mod permit;
mod restore;
mod worker;

#[cfg(test)]
mod tests;

pub use agent::{Agent, Config};
pub use link::{Delivery, Link, SecretSource};
pub use rackhand_driver::{Guard, Rule, Rules};
