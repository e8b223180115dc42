//! A real `rackhand-agent` in a folder of its own.

use serde_json::{Value, json};
use std::{
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
        let agent = Self { id, folder: TempDir::new().unwrap(), child: None };
        let done = enroll(agent.folder(), port, &["--token", added["token"].as_str().unwrap()]);
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        agent
    }

    /// Starts the process.
    pub fn run(&mut self) {
        self.child = Some(spawn(self.folder()));
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

    /// Waits until the process has ended by itself; gives what it said.
    pub fn ended(&mut self) -> String {
        let begun = Instant::now();
        let child = self.child.as_mut().unwrap();
        while child.try_wait().unwrap().is_none() {
            assert!(begun.elapsed() < Duration::from_secs(30), "the agent does not end:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
        self.log()
    }

    /// Waits until the server sees it.
    pub async fn online(&self, lab: &Lab) {
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
    let file = fs::OpenOptions::new().create(true).append(true).open(log(folder)).unwrap();
    Command::new(binary("rackhand-agent"))
        .args(["run", "--data-dir"])
        .arg(folder)
        .env("RACKHAND_TIME_SCALE", SCALE.to_string())
        .env("RACKHAND_LOG", "info")
        .stderr(file)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// Runs `rackhand-agent enroll` against a port of this machine.
#[must_use]
pub fn enroll(folder: &Path, port: u16, more: &[&str]) -> Output {
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
