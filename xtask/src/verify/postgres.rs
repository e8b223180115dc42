//! The power tests once more, on PostgreSQL: the engine of an installation that outgrew one machine.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::{counted, shell};
use crate::{
    Problem,
    children::{build_programs, cargo},
};

/// A cluster of our own that stops when this value goes away.
struct Cluster {
    binaries: PathBuf,
    folder: PathBuf,
    port: u16,
}

/// The files of tests that depend on how rows are read and written.
const TESTS: [&str; 9] = [
    "power::",
    "feeds::",
    "cancel::",
    "kills::",
    "agents::",
    "agent_copies::",
    "enrolment::",
    "groups::",
    "tls::",
];

/// This one stops the database, so it runs alone.
const OUTAGE: &str = "a_database_that_is_away";

/// Runs the tests that only need a database against a fresh cluster.
pub fn run(root: &Path) -> Result<String, Problem> {
    build_programs(root)?;
    let cluster = Cluster::start(root)?;
    let tests = |name: &str, words: &[&str]| {
        let mut test = cargo(root);
        test.args(["test", "--quiet", "--no-fail-fast", "--package", "rackhand-tests", "--test", name, "--"]);
        test.args(words).env("RACKHAND_TEST_POSTGRES", cluster.url());
        test
    };
    let one_server = counted(&mut tests("suite", &TESTS), root)?;
    let several = counted(&mut tests("replicas", &["--skip", OUTAGE]), root)?;
    let mut outage = tests("replicas", &[OUTAGE]);
    outage.env("RACKHAND_TEST_POSTGRES_STOP", words(&cluster.stop())?);
    outage.env("RACKHAND_TEST_POSTGRES_START", words(&cluster.start_again())?);
    let outage = counted(&mut outage, root)?;
    Ok(format!("{one_server} with one server, {several} with two, {outage} without the database"))
}

/// A command as a JSON list, for whoever runs it elsewhere.
fn words(command: &Command) -> Result<String, Problem> {
    let words = [command.get_program()].into_iter().chain(command.get_args());
    let words: Option<Vec<&str>> = words.map(std::ffi::OsStr::to_str).collect();
    Ok(serde_json::to_string(&words.ok_or("a folder's name is no text")?)?)
}

/// Finds the programs of the newest PostgreSQL; Debian keeps them out of the PATH.
pub fn binaries() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
    let mut found: Vec<PathBuf> = versions.flatten().map(|version| version.path().join("bin")).collect();
    found.retain(|folder| folder.join("initdb").exists());
    found.sort();
    found.pop()
}

impl Cluster {
    fn start(root: &Path) -> Result<Self, Problem> {
        let binaries = binaries().ok_or("PostgreSQL is not installed")?;
        // Not below the target folder: PostgreSQL refuses to run as root, and another user may not read there.
        let folder = std::env::temp_dir().join(format!("rackhand-postgres-{}", std::process::id()));
        fs::create_dir(&folder)?;
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let cluster = Self { binaries, folder, port };
        if rustix::process::geteuid().is_root() {
            shell(Command::new("chown").arg("postgres").arg(&cluster.folder), root)?;
        }
        let mut made = cluster.command("initdb");
        shell(made.args(["--auth=trust", "--username=postgres", "-D"]).arg(cluster.data()), root)?;
        shell(&mut cluster.start_again(), root)?;
        Ok(cluster)
    }

    fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}", self.port)
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn start_again(&self) -> Command {
        // After a hard stop it would sync every file of every database for minutes before it lets anybody in.
        let options = format!(
            "-p {} -k {} -c listen_addresses=127.0.0.1 -c max_connections=400 -c fsync=off",
            self.port,
            self.folder.display()
        );
        let mut start = self.command("pg_ctl");
        start.args(["start", "-w", "-o", &options, "-D"]).arg(self.data());
        start.arg("-l").arg(self.folder.join("log"));
        start
    }

    fn stop(&self) -> Command {
        let mut stop = self.command("pg_ctl");
        stop.args(["stop", "-m", "immediate", "-D"]).arg(self.data());
        stop
    }

    /// A program of PostgreSQL, as its own user where we are root.
    fn command(&self, name: &str) -> Command {
        let program = self.binaries.join(name);
        if !rustix::process::geteuid().is_root() {
            return Command::new(program);
        }
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--"]).arg(program);
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Err(error) = self.stop().current_dir(&self.folder).status() {
            eprintln!("PostgreSQL could not be stopped: {error}");
        }
        fs::remove_dir_all(&self.folder).ok();
    }
}
