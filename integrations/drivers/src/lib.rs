//! Every integration that Rackhand ships, one folder each.
//!
//! Adding one is one folder and two lines here: its `mod` and its place in [`ALL`]. A driver must
//! never know the backend or its database.

pub mod ipmi;
pub mod snmp_pdu;

use rackhand_driver::Integration;

/// The integrations, in the order in which people are offered them.
pub static ALL: &[&dyn Integration] = &[&ipmi::Ipmi, &snmp_pdu::SnmpPdu];
