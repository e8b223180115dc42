//! APC: three generations of trees; a newer card also answers in the older ones.

use std::time::Duration;

use async_snmp::{Oid, Value};

use super::super::tree::Object;
use super::{Card, count, serial, text};
use crate::world::{OutletCommand, OutletView, Pdu, Reading, WorldTimings};

/// Lists the objects of a `MasterSwitch`.
pub(super) fn spdu_card(pdu: &Pdu) -> Vec<(Oid, Object)> {
    let mut card = Card::new(pdu, "APC Embedded PowerNet SNMP Agent (simulated AP9212)", &[318, 1, 3, 4, 2]);
    add_spdu(&mut card, pdu, "AP9212");
    card.objects
}

/// Lists the objects of the AP7900 series.
pub(super) fn rpdu_card(pdu: &Pdu) -> Vec<(Oid, Object)> {
    let mut card = Card::new(pdu, "APC Web/SNMP Management Card (simulated AP7920)", &[318, 1, 3, 4, 5]);
    add_spdu(&mut card, pdu, "AP7920");
    add_rpdu(&mut card, pdu, "AP7920");
    card.objects
}

/// Lists the objects of the AP8000 series.
pub(super) fn rpdu2_card(pdu: &Pdu) -> Vec<(Oid, Object)> {
    let mut card = Card::new(pdu, "APC Web/SNMP Management Card (simulated AP8659)", &[318, 1, 3, 4, 6]);
    add_spdu(&mut card, pdu, "AP8659");
    add_rpdu(&mut card, pdu, "AP8659");
    add_rpdu2(&mut card, pdu, "AP8659");
    card.objects
}

/// The sPDU tree: state and command are one object.
fn add_spdu(card: &mut Card, pdu: &Pdu, model: &str) {
    const IDENT: [u32; 5] = [318, 1, 1, 4, 1];
    const CONTROL: [u32; 7] = [318, 1, 1, 4, 4, 2, 1];
    let outlets = pdu.outlets();
    card.fixed(&IDENT, &[4, 0], text(model));
    card.fixed(&IDENT, &[5, 0], text(&serial(pdu)));
    card.fixed(&[318, 1, 1, 4, 4, 1], &[0], count(outlets.len()));
    for view in &outlets {
        let (n, row) = (view.number, u32::from(view.number));
        card.fixed(&CONTROL, &[1, row], count(row));
        card.add(&CONTROL, &[2, row], Object::Live(n, pending));
        card.add(&CONTROL, &[3, row], Object::Control(n, on_is_1, spdu_command));
        card.add(&CONTROL, &[4, row], Object::Name(n));
    }
}

/// The rPDU tree: status and control in two tables, both with 1 for on.
fn add_rpdu(card: &mut Card, pdu: &Pdu, model: &str) {
    const IDENT: [u32; 5] = [318, 1, 1, 12, 1];
    const CONTROL: [u32; 8] = [318, 1, 1, 12, 3, 3, 1, 1];
    const STATUS: [u32; 8] = [318, 1, 1, 12, 3, 5, 1, 1];
    let outlets = pdu.outlets();
    card.fixed(&IDENT, &[1, 0], text(pdu.name()));
    card.fixed(&IDENT, &[3, 0], text("v3.9.2"));
    card.fixed(&IDENT, &[5, 0], text(model));
    card.fixed(&IDENT, &[6, 0], text(&serial(pdu)));
    card.fixed(&IDENT, &[8, 0], count(outlets.len()));
    for view in &outlets {
        let (n, row) = (view.number, u32::from(view.number));
        card.fixed(&CONTROL, &[1, row], count(row));
        card.add(&CONTROL, &[2, row], Object::Name(n));
        card.add(&CONTROL, &[4, row], Object::Control(n, on_is_1, rpdu_command));
        card.fixed(&STATUS, &[1, row], count(row));
        card.add(&STATUS, &[2, row], Object::Live(n, name));
        card.add(&STATUS, &[4, row], Object::Live(n, on_is_1));
        card.add(&STATUS, &[5, row], Object::Live(n, pending));
        card.add(&STATUS, &[7, row], Object::Live(n, tenth_amps_gauge));
    }
}

