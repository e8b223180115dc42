//! What answers mean for the machine, and for the state that is shown.

use chrono::{DateTime, Utc};
use rackhand_domain::power::effect::OutletSeen;
use rackhand_store::readings::Reading;
use rackhand_wire::{
    Answer, Fault, FaultCode, OutletState, Reason,
    power::{PathState, PowerReading, Switch},
};

/// Takes a power reading out of an answer.
pub fn power(answer: Answer) -> std::result::Result<PowerReading, Fault> {
    if let Answer::Power(reading) = answer { Ok(reading) } else { Err(strange(&answer)) }
}

/// Takes what matters of an outlet out of an answer.
pub fn outlet_seen(answer: Answer) -> std::result::Result<OutletSeen, Fault> {
    if let Answer::Outlet(reading) = answer {
        return Ok(OutletSeen { state: reading.state, locked: reading.locked });
    }
    Err(strange(&answer))
}

fn strange(answer: &Answer) -> Fault {
    Fault::new(FaultCode::Proto, Reason::Malformed, format!("another question was answered: {answer:?}"))
}

/// What a controller's answer means for the state that is shown.
pub fn controller_reading(
    answer: &std::result::Result<PowerReading, Fault>,
    asked: DateTime<Utc>,
) -> Reading {
    let mut reading = Reading { at: asked, ..Default::default() };
    match answer {
        Ok(power) => {
            reading.state = Some(match power.power {
                Switch::On => PathState::On,
                Switch::Off => PathState::Off,
            });
            reading.restore_policy = power.restore_policy;
        }
        Err(fault) => reading.fault = Some(fault.clone()),
    }
    reading
}

/// What an outlet's answer means for the state that is shown.
pub fn outlet_reading(answer: &std::result::Result<Answer, Fault>, asked: DateTime<Utc>) -> Reading {
    let mut reading = Reading { at: asked, ..Default::default() };
    match answer {
        Ok(Answer::Outlet(outlet)) => {
            reading.state = Some(feed_state(outlet.state));
            reading.watts = outlet.watts;
        }
        Ok(other) => reading.fault = Some(strange(other)),
        Err(fault) => reading.fault = Some(fault.clone()),
    }
    reading
}

/// Sorts an outlet's state by what it proves.
pub fn feed_state(state: OutletState) -> PathState {
    match state {
        OutletState::On => PathState::FeedOn,
        OutletState::Off => PathState::FeedOff,
        OutletState::PendingOn | OutletState::PendingOff | OutletState::Unknown => PathState::Unclear,
    }
}
