//! What runs where, as data for people and programs.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// Everything that a running farm offers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inventory {
    /// The servers.
    pub servers: Vec<ServerEntry>,
    /// The PDUs.
    pub pdus: Vec<PduEntry>,
}

/// One server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerEntry {
    /// Name.
    pub name: String,
    /// Rack.
    pub rack: String,
    /// Its BMC.
    pub bmc: BmcEntry,
    /// The outlets that feed it.
    pub outlets: Vec<OutletEntry>,
}

/// How to reach a BMC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BmcEntry {
    /// Address and port, UDP.
    pub addr: SocketAddr,
    /// User.
    pub user: String,
    /// Password.
    pub password: String,
}

/// One outlet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutletEntry {
    /// The PDU's name.
    pub pdu: String,
    /// The outlet as the PDU counts it.
    pub outlet: u16,
}

/// How to reach a PDU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PduEntry {
    /// Name.
    pub name: String,
    /// Rack.
    pub rack: String,
    /// The model's key, as the driver calls it.
    pub model: String,
    /// Address and port, UDP.
    pub addr: SocketAddr,
    /// Number of outlets.
    pub outlets: u16,
    /// Community that may read.
    pub community: String,
    /// Community that may read and write.
    pub write_community: String,
    /// User of SNMP version 3.
    pub v3: Option<V3Entry>,
}

/// A user of SNMP version 3, in the words of the driver's form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct V3Entry {
    /// Name.
    pub user: String,
    /// Authentication protocol.
    pub auth_protocol: String,
    /// Authentication password.
    pub auth_password: String,
    /// Privacy protocol.
    pub priv_protocol: String,
    /// Privacy password.
    pub priv_password: String,
}
