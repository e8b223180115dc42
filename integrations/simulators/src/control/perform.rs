//! Does what a running farm is asked.

use std::time::{Duration, Instant};

use super::request::{FaultOrder, OutletWord, ReplyWord, Request};
use super::view::{EffectView, MachineView, OutletLine, PduView, Seen};
use crate::farm::Inventory;
use crate::world::{
    BmcFaults, LinkFaults, Machine, OutletView, Pdu, PduFaults, RequestKind, RestorePolicy, Which, World,
};

/// Answers one request.
///
/// # Errors
/// A sentence for the person who asked.
pub(super) fn perform(world: &World, inventory: &Inventory, request: &Request) -> Result<Seen, String> {
    match request {
        Request::Inventory => Ok(Seen::Inventory(inventory.clone())),
        Request::Show { device } => show(world, device),
        Request::Fault { device, fault } => {
            match find(world, device)? {
                Device::Server(machine) => break_server(&machine, fault)?,
                Device::Pdu(pdu) => break_pdu(&pdu, fault)?,
            }
            show(world, device)
        }
        Request::Effects { device } => effects(world, device.as_deref()).map(Seen::Effects),
    }
}

enum Device {
    Server(Machine),
    Pdu(Pdu),
}

fn find(world: &World, name: &str) -> Result<Device, String> {
    let server = world.machine(name).or_else(|| find_numbered(world, name)).map(Device::Server);
    let found = server.or_else(|| world.pdu(name).map(Device::Pdu));
    found.ok_or_else(|| format!("there is no server or PDU called {name}"))
}

/// A large farm writes srv-003 what a small one writes srv-03: the number counts, not its zeros.
fn find_numbered(world: &World, name: &str) -> Option<Machine> {
    let wanted = numbered(name)?;
    world.machines().into_iter().find(|machine| numbered(machine.name()) == Some(wanted))
}

fn numbered(name: &str) -> Option<(&str, &str)> {
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let digits = name.strip_prefix(stem).filter(|digits| !digits.is_empty())?;
    Some((stem, digits.trim_start_matches('0')))
}

fn show(world: &World, name: &str) -> Result<Seen, String> {
    Ok(match find(world, name)? {
        Device::Server(machine) => Seen::Server(server_view(world, &machine)),
        Device::Pdu(pdu) => Seen::Pdu(PduView {
            name: pdu.name().to_owned(),
            outlets: pdu.outlets().iter().map(|outlet| outlet_line(&pdu, outlet)).collect(),
            faults: pdu_words(&pdu.faults()),
        }),
    })
}

fn server_view(world: &World, machine: &Machine) -> MachineView {
    let feed = |id: &crate::world::OutletId| {
        let pdu = world.pdu(id.pdu())?;
        pdu.outlet(id.number()).map(|outlet| outlet_line(&pdu, &outlet))
    };
    let policy = match machine.restore_policy() {
        RestorePolicy::AlwaysOff => "always_off",
        RestorePolicy::Previous => "previous",
        RestorePolicy::AlwaysOn => "always_on",
    };
    MachineView {
        name: machine.name().to_owned(),
        is_on: machine.is_on(),
        bmc_answers: machine.bmc_answers(),
        bmc_boots: machine.bmc_boot_count(),
        restore_policy: policy.to_owned(),
        feeds: machine.feeds().iter().filter_map(feed).collect(),
        faults: bmc_words(&machine.bmc_faults()),
    }
}

fn outlet_line(pdu: &Pdu, view: &OutletView) -> OutletLine {
    let reading = pdu.reading(view.number).unwrap_or_default();
    OutletLine {
        pdu: pdu.name().to_owned(),
        number: view.number,
        name: view.name.clone(),
        is_on: view.is_on,
        is_pending: view.is_pending,
        watts: reading.watts,
        amps: f64::from(reading.milliamps) / 1000.0,
        fault: OutletWord::of(view.fault),
    }
}

fn break_server(machine: &Machine, fault: &FaultOrder) -> Result<(), String> {
    let only_pdu = || Err(format!("{} is a server; this fault is for PDUs", machine.name()));
    match fault {
        FaultOrder::DieAfter { .. } | FaultOrder::Outlet { .. } => return only_pdu(),
        FaultOrder::Drop { only: Some(word), .. } if word.of_bmc().is_none() => return only_pdu(),
        FaultOrder::RestartBmc => machine.restart_bmc(),
        FaultOrder::IgnoreSoft => machine.change_bmc_faults(|faults| faults.ignore_soft = true),
        FaultOrder::WrongGuid => machine.change_bmc_faults(|faults| faults.wrong_guid = true),
        FaultOrder::Updating => machine.change_bmc_faults(|faults| faults.updating = true),
        FaultOrder::Clear => machine.change_bmc_faults(|faults| *faults = BmcFaults::default()),
        FaultOrder::Drop { count, only } => machine.change_bmc_faults(|faults| {
            let which = only.and_then(ReplyWord::of_bmc).map_or(Which::Any, Which::Only);
            faults.link.drop_next_replies(*count, which);
        }),
        FaultOrder::Mute | FaultOrder::Delay { .. } | FaultOrder::Loss { .. } => {
            machine.change_bmc_faults(|faults| break_link(&mut faults.link, fault));
        }
    }
    Ok(())
}

