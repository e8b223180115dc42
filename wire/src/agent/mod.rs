//! What the backend and an agent say to each other.
//!
//! A session is one WebSocket of text messages, one JSON object each. It begins with [`hello`] (who the agent
//! is, proved), then [`frame`]s go both ways. An object whose `frame` a side does not know is passed over, so
//! that either may be newer.

pub mod close;
pub mod enrol;
mod frame;
mod hello;
mod packet;
mod watch;

#[cfg(test)]
mod fixtures;

pub use frame::{ToAgent, ToBackend};
pub use hello::{Answer, BootId, Challenge, Hello, Protocols, Refusal, Signed};
pub use packet::{Packet, Sealed, Unread, read};
pub use watch::{Answered, Entry, Found, Look, Read, Sample};
