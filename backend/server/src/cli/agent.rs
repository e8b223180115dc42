//! Agents, from the command line.

use chrono::{DateTime, Utc};
use clap::Subcommand;
use rackhand_store::{Db, Scope, agents};
use rackhand_wire::id::{AgentId, TenantId};
use serde_json::json;
use std::{fs, path::PathBuf};

use super::{
    people::{commit, record},
    print::{Printed, columns, moment},
};
use crate::{Failure, http, secret, serve, tls};

/// What can be done with agents.
#[derive(Subcommand)]
pub enum AgentCommand {
    /// Add an agent that brings its own key; `rackhand-agent enroll --agent ID --key FILE` then needs no token
    Add {
        /// Name of the agent
        #[arg(long)]
        name: String,
        /// Group of agents that stand in for one another; its own name when absent
        #[arg(long)]
        group: Option<String>,
        /// Its public key: PEM, Ed25519 or P-256
        #[arg(long, value_name = "FILE")]
        public_key: PathBuf,
        #[command(flatten)]
        printed: Printed,
    },
    /// Give an agent a new identity, for another machine or a lost key: prints what to run there, good once within an hour
    Replace {
        /// Id or name of the agent; its id, and what names it, stays
        agent: String,
        /// Refuse its present key at once
        #[arg(long)]
        force: bool,
        /// Network that the token may be used from, like 203.0.113.0/24
        #[arg(long, value_name = "CIDR")]
        source: Option<ipnet::IpNet>,
        #[command(flatten)]
        printed: Printed,
    },
    /// List the agents
    List(Printed),
}

/// Does something with agents.
///
/// # Errors
/// When it is refused, or the database cannot be used.
pub async fn agent(command: AgentCommand) -> Result<(), Failure> {
    match command {
        AgentCommand::Add { name, group, public_key, printed } => {
            let db = serve::open_existing(&printed.config()?).await?;
            let what = format!("read {}", public_key.display());
            let pem = fs::read_to_string(&public_key).map_err(|error| Failure::new(&what, error))?;
            let Some(key) = http::agent_key(&pem) else {
                return Err(Failure::new(&what, "this is no PEM text of an Ed25519 or P-256 public key"));
            };
            add(&db, &name, group.as_deref(), &key, &printed).await
        }
        AgentCommand::Replace { agent, force, source, printed } => {
            let config = printed.config()?;
            let db = serve::open_existing(&config).await?;
            let pin = tls::open(&config, &db).await?.and_then(|tls| tls.pin());
            let source = source.map(|source| source.to_string());
            let (id, name, token) = replace(&db, &agent, (force, source)).await?;
            let (token, until) = (http::pinned(&token.0, pin.as_deref()), token.1);
            let command = http::enrol_command(&config.public_url, &token);
            let data =
                json!({"id": id, "name": name, "token": token, "expires_at": until, "command": command});
            printed.print(&data, &command)
        }
        AgentCommand::List(printed) => {
            let db = serve::open_existing(&printed.config()?).await?;
            list(&db, &printed).await
        }
    }
}

async fn add(db: &Db, name: &str, group: Option<&str>, key: &str, printed: &Printed) -> Result<(), Failure> {
    let group = group.unwrap_or(name);
    for text in [name, group] {
        if text.trim().is_empty() || text.chars().count() > 100 || text.chars().any(char::is_control) {
            return Err(Failure::new("add the agent", "names must have 1 to 100 printable characters"));
        }
    }
    if group.trim() == agents::LOCAL {
        return Err(Failure::new("add the agent", "“local” is the group of the servers' own agents"));
    }
    let tx = db.begin().await?;
    let new = agents::New { tenant: TenantId::PROVIDER, name, group, site: None, embedded: false };
    let agent = agents::add(&tx, new).await?;
    agents::register(&tx, agent.id, key).await?;
    record(&tx, "agent.add", ("agent", &agent.id.to_string(), &agent.name), json!({})).await?;
    commit(tx).await?;
    let id = agent.id;
    printed.print(&json!({"id": id, "name": agent.name, "group": agent.group}), &format!("added agent {id}"))
}

async fn replace(
    db: &Db,
    wanted: &str,
    (force, source): (bool, Option<String>),
) -> Result<(AgentId, String, (String, DateTime<Utc>)), Failure> {
    let refused = |why: String| Failure::new("replace the agent", why);
    let tx = db.begin().await?;
    let all = agents::list(&tx, &Scope::provider()).await?;
    let is_it = |agent: &agents::Agent| agent.id.to_string() == wanted || agent.name == wanted;
    let found = all.into_iter().find(is_it);
    let agent = found
        .ok_or_else(|| refused(format!("there is no agent {wanted}; `rackhand agent list` names them")))?;
    if agent.embedded {
        return Err(refused(format!("{} is part of the server itself", agent.name)));
    }
    if force {
        agents::revoke(&tx, &Scope::provider(), agent.id).await?;
    }
    let detail = json!({"force": force, "source": source});
    let token = http::keep_token(&tx, agent.id, source, &secret::fresh_token()?).await?;
    record(&tx, "agent.replace", ("agent", &agent.id.to_string(), &agent.name), detail).await?;
    commit(tx).await?;
    Ok((agent.id, agent.name, token))
}

async fn list(db: &Db, printed: &Printed) -> Result<(), Failure> {
    let all = agents::list(db.reader(), &Scope::provider()).await?;
    let rows = all.iter().map(|agent| {
        let state = match (agent.revoked_at, &agent.identity) {
            (Some(_), _) => "revoked",
            (None, None) if agent.embedded => "built in",
            (None, None) => "not enrolled",
            (None, Some(_)) => "enrolled",
        };
        let heard = if agent.embedded { "part of a server".to_owned() } else { moment(agent.last_seen_at) };
        [agent.id.to_string(), agent.name.clone(), agent.group.clone(), state.to_owned(), heard]
    });
    let data: Vec<_> = all
        .iter()
        .map(|agent| {
            json!({
                "id": agent.id, "name": agent.name, "group": agent.group, "embedded": agent.embedded,
                "version": agent.version, "revoked_at": agent.revoked_at, "last_seen_at": agent.last_seen_at,
            })
        })
        .collect();
    printed.print(&data, &columns(["ID", "NAME", "GROUP", "STATE", "LAST HEARD"], rows))
}
