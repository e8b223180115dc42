//! The command line.

use clap::{Args, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use rackhand_store::{Db, audit, users};
use rackhand_wire::{api::token::AddToken, id::TenantId};
use serde::Serialize;
use serde_json::json;
use std::{
    io::{self, BufRead, IsTerminal, Write},
    process::ExitCode,
};

use crate::{
    Failure,
    config::{Config, Options, Storage},
    http, logging, secret, serve,
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
    Serve(Options),
    /// Bring the database to this version's shape; `serve` does it by itself
    Migrate(Printed),
    /// People
    #[command(subcommand)]
    User(UserCommand),
    /// Bearer tokens for scripts
    #[command(subcommand)]
    Token(TokenCommand),
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
enum UserCommand {
    /// Add a user; the password is asked for, or read from standard input
    Add {
        /// Name to sign in with
        #[arg(long)]
        name: String,
        #[command(flatten)]
        printed: Printed,
    },
}

#[derive(Subcommand)]
enum TokenCommand {
    /// Make a token with a user's rights; it is printed this once
    Add {
        /// Whose rights it has
        #[arg(long, value_name = "NAME")]
        user: String,
        /// When it ends, in whole days: 30d, 52w (12h counts as one day)
        #[arg(long, value_name = "DURATION", value_parser = days)]
        expires: Option<u32>,
        /// What it is for
        #[arg(long, value_name = "TEXT", default_value = "command line")]
        name: String,
        #[command(flatten)]
        printed: Printed,
    },
}

#[derive(Subcommand)]
enum AuditCommand {
    /// Recompute every hash chain; fails when a record was changed or is missing
    Verify(Printed),
}

/// Which database, and how to print.
#[derive(Args)]
struct Printed {
    #[command(flatten)]
    storage: Storage,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Printed {
    fn config(&self) -> Result<Config, Failure> {
        Config::load(&Options::from(&self.storage))
    }
}

/// Runs what the command line says.
pub fn main() -> ExitCode {
    logging::start();
    let cli = Cli::parse();
    let result = actix_web::rt::System::new().block_on(run(cli.command));
    match result {
        Ok(code) => code,
        Err(failure) => {
            tracing::error!("{failure}");
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
            let text = if steps.is_empty() { "nothing to do".to_owned() } else { steps.join("\n") };
            print(&printed, &json!({"steps": steps}), &text)?;
        }
        Command::User(UserCommand::Add { name, printed }) => {
            let db = serve::open_current(&printed.config()?).await?;
            add_user(&db, &name, &printed).await?;
        }
        Command::Token(TokenCommand::Add { user, expires, name, printed }) => {
            let db = serve::open_existing(&printed.config()?).await?;
            add_token(&db, &user, AddToken { name, expires_in_days: expires }, &printed).await?;
        }
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

async fn add_user(db: &Db, name: &str, printed: &Printed) -> Result<(), Failure> {
    let refuse = |why: &str| Failure::new("add the user", why);
    if name.trim().is_empty() || name.chars().count() > 100 || name.chars().any(char::is_control) {
        return Err(refuse("the name must have 1 to 100 printable characters"));
    }
    let password = read_password(name)?;
    if !(12..=200).contains(&password.chars().count()) {
        return Err(refuse("the password must have 12 to 200 characters"));
    }
    let hash = secret::hash_password(&password)?;
    let tx = db.begin().await?;
    let user = users::add(&tx, TenantId::PROVIDER, name, hash).await?;
    record(&tx, "user.add", ("user", &user.id.to_string(), &user.name)).await?;
    tx.commit().await.map_err(|error| Failure::from(rackhand_store::Error::from(error)))?;
    let text = format!("added user {}", user.name);
    print(printed, &user, &text)
}

/// Reads a password without showing it, twice, from a terminal; else the first line of the input.
fn read_password(name: &str) -> Result<String, Failure> {
    let failed = |error: io::Error| Failure::new("read the password", error);
    if !io::stdin().is_terminal() {
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line).map_err(failed)?;
        return Ok(line.trim_end_matches(['\r', '\n']).to_owned());
    }
    let password = rpassword::prompt_password(format!("Password for {name}: ")).map_err(failed)?;
    let again = rpassword::prompt_password("The same again: ").map_err(failed)?;
    if password == again { Ok(password) } else { Err(Failure::new("add the user", "the passwords differ")) }
}

async fn add_token(db: &Db, user: &str, new: AddToken, printed: &Printed) -> Result<(), Failure> {
    let account = users::find_by_name(db.reader(), user).await?;
    let account =
        account.ok_or_else(|| Failure::new("make a token", format!("there is no user “{user}”")))?;
    let tx = db.begin().await?;
    let made = http::people::make_token(&tx, &account.user, account.tenant, new).await;
    let made = made.map_err(|error| Failure::new("make a token", error))?;
    record(&tx, "token.add", ("token", &made.token.id.to_string(), &made.token.name)).await?;
    tx.commit().await.map_err(|error| Failure::from(rackhand_store::Error::from(error)))?;
    print(printed, &made, &made.value)
}

async fn record(
    tx: &rackhand_store::Tx,
    action: &str,
    (object, id, name): (&str, &str, &str),
) -> Result<(), Failure> {
    let deed = audit::Deed {
        actor: "command line".into(),
        action: action.into(),
        object: format!("{object}/{id}"),
        object_name: name.into(),
        ..audit::Deed::default()
    };
    Ok(audit::append(tx, TenantId::PROVIDER, deed).await?)
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
    print(printed, &chains, &text)?;
    Ok(if broken { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn print(printed: &Printed, data: &impl Serialize, text: &str) -> Result<(), Failure> {
    if printed.json {
        let json = serde_json::to_string_pretty(data);
        return write(&json.map_err(|error| Failure::new("print JSON", error))?);
    }
    write(text)
}

fn write(text: &str) -> Result<(), Failure> {
    match writeln!(io::stdout(), "{text}") {
        // Whoever reads has seen enough (`rackhand openapi | head`).
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.map_err(|error| Failure::new("print", error)),
    }
}

/// Reads `30d`, `12h` or `2w` as whole days, rounded up.
fn days(text: &str) -> Result<u32, String> {
    let wrong = || "say a number of days like 30d, or 12h, 2w".to_owned();
    let split = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let (number, unit) = text.split_at(split);
    let number: u32 = number.parse().map_err(|_| wrong())?;
    let days = match unit {
        "h" => number.div_ceil(24),
        "d" => number,
        "w" => number.checked_mul(7).ok_or_else(wrong)?,
        _ => return Err(wrong()),
    };
    if (1..=3650).contains(&days) { Ok(days) } else { Err("between 1 and 3650 days are possible".into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn durations_are_days() {
        assert_eq!(days("30d"), Ok(30));
        assert_eq!(days("12h"), Ok(1));
        assert_eq!(days("2w"), Ok(14));
        for wrong in ["", "30", "d", "0d", "99999w", "1y"] {
            assert!(days(wrong).is_err(), "{wrong}");
        }
    }
}
