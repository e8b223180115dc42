//! The models that can be played, one file per vendor: which OID shows what.
//!
//! They are written from the vendors' MIBs, on their own and not from the driver's model files, so that a slip on
//! one side shows on the other.

mod apc;
mod eaton;
mod raritan;

use std::fmt;

use async_snmp::{Oid, Value, oid};
use clap::ValueEnum;

use super::tree::Object;
use crate::world::Pdu;

/// A model of PDU that can be played.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum PduModel {
    /// APC `MasterSwitch`: the sPDU tree alone.
    ApcSpdu,
    /// APC AP7900 series, first generation: sPDU and rPDU trees.
    ApcRpdu,
    /// APC AP8000 series, second generation: sPDU, rPDU and rPDU2 trees, metered per outlet.
    ApcRpdu2,
    /// Raritan PX2, metered per outlet.
    RaritanPx2,
    /// Eaton ePDU G3, metered per outlet.
    EatonG3,
}

impl PduModel {
    /// Every model.
    pub const ALL: [PduModel; 5] =
        [PduModel::ApcSpdu, PduModel::ApcRpdu, PduModel::ApcRpdu2, PduModel::RaritanPx2, PduModel::EatonG3];

    /// Returns the key that the driver uses for it.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            PduModel::ApcSpdu => "apc_spdu",
            PduModel::ApcRpdu => "apc_rpdu",
            PduModel::ApcRpdu2 => "apc_rpdu2",
            PduModel::RaritanPx2 => "raritan_px2",
            PduModel::EatonG3 => "eaton_g3",
        }
    }

    /// Lists the objects of a card of this model for `pdu`.
    pub(super) fn objects(self, pdu: &Pdu) -> Vec<(Oid, Object)> {
        match self {
            PduModel::ApcSpdu => apc::spdu_card(pdu),
            PduModel::ApcRpdu => apc::rpdu_card(pdu),
            PduModel::ApcRpdu2 => apc::rpdu2_card(pdu),
            PduModel::RaritanPx2 => raritan::card(pdu),
            PduModel::EatonG3 => eaton::card(pdu),
        }
    }
}

impl fmt::Display for PduModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.key())
    }
}

/// A growing list of objects below one enterprise.
struct Card {
    objects: Vec<(Oid, Object)>,
}

impl Card {
    /// Starts a card with the system group of MIB-2.
    fn new(pdu: &Pdu, description: &str, object_id: &[u32]) -> Card {
        let system = oid!(1, 3, 6, 1, 2, 1, 1);
        let scalar = |n: u32, object| (system.child(n).child(0), object);
        let objects = vec![
            scalar(1, Object::Fixed(text(description))),
            scalar(2, Object::Fixed(Value::ObjectIdentifier(enterprise(object_id)))),
            scalar(3, Object::Uptime),
            scalar(4, Object::Fixed(text("noc@example.net"))),
            scalar(5, Object::Fixed(text(pdu.name()))),
            scalar(6, Object::Fixed(text("Simulated rack"))),
            scalar(7, Object::Fixed(Value::Integer(72))),
        ];
        Card { objects }
    }

    /// Adds one object at `path` below the enterprises branch, with `index` appended.
    fn add(&mut self, path: &[u32], index: &[u32], object: Object) {
        let arcs = enterprise(path).arcs().iter().chain(index).copied().collect::<Vec<_>>();
        self.objects.push((Oid::from_slice(&arcs), object));
    }

    /// Adds a scalar that never changes.
    fn fixed(&mut self, path: &[u32], index: &[u32], value: Value) {
        self.add(path, index, Object::Fixed(value));
    }
}

/// Returns the OID at `path` below 1.3.6.1.4.1.
fn enterprise(path: &[u32]) -> Oid {
    Oid::new([1, 3, 6, 1, 4, 1].into_iter().chain(path.iter().copied()))
}

fn text(text: &str) -> Value {
    Value::OctetString(text.to_owned().into())
}

/// Returns a count as an SNMP integer.
fn count(number: impl TryInto<i32>) -> Value {
    Value::Integer(number.try_into().unwrap_or(i32::MAX))
}

/// Returns a serial number that is the same for every PDU of this name.
fn serial(pdu: &Pdu) -> String {
    let sum = pdu
        .name()
        .bytes()
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(16_777_619));
    format!("SIM{sum:08X}")
}
