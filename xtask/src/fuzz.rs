//! `cargo xtask fuzz`: odd messages for both ends of the agents' line, found by libFuzzer with stable Rust
//! (docs/decisions/0012-fuzzing-with-stable-rust.md).

use clap::Args;
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{Problem, children::cargo};

/// Options of the search.
#[derive(Args)]
pub struct Options {
    /// How long to search
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
}

/// Has every branch and every comparison of the program marked, so that the fuzzer sees what an input reaches.
const MARKS: [&str; 6] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    // The linker must not take the marks for rubbish.
    "-Clink-arg=-Wl,-z,nostart-stop-gc",
];

/// Inputs that are always tried first, from the project's folder: what was found worth keeping, and what was recorded.
const KNOWN: [&str; 2] = ["fuzz/corpus/frames", "wire/src/agent/fixtures/v1"];

/// In `cargo xtask verify`.
const BRIEFLY: u32 = 5;

/// Searches.
pub fn run(root: &Path, options: &Options) -> Result<(), Problem> {
    println!("{}", search(root, options.seconds)?);
    Ok(())
}

/// Replays what is known and searches for a moment.
pub fn stage(root: &Path) -> Result<String, Problem> {
    search(root, BRIEFLY)
}

fn search(root: &Path, seconds: u32) -> Result<String, Problem> {
    let program = build(root)?;
    let found = program.with_file_name("frames-found");
    fs::create_dir_all(&found)?;
    let known = KNOWN.map(|folder| root.join(folder));
    let replayed =
        known.iter().map(|folder| Ok(fs::read_dir(folder)?.count())).sum::<Result<usize, Problem>>()?;
    let mut fuzzer = Command::new(&program);
    fuzzer
        .arg(&found)
        .args(&known)
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-dict={}", root.join("fuzz/frames.dict").display()))
        .arg(format!("-artifact_prefix={}/", program.with_file_name("").display()))
        .args(["-max_len=65536", "-timeout=10", "-rss_limit_mb=1024", "-print_final_stats=1"]);
    let output = fuzzer.stdout(Stdio::null()).stderr(Stdio::piped()).output()?;
    let told = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        let last: Vec<&str> = told.lines().rev().take(40).collect();
        return Err(last.into_iter().rev().collect::<Vec<_>>().join("\n").into());
    }
    let reached = told.lines().rev().find_map(|line| line.split_once(" cov: ")?.1.split(' ').next());
    let runs = told.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
    let (reached, runs) = (reached.unwrap_or("0"), runs.map_or("0", str::trim));
    if reached == "0" || runs.parse::<usize>()? <= replayed {
        return Err(format!("the program has no marks, or nothing was tried:\n{told}").into());
    }
    Ok(format!("{replayed} known messages and {runs} tries, {reached} places reached, nothing found"))
}

/// Builds the program with its marks; a target of its own keeps the marks away from everything else.
///
/// # Errors
/// When it does not compile.
pub fn build(root: &Path) -> Result<PathBuf, Problem> {
    let version = Command::new("rustc").arg("-vV").current_dir(root).output()?;
    let version = String::from_utf8(version.stdout)?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).ok_or("rustc names no host")?;
    let mut build = cargo(root);
    build
        .args([
            "build",
            "--profile",
            "fuzz",
            "--package",
            "rackhand-fuzz",
            "--bin",
            "frames",
            "--target",
            host,
        ])
        .args(["--message-format", "json-render-diagnostics"])
        .env("CARGO_ENCODED_RUSTFLAGS", MARKS.join("\u{1f}"));
    let output = build.stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err("the build failed".into());
    }
    let messages = String::from_utf8(output.stdout)?;
    let mut told = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let program = told.find_map(|message| message["executable"].as_str().map(PathBuf::from));
    program.ok_or_else(|| "cargo did not say where the program is".into())
}
