//! What a look means for the device and for every path through it.

use chrono::{DateTime, Utc};
use rackhand_store::{connections::Reading, watches::Path};
use rackhand_wire::{
    Answer, Fault, Reason, Role,
    agent::{Answered, Found},
    id::{ConnectionId, ServerId},
    operation::Identity,
    power::OutletReading,
};

use super::power::{controller_reading, feed_state, power};

/// What is stored of a look.
#[derive(Debug, PartialEq)]
pub struct Findings {
    /// Whether the device answered, and what it is if that was asked.
    pub identity: Result<Option<Identity>, Fault>,
    /// Its outlets, when they were read.
    pub outlets: Option<Vec<OutletReading>>,
    /// What each path said.
    pub readings: Vec<(ConnectionId, ServerId, Reading)>,
}

/// Sorts what was found. Nothing counts while a job has the server: it asks for itself, and knows better when.
pub fn findings(
    role: Role,
    found: Found,
    paths: &[Path],
    device: &str,
    at: DateTime<Utc>,
) -> Option<Findings> {
    match role {
        Role::Feed => feeds(found, paths, device, at),
        Role::Controller => controllers(found, paths, at),
    }
}

fn feeds(found: Found, paths: &[Path], device: &str, at: DateTime<Utc>) -> Option<Findings> {
    let all = |fault: Fault| {
        let readings = paths.iter().map(|path| silent(path, &fault, at)).collect();
        Some(Findings { identity: Err(fault), outlets: None, readings })
    };
    let (identity, answers) = match found {
        Found::Nothing { fault } => return all(fault),
        Found::Answers { identity, answers } => (identity, answers),
    };
    let outlets = match answers.into_iter().next().map(|answered| answered.result) {
        Some(Err(fault)) => return all(fault),
        Some(Ok(Answer::Outlets { outlets })) => outlets,
        None if identity.is_some() => {
            return Some(Findings { identity: Ok(identity), outlets: None, readings: Vec::new() });
        }
        Some(Ok(_)) | None => return None,
    };
    let reading = |path: &Path| {
        let named = path.target.get("outlet").and_then(serde_json::Value::as_str);
        let mut reading = Reading { at, ..Default::default() };
        match outlets.iter().find(|outlet| Some(outlet.outlet.as_str()) == named) {
            Some(outlet) => {
                reading.state = Some(feed_state(outlet.state));
                reading.watts = outlet.watts;
            }
            None => {
                let detail = format!("{} is not there", path.label(device));
                reading.fault = Some(Fault::config(Reason::NoSuchTarget, detail));
            }
        }
        (path.id, path.server, reading)
    };
    let readings = paths.iter().map(reading).collect();
    Some(Findings { identity: Ok(identity), outlets: Some(outlets), readings })
}

fn controllers(found: Found, paths: &[Path], at: DateTime<Utc>) -> Option<Findings> {
    let idle = || paths.iter().filter(|path| !path.is_busy);
    if !paths.is_empty() && idle().next().is_none() {
        return None;
    }
    let (identity, answers) = match found {
        Found::Nothing { fault } => {
            let readings = idle().map(|path| silent(path, &fault, at)).collect();
            return Some(Findings { identity: Err(fault), outlets: None, readings });
        }
        Found::Answers { identity, answers } => (identity, answers),
    };
    let mut status = Ok(identity);
    let mut readings = Vec::new();
    // What agents of other connections met counts on until they say otherwise.
    let others = idle().filter(|path| answers.iter().all(|answered| answered.target != path.target));
    if let Some(fault) = others.filter_map(|path| path.fault.clone()).next() {
        status = Err(fault);
    }
    for Answered { target, result } in answers {
        let (mut is_used, mut is_idle) = (false, false);
        for path in paths.iter().filter(|path| path.target == target) {
            is_used = true;
            if !path.is_busy {
                is_idle = true;
                let answer = result.clone().and_then(power);
                readings.push((path.id, path.server, controller_reading(&answer, at)));
            }
        }
        if let Err(fault) = result
            && (is_idle || !is_used)
        {
            status = Err(fault);
        }
    }
    Some(Findings { identity: status, outlets: None, readings })
}

fn silent(path: &Path, fault: &Fault, at: DateTime<Utc>) -> (ConnectionId, ServerId, Reading) {
    let reading = Reading { fault: Some(fault.clone()), at, ..Default::default() };
    (path.id, path.server, reading)
}
