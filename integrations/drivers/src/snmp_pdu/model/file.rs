//! Reads a model's TOML file and says exactly what is wrong with it.

use std::collections::BTreeMap;

use async_snmp::Oid;
use serde::Deserialize;

use super::{
    Cells, Identity, Lock, Meter, Model, Pending, Reading, Scale, Shift, Shown, State, Switching, Write,
};

/// Every OID in a file stands below this branch, 1.3.6.1.4.1.
const ENTERPRISES: [u32; 6] = [1, 3, 6, 1, 4, 1];

/// What is wrong with a model file.
#[derive(Debug, thiserror::Error)]
pub(super) enum Wrong {
    /// Not TOML, or a field that does not exist, is missing or has the wrong type.
    #[error("{0}")]
    Shape(#[from] toml::de::Error),
    /// An OID that is none.
    #[error("{field}: “{text}” is not an OID below 1.3.6.1.4.1")]
    Oid { field: &'static str, text: String },
    /// A value that is not a whole number.
    #[error("{field}: “{text}” is not a whole number")]
    Number { field: &'static str, text: String },
    /// Something else.
    #[error("{0}")]
    Sense(&'static str),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    title: String,
    vendor: String,
    sys_object_id: Vec<String>,
    supersedes: Vec<String>,
    reading: Reading,
    switching: Switching,
    note: Option<String>,
    #[serde(default)]
    identity: IdentityTable,
    outlets: OutletsTable,
    state: StateTable,
    pending: Option<WriteTable>,
    #[serde(default)]
    lock: Vec<LockTable>,
    command: CommandTable,
    watts: Option<MeterTable>,
    amps: Option<MeterTable>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct IdentityTable {
    model: Option<String>,
    serial: Option<String>,
    firmware: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OutletsTable {
    name: Vec<String>,
    label: Option<String>,
    scalars: Option<Vec<Shift>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StateTable {
    column: String,
    values: BTreeMap<String, Shown>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LockTable {
    column: String,
    values: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CommandTable {
    on: WriteTable,
    off: WriteTable,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WriteTable {
    column: String,
    value: i32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MeterTable {
    column: String,
    suffix: Option<String>,
    factor: Option<f64>,
    digits: Option<String>,
}

/// Reads one file.
pub(super) fn parse(key: &'static str, text: &str) -> Result<Model, Wrong> {
    let file: File = toml::from_str(text)?;
    let model = Model {
        key,
        title: file.title,
        vendor: file.vendor,
        sys_object_id: oids("sys_object_id", &file.sys_object_id)?,
        supersedes: file.supersedes,
        reading: file.reading,
        switching: file.switching,
        note: file.note,
        identity: Identity {
            model: maybe_oid("identity.model", file.identity.model)?,
            serial: maybe_oid("identity.serial", file.identity.serial)?,
            firmware: maybe_oid("identity.firmware", file.identity.firmware)?,
        },
        names: oids("outlets.name", &file.outlets.name)?,
        label: maybe_oid("outlets.label", file.outlets.label)?,
        cells: file.outlets.scalars.map_or(Cells::Rows, Cells::Scalars),
        state: State {
            column: oid("state.column", &file.state.column)?,
            values: numbered(file.state.values)?,
        },
        pending: file.pending.as_ref().map(pending).transpose()?,
        locks: file.lock.into_iter().map(lock).collect::<Result<_, _>>()?,
        on: write("command.on", &file.command.on)?,
        off: write("command.off", &file.command.off)?,
        watts: file.watts.map(|table| meter("watts", table)).transpose()?,
        amps: file.amps.map(|table| meter("amps", table)).transpose()?,
    };
    check(&model)?;
    Ok(model)
}

/// Finds what no single field can tell.
fn check(model: &Model) -> Result<(), Wrong> {
    let has = |wanted| model.state.values.values().any(|shown| *shown == wanted);
    if !has(Shown::On) || !has(Shown::Off) {
        return Err(Wrong::Sense("state.values: needs a value for on and one for off"));
    }
    if model.sys_object_id.is_empty() {
        return Err(Wrong::Sense("sys_object_id: needs at least one prefix"));
    }
    if model.names.is_empty() {
        return Err(Wrong::Sense("outlets.name: needs at least one column"));
    }
    if model.on.column == model.off.column && model.on.value == model.off.value {
        return Err(Wrong::Sense("command: on and off write the same"));
    }
    if let Cells::Scalars(shifts) = &model.cells
        && !shifts.is_sorted_by(|a, b| a.from < b.from)
    {
        return Err(Wrong::Sense("outlets.scalars: must be in rising order of “from”"));
    }
    Ok(())
}

fn oid(field: &'static str, text: &str) -> Result<Oid, Wrong> {
    let wrong = || Wrong::Oid { field, text: text.to_owned() };
    let arcs = arcs(text).ok_or_else(wrong)?;
    if arcs.len() < 2 && field != "sys_object_id" {
        return Err(wrong());
    }
    Ok(Oid::new(ENTERPRISES.into_iter().chain(arcs)))
}

fn arcs(text: &str) -> Option<Vec<u32>> {
    text.split('.').map(|arc| arc.parse().ok()).collect()
}

fn oids(field: &'static str, texts: &[String]) -> Result<Vec<Oid>, Wrong> {
    texts.iter().map(|text| oid(field, text)).collect()
}

fn maybe_oid(field: &'static str, text: Option<String>) -> Result<Option<Oid>, Wrong> {
    text.map(|text| oid(field, &text)).transpose()
}

fn numbered<T>(values: BTreeMap<String, T>) -> Result<BTreeMap<i32, T>, Wrong> {
    let number = |(text, value): (String, T)| match text.parse() {
        Ok(number) => Ok((number, value)),
        Err(_) => Err(Wrong::Number { field: "values", text }),
    };
    values.into_iter().map(number).collect()
}

fn pending(table: &WriteTable) -> Result<Pending, Wrong> {
    Ok(Pending { column: oid("pending.column", &table.column)?, value: table.value })
}

fn lock(table: LockTable) -> Result<Lock, Wrong> {
    Ok(Lock { column: oid("lock.column", &table.column)?, values: numbered(table.values)? })
}

fn write(field: &'static str, table: &WriteTable) -> Result<Write, Wrong> {
    Ok(Write { column: oid(field, &table.column)?, value: table.value })
}

fn meter(field: &'static str, table: MeterTable) -> Result<Meter, Wrong> {
    let scale = match (table.factor, table.digits) {
        (Some(factor), None) if factor > 0.0 => Scale::Factor(factor),
        (None, Some(digits)) => Scale::Digits(oid(field, &digits)?),
        (Some(_), None | Some(_)) | (None, None) => {
            return Err(Wrong::Sense("a meter needs either a factor above 0 or a column of digits"));
        }
    };
    let suffix = match table.suffix {
        Some(text) => arcs(&text).ok_or(Wrong::Oid { field, text })?,
        None => Vec::new(),
    };
    Ok(Meter { column: oid(field, &table.column)?, suffix, scale })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
title = "T"
vendor = "V"
sys_object_id = ["99"]
supersedes = []
reading = "unverified"
switching = "unverified"
[outlets]
name = ["99.1"]
[state]
column = "99.2"
values = { 1 = "on", 2 = "off" }
[command]
on = { column = "99.3", value = 1 }
off = { column = "99.3", value = 2 }
"#;

    fn message(text: &str) -> String {
        parse("x", text).unwrap_err().to_string()
    }

    #[test]
    fn a_good_file_is_read() {
        let model = parse("x", GOOD).unwrap();
        assert_eq!(model.cell(&model.state.column, &[1, 7]).to_string(), "1.3.6.1.4.1.99.2.1.7");
    }

    #[test]
    fn an_unknown_field_is_named_with_its_line() {
        let text = GOOD.replace("vendor =", "vender =");
        assert!(message(&text).contains("vender"), "{}", message(&text));
        assert!(message(&text).contains("line 3"), "{}", message(&text));
    }

    #[test]
    fn an_oid_with_a_letter_is_named_with_its_field() {
        assert_eq!(
            message(&GOOD.replace("99.2", "99.x")),
            "state.column: “99.x” is not an OID below 1.3.6.1.4.1"
        );
    }

    #[test]
    fn a_state_without_off_is_refused() {
        assert!(message(&GOOD.replace(r#", 2 = "off""#, "")).starts_with("state.values"));
    }

    #[test]
    fn the_same_write_for_on_and_off_is_refused() {
        assert!(message(&GOOD.replace("value = 2", "value = 1")).starts_with("command"));
    }

    #[test]
    fn a_meter_needs_exactly_one_scale() {
        let text = format!("{GOOD}\n[watts]\ncolumn = \"99.4\"\nfactor = 1.0\ndigits = \"99.5\"\n");
        assert!(message(&text).starts_with("a meter needs either"));
    }

    #[test]
    fn scalars_shift_from_their_first_outlet_on() {
        let text = GOOD.replace(
            "name = [\"99.1\"]",
            "name = [\"99.1\"]\nscalars = [{ from = 1, add = 1 }, { from = 9, add = 2 }]",
        );
        let model = parse("x", &text).unwrap();
        let cell = |n| model.cell(&model.state.column, &[n]).to_string();
        assert_eq!(cell(8), "1.3.6.1.4.1.99.2.9.0");
        assert_eq!(cell(9), "1.3.6.1.4.1.99.2.11.0");
    }
}
