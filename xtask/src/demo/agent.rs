//! The demonstration's agent: enrolled and run as on a site of its own.

use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use super::Api;
use crate::{Problem, children::Kept};

/// What it is called.
pub const NAME: &str = "site-b";

/// Its log.
pub fn log(folder: &Path) -> PathBuf {
    folder.join("agent.log")
}

/// Adds an agent, enrols it with the token that the API gives and runs it until it is online; gives its id too.
pub fn start(api: &Api, binaries: &Path, folder: &Path) -> Result<(Kept, Value), Problem> {
    let added = api.post("/agents", &json!({ "name": NAME }))?;
    let token = added["token"].as_str().ok_or("the agent has no token")?;
    let data = folder.join("agent");
    fs::create_dir_all(&data)?;
    fs::write(data.join("agent.toml"), "# The simulators are on this machine.\nallow = [\"127.0.0.0/8\"]\n")?;
    let mut enroll = Command::new(binaries.join("rackhand-agent"));
    enroll.args(["enroll", "--server", &api.base, "--token", token, "--data-dir"]).arg(&data);
    if !enroll.stdout(Stdio::null()).status()?.success() {
        return Err("the agent could not be enrolled".into());
    }
    let mut run = Command::new(binaries.join("rackhand-agent"));
    run.args(["run", "--data-dir"]).arg(&data);
    let kept = Kept(run.stderr(fs::File::create(log(folder))?).spawn()?);
    let id = added["agent"]["id"].clone();
    let path = format!("/agents/{}", id.as_str().unwrap_or_default());
    let begun = Instant::now();
    while api.get(&path)?["state"] != "online" {
        if begun.elapsed() > Duration::from_secs(30) {
            return Err(format!("the agent did not come; see {}", log(folder).display()).into());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok((kept, id))
}
