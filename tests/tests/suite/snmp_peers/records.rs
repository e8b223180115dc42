//! Our driver meets recordings of real PDUs.
//!
//! What each recording should read as is computed here from the recording itself, in the words of the vendor's MIB
//! and without the driver's model files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use rackhand_driver::Endpoint;
use rackhand_wire::power::{OutletReading, Switch};
use rackhand_wire::{FaultCode, OutletState, Reason};

use super::driver;
use rackhand_tests::peers::net_snmp::{As, set, walk};
use rackhand_tests::peers::replay::{self, Replay};

const ENTERPRISES: &str = "1.3.6.1.4.1";

/// One recording and how its outlets are written down in it.
struct Recorded {
    file: &'static str,
    /// The model that the driver finds by itself; `None` where the recording lacks the table that tells.
    found: Option<&'static str>,
    /// The model that a person chooses, where none is found.
    chosen: &'static str,
    /// How many outlets it has.
    outlets: usize,
    /// Column that lists the outlets.
    rows: &'static str,
    name: &'static str,
    label: Option<&'static str>,
    state: Option<State>,
    watts: Option<Meter>,
    amps: Option<Meter>,
}

#[derive(Clone, Copy)]
struct State {
    cell: fn(&str) -> String,
    on: &'static str,
    off: &'static str,
}

#[derive(Clone, Copy)]
struct Meter {
    column: &'static str,
    suffix: &'static str,
    per_unit: f64,
}

const SPDU_STATE: State = State { cell: |row| format!("318.1.1.4.4.2.1.3.{row}"), on: "1", off: "2" };
const RPDU_STATE: State = State { cell: |row| format!("318.1.1.12.3.5.1.1.4.{row}"), on: "1", off: "2" };
const RPDU2_STATE: State = State { cell: |row| format!("318.1.1.26.9.2.3.1.5.{row}"), on: "2", off: "1" };
const CPDU_STATE: State = State { cell: |row| format!("318.1.1.32.5.4.1.4.{row}"), on: "1", off: "0" };
const EATON_STATE: State = State { cell: |row| format!("534.6.6.7.6.6.1.2.{row}"), on: "1", off: "0" };
const ATEN_STATE: State = State { cell: aten_cell, on: "2", off: "1" };

/// ATEN has a scalar per outlet; arc 10 between them is a table of names.
fn aten_cell(row: &str) -> String {
    let number: u32 = row.parse().unwrap();
    format!("21317.1.3.2.2.2.2.{}.0", if number < 9 { number + 1 } else { number + 2 })
}

const fn meter(column: &'static str, per_unit: f64) -> Meter {
    Meter { column, suffix: "", per_unit }
}

const fn spdu(file: &'static str, outlets: usize) -> Recorded {
    Recorded {
        file,
        found: Some("apc_spdu"),
        chosen: "apc_spdu",
        outlets,
        rows: "318.1.1.4.4.2.1.3",
        name: "318.1.1.4.4.2.1.4",
        label: None,
        state: Some(SPDU_STATE),
        watts: None,
        amps: None,
    }
}

const fn rpdu(file: &'static str, outlets: usize) -> Recorded {
    Recorded {
        chosen: "apc_rpdu",
        rows: "318.1.1.12.3.5.1.1.4",
        name: "318.1.1.12.3.5.1.1.2",
        state: Some(RPDU_STATE),
        amps: Some(meter("318.1.1.12.3.5.1.1.7", 10.0)),
        found: Some("apc_rpdu2"),
        ..spdu(file, outlets)
    }
}

const fn rpdu2(file: &'static str, outlets: usize) -> Recorded {
    Recorded {
        chosen: "apc_rpdu2",
        rows: "318.1.1.26.9.2.3.1.5",
        name: "318.1.1.26.9.2.3.1.3",
        state: Some(RPDU2_STATE),
        amps: Some(meter("318.1.1.26.9.4.3.1.6", 10.0)),
        watts: Some(meter("318.1.1.26.9.4.3.1.7", 1.0)),
        ..rpdu(file, outlets)
    }
}

