//! Talks to a running farm from outside its process: one line of JSON asks, one line answers.
//!
//! [`serve`] listens on loopback, [`ask`] is the other end; [`Request`] is all that can be asked.

mod client;
mod perform;
mod request;
mod server;
mod view;

#[cfg(test)]
mod tests;

pub use client::{AskError, ask};
pub use request::{FaultOrder, OutletWord, ReplyWord, Request};
pub use server::{Control, serve};
pub use view::{EffectView, MachineView, OutletLine, PduView, Reply, Seen};
