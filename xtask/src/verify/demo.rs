//! The stage `demo`: README's first command, from its start to Ctrl-C, without any capability that root has.

use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    fs::{self, File},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command},
    time::{Duration, Instant},
};

use super::which;
use crate::{
    Problem,
    children::{build_programs, cargo},
    demo::{binaries, free_port},
    ui,
};

/// Everything is built already: a start takes seconds, and this is three times what it took on two slow cores.
const SOON: Duration = Duration::from_secs(30);

/// The last words of a demonstration that is ready.
const READY: &str = "Ctrl-C stops everything.";

/// Starts it, signs in with what it prints, and interrupts it.
pub(super) fn stage(root: &Path) -> Result<String, Problem> {
    compile_c(root)?;
    ui::build(root)?;
    build_programs(root)?;
    let log = binaries(root)?.join("demo.log");
    let begun = Instant::now();
    let mut demo = Demo::start(root, &log)?;
    let told = demo.told(&log)?;
    let ready = begun.elapsed();
    let said = |word: &str| {
        let line = told.lines().find_map(|line| line.trim().strip_prefix(word));
        line.map(|rest| rest.trim().to_owned()).ok_or_else(|| format!("it does not say “{word}”:\n{told}"))
    };
    let base = said("Rackhand runs at")?;
    let cookie = sign_in(&base, &said("Sign in as")?, &said("with password")?)?;
    let servers = items(&get(&base, "/servers?limit=100", &cookie)?);
    if servers.len() != 24 {
        return Err(format!("it knows {} servers instead of 24", servers.len()).into());
    }
    if !["Adding", "24 servers"].iter().all(|word| told.contains(word)) {
        return Err(format!("it does not say what it does:\n{told}").into());
    }
    wired(&base, &cookie, &servers)?;
    all_read(&base, &cookie)?;
    let agents = items(&get(&base, "/agents", &cookie)?);
    if agents.len() != 2 || agents.iter().any(|agent| agent["state"] != "online") {
        return Err(format!("two agents should be online: {agents:?}").into());
    }
    demo.interrupt()?;
    let last = fs::read_to_string(&log)?;
    if !last.trim_end().ends_with("Stopped.") {
        return Err(format!("Ctrl-C was not understood:\n{last}").into());
    }
    Ok(format!(
        "ready in {:.0} s without root's capabilities, every server read, stopped",
        ready.as_secs_f32()
    ))
}

/// Two racks with two PDUs each; every server has a BMC, and two feeds on two of the PDUs.
fn wired(base: &str, cookie: &str, servers: &[Value]) -> Result<(), Problem> {
    let pdus = items(&get(base, "/endpoints?limit=100&q=kind:snmp_pdu", cookie)?);
    let racks: BTreeSet<&str> = servers.iter().filter_map(|server| server["rack"].as_str()).collect();
    if (pdus.len(), racks.len()) != (4, 2) {
        return Err(format!("{} PDUs and the racks {racks:?} instead of 4 and 2", pdus.len()).into());
    }
    for server in servers {
        let path = format!("/servers/{}/connections", server["id"].as_str().unwrap_or_default());
        let connections = items(&get(base, &path, cookie)?);
        let feeds: BTreeSet<String> = connections
            .iter()
            .filter(|one| one["role"] == "feed")
            .map(|one| one["endpoint_id"].to_string())
            .collect();
        if (connections.len(), feeds.len()) != (3, 2) {
            return Err(format!("{} hangs on {connections:?}", server["name"]).into());
        }
    }
    Ok(())
}

/// All that may be needed from the system: Rust and a C compiler.
const TOOLS: [&str; 7] = ["cargo", "rustc", "rustup", "cc", "ld", "as", "ar"];

/// Compiles anew what is written in C, with these tools alone; all the rest is Rust.
fn compile_c(root: &Path) -> Result<(), Problem> {
    let asked = ["tree", "--edges", "normal,build", "--invert", "cc", "--depth", "1", "--prefix", "none"];
    let tree = String::from_utf8(cargo(root).args(asked).output()?.stdout)?;
    let names: BTreeSet<&str> = tree.lines().skip(1).filter_map(|line| line.split(' ').next()).collect();
    if names.is_empty() {
        return Err("no crate is compiled from C any more: this check looks in the wrong place".into());
    }
    let target = root.join("target/verify/c");
    if target.exists() {
        fs::remove_dir_all(&target)?;
    }
    let mut command = cargo(root);
    command.args(["build", "--quiet"]).args(names.iter().flat_map(|name| ["--package", name]));
    let status = command.env("PATH", rust_and_c(root)?).env("CARGO_TARGET_DIR", target).status()?;
    if status.success() { Ok(()) } else { Err(format!("{names:?} need more than {TOOLS:?}").into()) }
}

