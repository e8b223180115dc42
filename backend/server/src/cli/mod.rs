//! The command line.

mod agent;
mod database;
mod people;
mod print;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use rackhand_store::{Db, audit};
use serde_json::json;
use std::{
    io::{self, Write},
    process::ExitCode,
};

use self::{
    agent::AgentCommand,
    database::{DbCommand, database},
    people::{TokenCommand, UserCommand},
    print::{Printed, write},
};
use crate::{
    Failure,
    config::{Config, Options},
    http, logging, serve,
};

/// Rackhand runs a hosting company's fleet: servers, the things that control them, and their power.
#[derive(Parser)]
#[command(name = "rackhand", version, arg_required_else_help = true, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the web interface and the API, and run jobs
    Serve(Box<Options>),
    /// Bring the database to this version's shape; `serve` does it by itself
    Migrate(Printed),
    /// The database as a whole
    #[command(subcommand)]
    Db(DbCommand),
    /// People
    #[command(subcommand)]
    User(UserCommand),
    /// Bearer tokens for scripts
    #[command(subcommand)]
    Token(TokenCommand),
    /// Agents on site
    #[command(subcommand)]
    Agent(AgentCommand),
    /// The record of who did what
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Print the API's description (OpenAPI 3.1, JSON)
    Openapi,
    /// Print completions for a shell
    Completions {
        /// Which shell
        shell: Shell,
    },
}

#[derive(Subcommand)]
enum AuditCommand {
    /// Recompute every hash chain; fails when a record was changed or is missing
    Verify(Printed),
}

/// Runs what the command line says.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let serves = matches!(cli.command, Command::Serve(_));
    if serves {
        logging::start();
    } else {
        logging::start_plain();
    }
    let result = actix_web::rt::System::new().block_on(run(cli.command));
    match result {
        Ok(code) => code,
        Err(failure) if serves => {
            tracing::error!("{failure}");
            ExitCode::FAILURE
        }
        Err(failure) => {
            // Nobody is left to tell when this cannot be written either.
            writeln!(io::stderr(), "rackhand: {failure}").ok();
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Serve(options) => serve::run(Config::load(&options)?).await?,
        Command::Migrate(printed) => {
            let db = serve::open(&printed.config()?).await?;
            let steps = serve::migrate(&db).await?;
            let taken: Vec<String> = steps.iter().map(|step| format!("applied {step}")).collect();
            let text = if taken.is_empty() { "nothing to do".to_owned() } else { taken.join("\n") };
            printed.print(&json!({"steps": steps}), &text)?;
        }
        Command::Db(command) => database(command).await?,
        Command::User(command) => people::user(command).await?,
        Command::Token(command) => people::token(command).await?,
        Command::Agent(command) => agent::agent(command).await?,
        Command::Audit(AuditCommand::Verify(printed)) => {
            let db = serve::open_existing(&printed.config()?).await?;
            return verify(&db, &printed).await;
        }
        Command::Openapi => {
            let text = http::document().map_err(|error| Failure::new("describe the API", error))?;
            write(text.trim_end())?;
        }
        Command::Completions { shell } => {
            // Not straight to the output: whoever reads may have seen enough.
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "rackhand", &mut script);
            write(String::from_utf8_lossy(&script).trim_end())?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn verify(db: &Db, printed: &Printed) -> Result<ExitCode, Failure> {
    let chains = audit::verify(db.reader()).await?;
    let broken = chains.iter().any(|chain| chain.broken.is_some());
    let lines: Vec<String> = chains
        .iter()
        .map(|chain| match &chain.broken {
            None => format!("tenant {}: {} records, unbroken", chain.tenant, chain.records),
            Some((seq, why)) => format!("tenant {}: BROKEN at record {seq}: {why}", chain.tenant),
        })
        .collect();
    let text = if lines.is_empty() { "no records yet".to_owned() } else { lines.join("\n") };
    printed.print(&chains, &text)?;
    Ok(if broken { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
