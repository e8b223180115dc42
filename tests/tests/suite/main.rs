//! The whole product: real `rackhand serve`, real agents and protocols, judged by third parties and by effects counted
//! in simulated racks.
//!
//! One program, so that everything is linked once and no core idles while one file's last test runs.

mod agent_config;
mod agent_copies;
mod agent_line;
mod agent_pages;
mod agent_protocol;
mod agents;
mod bad_input;
mod busy;
mod cancel;
mod clocks;
mod command_line;
mod enrolment;
mod expiry;
mod failpoints;
mod feeds;
mod fencing;
mod gates;
mod groups;
mod ipmi_peers;
mod kills;
mod looks;
mod network;
mod no_fallback;
mod once;
mod openapi;
mod overload;
mod power;
mod rolling;
mod secrets;
mod security;
mod settings_of_serve;
mod snmp_peers;
mod storage;
mod tls;
mod units;
