//! Codecs and session machines of the protocols that devices speak.
//!
//! No sockets, no clock, no randomness of their own: packets, the moment and a seed come in as
//! arguments, so that drivers and simulators share one implementation of each side and tests can
//! replay any schedule. Start with [`ipmi`].

pub mod ipmi;
