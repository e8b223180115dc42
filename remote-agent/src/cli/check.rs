//! Looks at everything that the agent needs.

use rackhand_wire::Timings;
use serde_json::json;
use std::{fs, os::unix::fs::MetadataExt as _, path::Path, process::ExitCode};

use super::Printed;
use crate::{
    config::{self, Settings},
    identity::{Folder, Identity},
    line::{self, Finding, Target},
};

/// With less than this free, the journal may soon stand still, and with it every switching.
const LEAST_FREE: u64 = 64 * 1024 * 1024;

/// Prints one line for each finding; the exit code is 1 when something is wrong.
pub async fn run(printed: &Printed) -> Result<ExitCode, String> {
    let findings = match Settings::load(&printed.options) {
        Ok(settings) => look(&settings).await,
        Err(why) => {
            let rest = ["identity", "rights", "disk", "dns", "tcp", "tls", "http"];
            let rest = rest.map(|what| Finding::skipped(what, "not looked at"));
            [Finding::new("config", Err(why))].into_iter().chain(rest).collect()
        }
    };
    let is_well = findings.iter().all(|finding| finding.ok == Some(true));
    let lines: Vec<String> = findings.iter().map(line_of).collect();
    printed.print(&json!({ "ok": is_well, "findings": findings }), &lines.join("\n"))?;
    Ok(if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn line_of(finding: &Finding) -> String {
    let word = match finding.ok {
        Some(true) => "ok",
        Some(false) => "WRONG",
        None => "-",
    };
    format!("{:<9} {word:<6} {}", finding.what, finding.says)
}

async fn look(settings: &Settings) -> Vec<Finding> {
    let path = &settings.data_dir;
    let identity = Folder::at(path).read();
    let mut findings = vec![
        Finding::new("config", Ok(configuration(settings))),
        Finding::new("identity", certificate(path, identity.as_ref().map_err(ToString::to_string))),
        Finding::new("rights", rights(path)),
        Finding::new("disk", disk(path)),
    ];
    let target = identity.ok().map(|it| Target::parse(&it.home.server, it.home.pin.as_deref()));
    match target {
        Some(Ok(target)) => {
            let patience = Timings::default().scaled(settings.time_scale).dead_after;
            findings.extend(line::probe(&target, patience).await);
        }
        Some(Err(why)) => findings.push(Finding::new("dns", Err(why))),
        None => {
            let unknown =
                |what| Finding::skipped(what, "the server is not known before this agent is enrolled");
            findings.extend(["dns", "tcp", "tls", "http"].map(unknown));
        }
    }
    findings
}

fn configuration(settings: &Settings) -> String {
    let file = match &settings.file {
        Some(file) => file.display().to_string(),
        None => "no file".into(),
    };
    let listed = |rules: &[rackhand_driver::Rule]| {
        if rules.is_empty() {
            return "nothing".to_owned();
        }
        rules.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    };
    let (allow, deny) = (listed(&settings.rules.allow), listed(&settings.rules.deny));
    let unknown = config::unknown_variables();
    let unknown =
        if unknown.is_empty() { String::new() } else { format!("; unknown: {}", unknown.join(", ")) };
    format!("{file}; allow {allow}; deny {deny}{unknown}")
}

fn certificate(path: &Path, identity: Result<&Identity, String>) -> Result<String, String> {
    let identity = identity.map_err(|error| {
        format!("none in {}: {error}. Enrol first: rackhand-agent enroll --help", path.display())
    })?;
    let until = chrono::DateTime::from_timestamp(identity.until, 0).unwrap_or_default();
    let (name, shown) = (&identity.home.name, until.format("%Y-%m-%d %H:%M UTC"));
    if until < chrono::Utc::now() {
        return Err(format!("“{name}”, whose certificate ended {shown}; it is renewed at the next session"));
    }
    Ok(format!("“{name}” of {}, certificate until {shown}", identity.home.server))
}

/// Keys must be readable by the agent and by nobody else.
fn rights(path: &Path) -> Result<String, String> {
    let shown = path.display();
    let seen = |file: &Path| fs::metadata(file).map_err(|error| format!("{}: {error}", file.display()));
    let folder = seen(path)?;
    let own = rustix::process::geteuid();
    if !own.is_root() && folder.uid() != own.as_raw() {
        return Err(format!("{shown} belongs to user {}, and this is user {}", folder.uid(), own.as_raw()));
    }
    let listed = fs::read_dir(path).map_err(|error| format!("{shown}: {error}"))?;
    let keys = listed.filter_map(|entry| Some(entry.ok()?.path()));
    let keys = keys.filter(|file| file.extension().is_some_and(|ending| ending == "key"));
    for file in keys.chain([path.to_owned()]) {
        let (mode, owner) = (seen(&file)?.mode() & 0o777, seen(&file)?.uid());
        if mode & 0o077 != 0 {
            return Err(format!("others may use {} (mode {mode:03o}); chmod go= it", file.display()));
        }
        if owner != folder.uid() {
            return Err(format!(
                "{} belongs to user {owner}, its folder to {}",
                file.display(),
                folder.uid()
            ));
        }
    }
    Ok(format!("{shown} is its owner's alone"))
}

fn disk(path: &Path) -> Result<String, String> {
    let found = rustix::fs::statvfs(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    let megabytes = free / 1_000_000;
    if free < LEAST_FREE {
        return Err(format!(
            "{megabytes} MB are free at {}: without a journal nothing is switched",
            path.display()
        ));
    }
    Ok(format!("{megabytes} MB are free at {}", path.display()))
}
