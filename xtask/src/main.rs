//! Builds and runs the project: `cargo xtask demo`, `cargo xtask verify`, `cargo xtask bench`,
//! `cargo xtask fuzz`, `cargo xtask package`, `cargo xtask ui`.

#![allow(
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "JSON values answer null where nothing is; what a task prints is its product"
)]

mod alike;
mod bench;
mod children;
mod demo;
mod fuzz;
mod package;
mod ui;
mod verify;

use clap::{Parser, Subcommand};
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

/// What went wrong, for people.
type Problem = Box<dyn std::error::Error>;

/// Builds and runs Rackhand.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Start simulated racks and Rackhand on this machine, ready to sign in
    Demo(demo::Options),
    /// Check everything: format, lints, tests, third parties, browser
    Verify(verify::Options),
    /// Measure speed and size, beside peers; writes docs/benchmarks.md
    Bench(bench::Options),
    /// Search for messages that an end of the agents' line takes amiss
    Fuzz(fuzz::Options),
    /// Make Debian packages of the server and the agent in target/packages
    Package(package::Options),
    /// Build the web interface when it is stale
    Ui,
    /// Write the API's description to docs/openapi.json
    Openapi,
    /// What the stage `schema` runs without a network
    #[command(hide = true)]
    Schema,
}

fn main() -> ExitCode {
    let result = match Cli::parse().task {
        Task::Demo(options) => demo::run(&root(), &options),
        Task::Verify(options) => verify::run(&root(), &options),
        Task::Bench(options) => bench::run(&root(), &options),
        Task::Fuzz(options) => fuzz::run(&root(), &options),
        Task::Package(options) => package::run(&root(), &options),
        Task::Ui => ui(&root()),
        Task::Openapi => openapi(&root()),
        Task::Schema => verify::schema::alone(&root()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new(".")).to_owned()
}

fn ui(root: &Path) -> Result<(), Problem> {
    match ui::build(root)? {
        ui::Outcome::Fresh => eprintln!("The web interface is up to date."),
        ui::Outcome::Built { brotli } => eprintln!("The web interface is built: {brotli} bytes to load."),
    }
    Ok(())
}

fn openapi(root: &Path) -> Result<(), Problem> {
    let output = children::cargo(root)
        .args(["run", "--quiet", "--package", "rackhand-server", "--bin", "rackhand", "--", "openapi"])
        .stderr(std::process::Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err("rackhand openapi failed".into());
    }
    std::fs::write(root.join("docs/openapi.json"), output.stdout)?;
    Ok(())
}
