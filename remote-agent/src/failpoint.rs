//! Places where a test may end the process, between an intent, its effect and its outcome. Builds for release
//! have none.

/// Ends the process as `kill -9` does, when `RACKHAND_FAILPOINT` says `NAME:N` and this is the N-th time here.
#[cfg(debug_assertions)]
pub fn reach(name: &str) {
    use std::sync::{
        LazyLock,
        atomic::{AtomicU32, Ordering},
    };
    static WANTED: LazyLock<Option<(String, u32)>> = LazyLock::new(|| {
        let wanted = std::env::var("RACKHAND_FAILPOINT").ok()?;
        let (name, times) = wanted.rsplit_once(':')?;
        Some((name.to_owned(), times.parse().ok()?))
    });
    static REACHED: AtomicU32 = AtomicU32::new(0);
    let Some((wanted, times)) = WANTED.as_ref().filter(|(wanted, _)| wanted == name) else { return };
    if REACHED.fetch_add(1, Ordering::SeqCst) + 1 == *times {
        eprintln!("failpoint {wanted} reached: the process ends");
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL).ok();
        // It is on its way; nothing more may happen.
        loop {
            std::thread::park();
        }
    }
}

/// Does nothing.
#[cfg(not(debug_assertions))]
pub fn reach(_: &str) {}