const RECORDED: &[Recorded] = &[
    spdu("apc_ap7900b", 8),
    spdu("apc_ap8959eu3", 24),
    spdu("apc_masterswitch2", 8),
    rpdu2("sd_apc-7902b", 16),
    rpdu2("sd_apc-8932", 24),
    // The newer cards answer in the older trees too; a person may choose those.
    rpdu("sd_apc-7902b", 16),
    rpdu("sd_apc-8932", 24),
    Recorded { found: Some("apc_rpdu2"), ..spdu("sd_apc-7902b", 16) },
    Recorded { found: Some("apc_rpdu2"), ..spdu("sd_apc-8932", 24) },
    Recorded {
        file: "apc-cpdu",
        found: Some("apc_cpdu"),
        chosen: "apc_cpdu",
        outlets: 64,
        rows: "318.1.1.32.5.4.1.4",
        name: "318.1.1.32.5.4.1.3",
        label: None,
        state: Some(CPDU_STATE),
        watts: Some(meter("318.1.1.32.5.9.1.6", 1.0)),
        amps: Some(meter("318.1.1.32.5.9.1.5", 100.0)),
    },
    Recorded {
        file: "eatonpdu_2",
        found: Some("eaton_g3"),
        chosen: "eaton_g3",
        outlets: 24,
        rows: "534.6.6.7.6.6.1.2",
        name: "534.6.6.7.6.1.1.3",
        label: None,
        state: Some(EATON_STATE),
        watts: Some(meter("534.6.6.7.6.5.1.3", 1.0)),
        amps: Some(meter("534.6.6.7.6.4.1.3", 1000.0)),
    },
    Recorded {
        file: "atenpdu",
        found: Some("aten"),
        chosen: "aten",
        outlets: 16,
        rows: "21317.1.3.2.2.2.2.10.1.2",
        name: "21317.1.3.2.2.2.2.10.1.2",
        label: None,
        state: Some(ATEN_STATE),
        watts: Some(meter("21317.1.3.2.2.2.2.1.1.4", 1.0)),
        amps: Some(meter("21317.1.3.2.2.2.2.1.1.2", 1.0)),
    },
    Recorded {
        file: "raritan-pdu_px2",
        found: None,
        chosen: "raritan_px2",
        outlets: 12,
        rows: "13742.6.3.5.3.1.3",
        name: "13742.6.3.5.3.1.3",
        label: Some("13742.6.3.5.3.1.2"),
        state: None,
        // The recording gives active power no decimal digits and current three.
        watts: Some(Meter { column: "13742.6.5.4.3.1.4", suffix: ".5", per_unit: 1.0 }),
        amps: Some(Meter { column: "13742.6.5.4.3.1.4", suffix: ".1", per_unit: 1000.0 }),
    },
    Recorded {
        file: "sentry3_switched",
        found: None,
        chosen: "sentry3",
        outlets: 30,
        rows: "1718.3.2.3.1.3",
        name: "1718.3.2.3.1.3",
        label: Some("1718.3.2.3.1.2"),
        state: None,
        watts: None,
        amps: Some(meter("1718.3.2.3.1.7", 100.0)),
    },
];

/// Recordings of shipped makes without any outlet: metered PDUs and trimmed walks.
const WITHOUT_OUTLETS: &[(&str, &str)] = &[
    ("sentry3", "sentry3"),
    ("sentry4", "sentry4"),
    ("enlogic-pdu_v2", "enlogic"),
    ("cyberpower", "cyberpower_epdu"),
];

/// Where a switch is written, and what the device would then show.
struct Switched {
    recorded: Recorded,
    on: Written,
    off: Written,
}

struct Written {
    cell: fn(&str) -> String,
    value: i32,
}

const fn written(cell: fn(&str) -> String, value: i32) -> Written {
    Written { cell, value }
}

const SWITCHED: &[Switched] = &[
    Switched {
        recorded: spdu("apc_ap7900b", 8),
        on: written(SPDU_STATE.cell, 1),
        off: written(SPDU_STATE.cell, 2),
    },
    Switched {
        recorded: spdu("apc_ap8959eu3", 24),
        on: written(SPDU_STATE.cell, 1),
        off: written(SPDU_STATE.cell, 2),
    },
    Switched {
        recorded: spdu("apc_masterswitch2", 8),
        on: written(SPDU_STATE.cell, 1),
        off: written(SPDU_STATE.cell, 2),
    },
    Switched {
        recorded: spdu("sd_apc-7902b", 16),
        on: written(SPDU_STATE.cell, 1),
        off: written(SPDU_STATE.cell, 2),
    },
    Switched {
        recorded: spdu("sd_apc-8932", 24),
        on: written(SPDU_STATE.cell, 1),
        off: written(SPDU_STATE.cell, 2),
    },
    Switched {
        recorded: rpdu("sd_apc-7902b", 16),
        on: written(rpdu_command, 1),
        off: written(rpdu_command, 2),
    },
    Switched {
        recorded: rpdu("sd_apc-8932", 24),
        on: written(rpdu_command, 1),
        off: written(rpdu_command, 2),
    },
    Switched {
        recorded: rpdu2("sd_apc-7902b", 16),
        on: written(rpdu2_command, 1),
        off: written(rpdu2_command, 2),
    },
    Switched {
        recorded: rpdu2("sd_apc-8932", 24),
        on: written(rpdu2_command, 1),
        off: written(rpdu2_command, 2),
    },
    Switched { recorded: eaton(), on: written(eaton_on, 0), off: written(eaton_off, 0) },
    Switched { recorded: aten(), on: written(aten_cell, 2), off: written(aten_cell, 1) },
];

