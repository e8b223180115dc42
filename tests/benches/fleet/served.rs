//! A `rackhand serve` as people run it: the release build, at its real durations.

use rackhand_tests::binary;
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs,
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

use crate::seed::Racks;

/// Name and password of the person who asks.
pub const PERSON: (&str, &str) = ("ada", "correct horse battery");

/// Folder of a server that knows simulated racks.
pub struct Installation {
    folder: TempDir,
    /// Bearer token of an administrator.
    pub token: String,
    /// Where its server listens, whenever one runs.
    at: SocketAddr,
}

impl Installation {
    /// Makes a fresh one that knows `racks`.
    pub async fn knowing(racks: &Racks) -> Self {
        let made = Self::empty();
        racks.make_known(made.folder()).await;
        made
    }

    /// Makes a fresh one that knows nothing.
    pub fn empty() -> Self {
        let folder = TempDir::new().unwrap();
        let (name, password) = PERSON;
        command(folder.path(), &["user", "add", "--name", name], password);
        let token = command(folder.path(), &["token", "add", "--user", name], "");
        let at = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
        Self { folder, token, at }
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts the server and waits until it is ready.
    pub fn serve(&self, options: &[&str]) -> Server {
        let at = self.at;
        let log = fs::File::create(self.folder.path().join("log")).unwrap();
        let began = Instant::now();
        let child = Command::new(binary("rackhand"))
            .args([
                "serve",
                "--listen",
                &at.to_string(),
                "--public-url",
                &format!("http://{at}"),
                "--allow",
                "127.0.0.0/8",
                "--data-dir",
            ])
            .arg(self.folder.path())
            .args(options)
            .stderr(log)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut server = Server { child, at, took: Duration::ZERO };
        while !is_ready(at) {
            let ended = server.child.try_wait().unwrap();
            let late = began.elapsed() > Duration::from_mins(1);
            if ended.is_some() || late {
                let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
                panic!("the server did not start:\n{log}");
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        server.took = began.elapsed();
        server
    }
}

/// A server that runs; it ends with this value.
pub struct Server {
    child: Child,
    /// Where it listens.
    pub at: SocketAddr,
    /// From the start of the process to the first answer that it is ready.
    pub took: Duration,
}

impl Server {
    /// A line of its `/proc/PID/status`, in kilobytes.
    pub fn kilobytes(&self, name: &str) -> f64 {
        kilobytes(self.child.id(), name)
    }

    /// Seconds of processor time so far.
    pub fn cpu(&self) -> f64 {
        cpu(self.child.id())
    }

    /// One value of `/metrics`.
    pub fn metric(&self, name: &str) -> f64 {
        let text = ask(self.at, "/metrics").unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("no such metric");
        line.trim().parse().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.unwrap(), Signal::TERM).ok();
        self.child.wait().ok();
    }
}

/// A line of a process's `/proc/PID/status`, in kilobytes.
pub fn kilobytes(pid: u32, name: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap();
    line.trim().trim_end_matches("kB").trim().parse().unwrap()
}

/// Seconds of processor time of a process so far.
pub fn cpu(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    ticks / rustix::param::clock_ticks_per_second() as f64
}

fn is_ready(at: SocketAddr) -> bool {
    ask(at, "/readyz").is_some_and(|answer| answer.starts_with("HTTP/1.1 200"))
}

/// Asks for a page, with as little around it as can be.
fn ask(at: SocketAddr, path: &str) -> Option<String> {
    let mut line = TcpStream::connect(at).ok()?;
    line.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    line.write_all(format!("GET {path} HTTP/1.1\r\nhost: {at}\r\nconnection: close\r\n\r\n").as_bytes())
        .ok()?;
    let mut answer = String::new();
    line.read_to_string(&mut answer).ok()?;
    Some(answer)
}

fn command(folder: &Path, words: &[&str], input: &str) -> String {
    let mut child = Command::new(binary("rackhand"))
        .args(words)
        .arg("--data-dir")
        .arg(folder)
        .env("RACKHAND_LOG", "warn")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "rackhand {words:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
