//! Third-party programs, and what running something costs.

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use std::{
    path::PathBuf,
    process::{Command, Output, exit},
    time::Instant,
};

/// Stops with the line that installs what is missing.
pub fn need(tools: &[(&str, &str)]) {
    let missing: Vec<&str> =
        tools.iter().filter(|(command, _)| which(command).is_none()).map(|(_, package)| *package).collect();
    if !missing.is_empty() {
        eprintln!("this section needs: apt-get install --yes --no-install-recommends {}", missing.join(" "));
        exit(1);
    }
}

/// Finds a program; servers are in sbin, which a person's PATH may lack.
pub fn which(command: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .map(|folder| folder.join(command))
        .find(|file| file.exists())
}

/// A program, to be given its words.
pub fn program(name: &str) -> Command {
    Command::new(which(name).unwrap_or_else(|| name.into()))
}

/// Seconds that something took.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    /// By the clock.
    pub wall: f64,
    /// Of the processors, for user and system together.
    pub cpu: f64,
}

/// Runs a peer to its end and counts it with all its children.
pub fn peer(command: &mut Command) -> (Output, Cost) {
    let (cpu, since) = (cpu(UsageWho::RUSAGE_CHILDREN), Instant::now());
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    (output, cost(UsageWho::RUSAGE_CHILDREN, cpu, since))
}

/// Runs our own work to its end and counts this process.
pub async fn own<T>(work: impl Future<Output = T>) -> (T, Cost) {
    let (cpu, since) = (cpu(UsageWho::RUSAGE_SELF), Instant::now());
    let result = work.await;
    (result, cost(UsageWho::RUSAGE_SELF, cpu, since))
}

fn cost(who: UsageWho, before: f64, since: Instant) -> Cost {
    Cost { wall: since.elapsed().as_secs_f64(), cpu: cpu(who) - before }
}

fn cpu(who: UsageWho) -> f64 {
    let usage = getrusage(who).unwrap();
    (usage.user_time().num_microseconds() + usage.system_time().num_microseconds()) as f64 / 1e6
}

/// Raises the limit of open files as far as the system lets this user.
pub fn allow_many_sockets() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).ok();
}
