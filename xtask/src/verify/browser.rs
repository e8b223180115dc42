//! The stage `browser`: Debian's Chromium walks the web interface.

use std::path::Path;

use crate::{
    Problem,
    children::{build_programs, cargo},
};

/// Runs the browser's tests; gives the counts.
pub(super) fn stage(root: &Path) -> Result<String, Problem> {
    build_programs(root)?;
    let output = cargo(root)
        .args(["test", "--package", "rackhand-tests", "--test", "browser", "--", "--nocapture"])
        .stderr(std::process::Stdio::inherit())
        .output()?;
    let told = String::from_utf8_lossy(&output.stdout);
    print!("{told}");
    let sum = told.lines().rfind(|line| line.starts_with("test result:")).unwrap_or("no test ran");
    if output.status.success() { Ok(sum.to_owned()) } else { Err(sum.into()) }
}
