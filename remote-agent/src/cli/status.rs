//! Says who this agent is.

use serde_json::json;
use std::process::ExitCode;

use super::Printed;
use crate::{config::Settings, identity::Folder};

/// Prints it.
pub fn run(printed: &Printed) -> Result<ExitCode, String> {
    let path = Settings::load(&printed.options)?.data_dir;
    let identity = Folder::at(&path).read();
    let identity = identity.map_err(|error| format!("no identity in {}: {error}", path.display()))?;
    let until = chrono::DateTime::from_timestamp(identity.until, 0).unwrap_or_default();
    let home = &identity.home;
    let text = format!(
        "name         {}\nid           {}\nserver       {}\ncertificate  until {}\nfolder       {}",
        home.name,
        home.agent,
        home.server,
        until.format("%Y-%m-%d %H:%M UTC"),
        path.display()
    );
    let value = json!({
        "name": home.name, "id": home.agent, "server": home.server, "certificate_until": until,
        "data_dir": path,
    });
    printed.print(&value, &text)?;
    Ok(ExitCode::SUCCESS)
}