/// The rPDU2 tree: the status table says 2 for on, the control table 1.
fn add_rpdu2(card: &mut Card, pdu: &Pdu, model: &str) {
    const IDENT: [u32; 6] = [318, 1, 1, 26, 2, 1];
    const STATUS: [u32; 8] = [318, 1, 1, 26, 9, 2, 3, 1];
    const CONTROL: [u32; 8] = [318, 1, 1, 26, 9, 2, 4, 1];
    const METER: [u32; 8] = [318, 1, 1, 26, 9, 4, 3, 1];
    let outlets = pdu.outlets();
    card.fixed(&IDENT, &[1, 1], count(1));
    card.fixed(&IDENT, &[3, 1], text(pdu.name()));
    card.fixed(&IDENT, &[6, 1], text("7.0.6"));
    card.fixed(&IDENT, &[8, 1], text(model));
    card.fixed(&IDENT, &[9, 1], text(&serial(pdu)));
    card.fixed(&[318, 1, 1, 26, 9, 1], &[0], count(outlets.len()));
    for view in &outlets {
        let (n, row) = (view.number, u32::from(view.number));
        for table in [STATUS, CONTROL, METER] {
            card.fixed(&table, &[1, row], count(row));
            card.fixed(&table, &[2, row], count(1));
            card.add(&table, &[3, row], Object::Live(n, name));
            card.fixed(&table, &[4, row], count(row));
        }
        card.add(&STATUS, &[5, row], Object::Live(n, on_is_2));
        card.add(&STATUS, &[6, row], Object::Live(n, pending));
        card.add(&CONTROL, &[5, row], Object::Control(n, on_is_1, rpdu2_command));
        card.add(&METER, &[6, row], Object::Live(n, tenth_amps));
        card.add(&METER, &[7, row], Object::Live(n, watts));
    }
}

fn name(view: &OutletView, _: Reading) -> Value {
    text(&view.name)
}

fn on_is_1(view: &OutletView, _: Reading) -> Value {
    Value::Integer(if view.is_on { 1 } else { 2 })
}

fn on_is_2(view: &OutletView, _: Reading) -> Value {
    Value::Integer(if view.is_on { 2 } else { 1 })
}

fn pending(view: &OutletView, _: Reading) -> Value {
    Value::Integer(if view.is_pending { 1 } else { 2 })
}

fn tenth_amps(_: &OutletView, reading: Reading) -> Value {
    count((reading.milliamps + 50) / 100)
}

fn tenth_amps_gauge(_: &OutletView, reading: Reading) -> Value {
    Value::Gauge32((reading.milliamps + 50) / 100)
}

fn watts(_: &OutletView, reading: Reading) -> Value {
    count(reading.watts)
}

fn spdu_command(number: i32, timings: WorldTimings) -> Option<OutletCommand> {
    match number {
        1 => Some(OutletCommand::On(Duration::ZERO)),
        2 => Some(OutletCommand::Off(Duration::ZERO)),
        3 => Some(OutletCommand::Reboot(Duration::ZERO)),
        5 => Some(OutletCommand::On(timings.outlet_delay)),
        6 => Some(OutletCommand::Off(timings.outlet_delay)),
        7 => Some(OutletCommand::Reboot(timings.outlet_delay)),
        _ => None,
    }
}

fn rpdu_command(number: i32, timings: WorldTimings) -> Option<OutletCommand> {
    match number {
        1 => Some(OutletCommand::On(Duration::ZERO)),
        2 => Some(OutletCommand::Off(Duration::ZERO)),
        3 => Some(OutletCommand::Reboot(Duration::ZERO)),
        4 => Some(OutletCommand::On(timings.outlet_delay)),
        5 => Some(OutletCommand::Off(timings.outlet_delay)),
        6 => Some(OutletCommand::Reboot(timings.outlet_delay)),
        7 => Some(OutletCommand::Cancel),
        _ => None,
    }
}

fn rpdu2_command(number: i32, timings: WorldTimings) -> Option<OutletCommand> {
    match number {
        8 => Some(OutletCommand::Cancel),
        _ => spdu_command(number, timings),
    }
}
