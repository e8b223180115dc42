//! A real `rackhand-agent` in a folder of its own.

use serde_json::{Value, json};
use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

use crate::{Lab, SCALE, binary};

/// An agent's machine: its folder, and its process while it runs.
pub struct Agent {
    /// Its id.
    pub id: String,
    folder: TempDir,
    child: Option<Child>,
    /// How often it had connected before its present process began.
    connected: usize,
    /// What runs its process elsewhere: the words before its own.
    within: Vec<String>,
}

impl Agent {
    /// Adds an agent through the API, enrols it and starts it; `port` is where it finds the server.
    pub async fn start(lab: &Lab, name: &str, port: u16) -> Self {
        let mut agent = Self::enrolled(lab, name, port).await;
        agent.run();
        agent.online(lab).await;
        agent
    }

    /// Adds and enrols an agent without starting it.
    pub async fn enrolled(lab: &Lab, name: &str, port: u16) -> Self {
        Self::of(lab, &json!({ "name": name }), port).await
    }

    /// Adds and enrols an agent as the body says, without starting it.
    pub async fn of(lab: &Lab, body: &Value, port: u16) -> Self {
        let added = lab.post("/agents", body).await.ok();
        let id = added["agent"]["id"].as_str().unwrap().to_owned();
        let agent =
            Self { id, folder: TempDir::new().unwrap(), child: None, connected: 0, within: Vec::new() };
        let done = enroll(agent.folder(), port, &["--token", added["token"].as_str().unwrap()]);
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        agent
    }

    /// Copies who it is to a machine of its own, as a cloned virtual machine has it. Nothing runs there yet.
    #[must_use]
    pub fn copied(&self) -> Self {
        let folder = TempDir::new().unwrap();
        for file in fs::read_dir(self.folder()).unwrap() {
            let (path, name) = file.map(|file| (file.path(), file.file_name())).unwrap();
            // What it found and what it logged is no part of who it is.
            if path.is_file() && path != log(self.folder()) {
                fs::copy(path, folder.path().join(name)).unwrap();
            }
        }
        Self { id: self.id.clone(), folder, child: None, connected: 0, within: self.within.clone() }
    }

    /// Starts the process.
    pub fn run(&mut self) {
        self.begin(&mut command(self.folder(), &self.within));
    }

    /// Runs its process elsewhere from its next start on, by these words before its own.
    pub fn move_to(&mut self, within: Vec<String>) {
        self.within = within;
    }

    /// Starts the process so that it kills itself at a place.
    pub fn run_until(&mut self, failpoint: &str) {
        self.begin(command(self.folder(), &self.within).env("RACKHAND_FAILPOINT", failpoint));
    }

    fn begin(&mut self, command: &mut Command) {
        self.connected = self.connections();
        self.child = Some(command.spawn().unwrap());
    }

