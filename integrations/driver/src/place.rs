//! Finds the address of a device that was given by name.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use rackhand_wire::{Fault, FaultCode, Reason};

/// A silent resolver must not make a known device unreachable: its last address counts for so long.
const LAST_GOOD_FOR: Duration = Duration::from_hours(24);

/// Where a device is.
#[derive(Debug, Clone)]
pub struct Place {
    host: Host,
    port: u16,
}

#[derive(Debug, Clone)]
enum Host {
    Address(IpAddr),
    Name { name: String, last_good: Option<(IpAddr, Instant)> },
}

impl Place {
    /// Takes an address or a name.
    #[must_use]
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
    /// says anything about the device.
    pub async fn find(&mut self, patience: Duration) -> Result<SocketAddr, Fault> {
        let port = self.port;
        let (name, last_good) = match &mut self.host {
            Host::Address(address) => return Ok(SocketAddr::new(*address, port)),
            Host::Name { name, last_good } => (name, last_good),
        };
        if never_exists(name) {
            return Err(Fault::config(Reason::HostNotFound, name.as_str()));
        }
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

/// Names below `invalid` exist nowhere (RFC 6761 section 6.4), whatever a resolver that cannot be reached says.
fn never_exists(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name == "invalid" || name.ends_with(".invalid")
}

/// Tells "there is no such name" from "the resolver cannot say". The standard library keeps the resolver's
/// code to itself, so its words have to do.
fn says_unknown(error: &io::Error) -> bool {
    let text = error.to_string();
    ["Name or service not known", "No address associated", "nodename nor servname", "no address"]
        .iter()
        .any(|words| text.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rackhand_wire::FaultCode;

    #[tokio::test]
    async fn an_address_is_taken_as_it_is_and_a_name_is_looked_up() {
        let patience = Duration::from_secs(10);
        let found = Place::new("127.0.0.7", 623).find(patience).await.unwrap();
        assert_eq!(found, "127.0.0.7:623".parse().unwrap());
        let found = Place::new("localhost", 623).find(patience).await.unwrap();
        assert!(found.ip().is_loopback());
        let fault = Place::new("bmc.INVALID.", 623).find(patience).await.unwrap_err();
        assert_eq!((fault.code, fault.reason), (FaultCode::Config, Reason::HostNotFound));
    }
}
