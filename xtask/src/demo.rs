//! `cargo xtask demo`: simulated racks and a Rackhand that knows them.
//!
//! Everything listens on loopback, everything is kept in a fresh folder below `target`, and the data
//! is made through the public API, as a person's script would.

mod agent;
mod place;

use clap::Args;
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    fs,
    io::{BufReader, IsTerminal, Write},
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use crate::{
    Problem,
    children::{Kept, build_programs},
    ui,
};

const USER: &str = "demo";
const PASSWORD: &str = "rackhand-demo";

/// Where `rackhand-sim` asks a running farm unless told otherwise.
pub const CONTROL: u16 = 6299;

/// Options of the demonstration.
#[derive(Args)]
pub struct Options {
    /// Port of the web interface; the next free one when it is taken
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Simulated servers
    #[arg(long, default_value_t = 24)]
    servers: u16,
}

/// Runs until Ctrl-C, which may come at any time.
pub fn run(root: &Path, options: &Options) -> Result<(), Problem> {
    let stop = Arc::new(AtomicBool::new(false));
    // Closing the terminal hangs up.
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP] {
        // A second one ends us at once, whatever we are doing.
        signal_hook::flag::register_conditional_shutdown(signal, 1, Arc::clone(&stop))?;
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    let result = demonstrate(root, options, &stop);
    if stop.load(Ordering::Relaxed) {
        // Ctrl-C reaches the compiler and the programs too: that they end is no failure.
        step("Stopped.");
        return Ok(());
    }
    result
}

