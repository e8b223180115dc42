//! The vocabulary that the backend, the agents and the browser share.
//!
//! Data and parsing only: no I/O, no clock, no decisions. It must never import another crate of
//! this workspace. Start with [`power`] (what can be done to a server), [`fault`] (how a device
//! fails), [`descriptor`] (what an integration says of itself) and [`api`] (the REST bodies).

pub mod agent;
pub mod api;
pub mod command;
pub mod descriptor;
pub mod fault;
pub mod field;

pub mod id;
pub mod operation;
pub mod power;
pub mod secret;
pub mod timings;

pub use command::Command;
pub use descriptor::{Descriptor, Feature, Group, Role};
pub use fault::{Fault, FaultCode, Reason, Setting};
pub use field::{Field, FieldError, Input};
pub use operation::{Answer, Operation};
pub use power::{OutletState, PowerAction, PowerValue};
pub use secret::{Secret, Secrets};
pub use timings::Timings;