/// A folder where nothing else is found.
fn rust_and_c(root: &Path) -> Result<PathBuf, Problem> {
    let folder = root.join("target/verify/rust-and-c");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    for tool in TOOLS {
        // A Rust of a distribution comes without rustup.
        if let Ok(place) = found(tool) {
            std::os::unix::fs::symlink(place, folder.join(tool))?;
        }
    }
    Ok(folder)
}

fn found(tool: &str) -> Result<PathBuf, Problem> {
    which(tool).ok_or_else(|| format!("{tool} is not there").into())
}

/// A demonstration with a process group of its own, as a terminal gives it one.
struct Demo {
    child: Child,
    group: Pid,
}

impl Demo {
    fn start(root: &Path, log: &Path) -> Result<Self, Problem> {
        let own = std::env::current_exe()?;
        let mut command = Command::new(found("unshare")?);
        command.env("PATH", rust_and_c(root)?);
        if rustix::process::geteuid().is_root() {
            // The files stay ours, and whatever else root may do goes.
            command.args(["--user", "--map-user=65534", "--map-group=65534"]);
        }
        // Whoever breaks this off stops the demonstration with it.
        command.arg(found("setpriv")?).args(["--pdeathsig", "INT"]).arg(own);
        command.args(["demo", "--port", &free_port(8080)?.to_string()]).current_dir(root);
        let child = command.stderr(File::create(log)?).process_group(0).spawn()?;
        let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or("it has no number")?;
        Ok(Self { child, group })
    }

    /// What it says until it is ready.
    fn told(&mut self, log: &Path) -> Result<String, Problem> {
        let begun = Instant::now();
        loop {
            let told = fs::read_to_string(log)?;
            if told.contains(READY) {
                return Ok(told);
            }
            if let Some(status) = self.child.try_wait()? {
                let remedy =
                    if told.starts_with("unshare:") { "\nallow user namespaces to root" } else { "" };
                return Err(format!("it ended ({status}):\n{told}{remedy}").into());
            }
            if begun.elapsed() > SOON {
                return Err(format!("it is not ready after {SOON:?}:\n{told}").into());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Presses Ctrl-C, and sees that nothing is left of it.
    fn interrupt(&mut self) -> Result<(), Problem> {
        kill_process_group(self.group, Signal::INT)?;
        let begun = Instant::now();
        let status = loop {
            match self.child.try_wait()? {
                Some(status) => break status,
                None if begun.elapsed() > SOON => return Err("it does not stop".into()),
                None => std::thread::sleep(Duration::from_millis(50)),
            }
        };
        if !status.success() {
            return Err(format!("it ended with {status}").into());
        }
        if test_kill_process_group(self.group).is_ok() {
            Err("a program of it still runs".into())
        } else {
            Ok(())
        }
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // Nothing is left of one that was interrupted.
        kill_process_group(self.group, Signal::KILL).ok();
        self.child.wait().ok();
    }
}

/// Signs in as a browser does; gives the cookie.
fn sign_in(base: &str, name: &str, password: &str) -> Result<String, Problem> {
    let body = json!({"name": name, "password": password});
    let answer = ureq::post(format!("{base}/api/v1/session")).send_json(body)?;
    let cookie = answer.headers().get("set-cookie").ok_or("no cookie came")?.to_str()?;
    Ok(cookie.split(';').next().unwrap_or_default().to_owned())
}

fn get(base: &str, path: &str, cookie: &str) -> Result<Value, Problem> {
    let mut answer = ureq::get(format!("{base}/api/v1{path}")).header("cookie", cookie).call()?;
    Ok(answer.body_mut().read_json()?)
}

fn items(page: &Value) -> Vec<Value> {
    page["items"].as_array().cloned().unwrap_or_default()
}

/// Waits until the state of every server is known: all of them run.
fn all_read(base: &str, cookie: &str) -> Result<(), Problem> {
    let begun = Instant::now();
    loop {
        let tally = get(base, "/servers/tally", cookie)?;
        if tally["on"] == 24 {
            return Ok(());
        }
        if begun.elapsed() > SOON * 3 {
            return Err(format!("not every server was read: {tally}").into());
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}
