//! The stage `schema`: schemathesis reads the API's description and sends what it makes of it to a
//! real server beside simulated racks.
//!
//! It makes up addresses of devices, and the server would ask them. So server, racks and schemathesis
//! run in a network namespace in which there is nothing but a loopback.

use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::AtomicBool,
};

use super::shell;
use crate::{
    Problem,
    children::{Kept, build_programs},
    demo::{Api, CONTROL, add_token, add_user, binaries, free_port, seed, simulators},
};

/// The release whose figures can be compared.
const RELEASE: &str = "schemathesis==4.32.5";
/// How long it plays.
const SECONDS: &str = "120";
/// Where it begins, so that two runs send the same first requests.
const SEED: &str = "20261125";
const SERVERS: u16 = 4;
/// What every answer must hold to.
const CHECKS: &str =
    "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance";
/// A stream that ends only with its listener has no answer to check.
const ENDLESS: &str = "/live";
/// Where the running stage is told the interpreter that has schemathesis.
const PYTHON: &str = "SCHEMA_PYTHON";

/// Prepares what needs the network, then runs [`alone`] without it; gives the counts.
pub(super) fn stage(root: &Path) -> Result<String, Problem> {
    build_programs(root)?;
    let python = python(root)?;
    let mut inside = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        inside.arg("--map-root-user");
    }
    inside
        .args(["--net", "sh", "-c", "ip link set lo up && exec \"$@\"", "sh"])
        .arg(std::env::current_exe()?)
        .arg("schema")
        .env(PYTHON, python);
    let output = inside.current_dir(root).stderr(Stdio::inherit()).output()?;
    let told = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if output.status.success() {
        Ok(told)
    } else {
        let remedy = "if it could not begin: run it as root, or allow network namespaces to users";
        Err(format!("{told}; {remedy}").into())
    }
}

/// An interpreter with schemathesis, kept below `target` between runs.
fn python(root: &Path) -> Result<PathBuf, Problem> {
    let folder = binaries(root)?.join("schemathesis");
    let python = folder.join("bin/python");
    let mark = folder.join(RELEASE);
    if !mark.exists() {
        shell(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder), root)?;
        shell(Command::new(&python).args(["-m", "pip", "install", "--quiet", RELEASE]), root)?;
        fs::write(mark, "")?;
    }
    Ok(python)
}

/// Runs inside the namespace; refuses to anywhere else.
pub fn alone(root: &Path) -> Result<(), Problem> {
    let python = std::env::var_os(PYTHON).ok_or("run it as: cargo xtask verify --only schema")?;
    let devices = fs::read_to_string("/proc/net/dev")?;
    let others = devices.lines().skip(2).filter_map(|line| line.split_once(':'));
    if let Some((name, _)) = others.filter(|(name, _)| name.trim() != "lo").last() {
        return Err(format!("{} leads out of here", name.trim()).into());
    }
    let folder = binaries(root)?.join("schema");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    let control = ([127, 0, 0, 1], free_port(CONTROL)?).into();
    let (_simulators, inventory) = simulators(&binaries(root)?, &folder, SERVERS, control)?;
    let (_server, api) = serve(root, &folder)?;
    seed(&api, &inventory, None, &AtomicBool::new(false))?;
    // It keeps what it learned beside its settings; every run begins anew.
    for file in ["schemathesis.toml", "hooks.py"] {
        fs::copy(root.join("xtask/schema").join(file), folder.join(file))?;
    }
    let report = folder.join("report.json");
    let status = Command::new(python)
        .args(["-m", "schemathesis.cli", "run", "--no-color"])
        .arg(format!("{}/api/v1/openapi.json", api.base))
        .args(["--header", &format!("Authorization: Bearer {}", api.token)])
        .args(["--checks", CHECKS, "--exclude-path", ENDLESS, "--max-time", SECONDS, "--seed", SEED])
        .args(["--continue-on-failure", "--no-shrink", "--generation-database", "none", "--warnings", "off"])
        .args(["--report", "json", "--report-json-path"])
        .arg(&report)
        .env("SCHEMA_BASE", format!("{}/api/v1", api.base))
        .env("SCHEMA_TOKEN", &api.token)
        .current_dir(&folder)
        .stdout(std::io::stderr())
        .status()?;
    api.get("/settings").map_err(|problem| format!("the token is gone, so little was checked: {problem}"))?;
    let report: Value = serde_json::from_str(&fs::read_to_string(&report)?)?;
    let counts = counts(&report);
    if report.pointer("/operations/tested") != report.pointer("/operations/selected") {
        return Err(format!("not every operation was asked: {counts}").into());
    }
    if !status.success() {
        return Err(format!("{counts}; the server's log is {}", folder.join("rackhand.log").display()).into());
    }
    println!("{counts}");
    Ok(())
}

fn serve(root: &Path, folder: &Path) -> Result<(Kept, Api), Problem> {
    let binaries = binaries(root)?;
    add_user(&binaries, folder)?;
    let token = add_token(&binaries, folder)?;
    let port = free_port(8080)?;
    let log = fs::File::create(folder.join("rackhand.log"))?;
    let child = Command::new(binaries.join("rackhand"))
        .args(["serve", "--listen", &format!("127.0.0.1:{port}"), "--data-dir"])
        .arg(folder)
        .env("RACKHAND_ALLOW", "127.0.0.0/8")
        .env("RACKHAND_TIME_SCALE", "0.05")
        .stderr(log)
        .spawn()?;
    let api = Api { base: format!("http://127.0.0.1:{port}"), token };
    let kept = Kept(child);
    api.wait_ready(folder)?;
    Ok((kept, api))
}

/// What the report counts, in words.
fn counts(report: &Value) -> String {
    let count = |pointer: &str| report.pointer(pointer).and_then(Value::as_u64).unwrap_or_default();
    format!(
        "{} requests to {} operations, {} failures",
        count("/test_cases/generated"),
        count("/operations/tested"),
        count("/test_cases/unique_failures"),
    )
}
