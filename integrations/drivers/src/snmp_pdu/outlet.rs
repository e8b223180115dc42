//! One outlet on the device: how it is found, read and described.

use std::collections::{BTreeMap, BTreeSet};

use async_snmp::{Oid, Value};
use rackhand_wire::power::OutletReading;
use rackhand_wire::{Fault, FieldError, OutletState, Reason};

use super::line::Line;
use super::model::{Meter, Model, Scale, Shown};

/// One outlet of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Outlet {
    /// Its index in the device's tables.
    pub index: Vec<u32>,
    /// What people call it: `7`, `AA3`, `2.7` behind a second unit.
    pub label: String,
    /// The name given to it.
    pub name: String,
}

/// Understands an outlet as people write it: `7`, `07`, `Outlet 7`, `AA3`, `2.7`.
///
/// # Errors
/// A sentence for the field `outlet`.
pub(super) fn parse(text: &str) -> Result<String, FieldError> {
    let wrong = |code, message: &str| FieldError::new("outlet", code, message);
    let trimmed = text.trim();
    let bare = match trimmed.get(..6) {
        Some(word) if word.eq_ignore_ascii_case("outlet") => trimmed.get(6..).unwrap_or_default().trim(),
        Some(_) | None => trimmed.trim_start_matches('#'),
    };
    if bare.is_empty() {
        return Err(wrong("required", "Outlet is needed."));
    }
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if bare.len() > 32 || !bare.chars().all(is_plain) {
        return Err(wrong("not_an_outlet", "Outlet must be a number or a label such as 7, 2.7 or AA3."));
    }
    if bare.chars().all(|c| c.is_ascii_digit()) {
        return match bare.trim_start_matches('0') {
            "" => Err(wrong("not_an_outlet", "Outlets are counted from 1.")),
            number => Ok(number.to_owned()),
        };
    }
    Ok(bare.to_ascii_uppercase())
}

/// Lists the outlets of the device on `line`.
pub(super) async fn list(line: &mut Line, model: &Model) -> Result<Vec<Outlet>, Fault> {
    let mut indices = Vec::new();
    for column in model.row_columns() {
        indices = line.column(column).await?.into_iter().map(|(index, _)| index).collect::<Vec<_>>();
        if !indices.is_empty() {
            break;
        }
    }
    if indices.is_empty() {
        return Err(Fault::unsupported(format!("the device has no outlets of the model “{}”", model.title)));
    }
    let mut names = BTreeMap::new();
    for column in &model.names {
        names = line.column(column).await?.into_iter().collect::<BTreeMap<_, _>>();
        if !names.is_empty() {
            break;
        }
    }
    let labels: BTreeMap<Vec<u32>, Value> = match &model.label {
        Some(column) => line.column(column).await?.into_iter().collect(),
        None => BTreeMap::new(),
    };
    let is_one_unit =
        indices.iter().filter_map(|index| index.last()).collect::<BTreeSet<_>>().len() == indices.len();
    let outlet = |index: Vec<u32>| {
        let label = match labels.get(&index).map(text).filter(|label| !label.is_empty()) {
            Some(label) => label,
            None if is_one_unit => index.last().map(u32::to_string).unwrap_or_default(),
            None => dotted(&index),
        };
        let name = names.get(&index).map(text).filter(|name| !name.is_empty());
        Outlet { name: name.unwrap_or_else(|| format!("Outlet {label}")), index, label }
    };
    Ok(indices.into_iter().map(outlet).collect())
}

/// Finds the outlet that people call `wanted`.
///
/// # Errors
/// `NoSuchTarget` with what there is.
pub(super) fn find<'a>(outlets: &'a [Outlet], wanted: &str) -> Result<&'a Outlet, Fault> {
    let labelled = outlets.iter().find(|outlet| outlet.label.eq_ignore_ascii_case(wanted));
    let indexed = || outlets.iter().find(|outlet| dotted(&outlet.index) == wanted);
    if let Some(outlet) = labelled.or_else(indexed) {
        return Ok(outlet);
    }
    let ends = |outlet: &&Outlet| outlet.index.last().is_some_and(|last| last.to_string() == wanted);
    let mut numbered = outlets.iter().filter(ends);
    if let (Some(outlet), None) = (numbered.next(), numbered.next()) {
        return Ok(outlet);
    }
    let detail = match (outlets.first(), outlets.last()) {
        (Some(first), Some(last)) => format!(
            "there is no outlet {wanted}; this PDU has {} outlets, {} to {}",
            outlets.len(),
            first.label,
            last.label
        ),
        (None, _) | (_, None) => format!("there is no outlet {wanted}"),
    };
    Err(Fault::config(Reason::NoSuchTarget, detail))
}

