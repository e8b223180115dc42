//! The stage `browser`: Debian's Chromium walks the web interface.

use std::path::Path;

use super::shell;
use crate::{Problem, children::cargo};

/// Runs the browser's tests; gives the counts.
pub(super) fn stage(root: &Path) -> Result<String, Problem> {
    let build = [
        "build",
        "--quiet",
        "--package",
        "rackhand-server",
        "--package",
        "rackhand-agent",
        "--package",
        "rackhand-simulators",
    ];
    shell(cargo(root).args(build), root)?;
    let output = cargo(root)
        .args(["test", "--package", "rackhand-tests", "--test", "browser", "--", "--nocapture"])
        .stderr(std::process::Stdio::inherit())
        .output()?;
    let told = String::from_utf8_lossy(&output.stdout);
    print!("{told}");
    let sum = told.lines().rfind(|line| line.starts_with("test result:")).unwrap_or("no test ran");
    if output.status.success() { Ok(sum.to_owned()) } else { Err(sum.into()) }
}
