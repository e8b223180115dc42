//! Processes that a task starts, and stops again.

use rustix::process::{Pid, Signal, kill_process};

use crate::Problem;
use std::{
    path::Path,
    process::{Child, Command},
    time::{Duration, Instant},
};

/// The cargo that runs this task, in the project's folder.
pub fn cargo(root: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    command
}

/// Builds the programs that people run: server, agent and simulators.
///
/// # Errors
/// When the build fails.
pub fn build_programs(root: &Path) -> Result<(), Problem> {
    let packages = ["rackhand-server", "rackhand-agent", "rackhand-simulators"];
    let names = packages.iter().flat_map(|package| ["--package", package]);
    let status = cargo(root).arg("build").args(names).status()?;
    if status.success() { Ok(()) } else { Err("the build failed".into()) }
}

/// A process that is asked to stop when this value goes away, and made to after five seconds.
pub struct Kept(pub Child);

impl Drop for Kept {
    fn drop(&mut self) {
        let pid = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid {
            kill_process(pid, Signal::TERM).ok();
        }
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(5) {
            if matches!(self.0.try_wait(), Ok(Some(_)) | Err(_)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.0.kill().ok();
        self.0.wait().ok();
    }
}
