//! What a look means for the device and for every path through it.

use chrono::{DateTime, Utc};
use rackhand_store::{readings::Reading, watches::Path};
use rackhand_wire::{
    Answer, Fault, Reason, Role,
    agent::{Answered, Found},
    id::{ConnectionId, ServerId},
    operation::Identity,
    power::OutletReading,
};

use super::reading::{controller_reading, feed_state, power};

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
        if let Some(outlet) = outlets.iter().find(|outlet| Some(outlet.outlet.as_str()) == named) {
            reading.state = Some(feed_state(outlet.state));
            reading.watts = outlet.watts;
        } else {
            let detail = format!("{} is not there", path.label(device));
            reading.fault = Some(Fault::config(Reason::NoSuchTarget, detail));
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
    let mut others = idle().filter(|path| answers.iter().all(|answered| answered.target != path.target));
    if let Some(fault) = others.find_map(|path| path.fault.clone()) {
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

#[cfg(test)]
mod tests {
    use rackhand_store::{fresh_id, now};
    use rackhand_wire::{
        FaultCode, OutletState,
        id::EndpointId,
        power::{PathState, PowerReading, Switch},
    };
    use serde_json::{Value, json};

    use super::*;

    fn path(role: Role, target: Value) -> Path {
        Path {
            id: ConnectionId(fresh_id()),
            server: ServerId(fresh_id()),
            endpoint: EndpointId(fresh_id()),
            role,
            target,
            target_label: "outlet 9".into(),
            state: None,
            fault: None,
            is_busy: false,
        }
    }

    fn power_is(power: Switch) -> Answer {
        Answer::Power(PowerReading { power, restore_policy: None, restart_cause: None })
    }

    fn answers(said: Vec<(Value, Result<Answer, Fault>)>) -> Found {
        let answers = said.into_iter().map(|(target, result)| Answered { target, result }).collect();
        Found::Answers { identity: None, answers }
    }

    fn states(found: &Findings) -> Vec<(ConnectionId, Option<PathState>, Option<Reason>)> {
        let state = |(id, _, reading): &(ConnectionId, ServerId, Reading)| {
            (*id, reading.state, reading.fault.as_ref().map(|fault| fault.reason))
        };
        found.readings.iter().map(state).collect()
    }

    #[test]
    fn a_controller_is_not_told_of_while_a_job_has_its_server() {
        let (a, b) = (json!({"node": 1}), json!({"node": 2}));
        let mut paths = vec![path(Role::Controller, a.clone()), path(Role::Controller, b.clone())];
        paths[0].is_busy = true;
        let silent = || Err(Fault::unreachable(""));
        let found = answers(vec![(a.clone(), silent()), (b.clone(), Ok(power_is(Switch::On)))]);
        let told = findings(Role::Controller, found.clone(), &paths, "bmc", now()).unwrap();
        assert_eq!(told.identity, Ok(None), "the silence is the job's to tell");
        assert_eq!(states(&told), [(paths[1].id, Some(PathState::On), None)]);
        paths[1].is_busy = true;
        assert_eq!(findings(Role::Controller, found, &paths, "bmc", now()), None);
        let nothing = Found::Nothing { fault: Fault::unreachable("") };
        assert_eq!(findings(Role::Controller, nothing, &paths, "bmc", now()), None);
    }

    #[test]
    fn a_device_that_another_agent_cannot_reach_stays_failing() {
        let (a, b) = (json!({"node": 1}), json!({"node": 2}));
        let mut paths = vec![path(Role::Controller, a.clone()), path(Role::Controller, b)];
        let fault = Fault::unreachable("");
        paths[1].fault = Some(fault.clone());
        let found = answers(vec![(a, Ok(power_is(Switch::Off)))]);
        let told = findings(Role::Controller, found, &paths, "bmc", now()).unwrap();
        assert_eq!(told.identity, Err(fault));
        assert_eq!(states(&told), [(paths[0].id, Some(PathState::Off), None)]);
    }

    #[test]
    fn every_outlet_says_its_own_and_a_missing_one_is_named() {
        let paths = [path(Role::Feed, json!({"outlet": "7"})), path(Role::Feed, json!({"outlet": "9"}))];
        let outlet = OutletReading {
            outlet: "7".into(),
            name: String::new(),
            state: OutletState::Off,
            watts: None,
            amps: None,
            locked: None,
        };
        let found = answers(vec![(json!({}), Ok(Answer::Outlets { outlets: vec![outlet] }))]);
        let told = findings(Role::Feed, found, &paths, "pdu-a", now()).unwrap();
        let missing = Some(Reason::NoSuchTarget);
        assert_eq!(
            states(&told),
            [(paths[0].id, Some(PathState::FeedOff), None), (paths[1].id, None, missing)]
        );
        let fault = told.readings[1].2.fault.clone().unwrap();
        assert_eq!(
            (fault.code, fault.detail.as_str()),
            (FaultCode::Config, "outlet 9 on pdu-a is not there")
        );
    }

    #[test]
    fn a_device_without_connections_only_says_what_it_is() {
        let identity = Some(Identity { vendor: Some("APC".into()), ..Identity::default() });
        let found = Found::Answers { identity: identity.clone(), answers: Vec::new() };
        for role in [Role::Controller, Role::Feed] {
            let told = findings(role, found.clone(), &[], "x", now()).unwrap();
            assert_eq!((told.identity, told.readings.len()), (Ok(identity.clone()), 0));
        }
    }
}
