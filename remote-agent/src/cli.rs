//! `rackhand-agent`: enrol once, then run.

use clap::{Args, Parser, Subcommand};
use rackhand_wire::{
    Timings,
    agent::enrol::{self, Enrol, Enrolled},
    id::AgentId,
};
use std::{
    io::{IsTerminal as _, Write as _},
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
};
use tracing_subscriber::EnvFilter;

use crate::{
    Agent, Config,
    identity::{self, Folder, Home},
    line::{self, Asked, Target},
};

/// Runs what the command line asks for.
pub async fn run() -> ExitCode {
    let cli = Cli::parse();
    let is_run = matches!(cli.command, Command::Run(_));
    if is_run {
        log();
    }
    let done = match cli.command {
        Command::Enroll(options) => enroll(options).await,
        Command::Run(options) => serve(options).await,
        Command::Status(options) => status(&options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) if is_run => {
            tracing::error!("{why}");
            ExitCode::FAILURE
        }
        Err(why) => {
            writeln!(std::io::stderr(), "rackhand-agent: {why}").ok();
            ExitCode::FAILURE
        }
    }
}

/// Rackhand's agent: reaches devices on site for a Rackhand server that cannot. It dials out; nothing here
/// listens.
#[derive(Parser)]
#[command(version, name = "rackhand-agent")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make keys on this machine and get the agent's first certificate with a single-use token
    Enroll(Enroll),
    /// Hold the line to the server and do what it asks
    Run(Place),
    /// Say who this agent is and how long its certificate lasts
    Status(Place),
}

#[derive(Args)]
struct Place {
    /// Folder of the agent's keys and journal [default: /var/lib/rackhand-agent as root, else
    /// $XDG_DATA_HOME/rackhand-agent]
    #[arg(long, value_name = "DIR", env = "RACKHAND_AGENT_DATA_DIR")]
    data_dir: Option<PathBuf>,
    /// Multiplies every duration; for demonstrations and tests against simulators
    #[arg(long, value_name = "FACTOR", env = "RACKHAND_TIME_SCALE", hide = true, default_value_t = 1.0)]
    time_scale: f64,
}

#[expect(clippy::doc_markdown, reason = "these comments are the help text")]
#[derive(Args)]
struct Enroll {
    #[command(flatten)]
    place: Place,
    /// Address of the server, for example https://panel.example.com
    #[arg(long, value_name = "URL")]
    server: String,
    /// The single-use token that the Agents page shows
    #[arg(long, value_name = "TOKEN", required_unless_present = "agent", conflicts_with = "agent")]
    token: Option<String>,
    /// Id of an agent whose public key was registered beforehand, instead of a token
    #[arg(long, value_name = "ID", requires = "key")]
    agent: Option<AgentId>,
    /// Private key to use (PKCS #8, PEM; Ed25519 or P-256) instead of a fresh one
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// SHA-256 of the server's public key, when its certificate is its own; a token brings it along
    #[arg(long, value_name = "HEX")]
    pin: Option<String>,
    /// Replace the identity that this machine has
    #[arg(long)]
    force: bool,
    /// Talk to a server without TLS beyond this machine: whoever listens sees the token
    #[arg(long)]
    insecure_http: bool,
}

fn log() {
    let filter = EnvFilter::try_from_env("RACKHAND_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if std::io::stderr().is_terminal() { builder.init() } else { builder.json().init() }
}

fn folder(place: &Place) -> Result<(PathBuf, Folder), String> {
    let path = match &place.data_dir {
        Some(path) => path.clone(),
        None if rustix::process::geteuid().is_root() => PathBuf::from("/var/lib/rackhand-agent"),
        None => {
            let home = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from);
            let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".local/share")));
            home.ok_or("say --data-dir: neither XDG_DATA_HOME nor HOME is set")?.join("rackhand-agent")
        }
    };
    let opened = Folder::open(&path).map_err(|error| format!("cannot use {}: {error}", path.display()))?;
    Ok((path, opened))
}

/// A token brings the server's key along when its certificate is its own: `TOKEN.PIN`.
fn split(token: &str) -> (String, Option<String>) {
    match token.split_once('.') {
        Some((token, pin)) => (token.to_owned(), Some(pin.to_owned())),
        None => (token.to_owned(), None),
    }
}