fn demonstrate(root: &Path, options: &Options, stop: &AtomicBool) -> Result<(), Problem> {
    step("Building the web interface (some minutes the first time) …");
    ui::build(root)?;
    if stop.load(Ordering::Relaxed) {
        return Ok(());
    }
    step("Building the server, the agent and the simulators (some minutes the first time) …");
    build_programs(root)?;
    if stop.load(Ordering::Relaxed) {
        return Ok(());
    }
    let binaries = binaries(root)?;
    let place = place::Place::take(&root.join("target"))?;
    let folder = place.folder.as_path();
    step(&format!("Starting {} simulated servers …", options.servers));
    let control = SocketAddr::from(([127, 0, 0, 1], free_port(CONTROL)?));
    let (simulators, inventory) = simulators(&binaries, folder, options.servers, control)?;
    let port = free_port(options.port)?;
    let url = format!("http://localhost:{port}");
    step("Starting Rackhand …");
    add_user(&binaries, folder)?;
    let token = add_token(&binaries, folder)?;
    let log = fs::File::create(folder.join("rackhand.log"))?;
    let child = Command::new(binaries.join("rackhand"))
        .args(["serve", "--listen", &format!("127.0.0.1:{port}"), "--public-url", &url])
        .args(["--allow", "127.0.0.0/8", "--data-dir"])
        .arg(folder)
        .stderr(log)
        .spawn()?;
    let mut server = Kept(child);
    let api = Api { base: format!("http://127.0.0.1:{port}"), token };
    api.wait_ready(folder)?;
    step(&format!("Starting the agent “{}” …", agent::NAME));
    let (agent, its_id) = agent::start(&api, &binaries, folder)?;
    let far = Far { rack: second_rack(&inventory), agent: its_id };
    seed(&api, &inventory, Some(&far), stop)?;
    if !stop.load(Ordering::Relaxed) {
        welcome(&url, &binaries, folder, control);
    }
    while !stop.load(Ordering::Relaxed) {
        if let Some(status) = server.0.try_wait()? {
            return Err(
                format!("Rackhand ended ({status}); see {}", folder.join("rackhand.log").display()).into()
            );
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    step("Stopping …");
    drop(agent);
    drop(server);
    drop(simulators);
    Ok(())
}

fn step(text: &str) {
    eprintln!("{text}");
}

fn welcome(url: &str, binaries: &Path, folder: &Path, control: SocketAddr) {
    let mut sim = binaries.join("rackhand-sim").display().to_string();
    if control.port() != CONTROL {
        sim = format!("{sim} --control {control}");
    }
    eprintln!(
        "\n  Rackhand runs at  {url}\n  Sign in as        {USER}\n  with password     {PASSWORD}\n\n  \
         Make a BMC silent:      {sim} fault srv-03 mute\n  Make it speak again:    {sim} fault srv-03 clear\n  \
         What really happened:   {sim} effects\n  Addresses, passwords:   {sim} inventory\n  \
         Reached by an agent:    the second rack, through “{agent}”; its log: {agent_log}\n  Log:                    {}\n\n  Ctrl-C stops everything.\n",
        folder.join("rackhand.log").display(),
        agent = agent::NAME,
        agent_log = agent::log(folder).display(),
    );
}

/// Where cargo puts binaries: beside this task's own.
pub fn binaries(root: &Path) -> Result<PathBuf, Problem> {
    let own = std::env::current_exe()?;
    Ok(own.parent().map_or_else(|| root.join("target/debug"), Path::to_owned))
}

pub fn simulators(
    binaries: &Path,
    folder: &Path,
    servers: u16,
    control: SocketAddr,
) -> Result<(Kept, Value), Problem> {
    let log = fs::File::create(folder.join("simulators.log"))?;
    let child = Command::new(binaries.join("rackhand-sim"))
        .args(["--servers", &servers.to_string(), "--pace", "realistic", "--addresses", "free", "--json"])
        .args(["--control", &control.to_string()])
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()?;
    let mut kept = Kept(child);
    let output = kept.0.stdout.take().ok_or("the simulators have no output")?;
    let mut values = serde_json::Deserializer::from_reader(BufReader::new(output)).into_iter::<Value>();
    let Some(Ok(inventory)) = values.next() else {
        let log = fs::read_to_string(folder.join("simulators.log")).unwrap_or_default();
        return Err(format!("the simulators did not start:\n{log}").into());
    };
    Ok((kept, inventory))
}

pub fn free_port(first: u16) -> Result<u16, Problem> {
    (first..first.saturating_add(100))
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .ok_or_else(|| format!("no free port from {first} on").into())
}

pub fn add_user(binaries: &Path, folder: &Path) -> Result<(), Problem> {
    let mut child = Command::new(binaries.join("rackhand"))
        .args(["user", "add", "--name", USER, "--data-dir"])
        .arg(folder)
        .env("RACKHAND_LOG", "error")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()?;
    child.stdin.take().ok_or("no input")?.write_all(PASSWORD.as_bytes())?;
    if child.wait()?.success() { Ok(()) } else { Err("the user could not be added".into()) }
}

pub fn add_token(binaries: &Path, folder: &Path) -> Result<String, Problem> {
    let output = Command::new(binaries.join("rackhand"))
        .args(["token", "add", "--user", USER, "--expires", "1d", "--name", "demo set-up", "--data-dir"])
        .arg(folder)
        .env("RACKHAND_LOG", "error")
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err("the token could not be made".into());
    }
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// The public API, with a token.
pub struct Api {
    /// Where it is, without the path.
    pub base: String,
    /// Bearer token.
    pub token: String,
}

impl Api {
    /// Waits until the server says that it is ready.
    ///
    /// # Errors
    /// Its log, when it does not start.
    pub fn wait_ready(&self, folder: &Path) -> Result<(), Problem> {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(30) {
            if ureq::get(format!("{}/readyz", self.base)).call().is_ok() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let log = fs::read_to_string(folder.join("rackhand.log")).unwrap_or_default();
        Err(format!("Rackhand did not start:\n{log}").into())
    }

    /// Reads.
    ///
    /// # Errors
    /// What was answered instead.
    pub fn get(&self, path: &str) -> Result<Value, Problem> {
        let mut response = ureq::get(format!("{}/api/v1{path}", self.base))
            .header("authorization", format!("Bearer {}", self.token))
            .call()?;
        Ok(response.body_mut().read_json()?)
    }

    /// Adds.
    ///
    /// # Errors
    /// What was answered instead.
    pub fn post(&self, path: &str, body: &Value) -> Result<Value, Problem> {
        let agent = ureq::Agent::config_builder().http_status_as_error(false).build().new_agent();
        let mut response = agent
            .post(format!("{}/api/v1{path}", self.base))
            .header("authorization", format!("Bearer {}", self.token))
            .send_json(body)?;
        let answer: Value = response.body_mut().read_json()?;
        if response.status().is_success() { Ok(answer) } else { Err(format!("POST {path}: {answer}").into()) }
    }
}

/// A rack that an agent reaches.
pub struct Far {
    rack: Value,
    agent: Value,
}

impl Far {
    /// What is said of an endpoint that serves a rack.
    fn via(far: Option<&Self>, rack: &Value) -> Value {
        match far {
            Some(far) if far.rack == *rack => far.agent.clone(),
            Some(_) | None => Value::Null,
        }
    }
}

fn second_rack(inventory: &Value) -> Value {
    let servers = list(inventory, "servers");
    let first = servers.first().map(|server| server["rack"].clone());
    let other = servers.iter().map(|server| &server["rack"]).find(|rack| Some(*rack) != first.as_ref());
    other.cloned().unwrap_or_default()
}

/// The rack of a PDU: that of a server that it feeds.
fn rack_of(inventory: &Value, pdu: &Value) -> Value {
    let is_fed = |server: &Value| list(server, "outlets").iter().any(|outlet| outlet["pdu"] == *pdu);
    let fed = list(inventory, "servers").into_iter().find(is_fed);
    fed.map(|server| server["rack"].clone()).unwrap_or_default()
}

pub fn seed(api: &Api, inventory: &Value, far: Option<&Far>, stop: &AtomicBool) -> Result<(), Problem> {
    let site = api.post("/sites", &json!({"name": "Amsterdam", "time_zone": "Europe/Amsterdam"}))?;
    let mut pdus = HashMap::new();
    for pdu in list(inventory, "pdus") {
        let (host, port) = address(&pdu["addr"])?;
        let added = api.post(
            "/endpoints",
            &json!({
                "kind": "snmp_pdu", "name": pdu["name"],
                "params": {"host": host, "port": port, "version": "v2c"},
                "secrets": {"community": pdu["community"], "write_community": pdu["write_community"]},
                "agent_id": Far::via(far, &rack_of(inventory, &pdu["name"])),
            }),
        )?;
        pdus.insert(text(&pdu["name"]), added["id"].clone());
    }
    let servers = list(inventory, "servers");
    let watched = std::io::stderr().is_terminal();
    for (at, server) in servers.iter().enumerate() {
        if stop.load(Ordering::Relaxed) {
            return Ok(());
        }
        // In a log each word stands on a line of its own.
        if watched {
            eprint!("\rAdding servers {} of {} … ", at + 1, servers.len());
        } else if at == 0 {
            eprintln!("Adding {} servers", servers.len());
        }
        add_server(api, server, &site["id"], &pdus, far)?;
    }
    if watched {
        eprintln!();
    }
    Ok(())
}

fn add_server(
    api: &Api,
    server: &Value,
    site: &Value,
    pdus: &HashMap<String, Value>,
    far: Option<&Far>,
) -> Result<(), Problem> {
    let added =
        api.post("/servers", &json!({"name": server["name"], "rack": server["rack"], "site_id": site}))?;
    let connections = format!("/servers/{}/connections", text(&added["id"]));
    let (host, port) = address(&server["bmc"]["addr"])?;
    api.post(
        &connections,
        &json!({"endpoint": {
            "kind": "ipmi", "name": format!("BMC of {}", text(&server["name"])),
            "params": {"host": host, "port": port, "user": server["bmc"]["user"]},
            "secrets": {"password": server["bmc"]["password"]},
            "agent_id": Far::via(far, &server["rack"]),
        }}),
    )?;
    for outlet in list(server, "outlets") {
        let pdu = pdus.get(&text(&outlet["pdu"])).ok_or("the inventory names an unknown PDU")?;
        let target = json!({"outlet": outlet["outlet"].to_string()});
        let body = json!({"endpoint_id": pdu, "target": target, "feeds_complete": true});
        api.post(&connections, &body)?;
    }
    Ok(())
}

fn list(value: &Value, name: &str) -> Vec<Value> {
    value[name].as_array().cloned().unwrap_or_default()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn address(value: &Value) -> Result<(String, u16), Problem> {
    let address: std::net::SocketAddr = text(value).parse()?;
    Ok((address.ip().to_string(), address.port()))
}
