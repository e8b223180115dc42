//! `cargo xtask verify`: every check, with its seconds.

mod browser;
mod demo;
mod licences;
mod mutants;
mod package;
mod postgres;
pub mod schema;

use clap::Args;
use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{
    Problem,
    children::{build_programs, cargo},
    fuzz, ui,
};

/// Options of the check.
#[derive(Args)]
pub struct Options {
    /// Stages to run, separated by commas; all when absent
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
}

/// Longer than this, and the whole check counts as failed: nobody waits for it any more.
const LIMIT: Duration = Duration::from_hours(1);

/// Room on the disk that a first run fills, in GiB; without it some stage dies in the middle of a build.
const ROOM: u64 = 12;

/// Debian packages of the third parties that judge us: command, package.
const PEERS: [(&str, &str); 19] = [
    ("ipmitool", "ipmitool"),
    ("ipmi_sim", "openipmi"),
    ("ipmipower", "freeipmi-tools"),
    ("snmpset", "snmp"),
    ("snmpd", "snmpd"),
    ("chromium", "chromium"),
    ("chromedriver", "chromium-driver"),
    ("unshare", "util-linux"),
    ("ip", "iproute2"),
    ("nft", "nftables"),
    ("openssl", "openssl"),
    ("dpkg-deb", "dpkg"),
    ("adduser", "adduser"),
    ("systemd-analyze", "systemd"),
    ("curl", "curl"),
    ("pebble", "pebble"),
    ("nsenter", "util-linux"),
    ("faketime", "faketime"),
    ("c++", "g++"),
];

