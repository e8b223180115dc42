//! Tries the way to the backend step by step, so that the step that fails has a name.

use rackhand_wire::agent::Challenge;
use serde::Serialize;
use std::time::Duration;

use super::{
    dial::{self, Target, patiently},
    talk::next_text,
};

/// What one step came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub what: &'static str,
    /// Whether it is as it must be; none when it could not be looked at.
    pub ok: Option<bool>,
    /// In words.
    pub says: String,
}

impl Finding {
    /// What was found.
    #[must_use]
    pub fn new(what: &'static str, found: Result<String, String>) -> Self {
        let ok = Some(found.is_ok());
        let (Ok(says) | Err(says)) = found;
        Self { what, ok, says }
    }

    /// What could not be looked at.
    #[must_use]
    pub fn skipped(what: &'static str, why: &str) -> Self {
        Self { what, ok: None, says: why.to_owned() }
    }
}

const STEPS: [&str; 4] = ["dns", "tcp", "tls", "http"];

/// Tries to reach the backend without beginning a session.
pub async fn probe(target: &Target, dead_after: Duration) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Err(why) = walk(target, dead_after, &mut findings).await {
        let failed = STEPS.get(findings.len()).copied().unwrap_or("http");
        findings.push(Finding::new(failed, Err(why)));
    }
    let rest = STEPS.iter().skip(findings.len());
    let rest: Vec<_> = rest.map(|step| Finding::skipped(step, "not tried")).collect();
    findings.into_iter().chain(rest).collect()
}

async fn walk(target: &Target, dead_after: Duration, findings: &mut Vec<Finding>) -> Result<(), String> {
    let mut found = |says: String| {
        let step = STEPS.get(findings.len()).copied().unwrap_or("http");
        findings.push(Finding::new(step, Ok(says)));
    };
    let addresses = patiently(dial::look_up(target)).await?;
    let list: Vec<String> = addresses.iter().map(|address| address.ip().to_string()).collect();
    found(format!("{} is {}", target.authority(), list.join(", ")));
    let tcp = patiently(dial::reach(target, &addresses, dead_after)).await?;
    let peer = tcp.peer_addr().map_err(|error| error.to_string())?;
    found(format!("{peer} takes connections"));
    let (stream, _) = patiently(dial::secure(target, tcp)).await?;
    found(if target.is_tls() {
        "TLS 1.3, and the server is the one it should be".into()
    } else {
        "none: this server is spoken to in clear".into()
    });
    let mut wire = patiently(dial::upgrade(target, stream)).await?;
    let text = patiently(async { next_text(&mut wire).await.map_err(|end| end.to_string()) }).await?;
    serde_json::from_str::<Challenge>(&text).map_err(|_| "this is no Rackhand".to_owned())?;
    found("the agents' channel answers".into());
    Ok(())
}
