//! Which path switches a server's power, and what happens when a path fails.
//!
//! A [`Run`] is a pure state machine: the worker performs each [`Effect`] and feeds the [`Signal`]
//! back. Controllers come first, in order; all outlets together are one redundant group, the
//! fallback. [`controller`] talks to one controller until its goal is reached or it fails,
//! [`feeds`] switches the group, and [`run`] joins them. [`state`] weighs what the paths say,
//! [`gates`] decides whether an automatic fallback may go on.
//!
//! A run can be stored after every step and taken up again by another process: re-perform
//! [`Run::pending`]; commands carry ids, so an agent never executes one twice.

pub mod controller;
pub mod effect;
pub mod feeds;
pub mod gates;
mod order;
mod outlet;
pub mod plan;
pub mod run;
pub mod state;
mod verdict;

#[cfg(test)]
mod tests;

pub use effect::{Effect, Signal, Step, Verdict};
pub use outlet::leaves_untouched;
pub use plan::{Action, Path, Plan, Rhythm};
pub use run::Run;
pub use verdict::{overdue, withdrawn};
