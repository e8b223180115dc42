//! Finds the address of a device that was given by name.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use rackhand_wire::{Fault, FaultCode, Reason};

use crate::Guard;

/// A silent resolver must not make a known device unreachable: its last addresses count for so long.
const LAST_GOOD_FOR: Duration = Duration::from_hours(24);

/// The addresses that the resolver gave last, and when.
type LastGood = (Vec<IpAddr>, Instant);

/// Where a device is.
#[derive(Debug, Clone)]
pub struct Place {
    host: Host,
    port: u16,
    guard: Arc<Guard>,
    /// The address that was handed out last, and the age of the guard that permitted it.
    used: Option<(IpAddr, u64)>,
}

#[derive(Debug, Clone)]
enum Host {
    Address(IpAddr),
    Name { name: String, last_good: Option<LastGood> },
}

impl Place {
    /// Takes an address or a name.
    #[must_use]
    pub fn new(host: &str, port: u16, guard: &Arc<Guard>) -> Self {
        let host = match host.parse() {
            Ok(address) => Host::Address(address),
            Err(_) => Host::Name { name: host.to_owned(), last_good: None },
        };
        Self { host, port, guard: Arc::clone(guard), used: None }
    }

    /// Finds the address, within `patience`. It is looked up once and was permitted as it is: whoever connects
    /// must connect to it, not to the name.
    ///
    /// # Errors
    /// `Config` when the name does not exist or the guard refuses, `Exec` when the agent's resolver does not
    /// answer: none of them says anything about the device.
    pub async fn find(&mut self, patience: Duration) -> Result<SocketAddr, Fault> {
        let age = self.guard.age();
        let address = match &mut self.host {
            Host::Address(address) => {
                self.guard.permit(None, *address)?;
                *address
            }
            Host::Name { name, last_good } => {
                let found = resolve(name, last_good, patience).await?;
                permitted(&self.guard, name, &found)?
            }
        };
        self.used = Some((address, age));
        Ok(SocketAddr::new(address, self.port))
    }

    /// Asks whether what was opened to the address found last may still be used.
    ///
    /// # Errors
    /// `Config` when the guard's rules have changed and forbid it now.
    pub fn confirm(&mut self) -> Result<(), Fault> {
        let Some((address, asked)) = &mut self.used else { return Ok(()) };
        let age = self.guard.age();
        if *asked != age {
            let name = match &self.host {
                Host::Address(_) => None,
                Host::Name { name, .. } => Some(name.as_str()),
            };
            self.guard.permit(name, *address)?;
            *asked = age;
        }
        Ok(())
    }
}

/// Looks up what was given for a host, without asking whether it may be spoken to.
///
/// # Errors
/// As [`Place::find`], but for the guard.
pub async fn look_up(host: &str, patience: Duration) -> Result<Vec<IpAddr>, Fault> {
    match host.parse() {
        Ok(address) => Ok(vec![address]),
        Err(_) => resolve(host, &mut None, patience).await,
    }
}

/// Takes the first address that may be spoken to; the refusal is that of the first.
fn permitted(guard: &Guard, name: &str, found: &[IpAddr]) -> Result<IpAddr, Fault> {
    let mut refusal = Fault::config(Reason::HostNotFound, name);
    for (at, address) in found.iter().enumerate() {
        match guard.permit(Some(name), *address) {
            Ok(()) => return Ok(*address),
            Err(fault) if at == 0 => refusal = fault,
            Err(_) => {}
        }
    }
    Err(refusal)
}

/// Lists the addresses of a name; those of the last time when the resolver is silent.
async fn resolve(
    name: &str,
    last_good: &mut Option<LastGood>,
    patience: Duration,
) -> Result<Vec<IpAddr>, Fault> {
    if never_exists(name) {
        return Err(Fault::config(Reason::HostNotFound, name));
    }
    let told = within(patience, ask_resolver(name)).await;
    conclude(name, told, last_good, Instant::now())
}

async fn ask_resolver(name: &str) -> io::Result<Vec<IpAddr>> {
    let addresses = tokio::net::lookup_host((name, 0)).await?;
    Ok(addresses.map(|address| address.ip()).collect())
}

/// Waits for the resolver; its silence is a failure like others.
async fn within(
    patience: Duration,
    lookup: impl Future<Output = io::Result<Vec<IpAddr>>>,
) -> io::Result<Vec<IpAddr>> {
    match tokio::time::timeout(patience, lookup).await {
        Ok(told) => told,
        Err(_) => Err(io::Error::other("the resolver does not answer")),
    }
}