fn break_pdu(pdu: &Pdu, fault: &FaultOrder) -> Result<(), String> {
    let only_server = || Err(format!("{} is a PDU; this fault is for servers", pdu.name()));
    match fault {
        FaultOrder::IgnoreSoft | FaultOrder::WrongGuid | FaultOrder::Updating | FaultOrder::RestartBmc => {
            return only_server();
        }
        FaultOrder::Drop { only: Some(word), .. } if word.of_bmc().is_some() => return only_server(),
        FaultOrder::DieAfter { writes } => {
            pdu.change_faults(|faults| faults.die_after_writes = Some(*writes));
        }
        FaultOrder::Outlet { number, how } => {
            pdu.set_outlet_fault(*number, how.fault()).map_err(|error| error.to_string())?;
        }
        FaultOrder::Clear => {
            pdu.change_faults(|faults| *faults = PduFaults::default());
            for outlet in pdu.outlets() {
                pdu.set_outlet_fault(outlet.number, None).map_err(|error| error.to_string())?;
            }
        }
        FaultOrder::Drop { count, only } => pdu.change_faults(|faults| {
            let which = match only {
                Some(ReplyWord::Write) => Which::Only(RequestKind::Write),
                Some(_) => Which::Only(RequestKind::Read),
                None => Which::Any,
            };
            faults.link.drop_next_replies(*count, which);
        }),
        FaultOrder::Mute | FaultOrder::Delay { .. } | FaultOrder::Loss { .. } => {
            pdu.change_faults(|faults| break_link(&mut faults.link, fault));
        }
    }
    Ok(())
}

/// Applies what every line can suffer.
fn break_link<K>(link: &mut LinkFaults<K>, fault: &FaultOrder) {
    if let FaultOrder::Delay { milliseconds } = fault {
        link.delay = Duration::from_millis(*milliseconds);
    } else if let FaultOrder::Loss { percent } = fault {
        link.loss_percent = *percent;
    } else if *fault == FaultOrder::Mute {
        link.mute = true;
    }
}

fn bmc_words(faults: &BmcFaults) -> Vec<String> {
    let mut words = link_words(&faults.link);
    words.extend(faults.ignore_soft.then(|| "ignores the soft power button".to_owned()));
    words.extend(faults.wrong_guid.then(|| "reports a wrong GUID".to_owned()));
    words.extend(faults.updating.then(|| "has its firmware written".to_owned()));
    words
}

fn pdu_words(faults: &PduFaults) -> Vec<String> {
    let mut words = link_words(&faults.link);
    words.extend(faults.die_after_writes.map(|writes| format!("dies after {writes} more writes")));
    words
}

fn link_words<K>(link: &LinkFaults<K>) -> Vec<String> {
    let dropped: u64 = link.drop_next.iter().map(|(count, _)| u64::from(*count)).sum();
    let words = [
        link.mute.then(|| "mute".to_owned()),
        (!link.delay.is_zero()).then(|| format!("answers {} ms late", link.delay.as_millis())),
        (link.loss_percent > 0).then(|| format!("loses {} % of packets", link.loss_percent)),
        (dropped > 0).then(|| format!("loses the next {dropped} answers")),
    ];
    words.into_iter().flatten().collect()
}

fn effects(world: &World, only: Option<&str>) -> Result<Vec<EffectView>, String> {
    let only = match only.map(|name| find(world, name)).transpose()? {
        Some(Device::Server(machine)) => Some(machine.name().to_owned()),
        Some(Device::Pdu(pdu)) => Some(pdu.name().to_owned()),
        None => None,
    };
    let wanted = |name: &str| only.as_deref().is_none_or(|only| only == name);
    let mut all: Vec<(Instant, String, String)> = Vec::new();
    for pdu in world.pdus().into_iter().filter(|pdu| wanted(pdu.name())) {
        let happened = pdu.effects();
        all.extend(happened.into_iter().map(|effect| {
            (effect.at, pdu.name().to_owned(), format!("outlet {} {}", effect.outlet, effect.what))
        }));
    }
    // The sort is stable: at the same instant the cause, an outlet, comes before what it does to a server.
    for named in world.effects().into_iter().filter(|named| wanted(&named.machine)) {
        all.push((named.effect.at, named.machine.to_string(), named.effect.what.to_string()));
    }
    all.sort_by_key(|(at, ..)| *at);
    let since = |at: Instant| at.saturating_duration_since(world.began()).as_millis();
    let view = |(at, device, what): (Instant, String, String)| {
        let at_ms = u64::try_from(since(at)).unwrap_or(u64::MAX);
        EffectView { at_ms, device, what }
    };
    Ok(all.into_iter().map(view).collect())
}
