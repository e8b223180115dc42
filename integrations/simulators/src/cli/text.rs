//! Answers for people.

use std::fmt::Write;

use rackhand_simulators::control::{EffectView, MachineView, OutletLine, OutletWord, PduView, Seen};
use rackhand_simulators::farm::Inventory;

/// Returns an answer as text.
pub(super) fn of(seen: &Seen) -> String {
    match seen {
        Seen::Inventory(inventory) => of_inventory(inventory),
        Seen::Server(view) => of_server(view),
        Seen::Pdu(view) => of_pdu(view),
        Seen::Effects(effects) => of_effects(effects),
    }
}

fn of_inventory(inventory: &Inventory) -> String {
    let mut servers = vec![row(["SERVER", "RACK", "BMC", "USER", "PASSWORD", "OUTLETS"])];
    for server in &inventory.servers {
        let outlets: Vec<_> = server.outlets.iter().map(|o| format!("{}/{}", o.pdu, o.outlet)).collect();
        servers.push(vec![
            server.name.clone(),
            server.rack.clone(),
            server.bmc.addr.to_string(),
            server.bmc.user.clone(),
            server.bmc.password.clone(),
            outlets.join(" "),
        ]);
    }
    let mut pdus = vec![row(["PDU", "RACK", "MODEL", "SNMP", "COMMUNITY", "WRITE"])];
    for pdu in &inventory.pdus {
        pdus.push(vec![
            pdu.name.clone(),
            pdu.rack.clone(),
            pdu.model.clone(),
            pdu.addr.to_string(),
            pdu.community.clone(),
            pdu.write_community.clone(),
        ]);
    }
    let mut text = format!("{}\n{}", table(&servers), table(&pdus));
    if let Some(v3) = inventory.pdus.first().and_then(|pdu| pdu.v3.as_ref()) {
        let line = format!(
            "\nSNMP v3: user {}, {} {}, {} {}\n",
            v3.user, v3.auth_protocol, v3.auth_password, v3.priv_protocol, v3.priv_password
        );
        text.push_str(&line);
    }
    text
}

fn of_server(view: &MachineView) -> String {
    let is_mute = view.faults.iter().any(|fault| fault == "mute");
    let bmc = match (view.bmc_answers, is_mute) {
        (true, false) => "answers",
        (true, true) => "silent",
        (false, _) => "dead or booting",
    };
    let mut text = format!(
        "{}: {}, BMC {bmc} (died {} times), after mains returns: {}\n",
        view.name,
        on_off(view.is_on),
        view.bmc_boots,
        view.restore_policy
    );
    text.push_str(&faults(&view.faults));
    text.push_str(&outlets(&view.feeds));
    text
}

fn of_pdu(view: &PduView) -> String {
    format!(
        "{}: {} outlets\n{}{}",
        view.name,
        view.outlets.len(),
        faults(&view.faults),
        outlets(&view.outlets)
    )
}

fn of_effects(effects: &[EffectView]) -> String {
    effects.iter().fold(String::new(), |mut text, effect| {
        let seconds = format!("{}.{:03}", effect.at_ms / 1000, effect.at_ms % 1000);
        // Writing to a String cannot fail.
        writeln!(text, "{seconds:>10} s  {:<10} {}", effect.device, effect.what).unwrap_or_default();
        text
    })
}

fn faults(words: &[String]) -> String {
    if words.is_empty() { String::new() } else { format!("faults: {}\n", words.join(", ")) }
}

fn outlets(lines: &[OutletLine]) -> String {
    let mut rows = vec![row(["OUTLET", "NAME", "STATE", "WATTS", "AMPS", "FAULT"])];
    for line in lines {
        let pending = if line.is_pending { ", pending" } else { "" };
        rows.push(vec![
            format!("{}/{}", line.pdu, line.number),
            line.name.clone(),
            format!("{}{pending}", on_off(line.is_on)),
            line.watts.to_string(),
            format!("{:.2}", line.amps),
            fault_word(line.fault).to_owned(),
        ]);
    }
    table(&rows)
}

fn fault_word(word: OutletWord) -> &'static str {
    match word {
        OutletWord::Stuck => "stuck",
        OutletWord::IgnoresOn => "ignores on",
        OutletWord::IgnoresOff => "ignores off",
        OutletWord::Welded => "welded",
        OutletWord::Locked => "locked",
        OutletWord::Clear => "-",
    }
}

fn on_off(is_on: bool) -> &'static str {
    if is_on { "on" } else { "off" }
}

fn row<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.map(str::to_owned).to_vec()
}

/// Lines up columns.
fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column| rows.iter().filter_map(|row| row.get(column)).map(String::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells: Vec<_> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        format!("{}\n", cells.join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_under_their_longest_cell() {
        let rows = [row(["A", "LONGER"]), row(["much", "x"])];
        assert_eq!(table(&rows), "A     LONGER\nmuch  x\n");
    }

    #[test]
    fn an_effect_shows_seconds_since_the_start() {
        let effect = EffectView { at_ms: 12_034, device: "srv-01".into(), what: "powered_off".into() };
        assert_eq!(of_effects(&[effect]), "    12.034 s  srv-01     powered_off\n");
    }
}
