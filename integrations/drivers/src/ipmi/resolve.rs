//! Finds the address of a BMC that was given by name.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use rackhand_wire::{Fault, FaultCode, Reason};

/// A silent resolver must not make a known BMC unreachable: its last address counts for so long.
const LAST_GOOD_FOR: Duration = Duration::from_hours(24);

/// Where a BMC is.
pub(super) struct Place {
    host: Host,
    port: u16,
}

enum Host {
    Address(IpAddr),
    Name { name: String, last_good: Option<(IpAddr, Instant)> },
}

impl Place {
    pub fn new(host: &str, port: u16) -> Self {
        let host = match host.parse() {
            Ok(address) => Host::Address(address),
            Err(_) => Host::Name { name: host.to_owned(), last_good: None },
        };
        Self { host, port }
    }

    /// Finds the address, within `patience`.
    ///
    /// # Errors
    /// `Config` when the name does not exist, `Exec` when the agent's resolver does not answer: neither
    /// says anything about the BMC.
    pub async fn find(&mut self, patience: Duration) -> Result<SocketAddr, Fault> {
        let port = self.port;
        let (name, last_good) = match &mut self.host {
            Host::Address(address) => return Ok(SocketAddr::new(*address, port)),
            Host::Name { name, last_good } => (name, last_good),
        };
        let found = match tokio::time::timeout(patience, tokio::net::lookup_host((name.as_str(), port))).await
        {
            Ok(Ok(mut addresses)) => addresses.next().ok_or_else(|| io::Error::other("no address")),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(io::Error::other("the resolver does not answer")),
        };
        match found {
            Ok(address) => {
                *last_good = Some((address.ip(), Instant::now()));
                Ok(address)
            }
            Err(error) if says_unknown(&error) => Err(Fault::config(Reason::HostNotFound, name.as_str())),
            Err(error) => match last_good {
                Some((address, at)) if at.elapsed() < LAST_GOOD_FOR => Ok(SocketAddr::new(*address, port)),
                Some(_) | None => {
                    let detail = format!("{name}: {error}");
                    Err(Fault::new(FaultCode::Exec, Reason::HostNotFound, detail))
                }
            },
        }
    }
}

/// Tells "there is no such name" from "the resolver cannot say". The standard library keeps the resolver's
/// code to itself, so its words have to do.
fn says_unknown(error: &io::Error) -> bool {
    let text = error.to_string();
    ["Name or service not known", "No address associated", "nodename nor servname", "no address"]
        .iter()
        .any(|words| text.contains(words))
}
