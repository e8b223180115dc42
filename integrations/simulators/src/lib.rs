//! Simulated devices that speak the real protocols on real sockets and can be told to misbehave.
//!
//! [`world`] is the physics they share: it knows no protocol. Each other module is one kind of device on top of it;
//! [`farm`] starts many of them together and [`control`] misbehaves them from outside the process.
//! Start reading at [`world::World`].

pub mod bmc;
pub mod control;
pub mod farm;
pub mod pdu;
pub mod world;
