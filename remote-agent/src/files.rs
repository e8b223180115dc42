//! Sockets are files, and there are as many of them as devices or agents.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Raises the limit of open files as far as this user may; gives what it is then.
pub fn allow_many() -> Option<u64> {
    let mut limit = getrlimit(Resource::Nofile);
    let before = limit.current;
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, limit = before, "the limit of open files cannot be raised");
        return before;
    }
    limit.current
}