async fn enroll(options: Enroll) -> Result<(), String> {
    let (path, folder) = folder(&options.place)?;
    if folder.is_enrolled() && !options.force {
        let why = "this machine is enrolled already; say --force to replace its identity";
        return Err(format!("{why} (in {})", path.display()));
    }
    let (token, pin) = match options.token.as_deref().map(split) {
        Some((token, pin)) => (Some(token), pin),
        None => (None, None),
    };
    let pin = pin.or(options.pin);
    let target = Target::parse(&options.server, pin.as_deref())?;
    if target.is_open_to_others() && !options.insecure_http {
        return Err("the token would cross the network in clear: use https://, or say --insecure-http".into());
    }
    let own = options.key.as_ref().map(std::fs::read_to_string).transpose();
    let own = own.map_err(|error| format!("cannot read the key: {error}"))?;
    let keys = folder.prepare(own.as_deref());
    let (key, sealing) = keys.map_err(|error| format!("cannot save keys in {}: {error}", path.display()))?;
    let request = identity::request(&key).map_err(|error| format!("the key cannot sign: {error}"))?;
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let ask = Enrol { token, agent: options.agent, request, sealing_key: sealing.public(), host };
    let body = serde_json::to_string(&ask).map_err(|error| error.to_string())?;
    let (status, answer) = line::fetch(&target, enrol::PATH, &body).await?;
    if status != 201 {
        return Err(refusal(status, &answer));
    }
    let enrolled: Enrolled =
        serde_json::from_str(&answer).map_err(|error| format!("the answer cannot be read: {error}"))?;
    let home = Home { agent: enrolled.agent, name: enrolled.name, server: options.server, pin };
    folder
        .settle(&home, &enrolled.certificate)
        .map_err(|error| format!("cannot save the identity: {error}"))?;
    writeln!(std::io::stdout(), "Enrolled as “{}”. Start it: rackhand-agent run", home.name).ok();
    Ok(())
}

fn refusal(status: u16, answer: &str) -> String {
    let problem: serde_json::Value = serde_json::from_str(answer).unwrap_or_default();
    let said = problem.pointer("/errors/0/message").or_else(|| problem.get("detail"));
    let said = said.or_else(|| problem.get("title")).and_then(serde_json::Value::as_str);
    format!("the server refuses with {status}: {}", said.unwrap_or("it gives no reason"))
}

async fn serve(options: Place) -> Result<(), String> {
    let (path, folder) = folder(&options)?;
    let _lock = lock(&path)?;
    folder.mend().map_err(|error| format!("cannot use {}: {error}", path.display()))?;
    let identity = folder.read().map_err(|error| {
        format!("no identity in {}: {error}. Enrol first: rackhand-agent enroll --help", path.display())
    })?;
    let timings = Timings::default().scaled(options.time_scale);
    let (asked, requests) = Asked::new();
    let config = Config {
        id: identity.home.agent,
        journal: path.join("journal.jsonl"),
        timings,
        secrets: Arc::new(asked),
    };
    let agent = Agent::start(config).map_err(|error| format!("cannot open the journal: {error}"))?;
    tracing::info!(name = identity.home.name, server = identity.home.server, "rackhand-agent runs");
    drop(identity);
    tokio::select! {
        () = line::hold(&agent, &folder, &timings, requests) => Err(
            "another process with this identity took its place: this one ends. Stop one of the two, or enrol \
             this machine as an agent of its own".into()
        ),
        () = told_to_stop() => Ok(()),
    }
}

/// Keeps a second agent away from the same journal.
fn lock(path: &std::path::Path) -> Result<std::fs::File, String> {
    let file = std::fs::File::create(path.join("run.lock")).map_err(|error| error.to_string())?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(_) => Err(format!("another rackhand-agent runs on {}", path.display())),
    }
}

async fn told_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
        }
        Err(_) => {
            tokio::signal::ctrl_c().await.ok();
        }
    }
}

fn status(options: &Place) -> Result<(), String> {
    let (path, folder) = folder(options)?;
    let identity = folder.read().map_err(|error| format!("no identity in {}: {error}", path.display()))?;
    let until = chrono::DateTime::from_timestamp(identity.until, 0).unwrap_or_default();
    let mut out = std::io::stdout();
    writeln!(out, "name         {}", identity.home.name).ok();
    writeln!(out, "id           {}", identity.home.agent).ok();
    writeln!(out, "server       {}", identity.home.server).ok();
    writeln!(out, "certificate  until {}", until.format("%Y-%m-%d %H:%M UTC")).ok();
    Ok(())
}
