//! A real `rackhand serve` in a folder of its own.

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

use crate::{SCALE, binary};

/// The user that [`Backend::start`] makes.
pub const USER: &str = "ada";
/// Their password.
pub const PASSWORD: &str = "correct horse battery";

/// A server process with its data.
pub struct Backend {
    child: Child,
    folder: TempDir,
    pub(crate) port: u16,
    database: Option<String>,
    /// Bearer token of an administrator.
    pub token: String,
}

impl Backend {
    /// Starts a server with a user and a token in a fresh folder.
    #[must_use]
    pub fn start() -> Self {
        Self::configured("")
    }

    /// The same with a configuration file.
    #[must_use]
    pub fn configured(file: &str) -> Self {
        Self::on(database(), file)
    }

    /// The same on SQLite, wherever the other servers have their databases.
    #[must_use]
    pub fn embedded() -> Self {
        Self::on(None, "")
    }

    fn on(database: Option<String>, file: &str) -> Self {
        let folder = TempDir::new().unwrap();
        if !file.is_empty() {
            fs::write(folder.path().join("rackhand.toml"), file).unwrap();
        }
        let run = |args: &[&str], input: &str| {
            let file = folder.path().join("input");
            fs::write(&file, input).unwrap();
            let output = Command::new(binary("rackhand"))
                .args(args)
                .arg("--data-dir")
                .arg(folder.path())
                .args(database_option(database.as_ref()))
                .env("RACKHAND_LOG", "warn")
                .stdin(fs::File::open(file).unwrap())
                .output()
                .unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).unwrap().trim().to_owned()
        };
        run(&["user", "add", "--name", USER], PASSWORD);
        let token = run(&["token", "add", "--user", USER], "");
        Self::serve(folder, database, token)
    }

    /// Starts a server in a fresh folder where nobody exists yet; it has no token either.
    #[must_use]
    pub fn without_users() -> Self {
        Self::serve(TempDir::new().unwrap(), database(), String::new())
    }

    /// Starts another server on the same database, with the same master key and settings.
    #[must_use]
    pub fn beside(&self, node: &str) -> Self {
        let folder = TempDir::new().unwrap();
        fs::copy(self.folder().join("master.key"), folder.path().join("master.key")).unwrap();
        let settings = fs::read_to_string(self.folder().join("rackhand.toml")).unwrap();
        let is_own = |line: &&str| line.starts_with("node =") || line.starts_with("allow =");
        let shared: Vec<_> = settings.lines().filter(|line| !is_own(line)).collect();
        let settings = format!("node = \"{node}\"\n{}\n", shared.join("\n"));
        fs::write(folder.path().join("rackhand.toml"), settings).unwrap();
        assert!(
            self.database.is_some(),
            "two servers need PostgreSQL: run cargo xtask verify --only postgres"
        );
        Self::serve(folder, self.database.clone(), self.token.clone())
    }

    fn serve(folder: TempDir, database: Option<String>, token: String) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        // The simulators are on loopback, which is another subnet under the name 0.0.0.0.
        let file = folder.path().join("rackhand.toml");
        let settings = fs::read_to_string(&file).unwrap_or_default();
        let node = if settings.contains("node =") { "" } else { "node = \"node1\"\n" };
        fs::write(file, format!("allow = [\"127.0.0.0/8\", \"0.0.0.0/8\"]\n{node}{settings}")).unwrap();
        let child = spawn(&folder, port, database.as_ref());
        let backend = Self { child, folder, port, database, token };
        backend.wait_ready();
        backend
    }

    /// The one-time link that makes the first user, as the server printed it.
    #[must_use]
    pub fn setup_link(&self) -> String {
        let begun = Instant::now();
        loop {
            let lines = self.log();
            let mut said = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            let link = said.find_map(|line| line["link"].as_str().map(str::to_owned));
            if let Some(link) = link {
                return link;
            }
            assert!(begun.elapsed() < Duration::from_secs(10), "no set-up link was printed:\n{lines}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://localhost:{}", self.port)
    }

    /// The port that it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Id of its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Stops it in the middle of whatever it does, as a machine that swaps or is moved does.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets a frozen one go on.
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.pid()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Its data folder.
    #[must_use]
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// Its database.
    #[must_use]
    pub fn database(&self) -> String {
        let file = || format!("sqlite://{}", self.folder.path().join("rackhand.db").display());
        self.database.clone().unwrap_or_else(file)
    }

    /// Its log so far.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// What it logged last: why it ended is there, and a whole log hides it.
    fn last_words(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }

    /// Ends it the hard way and starts it again.
    pub fn kill_and_restart(&mut self) {
        self.kill();
        self.start_again();
    }

    /// Ends it the hard way.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again on the same folder.
    pub fn start_again(&mut self) {
        self.start_again_with(&[]);
    }

    /// Starts it again with more variables in its environment.
    pub fn start_again_with(&mut self, variables: &[(&str, &str)]) {
        let mut again = command(&self.folder, self.port, self.database.as_ref());
        self.child = again.envs(variables.iter().copied()).spawn().unwrap();
        self.wait_ready();
    }

    /// Uses another database from its next start on.
    pub fn move_to(&mut self, database: String) {
        self.database = Some(database);
    }

    /// Ends it the hard way and starts it so that it kills itself at a place.
    pub fn restart_until(&mut self, failpoint: &str) {
        self.restart_with(&[("RACKHAND_FAILPOINT", failpoint)]);
    }

    /// Ends it the hard way and starts it with more variables in its environment.
    pub fn restart_with(&mut self, variables: &[(&str, &str)]) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.start_again_with(variables);
    }

    /// Ends it the hard way and starts it at another scale, which lasts until its next start.
    pub fn restart_at(&mut self, scale: f64) {
        self.restart_with(&[("RACKHAND_TIME_SCALE", &scale.to_string())]);
    }

    /// Starts it again on a disk of its own of so many KiB, with what its folder holds; gives the disk as it is seen
    /// from here.
    pub fn start_again_on_a_disk(&mut self, kib: u32) -> PathBuf {
        let folder = self.folder.path();
        let disk = folder.join("disk");
        fs::create_dir(&disk).unwrap();
        let server = command(&self.folder, self.port, self.database.as_ref());
        let args =
            server.get_args().map(|arg| if arg == folder.as_os_str() { disk.as_os_str() } else { arg });
        let script = "mount -t tmpfs -o size=$1k tmpfs \"$2/disk\" && cp -a \"$2\"/*.* \"$2/disk\" && shift 2 && exec \"$@\"";
        let mut inside = Command::new("unshare");
        if !rustix::process::geteuid().is_root() {
            inside.arg("--map-root-user");
        }
        inside.args(["--mount", "sh", "-c", script, "sh", &kib.to_string()]).arg(folder);
        inside.arg(server.get_program()).args(args);
        inside.envs(server.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let log = fs::OpenOptions::new().append(true).open(folder.join("log")).unwrap();
        self.child = inside.stdout(Stdio::null()).stderr(log).spawn().unwrap();
        self.wait_ready();
        let root = Path::new("/proc").join(self.child.id().to_string()).join("root");
        root.join(folder.strip_prefix("/").unwrap()).join("disk")
    }

    /// Waits until the process has ended by itself.
    pub fn wait_ended(&mut self) {
        let begun = Instant::now();
        while self.child.try_wait().unwrap().is_none() {
            assert!(begun.elapsed() < Duration::from_secs(30), "it does not end:\n{}", self.last_words());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Asks it to look at its certificate now.
    pub fn hang_up(&self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
    }

    /// Asks it to stop, as a service manager does, and waits until it has.
    pub fn stop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(
                begun.elapsed() < Duration::from_secs(30),
                "SIGTERM does not stop it:\n{}",
                self.last_words()
            );
            std::thread::sleep(Duration::from_millis(10));
        };
        assert!(status.success(), "{status}:\n{}", self.last_words());
    }

    fn wait_ready(&self) {
        let begun = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(
                begun.elapsed() < Duration::from_secs(30),
                "the server did not start:\n{}",
                self.last_words()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(40).collect();
            eprintln!("the server's last words:\n{}", tail.into_iter().rev().collect::<Vec<_>>().join("\n"));
        }
    }
}

