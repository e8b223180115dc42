//! Turns what the session reports into what a caller may do next.

use rackhand_protocols::ipmi::{Refusal, client::Failure};
use rackhand_wire::{Fault, FaultCode, Reason};

use super::guid;

/// Completion code: the time to process the command ran out.
const TIMED_OUT: u8 = 0xc3;

/// The fault of a request that has no answer; `doing` says what was asked.
pub(super) fn of_failure(failure: &Failure, doing: &str) -> Fault {
    let said = || format!("{doing}: {failure}");
    match failure {
        Failure::WrongUser => Fault::auth(Reason::WrongUser, ""),
        // The reason says it already; only how it is known adds to that.
        Failure::WrongPassword { proof } => Fault::auth(Reason::WrongPassword, proof.words()),
        Failure::WrongKg => Fault::auth(Reason::WrongKg, "the password is right"),
        // The BMC may count even this one against the account, so that it is not asked again by itself.
        Failure::SignInRefused { .. } => Fault::auth(Reason::SignInRefused, said()),
        Failure::NoMatchingCipher { .. } => Fault::config(Reason::NoMatchingCipher, said()),
        Failure::InsufficientPrivilege { .. } => Fault::config(Reason::InsufficientPrivilege, said()),
        Failure::WrongIdentity { found } => {
            let found = found.map_or_else(|| "it does not tell a GUID".to_owned(), guid::text);
            Fault::config(Reason::IdentityMismatch, found)
        }
        Failure::Unreachable { port_closed: true, .. } => {
            Fault::new(FaultCode::Unreach, Reason::PortClosed, said())
        }
        Failure::Unreachable { .. } => Fault::unreachable(said()),
        Failure::Lost => Fault::lost(doing),
        Failure::Stalled | Failure::NoFreeSession | Failure::Busy { .. } => {
            Fault::new(FaultCode::Busy, Reason::Busy, said())
        }
        Failure::Updating => Fault::new(FaultCode::Updating, Reason::FirmwareUpdate, said()),
        Failure::Malformed(_) => malformed(&said()),
    }
}

/// The fault of a request that the BMC answered with a refusal.
pub(super) fn of_refusal(refusal: Refusal, doing: &str) -> Fault {
    let said = format!("{doing}: {refusal}");
    match refusal {
        Refusal::Busy(_) => Fault::new(FaultCode::Busy, Reason::Busy, said),
        Refusal::Updating => Fault::new(FaultCode::Updating, Reason::FirmwareUpdate, said),
        Refusal::Duplicate => Fault::new(FaultCode::Dup, Reason::Duplicate, said),
        Refusal::State(_) => Fault::new(FaultCode::State, Reason::WrongState, said),
        Refusal::Privilege => Fault::config(Reason::InsufficientPrivilege, said),
        // No answer possible, no destination, unspecified: nothing that another request would do better.
        Refusal::Other(0xce | 0xd0 | 0xd3 | 0xff) => malformed(&said),
        Refusal::Unsupported(_) | Refusal::Other(_) => Fault::unsupported(said),
    }
}

/// The fault of a refused chassis control. A BMC whose time ran out over one may have carried it out or may yet: that
/// is as good as no answer.
pub(super) fn of_refused_control(refusal: Refusal, doing: &str) -> Fault {
    if refusal == Refusal::Busy(TIMED_OUT) {
        return Fault::new(FaultCode::Lost, Reason::Busy, format!("{doing}: {refusal}"));
    }
    of_refusal(refusal, doing)
}

/// The fault of an answer that makes no sense.
pub(super) fn malformed(detail: &str) -> Fault {
    Fault::new(FaultCode::Proto, Reason::Malformed, detail)
}

#[cfg(test)]
mod tests {
    use rackhand_protocols::ipmi::{Level, client::Proof};

    use super::*;

    #[test]
    fn only_a_wrong_user_is_called_a_wrong_user() {
        let level = Level::Operator;
        let rows = [
            (Failure::WrongUser, FaultCode::Auth, Reason::WrongUser),
            (Failure::WrongPassword { proof: Proof::Certain }, FaultCode::Auth, Reason::WrongPassword),
            (Failure::SignInRefused { status: 0x12 }, FaultCode::Auth, Reason::SignInRefused),
            (Failure::InsufficientPrivilege { level }, FaultCode::Config, Reason::InsufficientPrivilege),
            (Failure::NoFreeSession, FaultCode::Busy, Reason::Busy),
            (Failure::Stalled, FaultCode::Busy, Reason::Busy),
            (Failure::Busy { code: 0xc0 }, FaultCode::Busy, Reason::Busy),
            (Failure::Updating, FaultCode::Updating, Reason::FirmwareUpdate),
        ];
        for (failure, code, reason) in rows {
            let fault = of_failure(&failure, "chassis status");
            assert_eq!((fault.code, fault.reason), (code, reason), "{failure:?}");
        }
    }
}
