//! Eaton ePDU G3: strapping index 0, three command objects that take a delay in seconds.

use std::time::Duration;

use async_snmp::{Oid, Value};

use super::super::tree::Object;
use super::{Card, count, serial, text};
use crate::world::{OutletCommand, OutletFault, OutletView, Pdu, Reading, WorldTimings};

/// Lists the objects of an ePDU G3.
pub(super) fn card(pdu: &Pdu) -> Vec<(Oid, Object)> {
    const UNIT: [u32; 7] = [534, 6, 6, 7, 1, 2, 1];
    const OUTLET: [u32; 7] = [534, 6, 6, 7, 6, 1, 1];
    const CURRENT: [u32; 7] = [534, 6, 6, 7, 6, 4, 1];
    const POWER: [u32; 7] = [534, 6, 6, 7, 6, 5, 1];
    const CONTROL: [u32; 7] = [534, 6, 6, 7, 6, 6, 1];
    let mut card = Card::new(pdu, "Eaton ePDU G3 (simulated EMAB22)", &[534, 6, 6, 7]);
    let outlets = pdu.outlets();
    card.fixed(&[534, 6, 6, 7, 1, 1], &[0], text("0"));
    card.fixed(&UNIT, &[3, 0], text("EMAB22"));
    card.fixed(&UNIT, &[4, 0], text(&serial(pdu)));
    card.fixed(&UNIT, &[5, 0], text("05.01.0002"));
    card.fixed(&UNIT, &[22, 0], count(outlets.len()));
    for view in &outlets {
        let (n, row) = (view.number, u32::from(view.number));
        card.fixed(&OUTLET, &[2, 0, row], text(&row.to_string()));
        card.add(&OUTLET, &[3, 0, row], Object::Name(n));
        card.add(&CURRENT, &[3, 0, row], Object::Live(n, milliamps));
        card.add(&POWER, &[3, 0, row], Object::Live(n, watts));
        card.add(&CONTROL, &[2, 0, row], Object::Live(n, state));
        card.add(&CONTROL, &[3, 0, row], Object::Control(n, idle, off_after));
        card.add(&CONTROL, &[4, 0, row], Object::Control(n, idle, on_after));
        card.add(&CONTROL, &[5, 0, row], Object::Control(n, idle, reboot_after));
        card.add(&CONTROL, &[9, 0, row], Object::Live(n, switchable));
    }
    card.objects
}

fn state(view: &OutletView, _: Reading) -> Value {
    Value::Integer(match (view.is_on, view.is_pending) {
        (false, false) => 0,
        (true, false) => 1,
        (true, true) => 2,
        (false, true) => 3,
    })
}

/// A command object shows -1 while nothing counts down.
fn idle(_: &OutletView, _: Reading) -> Value {
    Value::Integer(-1)
}

fn switchable(view: &OutletView, _: Reading) -> Value {
    Value::Integer(if view.fault == Some(OutletFault::Locked) { 2 } else { 1 })
}

fn milliamps(_: &OutletView, reading: Reading) -> Value {
    count(reading.milliamps)
}

fn watts(_: &OutletView, reading: Reading) -> Value {
    count(reading.watts)
}

fn off_after(seconds: i32, _: WorldTimings) -> Option<OutletCommand> {
    delayed(seconds, OutletCommand::Off)
}

fn on_after(seconds: i32, _: WorldTimings) -> Option<OutletCommand> {
    delayed(seconds, OutletCommand::On)
}

fn reboot_after(seconds: i32, _: WorldTimings) -> Option<OutletCommand> {
    delayed(seconds, OutletCommand::Reboot)
}

fn delayed(seconds: i32, command: fn(Duration) -> OutletCommand) -> Option<OutletCommand> {
    match seconds {
        -1 => Some(OutletCommand::Cancel),
        0..=99_999 => Some(command(Duration::from_secs(u64::try_from(seconds).ok()?))),
        _ => None,
    }
}
