//! Turns what the SNMP library reports into what a caller may do next.

use async_snmp::v3::ReportStatus;
use async_snmp::{Error, ErrorKind, ErrorStatus};
use rackhand_wire::{Fault, FaultCode, Reason};

/// Tells whether nothing came back at all.
pub(super) fn is_silence(error: &Error) -> bool {
    let silent = [ErrorKind::Timeout, ErrorKind::Network, ErrorKind::Closed, ErrorKind::ConstructionTimeout];
    silent.contains(&error.kind())
}

/// Returns the device's error status and the position of the object it blames, when it sent one.
pub(super) fn status(error: &Error) -> Option<(ErrorStatus, usize)> {
    let Error::Snmp { status, index, .. } = error.exchange_source() else { return None };
    Some((*status, usize::try_from(*index).unwrap_or(0)))
}

/// Returns the fault of a failed read.
pub(super) fn of_read(error: &Error, doing: &str) -> Fault {
    if is_silence(error) {
        return Fault::unreachable(doing);
    }
    if let Some((status, _)) = status(error) {
        return of_read_status(status, doing);
    }
    of_exchange(error, doing)
}

/// Returns the fault of a failed write that left the socket.
pub(super) fn of_write(error: &Error, doing: &str) -> Fault {
    if is_silence(error) {
        return Fault::lost(doing);
    }
    if let Some((status, _)) = status(error) {
        return of_write_status(status, doing);
    }
    of_exchange(error, doing)
}

fn of_read_status(status: ErrorStatus, doing: &str) -> Fault {
    let said = format!("{doing}: the PDU says {status}");
    match status {
        ErrorStatus::AuthorizationError | ErrorStatus::NoAccess => {
            Fault::auth(Reason::InsufficientPrivilege, format!("{said}; check the account's view"))
        }
        ErrorStatus::ResourceUnavailable => Fault::new(FaultCode::Busy, Reason::Busy, said),
        ErrorStatus::NoError
        | ErrorStatus::TooBig
        | ErrorStatus::NoSuchName
        | ErrorStatus::BadValue
        | ErrorStatus::ReadOnly
        | ErrorStatus::GenErr
        | ErrorStatus::WrongType
        | ErrorStatus::WrongLength
        | ErrorStatus::WrongEncoding
        | ErrorStatus::WrongValue
        | ErrorStatus::NoCreation
        | ErrorStatus::InconsistentValue
        | ErrorStatus::CommitFailed
        | ErrorStatus::UndoFailed
        | ErrorStatus::NotWritable
        | ErrorStatus::InconsistentName
        | ErrorStatus::Unknown(_)
        | _ => Fault::new(FaultCode::Proto, Reason::Malformed, said),
    }
}

fn of_write_status(status: ErrorStatus, doing: &str) -> Fault {
    let said = format!("{doing}: the PDU says {status}");
    match status {
        // Version 1 has no word for "not with these credentials" and says noSuchName or readOnly instead.
        ErrorStatus::AuthorizationError
        | ErrorStatus::NoAccess
        | ErrorStatus::NotWritable
        | ErrorStatus::ReadOnly
        | ErrorStatus::NoSuchName => Fault::auth(
            Reason::WriteRefused,
            format!("{said}; check the write community or the account's view"),
        ),
        ErrorStatus::ResourceUnavailable => Fault::new(FaultCode::Busy, Reason::Busy, said),
        ErrorStatus::InconsistentValue | ErrorStatus::CommitFailed | ErrorStatus::GenErr => {
            Fault::new(FaultCode::State, Reason::WrongState, said)
        }
        ErrorStatus::BadValue
        | ErrorStatus::WrongType
        | ErrorStatus::WrongLength
        | ErrorStatus::WrongEncoding
        | ErrorStatus::WrongValue
        | ErrorStatus::NoCreation
        | ErrorStatus::InconsistentName => Fault::unsupported(format!("{said}; is the model right?")),
        ErrorStatus::NoError
        | ErrorStatus::TooBig
        | ErrorStatus::UndoFailed
        | ErrorStatus::Unknown(_)
        | _ => Fault::new(FaultCode::Proto, Reason::Malformed, said),
    }
}

/// Returns the fault of an exchange that ended without a status of the device.
fn of_exchange(error: &Error, doing: &str) -> Fault {
    if let Error::Report { status, .. } = error.exchange_source() {
        return of_report(status, doing);
    }
    let said = format!("{doing}: {error}");
    let kind = error.kind();
    if kind == ErrorKind::Auth {
        return Fault::auth(Reason::WrongPassword, said);
    }
    if [ErrorKind::Config, ErrorKind::Privacy, ErrorKind::InvalidOid].contains(&kind) {
        return Fault::config(Reason::BadParameter, said);
    }
    if [ErrorKind::RandomSource, ErrorKind::RequestIdInUse].contains(&kind) {
        return Fault::new(FaultCode::Exec, Reason::Internal, said);
    }
    Fault::new(FaultCode::Proto, Reason::Malformed, said)
}

fn of_report(status: &ReportStatus, doing: &str) -> Fault {
    let said = format!("{doing}: {status}");
    match status {
        ReportStatus::UnknownUserName { .. } => Fault::auth(Reason::WrongUser, said),
        ReportStatus::WrongDigest { .. } | ReportStatus::DecryptionError { .. } => {
            Fault::auth(Reason::WrongPassword, said)
        }
        ReportStatus::UnsupportedSecurityLevel { .. } => Fault::config(Reason::NoMatchingCipher, said),
        ReportStatus::NotInTimeWindow { .. }
        | ReportStatus::UnknownEngineId { .. }
        | ReportStatus::Other { .. }
        | _ => Fault::new(FaultCode::Proto, Reason::Malformed, said),
    }
}