/// Decides what the resolver's word is worth at `now`, and remembers a good one.
fn conclude(
    name: &str,
    told: io::Result<Vec<IpAddr>>,
    last_good: &mut Option<LastGood>,
    now: Instant,
) -> Result<Vec<IpAddr>, Fault> {
    match told {
        Ok(addresses) => {
            *last_good = Some((addresses.clone(), now));
            Ok(addresses)
        }
        Err(error) if says_unknown(&error) => Err(Fault::config(Reason::HostNotFound, name)),
        Err(error) => match last_good {
            Some((addresses, at)) if now.duration_since(*at) < LAST_GOOD_FOR => Ok(addresses.clone()),
            Some(_) | None => {
                let detail = format!("{name}: {error}");
                Err(Fault::new(FaultCode::Exec, Reason::HostNotFound, detail))
            }
        },
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
    use crate::Rules;
    use rackhand_wire::FaultCode;
    use std::net::Ipv4Addr;

    const NAME: &str = "bmc.example.net";
    const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));

    fn guard(allow: &[&str]) -> Arc<Guard> {
        let allow = allow.iter().map(|line| line.parse().unwrap()).collect();
        Arc::new(Guard::new(Rules { allow, deny: Vec::new() }, "agent.toml"))
    }

    #[tokio::test]
    async fn an_address_is_taken_as_it_is_and_a_name_is_looked_up() {
        let patience = Duration::from_secs(10);
        let guard = guard(&["127.0.0.0/8", "::1"]);
        let found = Place::new("127.0.0.7", 623, &guard).find(patience).await.unwrap();
        assert_eq!(found, "127.0.0.7:623".parse().unwrap());
        let found = Place::new("localhost", 623, &guard).find(patience).await.unwrap();
        assert!(found.ip().is_loopback());
        let fault = Place::new("bmc.INVALID.", 623, &guard).find(patience).await.unwrap_err();
        assert_eq!((fault.code, fault.reason), (FaultCode::Config, Reason::HostNotFound));
    }

    #[tokio::test]
    async fn what_is_not_allowed_is_refused_by_address_and_by_name_and_when_the_rules_change() {
        let patience = Duration::from_secs(10);
        let guard = guard(&["private", "staff"]);
        for host in ["127.0.0.7", "localhost", "::ffff:127.0.0.1"] {
            let fault = Place::new(host, 623, &guard).find(patience).await.unwrap_err();
            assert_eq!((fault.code, fault.reason), (FaultCode::Config, Reason::NotAllowed), "{host}");
        }
        let mut place = Place::new("192.0.2.7", 623, &guard);
        assert!(place.confirm().is_ok(), "nothing is open yet");
        place.find(patience).await.unwrap();
        guard.change(Rules { allow: vec!["192.0.2.0/24".parse().unwrap()], deny: Vec::new() });
        assert!(place.confirm().is_ok());
        guard.change(Rules { allow: vec!["10.0.0.0/8".parse().unwrap()], deny: Vec::new() });
        assert_eq!(place.confirm().unwrap_err().reason, Reason::NotAllowed);
        assert_eq!(place.confirm().unwrap_err().reason, Reason::NotAllowed, "asked again");
    }

    #[test]
    fn a_name_that_the_resolver_does_not_know_is_a_wrong_setting_whatever_it_was_before() {
        let now = Instant::now();
        for words in ["Name or service not known", "No address associated with hostname"] {
            let mut last_good = Some((vec![ADDRESS], now));
            let fault = conclude(NAME, failed(words), &mut last_good, now).unwrap_err();
            assert_eq!((fault.code, fault.reason), (FaultCode::Config, Reason::HostNotFound), "{words}");
        }
    }

    #[tokio::test]
    async fn a_resolver_that_cannot_say_leaves_the_last_good_address_for_a_day() {
        let known = Instant::now();
        let mut last_good = None;
        conclude(NAME, Ok(vec![ADDRESS]), &mut last_good, known).unwrap();
        for told in [silence().await, failed("Temporary failure in name resolution")] {
            let found = conclude(NAME, told, &mut last_good, known + Duration::from_hours(23));
            assert_eq!(found, Ok(vec![ADDRESS]));
        }
        let found = conclude(NAME, silence().await, &mut last_good, known + Duration::from_hours(25));
        assert_eq!(found.unwrap_err().code, FaultCode::Exec, "nobody has confirmed it since");
    }

    #[tokio::test]
    async fn a_resolver_that_cannot_say_is_no_fault_of_a_device_that_was_never_found() {
        for told in [silence().await, failed("Temporary failure in name resolution")] {
            let fault = conclude(NAME, told, &mut None, Instant::now()).unwrap_err();
            assert_eq!((fault.code, fault.reason), (FaultCode::Exec, Reason::HostNotFound));
            assert!(fault.detail.starts_with(NAME), "{}", fault.detail);
        }
    }

    async fn silence() -> io::Result<Vec<IpAddr>> {
        within(Duration::ZERO, std::future::pending()).await
    }

    /// What the standard library makes of glibc's words.
    fn failed(words: &str) -> io::Result<Vec<IpAddr>> {
        Err(io::Error::other(format!("failed to lookup address information: {words}")))
    }
}
