//! How large a farm is and where its devices listen.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::bmc::Account;
use crate::pdu::{PduAccess, PduModel};
use crate::world::WorldTimings;

/// What a farm consists of.
#[derive(Clone)]
pub struct FarmConfig {
    /// Number of servers.
    pub servers: u16,
    /// Servers in one rack.
    pub per_rack: u16,
    /// PDUs in one rack.
    pub pdus_per_rack: u16,
    /// Power supplies of one server, each on an outlet of its own, spread over the PDUs of the rack.
    pub feeds: u16,
    /// Servers that share one chassis and so the outlets that feed it; 1 for servers of their own.
    pub per_chassis: u16,
    /// Outlets of each PDU, enough for every feed that hangs on it.
    pub outlets: u16,
    /// Models of the PDUs, used in turn.
    pub models: Vec<PduModel>,
    /// How long physical things take.
    pub timings: WorldTimings,
    /// Where the devices listen.
    pub addresses: Addresses,
    /// Who may use the PDUs.
    pub pdu_access: PduAccess,
    /// Who may use the BMCs.
    pub bmc_account: Account,
}

impl FarmConfig {
    /// Counts the outlets that each PDU needs for a full rack.
    #[must_use]
    pub fn outlets_needed(&self) -> u16 {
        self.per_rack.div_ceil(self.per_chassis.max(1)).saturating_mul(self.feeds_on_one_pdu())
    }

    pub(super) fn feeds_on_one_pdu(&self) -> u16 {
        self.feeds.div_ceil(self.pdus_per_rack.max(1))
    }
}

impl Default for FarmConfig {
    /// 24 servers in two racks on four PDUs of different makes, as fast as tests like it, on free ports.
    fn default() -> FarmConfig {
        FarmConfig {
            servers: 24,
            per_rack: 12,
            pdus_per_rack: 2,
            feeds: 2,
            per_chassis: 1,
            outlets: 24,
            models: vec![PduModel::ApcRpdu2, PduModel::RaritanPx2, PduModel::EatonG3, PduModel::ApcRpdu],
            timings: WorldTimings::quick(),
            addresses: Addresses::Free,
            pdu_access: PduAccess::default(),
            bmc_account: Account::administrator("admin", "rackhand-bmc"),
        }
    }
}

/// Where the devices of a farm listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Addresses {
    /// 127.0.0.1 with ports that happen to be free.
    Free,
    /// Each device has a loopback address of its own (BMCs 127.42.x.y, PDUs 127.43.x.y); the port is per kind.
    Own {
        /// Port of every BMC.
        bmc: u16,
        /// Port of every PDU.
        pdu: u16,
    },
    /// All on 127.0.0.1 with ports counted up, for systems with a single loopback address.
    Counted {
        /// Port of the first BMC.
        bmc: u16,
        /// Port of the first PDU.
        pdu: u16,
    },
}

/// The kinds of device that listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Bmc,
    Pdu,
}

impl Addresses {
    /// Returns where device number `index` (counted from 0) of a kind listens; `None` when the ports run out.
    pub(super) fn of(self, kind: Kind, index: u16) -> Option<SocketAddr> {
        let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
        match self {
            Addresses::Free => Some(SocketAddr::new(local, 0)),
            Addresses::Own { bmc, pdu } => {
                let (net, port) = match kind {
                    Kind::Bmc => (42, bmc),
                    Kind::Pdu => (43, pdu),
                };
                let [high, low] = (index / 250 * 256 + index % 250 + 1).to_be_bytes();
                Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, net, high, low)), port))
            }
            Addresses::Counted { bmc, pdu } => {
                let first = match kind {
                    Kind::Bmc => bmc,
                    Kind::Pdu => pdu,
                };
                Some(SocketAddr::new(local, first.checked_add(index)?))
            }
        }
    }
}

/// Why a farm did not start.
#[derive(Debug)]
pub enum FarmError {
    /// The numbers do not fit together.
    Shape(String),
    /// A device could not listen.
    Listen {
        /// The device.
        device: String,
        /// Where it should have listened.
        addr: SocketAddr,
        /// Why it does not.
        source: io::Error,
    },
}

impl fmt::Display for FarmError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FarmError::Shape(text) => f.write_str(text),
            FarmError::Listen { device, addr, source } => {
                write!(f, "{device} cannot listen on {addr}: {source}")
            }
        }
    }
}

impl std::error::Error for FarmError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_device_of_a_large_farm_has_its_own_address() {
        let own = Addresses::Own { bmc: 6230, pdu: 1161 };
        let mut seen = std::collections::BTreeSet::new();
        for index in 0..5000 {
            for kind in [Kind::Bmc, Kind::Pdu] {
                let addr = own.of(kind, index).unwrap();
                assert!(addr.ip().is_loopback());
                assert!(seen.insert(addr), "{addr} twice");
            }
        }
    }

    #[test]
    fn counted_ports_end_at_the_last_one() {
        let counted = Addresses::Counted { bmc: 65_000, pdu: 11_610 };
        assert!(counted.of(Kind::Bmc, 535).is_some());
        assert!(counted.of(Kind::Bmc, 536).is_none());
    }
}
