//! Makes an identity and has it certified.

use clap::Args;
use rackhand_wire::{
    agent::enrol::{self, Enrol, Enrolled},
    id::AgentId,
};
use std::{path::PathBuf, process::ExitCode};

use super::{folder, write};
use crate::{
    config::{Options, Settings},
    identity::{self, Home},
    line::{self, Target},
};

#[expect(clippy::doc_markdown, reason = "these comments are the help text")]
#[derive(Args)]
pub struct Enroll {
    #[command(flatten)]
    options: Options,
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

/// Enrols.
pub async fn run(options: Enroll) -> Result<ExitCode, String> {
    let path = Settings::load(&options.options)?.data_dir;
    let folder = folder(&path)?;
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
    let answer = match line::fetch(&target, enrol::PATH, body).await? {
        (201, answer) => answer,
        (status, answer) => {
            folder.discard().map_err(|error| format!("cannot tidy {}: {error}", path.display()))?;
            return Err(refusal(status, &answer));
        }
    };
    let enrolled: Enrolled =
        serde_json::from_str(&answer).map_err(|error| format!("the answer cannot be read: {error}"))?;
    let home = Home { agent: enrolled.agent, name: enrolled.name, server: options.server, pin };
    folder
        .settle(&home, &enrolled.certificate)
        .map_err(|error| format!("cannot save the identity: {error}"))?;
    write(&format!(
        "Enrolled as “{}”. Start it: rackhand-agent run --data-dir {}",
        home.name,
        path.display()
    ))?;
    Ok(ExitCode::SUCCESS)
}

fn refusal(status: u16, answer: &str) -> String {
    let problem: serde_json::Value = serde_json::from_str(answer).unwrap_or_default();
    let said = problem.pointer("/errors/0/message").or_else(|| problem.get("detail"));
    let said = said.or_else(|| problem.get("title")).and_then(serde_json::Value::as_str);
    format!("the server refuses with {status}: {}", said.unwrap_or("it gives no reason"))
}

/// A token brings the server's key along when its certificate is its own: `TOKEN.PIN`.
fn split(token: &str) -> (String, Option<String>) {
    match token.split_once('.') {
        Some((token, pin)) => (token.to_owned(), Some(pin.to_owned())),
        None => (token.to_owned(), None),
    }
}
