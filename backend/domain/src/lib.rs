//! Decisions without I/O, without async and without a clock.
//!
//! Everything here is a function of its arguments: time and chance come in, never from inside. It
//! must never import anything of ours but `wire`. Start with [`power`]: which path switches a server
//! and what happens when a path fails.

pub mod access;
pub mod power;
pub mod stages;
