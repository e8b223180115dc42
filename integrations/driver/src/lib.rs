//! What an integration must provide, and nothing about any one of them.
//!
//! An [`Integration`] opens an [`Endpoint`] (a BMC, a PDU, an account); the endpoint attaches a
//! [`Device`], one server as seen through one connection; the device offers capabilities. Only
//! [`perform`] turns an operation into a call; what changes a device passes a [`Gate`] on its way. This crate must
//! never name a protocol or a vendor.

mod endpoint;
mod gate;
mod guard;
mod integration;
mod perform;
mod place;
mod socket;

pub mod capability;
pub mod check;
pub mod conformance;

pub use endpoint::{Device, Endpoint};
pub use gate::Gate;
pub use guard::{Guard, Rule, Rules, WrongRule};
pub use integration::{Flow, Integration, Opening, Suggestion};
pub use perform::{perform, perform_through};
pub use place::{Place, look_up};
pub use socket::no_socket;