/// Lists the objects that tell the state of an outlet.
pub(super) fn objects(model: &Model, outlet: &Outlet) -> Vec<Oid> {
    let index = &outlet.index;
    let meters = [&model.watts, &model.amps].into_iter().flatten();
    let mut oids: BTreeSet<Oid> = BTreeSet::from([model.cell(&model.state.column, index)]);
    oids.extend(model.pending.iter().map(|pending| model.cell(&pending.column, index)));
    oids.extend(model.locks.iter().map(|lock| model.cell(&lock.column, index)));
    for meter in meters {
        oids.insert(meter.cell(index));
        oids.extend(meter.digits_cell(index));
    }
    oids.into_iter().collect()
}

/// Describes an outlet by the objects read; `None` when it does not exist on this device after all.
pub(super) fn reading(model: &Model, outlet: &Outlet, read: &BTreeMap<Oid, Value>) -> Option<OutletReading> {
    let index = &outlet.index;
    let integer = |column: &Oid| read.get(&model.cell(column, index)).and_then(whole);
    let shown = integer(&model.state.column).and_then(|value| model.state.values.get(&value));
    let settled = shown.copied().unwrap_or(Shown::Unknown).state()?;
    let is_pending = model.pending.as_ref().is_some_and(|p| integer(&p.column) == Some(p.value));
    let lock = |lock: &super::model::Lock| lock.values.get(&integer(&lock.column)?).cloned();
    Some(OutletReading {
        outlet: outlet.label.clone(),
        name: outlet.name.clone(),
        state: if is_pending { turning(settled) } else { settled },
        watts: model.watts.as_ref().and_then(|meter| measured(meter, index, read)),
        amps: model.amps.as_ref().and_then(|meter| measured(meter, index, read)),
        locked: model.locks.iter().find_map(lock),
    })
}

/// Returns the state of an outlet with a command waiting.
fn turning(settled: OutletState) -> OutletState {
    match settled {
        OutletState::On => OutletState::PendingOff,
        OutletState::Off => OutletState::PendingOn,
        OutletState::PendingOn | OutletState::PendingOff | OutletState::Unknown => settled,
    }
}

fn measured(meter: &Meter, index: &[u32], read: &BTreeMap<Oid, Value>) -> Option<f64> {
    let raw = decimal(read.get(&meter.cell(index))?)?;
    match &meter.scale {
        Scale::Factor(factor) => Some(tidy(raw * factor)),
        Scale::Digits(_) => {
            let digits = whole(read.get(&meter.digits_cell(index)?)?)?;
            Some(tidy(raw / 10_f64.powi(digits)))
        }
    }
}

/// Rounds to thousandths, so that 3 × 0.1 A reads 0.3 and not 0.30000000000000004.
fn tidy(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// Reads a measured number; -1 and all ones mean "not measured here".
fn decimal(value: &Value) -> Option<f64> {
    if let Some(text) = value.as_str().filter(|_| value.as_bytes().is_some()) {
        return text.trim().parse().ok().filter(|number: &f64| *number >= 0.0);
    }
    if let Some(number) = value.as_i32() {
        return (number >= 0).then(|| f64::from(number));
    }
    value.as_u32().filter(|number| *number != u32::MAX).map(f64::from)
}

fn whole(value: &Value) -> Option<i32> {
    value.as_i32().or_else(|| value.as_u32().and_then(|number| i32::try_from(number).ok()))
}

/// Reads a text that some firmware pads with NULs or spaces.
pub(super) fn text(value: &Value) -> String {
    let text = value.as_bytes().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).unwrap_or_default();
    text.trim_matches(|c: char| c == '\0' || c.is_whitespace()).chars().filter(|c| !c.is_control()).collect()
}

fn dotted(index: &[u32]) -> String {
    index.iter().map(u32::to_string).collect::<Vec<_>>().join(".")
}
