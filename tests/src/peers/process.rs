//! Third-party programs: found or asked for, started and ended.

use std::net::{SocketAddr, UdpSocket};
use std::process::{Child, Command, Output};
use std::time::{Duration, Instant};

/// A running program that ends with the test.
pub struct Running(Child);

impl Running {
    /// Starts `command` and waits until `is_ready`.
    ///
    /// # Panics
    /// When it cannot be started or is not ready in a minute.
    pub fn start(command: &mut Command, remedy: &str, is_ready: impl Fn() -> bool) -> Running {
        let program = command.get_program().to_string_lossy().into_owned();
        let child = command.spawn().unwrap_or_else(|error| panic!("{program}: {error}; {remedy}"));
        let mut running = Running(child);
        let end = Instant::now() + Duration::from_mins(1);
        while !is_ready() {
            if let Some(status) = running.0.try_wait().unwrap() {
                panic!("{program} ended at once with {status}; {remedy}");
            }
            assert!(Instant::now() < end, "{program} does not answer; {remedy}");
            std::thread::sleep(Duration::from_millis(50));
        }
        running
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let ended = self.0.kill().and_then(|()| self.0.wait());
        if let Err(error) = ended {
            eprintln!("a peer could not be ended: {error}");
        }
    }
}

/// Runs a program to its end.
///
/// # Panics
/// When it is not installed.
#[must_use]
pub fn run(program: &str, arguments: &[&str], remedy: &str) -> Output {
    Command::new(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}; {remedy}"))
}

/// Finds a UDP port of 127.0.0.1 that nobody uses now.
#[must_use]
pub fn free_address() -> SocketAddr {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}
