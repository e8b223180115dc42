//! The table, on the terminal and in docs/benchmarks.md.

use serde_json::Value;
use std::{fmt::Write as _, fs, path::Path, process::Command};

use super::Section;
use crate::Problem;

/// The page; each section's figures stand between marks that carry its name.
const PAGE: &str = "docs/benchmarks.md";

/// Draws figures for a terminal.
pub fn text(figures: &[Value]) -> String {
    let rows = figures.iter().map(|figure| {
        let [ours, peer, ratio, target, met] = cells(figure);
        let name = word(&figure["name"]);
        let note = word(&figure["note"]);
        let note = if note.is_empty() { String::new() } else { format!("\n      {note}") };
        format!("  {name}\n      {ours}   peer {peer}   ratio {ratio}   target {target}   met {met}{note}")
    });
    rows.collect::<Vec<_>>().join("\n")
}

/// Replaces the figures of one section.
pub fn write(root: &Path, section: &Section, figures: &[Value], runs: u32) -> Result<(), Problem> {
    let path = root.join(PAGE);
    let page = fs::read_to_string(&path)?;
    let (open, close) = (format!("<!-- {} -->\n", section.name), format!("<!-- /{} -->", section.name));
    let parts = page.split_once(&open).and_then(|(before, rest)| Some((before, rest.split_once(&close)?.1)));
    let (before, after) = parts.ok_or_else(|| format!("{PAGE} has no place for “{}”", section.name))?;
    let command = format!("cargo xtask bench --only {} --runs {runs}", section.name);
    let body = format!("{}\n\n{}\n", circumstances(root, &command)?, table(figures));
    fs::write(&path, format!("{before}{open}{body}{close}{after}"))?;
    Ok(())
}

fn table(figures: &[Value]) -> String {
    let mut table =
        "| figure | ours | peer | peer ÷ ours | target | met |\n|---|---|---|---|---|---|\n".to_owned();
    let mut notes = String::new();
    for figure in figures {
        let [ours, peer, ratio, target, met] = cells(figure);
        let (name, note) = (word(&figure["name"]), word(&figure["note"]));
        // Writing into a string cannot fail.
        writeln!(table, "| {name} | {ours} | {peer} | {ratio} | {target} | {met} |").unwrap_or_default();
        if !note.is_empty() {
            writeln!(notes, "- {name}: {note}.").unwrap_or_default();
        }
    }
    if notes.is_empty() { table } else { format!("{table}\n{}", notes.trim_end()) + "\n" }
}

/// Ours, peer, ratio, target, met.
fn cells(figure: &Value) -> [String; 5] {
    let unit = word(&figure["unit"]);
    let amount =
        |value: &Value| format!("{} {unit}", number(value.as_f64().unwrap_or_default())).trim().to_owned();
    let nothing = || "–".to_owned();
    let peer = &figure["peer"];
    let (peer, ratio) = match peer["name"].as_str() {
        Some(name) => (
            format!("{} {name}", amount(&peer["value"])),
            format!("{}×", number(peer["ratio"].as_f64().unwrap_or_default())),
        ),
        None => (nothing(), nothing()),
    };
    let met = match figure["met"].as_bool() {
        Some(true) => "yes".to_owned(),
        Some(false) => "**no**".to_owned(),
        None => nothing(),
    };
    [amount(&figure["ours"]), peer, ratio, word(&figure["target"]), met]
}

/// Three digits that count.
fn number(value: f64) -> String {
    match value.abs() {
        large if large >= 100.0 || value.fract() == 0.0 => format!("{value:.0}"),
        middle if middle >= 10.0 => format!("{value:.1}"),
        small if small >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// Day, machine, commit and command.
fn circumstances(root: &Path, command: &str) -> Result<String, Problem> {
    let told = |program: &str, words: &[&str]| -> Result<String, Problem> {
        let output = Command::new(program).args(words).current_dir(root).output()?;
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    };
    let cpu = fs::read_to_string("/proc/cpuinfo")?;
    let model =
        cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map(|(_, name)| name);
    let cores = std::thread::available_parallelism()?;
    let load = fs::read_to_string("/proc/loadavg")?;
    let load = load.split(' ').next().unwrap_or_default();
    let commit = told("git", &["rev-parse", "--short", "HEAD"])?;
    // The page itself changes while its sections are measured.
    let changed =
        !told("git", &["status", "--porcelain", "--untracked-files=no", "--", ".", ":!docs/benchmarks.md"])?
            .is_empty();
    Ok(format!(
        "{}, {cores} cores of {}, Linux {}, load {load} at the end; commit {commit}{}; `{command}`",
        told("date", &["--utc", "+%Y-%m-%d"])?,
        model.unwrap_or("an unnamed processor"),
        told("uname", &["--kernel-release"])?,
        if changed { " with changes" } else { "" },
    ))
}

fn word(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
