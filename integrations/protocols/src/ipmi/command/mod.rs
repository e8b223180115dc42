//! The commands that are spoken inside a session: how they are asked, answered and read.

pub mod boot;
pub mod chassis;
pub mod device;
pub mod session;
