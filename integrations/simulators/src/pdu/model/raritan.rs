//! Raritan PX2: state 7 and 8, command 0 to 2, meters with their own decimal digits.

use std::time::Duration;

use async_snmp::{Oid, Value};

use super::super::tree::Object;
use super::{Card, serial, text};
use crate::world::{OutletCommand, OutletFault, OutletView, Pdu, Reading, WorldTimings};

/// Sensor type "RMS current".
const CURRENT: u32 = 1;
/// Sensor type "active power".
const POWER: u32 = 5;

/// Lists the objects of a PX2 that stands alone (PDU 1).
pub(super) fn card(pdu: &Pdu) -> Vec<(Oid, Object)> {
    const UNIT: [u32; 6] = [13742, 6, 3, 2, 1, 1];
    const OUTLET: [u32; 6] = [13742, 6, 3, 5, 3, 1];
    const SENSOR: [u32; 6] = [13742, 6, 3, 5, 4, 1];
    const SWITCH: [u32; 6] = [13742, 6, 4, 1, 2, 1];
    const METER: [u32; 6] = [13742, 6, 5, 4, 3, 1];
    let mut card = Card::new(pdu, "Raritan PX2 (simulated PX2-5475V)", &[13742, 6]);
    let outlets = pdu.outlets();
    card.fixed(&UNIT, &[2, 1], text("Raritan"));
    card.fixed(&UNIT, &[3, 1], text("PX2-5475V"));
    card.fixed(&UNIT, &[4, 1], text(&serial(pdu)));
    card.fixed(&[13742, 6, 3, 2, 2, 1], &[4, 1], Value::Gauge32(u32::try_from(outlets.len()).unwrap_or(0)));
    for view in &outlets {
        let (n, row) = (view.number, u32::from(view.number));
        card.fixed(&OUTLET, &[2, 1, row], text(&row.to_string()));
        card.add(&OUTLET, &[3, 1, row], Object::Name(n));
        card.add(&OUTLET, &[28, 1, row], Object::Live(n, switchable));
        card.fixed(&SENSOR, &[7, 1, row, CURRENT], Value::Gauge32(3));
        card.fixed(&SENSOR, &[7, 1, row, POWER], Value::Gauge32(0));
        card.add(&SWITCH, &[2, 1, row], Object::Control(n, last_command, command));
        card.add(&SWITCH, &[3, 1, row], Object::Live(n, state));
        card.add(&METER, &[4, 1, row, CURRENT], Object::Live(n, milliamps));
        card.add(&METER, &[4, 1, row, POWER], Object::Live(n, watts));
    }
    card.objects
}

fn state(view: &OutletView, _: Reading) -> Value {
    Value::Integer(if view.is_on { 7 } else { 8 })
}

/// The command object shows the last command: cycle while one is under way, else on or off.
fn last_command(view: &OutletView, _: Reading) -> Value {
    Value::Integer(match (view.is_pending, view.is_on) {
        (true, _) => 2,
        (false, true) => 1,
        (false, false) => 0,
    })
}

fn switchable(view: &OutletView, _: Reading) -> Value {
    // TruthValue: 1 is true, 2 is false.
    Value::Integer(if view.fault == Some(OutletFault::Locked) { 2 } else { 1 })
}

fn milliamps(_: &OutletView, reading: Reading) -> Value {
    Value::Gauge32(reading.milliamps)
}

fn watts(_: &OutletView, reading: Reading) -> Value {
    Value::Gauge32(reading.watts)
}

fn command(number: i32, _: WorldTimings) -> Option<OutletCommand> {
    match number {
        0 => Some(OutletCommand::Off(Duration::ZERO)),
        1 => Some(OutletCommand::On(Duration::ZERO)),
        2 => Some(OutletCommand::Reboot(Duration::ZERO)),
        _ => None,
    }
}