    /// Revokes it at the server that people are at, and waits until its session has ended wherever that was.
    pub async fn shut_out(&self, lab: &Lab) {
        let ended = || self.log().matches("session over").count();
        let (before, begun) = (ended(), Instant::now());
        lab.post(&format!("/agents/{}/revoke", self.id), &json!({})).await.ok();
        lab.wait_until("its session is over", async |_: &Lab| ended() > before).await;
        // A second, with room for a busy machine.
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(3), "a revoked agent was let go on for {took:?}");
    }

    /// Says whether the process runs.
    pub fn is_running(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| child.try_wait().unwrap().is_none())
    }

    /// Id of its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// Ends the process the hard way.
    pub fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Waits until the process has ended by itself; gives its exit code and what it said.
    pub fn ended(&mut self) -> (Option<i32>, String) {
        let begun = Instant::now();
        let log = log(self.folder());
        let child = self.child.as_mut().unwrap();
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                return (status.code(), self.log());
            }
            let said = fs::read_to_string(&log).unwrap_or_default();
            assert!(begun.elapsed() < Duration::from_secs(30), "the agent does not end:\n{said}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Changes where it believes the server to be, from its next start on.
    pub fn lead_to(&self, server: &str) {
        let file = self.folder().join("agent.json");
        let mut home: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        home["server"] = server.into();
        fs::write(&file, home.to_string()).unwrap();
    }

    /// Takes over a process that runs on this agent's folder.
    pub fn adopt(&mut self, child: Child) {
        self.child = Some(child);
    }

    /// Writes the agent's configuration; it counts from the next start or reload on.
    pub fn configure(&self, file: &str) {
        fs::write(self.folder().join("agent.toml"), file).unwrap();
    }

    /// Has the agent read its configuration again and waits until it has.
    pub async fn reload(&self, lab: &Lab) {
        let done = |log: &str| {
            log.matches("configuration was read again").count() + log.matches("stays as it was").count()
        };
        let before = done(&self.log());
        let child = self.child.as_ref().unwrap();
        let pid = rustix::process::Pid::from_child(child);
        rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
        lab.wait_until("the configuration was read", async |_: &Lab| done(&self.log()) > before).await;
    }

    /// Waits until it has come back to a server that was started again at a slower scale: certificates last longer
    /// there, so that its own is due at once.
    pub async fn slowed(&self, lab: &Lab) {
        lab.wait_until("it comes back with another certificate", async |_: &Lab| {
            let log = self.log();
            log.split_once("the certificate was renewed")
                .is_some_and(|(_, after)| after.contains("\"connected\""))
        })
        .await;
        self.seen(lab, "online").await;
    }

    /// Waits until the server sees it, in a session of its present process.
    pub async fn online(&self, lab: &Lab) {
        // The session of the process before may be shown for a while.
        lab.wait_until("it connects", async |_: &Lab| self.connections() > self.connected).await;
        self.seen(lab, "online").await;
    }

    /// Waits until the server shows it in a state.
    pub async fn seen(&self, lab: &Lab, state: &str) {
        let begun = Instant::now();
        loop {
            let shown = self.view(lab).await;
            if shown["state"] == state {
                return;
            }
            let log = self.log();
            assert!(begun.elapsed() < Duration::from_secs(30), "never {state}: {shown:#}\n{log}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// What the server tells of it.
    pub async fn view(&self, lab: &Lab) -> Value {
        lab.get(&format!("/agents/{}", self.id)).await.ok()
    }

    /// How often it has connected so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.log().matches("\"connected\"").count()
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its log so far.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(log(self.folder())).unwrap_or_default()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().ok();
            child.wait().ok();
        }
        if std::thread::panicking() {
            eprintln!("the agent's log:\n{}", self.log());
        }
    }
}

/// Starts an agent on a folder.
#[must_use]
pub fn spawn(folder: &Path) -> Child {
    command(folder, &[]).spawn().unwrap()
}

fn command(folder: &Path, within: &[String]) -> Command {
    let file = fs::OpenOptions::new().create(true).append(true).open(log(folder)).unwrap();
    let agent = binary("rackhand-agent");
    let mut words = within.iter().map(OsStr::new).chain([agent.as_os_str()]);
    let mut command = Command::new(words.next().unwrap());
    command
        .args(words)
        .args(["run", "--data-dir"])
        .arg(folder)
        .env("RACKHAND_TIME_SCALE", SCALE.to_string())
        .stderr(file)
        .stdout(Stdio::null());
    command
}

/// Runs `rackhand-agent enroll` against a port of this machine. The simulators are on loopback.
#[must_use]
pub fn enroll(folder: &Path, port: u16, more: &[&str]) -> Output {
    fs::write(folder.join("agent.toml"), "allow = [\"127.0.0.0/8\"]\n").unwrap();
    Command::new(binary("rackhand-agent"))
        .args(["enroll", "--server", &format!("http://127.0.0.1:{port}"), "--data-dir"])
        .arg(folder)
        .args(more)
        .output()
        .unwrap()
}

fn log(folder: &Path) -> PathBuf {
    folder.join("log")
}