/// Makes a database on the PostgreSQL that `RACKHAND_TEST_POSTGRES` names; without it each server has its own
/// SQLite file.
#[must_use]
pub fn database() -> Option<String> {
    let server = std::env::var("RACKHAND_TEST_POSTGRES").ok()?;
    let name = format!("lab_{}", uuid::Uuid::now_v7().simple());
    let made = Command::new("createdb")
        .arg(format!("--maintenance-db={server}/postgres"))
        .arg(&name)
        .status()
        .unwrap();
    assert!(made.success(), "createdb: {made}");
    Some(format!("{server}/{name}"))
}

fn database_option(url: Option<&String>) -> Vec<&str> {
    url.map(|url| vec!["--database-url", url.as_str()]).unwrap_or_default()
}

fn spawn(folder: &TempDir, port: u16, database: Option<&String>) -> Child {
    command(folder, port, database).spawn().unwrap()
}

fn command(folder: &TempDir, port: u16, database: Option<&String>) -> Command {
    let log = fs::OpenOptions::new().create(true).append(true).open(folder.path().join("log")).unwrap();
    let mut command = Command::new(binary("rackhand"));
    command
        .args(["serve", "--listen", &format!("127.0.0.1:{port}"), "--data-dir"])
        .arg(folder.path())
        .args(database_option(database))
        .env("RACKHAND_TIME_SCALE", SCALE.to_string())
        .env("RACKHAND_LOG", "info,rackhand_server=debug,sea_orm_migration=warn")
        .stderr(log)
        .stdout(Stdio::null());
    command
}