type Stage = (&'static str, fn(&Path) -> Result<String, Problem>);

const STAGES: [Stage; 14] = [
    ("tools", tools),
    ("format", format),
    ("ui", build_ui),
    ("lint", lint),
    ("licences", licences::stage),
    ("unit", unit),
    ("demo", demo::stage),
    ("mutants", mutants::stage),
    ("fuzz", fuzz::stage),
    ("integration", integration),
    ("postgres", postgres::run),
    ("browser", browser::stage),
    ("schema", schema::stage),
    ("package", package::stage),
];

/// Runs the stages; stops at the first that fails.
pub fn run(root: &Path, options: &Options) -> Result<(), Problem> {
    if let Some(odd) = options.only.iter().find(|only| STAGES.iter().all(|(name, _)| name != only)) {
        let names = STAGES.map(|(name, _)| name).join(", ");
        return Err(format!("there is no stage “{odd}”: choose from {names}").into());
    }
    let begun = Instant::now();
    let mut rows = Vec::new();
    let mut failed = None;
    for (name, stage) in STAGES {
        if !options.only.is_empty() && !options.only.iter().any(|only| only == name) {
            continue;
        }
        eprintln!("== {name}");
        let since = Instant::now();
        // Half of the interface's build keeps one core alone busy: the other one compiles what is fuzzed later.
        let ahead = name == "ui" && options.only.is_empty();
        let ahead =
            ahead.then(|| root.to_owned()).map(|root| thread::spawn(move || drop(fuzz::build(&root))));
        let result = stage(root);
        if let Some(ahead) = ahead {
            // What went wrong there is told by its own stage, which builds what is missing.
            ahead.join().ok();
        }
        let seconds = since.elapsed().as_secs_f32();
        match result {
            Ok(note) => rows.push(format!("{name:<14} ok     {seconds:>7.1} s  {note}")),
            Err(problem) => {
                rows.push(format!("{name:<14} FAILED {seconds:>7.1} s"));
                failed = Some(format!("stage {name}: {problem}"));
                break;
            }
        }
    }
    println!("\n{}", rows.join("\n"));
    let (passed, bad) = (rows.len() - usize::from(failed.is_some()), usize::from(failed.is_some()));
    println!("total                 {:>7.1} s", begun.elapsed().as_secs_f32());
    println!("stages: {passed} passed, {bad} failed");
    match failed {
        Some(problem) => Err(problem.into()),
        None if begun.elapsed() > LIMIT => Err("it took more than an hour".into()),
        None => Ok(()),
    }
}

fn tools(root: &Path) -> Result<String, Problem> {
    let space = rustix::fs::statvfs(root)?;
    let free = (space.f_bavail * space.f_frsize) >> 30;
    let is_first = !root.join("target/debug/rackhand").exists();
    if is_first && free < ROOM {
        return Err(format!(
            "a first run fills {ROOM} GiB of disk; {free} GiB are free at {}",
            root.display()
        )
        .into());
    }
    let mut missing: Vec<&str> =
        PEERS.iter().filter(|(command, _)| which(command).is_none()).map(|(_, package)| *package).collect();
    let venv = Command::new("python3").args(["-c", "import ensurepip"]).stderr(Stdio::null()).status();
    if !venv.is_ok_and(|status| status.success()) {
        missing.extend(["python3", "python3-venv"]);
    }
    if postgres::binaries().is_none() {
        missing.push("postgresql");
    }
    if missing.is_empty() {
        return Ok("all there".into());
    }
    debian(root, &missing)?;
    Ok(format!("installed {}", missing.join(" ")))
}

/// Installs packages as root, else says how to.
fn debian(root: &Path, packages: &[&str]) -> Result<(), Problem> {
    if !rustix::process::geteuid().is_root() {
        let line = format!("apt-get install --yes --no-install-recommends {}", packages.join(" "));
        return Err(format!("as root, run: apt-get update && {line}").into());
    }
    shell(Command::new("apt-get").args(["update", "--quiet"]), root)?;
    let mut install = Command::new("apt-get");
    install.args(["install", "--yes", "--quiet", "--no-install-recommends"]).args(packages);
    shell(install.env("DEBIAN_FRONTEND", "noninteractive"), root)
}

fn which(command: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    // Servers are in sbin, which a person's PATH may lack.
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .map(|folder| folder.join(command))
        .find(|file| file.exists())
}

fn format(root: &Path) -> Result<String, Problem> {
    shell(cargo(root).args(["fmt", "--all", "--check"]), root).map(|()| String::new())
}

fn build_ui(root: &Path) -> Result<String, Problem> {
    let note = match ui::build(root)? {
        ui::Outcome::Fresh => "up to date".to_owned(),
        ui::Outcome::Built { brotli } => format!("{brotli} bytes brotli"),
    };
    Ok(note)
}

fn lint(root: &Path) -> Result<String, Problem> {
    let deny = ["--", "--deny", "warnings"];
    shell(cargo(root).args(["clippy", "--quiet", "--all-targets"]).args(deny), root)?;
    shell(
        cargo(root).args(["clippy", "--quiet", "--package", "rackhand-fuzz", "--all-targets"]).args(deny),
        root,
    )?;
    let wasm = ["clippy", "--quiet", "--package", "rackhand-frontend", "--target", "wasm32-unknown-unknown"];
    shell(cargo(root).args(wasm).args(deny), root)?;
    Ok(String::new())
}

fn unit(root: &Path) -> Result<String, Problem> {
    let mut test = cargo(root);
    test.args([
        "test",
        "--quiet",
        // Whoever waited for one failure wants to know of the others too.
        "--no-fail-fast",
        "--workspace",
        "--exclude",
        "rackhand-tests",
        "--exclude",
        "rackhand-frontend",
    ]);
    counted(&mut test, root)
}

fn integration(root: &Path) -> Result<String, Problem> {
    build_programs(root)?;
    let mut test = cargo(root);
    test.args(["test", "--quiet", "--no-fail-fast", "--package", "rackhand-tests", "--lib"]);
    test.args(["--test", "tidy", "--test", "suite"]);
    let walks = std::env::var_os("RACKHAND_FIXTURES").is_some();
    if !walks {
        test.args(["--", "--skip", "records::"]);
    }
    let note = if walks { "" } else { "; recorded walks not read: RACKHAND_FIXTURES is not set" };
    Ok(counted(&mut test, root)? + note)
}

/// Runs tests, showing what they print, and counts those that passed. Nothing run is a failure too.
fn counted(command: &mut Command, root: &Path) -> Result<String, Problem> {
    let mut child = command.current_dir(root).stdout(Stdio::piped()).spawn()?;
    let output = child.stdout.take().ok_or("the tests have no output")?;
    let mut passed = 0;
    for line in BufReader::new(output).lines() {
        let line = line?;
        println!("{line}");
        passed += passed_in(&line);
    }
    let status = child.wait()?;
    if !status.success() {
        return Err(format!("{command:?} failed: {status}").into());
    }
    if passed == 0 { Err("no test was run".into()) } else { Ok(format!("{passed} tests passed")) }
}

/// Reads `test result: ok. 42 passed; 0 failed; …`.
fn passed_in(line: &str) -> usize {
    let Some((_, rest)) = line.split_once("test result: ok. ") else { return 0 };
    rest.split_once(' ').and_then(|(number, _)| number.parse().ok()).unwrap_or(0)
}

fn shell(command: &mut Command, root: &Path) -> Result<(), Problem> {
    let status = command.current_dir(root).status()?;
    if status.success() { Ok(()) } else { Err(format!("{command:?} failed: {status}").into()) }
}

#[cfg(test)]
mod tests {
    use super::passed_in;

    #[test]
    fn the_passed_tests_are_counted() {
        assert_eq!(passed_in("test result: ok. 42 passed; 0 failed; 0 ignored"), 42);
        assert_eq!(passed_in("running 3 tests"), 0);
        assert_eq!(passed_in("test result: FAILED. 2 passed; 1 failed"), 0);
    }
}
