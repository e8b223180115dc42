//! Sockets that the system does not give.

use rackhand_wire::{Fault, FaultCode, Reason};
use rustix::{
    io::Errno,
    process::{Resource, getrlimit},
};
use std::{error::Error, io};

/// What is told of a socket that could not be had. Where too many files are open it says how many there may be: every
/// program of ours raises that limit as far as its user may, so whoever runs it must raise it further.
#[must_use]
pub fn no_socket(error: &(dyn Error + 'static)) -> Fault {
    let mut detail = error.to_string();
    if causes(error).filter_map(|cause| cause.downcast_ref()).any(is_full) {
        // Nothing can be read from /proc then; this asks the kernel.
        let limit = getrlimit(Resource::Nofile).current.map_or_else(String::new, |limit| format!(" {limit}"));
        detail = format!("all{limit} files that this program may open are open (RLIMIT_NOFILE): {detail}");
    }
    Fault::new(FaultCode::Exec, Reason::Internal, detail)
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

fn is_full(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::MFILE.raw_os_error())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the errors of libraries hold the system's.
    #[derive(Debug)]
    struct Of(io::Error);

    impl std::fmt::Display for Of {
        fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            write!(to, "no socket")
        }
    }

    impl Error for Of {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.0)
        }
    }

    #[test]
    fn whoever_may_open_no_more_files_is_told_how_many_there_may_be() {
        let limit = getrlimit(Resource::Nofile).current.unwrap().to_string();
        let full = io::Error::from_raw_os_error(Errno::MFILE.raw_os_error());
        assert!(no_socket(&full).detail.starts_with(&format!("all {limit} files")), "{}", no_socket(&full));
        let told = no_socket(&Of(full)).detail;
        assert!(told.contains(&limit), "also where it is only the cause: {told}");
        let other = io::Error::from_raw_os_error(Errno::ACCESS.raw_os_error());
        assert!(!no_socket(&other).detail.contains("RLIMIT_NOFILE"));
    }
}
