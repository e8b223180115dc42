//! Third parties that judge what we speak: found or asked for, started and ended.

pub mod net_snmp;
pub mod process;
pub mod replay;
