//! What a test tells of the way to a device: route, port, protocol and credentials, each for itself.
//!
//! Devices are reached over UDP, where silence may mean any of several things: then it is not known which.

use rackhand_wire::{
    Fault, Reason,
    api::endpoint::{Stage, StageName, StageState},
};

/// How far a test came before its fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// Nothing valid had come back.
    Nothing,
    /// The device had answered an earlier question of the same test.
    Before,
}

const SILENCE: &str = "Silence does not tell whether the way, a firewall or the device is at fault";

/// Tells every stage from the outcome of a test.
#[must_use]
pub fn stages(outcome: Result<(), &Fault>, heard: Heard) -> Vec<Stage> {
    use StageState::{Failed, NotKnown, NotReached, Ok};
    let Err(fault) = outcome else { return told([Ok; 4], "") };
    let said = fault.to_string();
    match fault.reason {
        Reason::AgentOffline
        | Reason::NotWanted
        | Reason::Expired
        | Reason::Undone
        | Reason::GaveWay
        | Reason::LeaseLost
        | Reason::Interrupted
        | Reason::UnknownKind
        | Reason::BadParameter
        | Reason::NoJournal
        | Reason::Internal => told([NotReached; 4], &said),
        Reason::HostNotFound | Reason::NotAllowed => {
            told([Failed, NotReached, NotReached, NotReached], &said)
        }
        Reason::PortClosed => told([Ok, Failed, NotReached, NotReached], &said),
        Reason::NoAnswer if heard == Heard::Before => told([NotKnown, NotKnown, Ok, Ok], &said),
        Reason::NoAnswer | Reason::WithoutPower => {
            told([NotKnown, NotKnown, NotReached, NotReached], SILENCE)
        }
        Reason::TimeoutOrCredentials => told([NotKnown; 4], &said),
        Reason::AnswerLost => told([Ok, Ok, NotKnown, NotKnown], &said),
        Reason::NoMatchingCipher | Reason::Malformed | Reason::IdentityMismatch => {
            told([Ok, Ok, Failed, NotReached], &said)
        }
        Reason::WrongUser
        | Reason::WrongPassword
        | Reason::WrongKg
        | Reason::InsufficientPrivilege
        | Reason::WriteRefused => told([Ok, Ok, Ok, Failed], &said),
        // A device may refuse before it looks at credentials.
        Reason::Busy | Reason::FirmwareUpdate | Reason::SignInRefused => told([Ok, Ok, Ok, NotKnown], &said),
        Reason::NoSuchTarget
        | Reason::ModelAmbiguous
        | Reason::WrongState
        | Reason::Locked
        | Reason::NotSupported
        | Reason::Duplicate
        | Reason::NoEffect => told([Ok; 4], ""),
    }
}

/// The sentence belongs to the stage that failed, or to the first of those of which nothing is known.
fn told(states: [StageState; 4], said: &str) -> Vec<Stage> {
    let names = [StageName::Route, StageName::Port, StageName::Protocol, StageName::Credentials];
    let mut left = Some(said);
    let stage = |(of, state)| {
        let detail = match state {
            StageState::Ok | StageState::NotReached => None,
            StageState::Failed | StageState::NotKnown => left.take(),
        };
        Stage { of, state, detail: detail.unwrap_or_default().to_owned() }
    };
    names.into_iter().zip(states).map(stage).collect()
}

#[cfg(test)]
mod tests {
    use rackhand_wire::FaultCode;

    use super::*;

    fn words(reason: Reason, heard: Heard) -> Vec<StageState> {
        let fault = Fault::new(FaultCode::Unreach, reason, "10.0.0.7");
        stages(Err(&fault), heard).into_iter().map(|stage| stage.state).collect()
    }

    #[test]
    fn a_fault_stops_at_the_stage_that_it_is_about() {
        use StageState::{Failed, NotKnown, NotReached, Ok};
        for (reason, expected) in [
            (Reason::HostNotFound, [Failed, NotReached, NotReached, NotReached]),
            (Reason::PortClosed, [Ok, Failed, NotReached, NotReached]),
            (Reason::NoAnswer, [NotKnown, NotKnown, NotReached, NotReached]),
            (Reason::NoMatchingCipher, [Ok, Ok, Failed, NotReached]),
            (Reason::WrongPassword, [Ok, Ok, Ok, Failed]),
            (Reason::SignInRefused, [Ok, Ok, Ok, NotKnown]),
            (Reason::TimeoutOrCredentials, [NotKnown; 4]),
            (Reason::AgentOffline, [NotReached; 4]),
            (Reason::NotSupported, [Ok; 4]),
        ] {
            assert_eq!(words(reason, Heard::Nothing), expected, "{reason:?}");
        }
    }

    #[test]
    fn silence_after_an_answer_says_that_the_credentials_were_right() {
        use StageState::{NotKnown, Ok};
        assert_eq!(words(Reason::NoAnswer, Heard::Before), [NotKnown, NotKnown, Ok, Ok]);
    }

    #[test]
    fn the_sentence_stands_where_it_belongs() {
        let fault = Fault::auth(Reason::WrongPassword, "");
        let stages = stages(Err(&fault), Heard::Nothing);
        let said: Vec<_> = stages.iter().map(|stage| stage.detail.as_str()).collect();
        assert_eq!(said, ["", "", "", "The password is wrong"]);
        let fault = Fault::new(FaultCode::Unreach, Reason::TimeoutOrCredentials, "");
        let said: Vec<_> =
            super::stages(Err(&fault), Heard::Nothing).into_iter().map(|stage| stage.detail).collect();
        assert!(!said[0].is_empty() && said[1..].iter().all(String::is_empty), "told once: {said:?}");
    }
}
