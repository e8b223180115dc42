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
}

/// What depends on how rows are read and written.
const TESTS: [&str; 8] = ["power", "feeds", "cancel", "kills", "no_fallback", "agents", "groups", "tls"];

/// Runs the tests that only need a database against a fresh cluster.
pub fn run(root: &Path) -> Result<String, Problem> {
    build_programs(root)?;
    let (cluster, url) = Cluster::start(root)?;
    let mut test = cargo(root);
    test.args(["test", "--quiet", "--package", "rackhand-tests"]);
    test.args(TESTS.iter().flat_map(|name| ["--test", name]));
    let counted = counted(test.env("RACKHAND_TEST_POSTGRES", url), root);
    drop(cluster);
    counted
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
    fn start(root: &Path) -> Result<(Self, String), Problem> {
        let binaries = binaries().ok_or("PostgreSQL is not installed")?;
        // Not below the target folder: PostgreSQL refuses to run as root, and another user may not read there.
        let folder = std::env::temp_dir().join(format!("rackhand-postgres-{}", std::process::id()));
        fs::create_dir(&folder)?;
        let cluster = Self { binaries, folder };
        if rustix::process::geteuid().is_root() {
            shell(Command::new("chown").arg("postgres").arg(&cluster.folder), root)?;
        }
        let data = cluster.folder.join("data");
        shell(
            cluster.command("initdb").args(["--auth=trust", "--username=postgres", "-D"]).arg(&data),
            root,
        )?;
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let options = format!(
            "-p {port} -k {} -c listen_addresses=127.0.0.1 -c max_connections=400",
            cluster.folder.display()
        );
        let log = cluster.folder.join("log");
        let mut start = cluster.command("pg_ctl");
        start.args(["start", "-w", "-o", &options, "-D"]).arg(&data).arg("-l").arg(log);
        shell(&mut start, root)?;
        Ok((cluster, format!("postgres://postgres@127.0.0.1:{port}")))
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
        let mut stop = self.command("pg_ctl");
        stop.args(["stop", "-m", "immediate", "-D"]).arg(self.folder.join("data"));
        if let Err(error) = stop.current_dir(&self.folder).status() {
            eprintln!("PostgreSQL could not be stopped: {error}");
        }
        fs::remove_dir_all(&self.folder).ok();
    }
}