fn rpdu_command(row: &str) -> String {
    format!("318.1.1.12.3.3.1.1.4.{row}")
}

fn rpdu2_command(row: &str) -> String {
    format!("318.1.1.26.9.2.4.1.5.{row}")
}

fn eaton_on(row: &str) -> String {
    format!("534.6.6.7.6.6.1.4.{row}")
}

fn eaton_off(row: &str) -> String {
    format!("534.6.6.7.6.6.1.3.{row}")
}

const fn eaton() -> Recorded {
    Recorded {
        chosen: "eaton_g3",
        rows: "534.6.6.7.6.6.1.2",
        name: "534.6.6.7.6.1.1.3",
        state: Some(EATON_STATE),
        ..spdu("eatonpdu_2", 24)
    }
}

const fn aten() -> Recorded {
    Recorded {
        chosen: "aten",
        rows: "21317.1.3.2.2.2.2.10.1.2",
        name: "21317.1.3.2.2.2.2.10.1.2",
        state: Some(ATEN_STATE),
        ..spdu("atenpdu", 16)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_recorded_pdu_reads_as_its_record_says() {
    let replay = serve_all().await;
    for recorded in RECORDED {
        let what = format!("{} as {}", recorded.file, recorded.chosen);
        let endpoint = driver::open_community(replay.at, recorded.file, recorded.chosen).await;
        let read = driver::outlets(&*endpoint).await.unwrap_or_else(|fault| panic!("{what}: {fault}"));
        let expected = expected(recorded);
        assert_eq!(read.len(), recorded.outlets, "{what}");
        assert_eq!(expected.len(), recorded.outlets, "{what}: the expectation itself");
        for (read, expected) in read.iter().zip(&expected) {
            assert_eq!(read, expected, "{what}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_recording_is_taken_for_a_model_that_it_is_not() {
    let replay = serve_all().await;
    for file in files() {
        let found =
            RECORDED.iter().find(|recorded| recorded.file == file).and_then(|recorded| recorded.found);
        let endpoint = driver::open_community(replay.at, &file, "auto").await;
        match (endpoint.identify().await, found) {
            (Ok(identity), found) => assert_eq!(identity.profile.as_deref(), found, "{file}"),
            (Err(fault), None) => {
                assert_eq!(
                    (fault.code, fault.reason),
                    (FaultCode::Config, Reason::ModelAmbiguous),
                    "{file}: {fault}"
                );
            }
            (Err(fault), Some(model)) => panic!("{file} is a {model}: {fault}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_without_outlets_says_so_instead_of_showing_none() {
    let replay = serve_all().await;
    for (file, model) in WITHOUT_OUTLETS {
        let endpoint = driver::open_community(replay.at, file, model).await;
        let fault = driver::outlets(&*endpoint).await.unwrap_err();
        assert_eq!(
            (fault.code, fault.reason),
            (FaultCode::Unsupported, Reason::NotSupported),
            "{file}: {fault}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_recorded_pdu_with_a_control_column_is_switched() {
    for switched in SWITCHED {
        let Recorded { file, chosen, .. } = switched.recorded;
        let replay = serve_writable(switched).await;
        let endpoint = driver::open_community(replay.at, file, chosen).await;
        for reading in driver::outlets(&*endpoint).await.unwrap().into_iter().skip(1).step_by(9) {
            let turns = match reading.state {
                OutletState::On => [Switch::Off, Switch::On],
                OutletState::Off
                | OutletState::PendingOn
                | OutletState::PendingOff
                | OutletState::Unknown => [Switch::On, Switch::Off],
            };
            for to in turns {
                switch_as_the_device_would(&endpoint, &replay, switched, &reading.outlet, to).await;
            }
        }
    }
}

/// Switches one outlet, checks that exactly its command was written, and lets the state follow.
async fn switch_as_the_device_would(
    endpoint: &Arc<dyn Endpoint>,
    replay: &Replay,
    switched: &Switched,
    outlet: &str,
    to: Switch,
) {
    let Recorded { file, chosen, .. } = switched.recorded;
    let what = format!("{file} as {chosen}, outlet {outlet} {to:?}");
    let row = if chosen == "eaton_g3" { format!("0.{outlet}") } else { outlet.to_owned() };
    let state = switched.recorded.state.unwrap();
    let (written, shown) = match to {
        Switch::On => (&switched.on, state.on),
        Switch::Off => (&switched.off, state.off),
    };
    let cell = (written.cell)(&row);
    let before = controls(replay, file).await;
    driver::switch(&**endpoint, outlet, to).await.unwrap_or_else(|fault| panic!("{what}: {fault}"));
    let after = controls(replay, file).await;
    assert_eq!(after.get(&cell).map(String::as_str), Some(written.value.to_string().as_str()), "{what}");
    let changed: Vec<&String> =
        after.iter().filter(|(oid, value)| before.get(*oid) != Some(value)).map(|c| c.0).collect();
    assert!(changed.iter().all(|oid| **oid == cell), "{what} changed {changed:?}");
    write(replay, file, &(state.cell)(&row), shown.parse().unwrap()).await;
    if chosen == "eaton_g3" {
        write(replay, file, &cell, -1).await;
    }
    let wanted = match to {
        Switch::On => OutletState::On,
        Switch::Off => OutletState::Off,
    };
    assert_eq!(driver::outlet(&**endpoint, outlet).await.unwrap().state, wanted, "{what}");
}

/// Writes as the device itself would, with net-snmp.
async fn write(replay: &Replay, community: &'static str, oid: &str, value: i32) {
    let (at, oid) = (replay.at, format!("{ENTERPRISES}.{oid}"));
    let write = move || set(As(&["-v2c", "-c", community]), at, &oid, value);
    tokio::task::spawn_blocking(write).await.unwrap().unwrap();
}

/// Every tree in which a recorded vendor's outlets are controlled: a write that strays shows in one of them.
const CONTROLS: &[&str] = &[
    "318.1.1.4.4.2.1.3",
    "318.1.1.12.3.3.1.1.4",
    "318.1.1.12.3.5.1.1.4",
    "318.1.1.26.9.2.3.1.5",
    "318.1.1.26.9.2.4.1.5",
    "534.6.6.7.6.6.1",
    "21317.1.3.2.2.2.2",
];

/// Reads all controls with net-snmp.
async fn controls(replay: &Replay, community: &'static str) -> BTreeMap<String, String> {
    let at = replay.at;
    let read = move || {
        let walk = |tree: &&str| {
            walk(
                "snmpbulkwalk",
                As(&["-v2c", "-Cr40", "-c", community]),
                at,
                &format!("{ENTERPRISES}.{tree}"),
            )
        };
        CONTROLS.iter().flat_map(walk).collect::<Vec<_>>()
    };
    let rows = tokio::task::spawn_blocking(read).await.unwrap();
    let below = |oid: String| oid.trim_start_matches(ENTERPRISES).trim_start_matches('.').to_owned();
    rows.into_iter().map(|(oid, value)| (below(oid), value)).collect()
}

/// Reads out of a recording what the driver should say.
fn expected(recorded: &Recorded) -> Vec<OutletReading> {
    let record = parse(&text(recorded.file));
    let rows = record.iter().filter_map(|(oid, _)| oid.strip_prefix(recorded.rows)?.strip_prefix('.'));
    let at = |column: &str, row: &str| {
        record.iter().find(|(oid, _)| *oid == format!("{column}.{row}")).map(|c| c.1.clone())
    };
    let reading = |row: &str| {
        let label = recorded.label.and_then(|column| at(column, row));
        let outlet = label.unwrap_or_else(|| row.rsplit('.').next().unwrap_or(row).to_owned());
        let name = at(recorded.name, row).map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
        let state = match recorded.state {
            None => OutletState::Unknown,
            Some(state) => {
                let cell = (state.cell)(row);
                let shown = &record.iter().find(|(oid, _)| *oid == cell).unwrap().1;
                // ATEN marks the outlets of larger models that this one lacks.
                if recorded.chosen == "aten" && shown == "7" {
                    return None;
                }
                if shown == state.on {
                    OutletState::On
                } else if shown == state.off {
                    OutletState::Off
                } else {
                    OutletState::Unknown
                }
            }
        };
        let measure = |meter: Option<Meter>| {
            let Meter { column, suffix, per_unit } = meter?;
            let raw: f64 = at(column, &format!("{row}{suffix}"))?.trim().parse().unwrap();
            Some((raw / per_unit * 1000.0).round() / 1000.0)
        };
        let (watts, amps) = (measure(recorded.watts), measure(recorded.amps));
        Some(OutletReading {
            name: name.unwrap_or(format!("Outlet {outlet}")),
            outlet,
            state,
            watts,
            amps,
            locked: None,
        })
    };
    rows.filter_map(reading).collect()
}

async fn serve_all() -> Replay {
    let recordings = files().into_iter().map(|file| (file.clone(), still(&text(&file)))).collect::<Vec<_>>();
    tokio::task::spawn_blocking(move || replay::serve(&recordings)).await.unwrap()
}

/// Serves a copy in which the command and state cells can be written.
async fn serve_writable(switched: &Switched) -> Replay {
    let file = switched.recorded.file;
    let state = switched.recorded.state.unwrap().cell;
    let rows: Vec<String> = (1..=64).flat_map(|n| [n.to_string(), format!("0.{n}")]).collect();
    let rows = || rows.iter().filter(|row| switched.recorded.chosen != "aten" || !row.contains('.'));
    let cells: BTreeSet<String> = [switched.on.cell, switched.off.cell, state]
        .iter()
        .flat_map(|cell| rows().map(move |row| format!("{ENTERPRISES}.{}", cell(row))))
        .collect();
    let writable = |line: &str| match line.splitn(3, '|').collect::<Vec<_>>()[..] {
        [oid, "2", value] if cells.contains(oid) => format!("{oid}|2:writecache|value={value}"),
        _ => line.to_owned(),
    };
    let copy = still(&text(file)).lines().map(writable).collect::<Vec<_>>().join("\n") + "\n";
    let recordings = [(file.to_owned(), copy)];
    tokio::task::spawn_blocking(move || replay::serve(&recordings)).await.unwrap()
}

/// Lists the recordings.
fn files() -> Vec<String> {
    let mut files: Vec<String> = std::fs::read_dir(folder())
        .unwrap()
        .filter_map(|entry| {
            entry.unwrap().file_name().to_string_lossy().strip_suffix(".snmprec").map(str::to_owned)
        })
        .collect();
    files.sort();
    assert!(files.len() > 20, "{} holds only {} recordings", folder().display(), files.len());
    files
}

fn folder() -> PathBuf {
    let fixtures = std::env::var_os("RACKHAND_FIXTURES")
        .expect("set RACKHAND_FIXTURES to the folder with recordings of real devices (snmprec/*.snmprec)");
    PathBuf::from(fixtures).join("snmprec")
}

fn text(file: &str) -> String {
    let path = folder().join(format!("{file}.snmprec"));
    let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Turns values that the recording moves about (`2:numeric|min=1,initial=2`) into still ones.
fn still(text: &str) -> String {
    let line = |line: &str| match line.splitn(3, '|').collect::<Vec<_>>()[..] {
        [oid, tag, value] => match tag.split_once(':') {
            Some((tag, variation)) => format!("{oid}|{tag}|{}", settled(variation, value)),
            None => line.to_owned(),
        },
        _ => line.to_owned(),
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n") + "\n"
}

fn settled<'a>(variation: &str, value: &'a str) -> &'a str {
    let key = if variation == "writecache" { "value=" } else { "initial=" };
    value.split(',').find_map(|part| part.strip_prefix(key)).unwrap_or("0")
}

/// Reads a recording: OID below the vendors' branch, and value as text.
fn parse(text: &str) -> Vec<(String, String)> {
    let field = |line: &str| {
        let mut parts = line.splitn(3, '|');
        let oid = parts.next()?.strip_prefix(ENTERPRISES)?.strip_prefix('.')?.to_owned();
        let (tag, value) = (parts.next()?, parts.next()?);
        let value = if tag.ends_with('x') { from_hex(value) } else { value.to_owned() };
        Some((oid, value))
    };
    still(text).lines().filter_map(field).collect()
}

fn from_hex(text: &str) -> String {
    let byte = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    let bytes: Vec<u8> = (0..text.len() / 2).map(|n| byte(n * 2)).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}
