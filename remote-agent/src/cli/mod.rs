//! `rackhand-agent`: enrol once, then run.

mod check;
mod enroll;
mod serve;
mod status;

use clap::{Args, CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;
use serde::Serialize;
use std::{
    io::{self, IsTerminal as _, Write as _},
    path::Path,
    process::ExitCode,
};

use crate::{
    config::{Filter, Options},
    identity::Folder,
};

/// Runs what the command line asks for.
pub async fn run() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.command {
        Command::Enroll(options) => enroll::run(options).await,
        Command::Run(options) => return serve::run(options).await,
        Command::Status(printed) => status::run(&printed),
        Command::Check(printed) => check::run(&printed).await,
        Command::Completions { shell } => completions(shell),
    };
    done.unwrap_or_else(|why| {
        writeln!(io::stderr(), "rackhand-agent: {why}").ok();
        ExitCode::FAILURE
    })
}

/// Rackhand's agent: reaches devices on site for a Rackhand server that cannot. It dials out; nothing here
/// listens.
#[derive(Parser)]
#[command(version, name = "rackhand-agent", max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make keys on this machine and get the agent's first certificate with a single-use token
    Enroll(enroll::Enroll),
    /// Hold the line to the server and do what it asks; SIGHUP reads the configuration again
    Run(Options),
    /// Say who this agent is and how long its certificate lasts
    Status(Printed),
    /// Try everything that the agent needs: configuration, identity, rights, disk, the way to the server
    Check(Printed),
    /// Print completions for a shell
    Completions {
        /// Which shell
        shell: Shell,
    },
}

/// A command that prints.
#[derive(Args)]
struct Printed {
    #[command(flatten)]
    options: Options,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Printed {
    fn print(&self, value: &impl Serialize, text: &str) -> Result<(), String> {
        let shown = if self.json {
            serde_json::to_string_pretty(value).map_err(|error| error.to_string())?
        } else {
            text.to_owned()
        };
        write(&shown)
    }
}

/// Writes to the output; whoever reads may have seen enough.
fn write(text: &str) -> Result<(), String> {
    match writeln!(io::stdout(), "{}", text.trim_end()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.to_string()),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn completions(shell: Shell) -> Result<ExitCode, String> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "rackhand-agent", &mut script);
    write(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}

/// Changes what is logged.
type Relog = Box<dyn Fn(&Filter) + Send + Sync>;

fn log(filter: &Filter) -> Relog {
    let builder = tracing_subscriber::fmt().with_env_filter(filter.filter()).with_writer(io::stderr);
    // The log lives as long as the process, so that there is nothing to change it in only after its end.
    if io::stderr().is_terminal() {
        let builder = builder.with_filter_reloading();
        let handle = builder.reload_handle();
        builder.init();
        Box::new(move |filter| drop(handle.reload(filter.filter())))
    } else {
        let builder = builder.json().with_filter_reloading();
        let handle = builder.reload_handle();
        builder.init();
        Box::new(move |filter| drop(handle.reload(filter.filter())))
    }
}

fn folder(path: &Path) -> Result<Folder, String> {
    Folder::open(path).map_err(|error| format!("cannot use {}: {error}", path.display()))
}

fn warn_unknown_variables() {
    for variable in crate::config::unknown_variables() {
        tracing::warn!(variable, "this environment variable means nothing to rackhand-agent");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
