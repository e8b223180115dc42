//! Which addresses an agent may speak to: the machine on site has the last word.
//!
//! A backend says where a device is; whoever runs the agent says which addresses may be spoken to at all, so that
//! nobody reaches through it what lies beside the devices: the machine itself, the cloud's metadata, the backend.

mod rule;

use ipnet::IpNet;
use rackhand_wire::{Fault, Reason};
use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket},
    sync::{
        RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

pub use rule::{Rule, WrongRule};

/// Decides about addresses; its rules may change while it is used.
#[derive(Debug)]
pub struct Guard {
    /// File in which a person changes the rules, for the remedy.
    file: String,
    rules: RwLock<Rules>,
    /// Addresses of the control plane, as far as they are known.
    planes: RwLock<Vec<IpAddr>>,
    age: AtomicU64,
}

/// What a person listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// May be spoken to.
    pub allow: Vec<Rule>,
    /// May not, whatever is allowed.
    pub deny: Vec<Rule>,
}

impl Default for Rules {
    fn default() -> Self {
        Self { allow: vec![Rule::Private, Rule::Staff], deny: Vec::new() }
    }
}

impl Guard {
    /// Makes one; `file` is where its rules are written.
    #[must_use]
    pub fn new(rules: Rules, file: &str) -> Self {
        let (rules, planes) = (RwLock::new(rules), RwLock::default());
        Self { file: file.to_owned(), rules, planes, age: AtomicU64::new(0) }
    }

    /// Uses other rules from now on.
    pub fn change(&self, rules: Rules) {
        *self.rules.write().unwrap_or_else(std::sync::PoisonError::into_inner) = rules;
        self.age.fetch_add(1, Ordering::Release);
    }

    /// Learns where the control plane is.
    pub fn learn_plane(&self, addresses: &[IpAddr]) {
        let mut planes = self.planes.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        if *planes != addresses {
            addresses.clone_into(&mut planes);
            self.age.fetch_add(1, Ordering::Release);
        }
    }

    /// Grows with every change: what was permitted at another age must be asked again.
    #[must_use]
    pub fn age(&self) -> u64 {
        self.age.load(Ordering::Acquire)
    }

    /// Says whether an address may be spoken to; `name` is how it was given, when by name.
    ///
    /// # Errors
    /// `Config`, with the remedy.
    pub fn permit(&self, name: Option<&str>, address: IpAddr) -> Result<(), Fault> {
        let rules = self.rules.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        let planes = self.planes.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        let Err(refusal) = rules.permit(name, address, &planes, is_own) else { return Ok(()) };
        let given = name.map(|name| format!("{name} is ")).unwrap_or_default();
        let file = &self.file;
        let detail = match refusal {
            Refusal::Denied(rule) => format!("{given}{address}, and “{rule}” is listed under deny in {file}"),
            Refusal::Unlisted => {
                format!("{given}{address}; add it or its network to allow in {file} if devices are there")
            }
            Refusal::Never { what, network } => {
                format!(
                    "{given}{address}, {what}; list “{network}” under allow in {file}, beside “private” and \
                     “staff”, if a device is there"
                )
            }
        };
        Err(Fault::config(Reason::NotAllowed, detail))
    }
}

/// Why an address may not be spoken to.
#[derive(Debug, PartialEq, Eq)]
enum Refusal {
    Denied(Rule),
    Unlisted,
    Never { what: &'static str, network: IpNet },
}

const METADATA: &str = "where clouds keep credentials (metadata)";

/// What no general rule allows. A listed network allows it only when it lies within: `0.0.0.0/0` opens none of
/// these by accident.
const NEVER: &[(&str, &str)] = &[
    ("169.254.169.254/32", METADATA),
    // AWS over IPv6, and the credentials of containers and pods.
    ("fd00:ec2::254/128", METADATA),
    ("fd00:ec2::23/128", METADATA),
    ("169.254.170.2/32", METADATA),
    ("169.254.170.23/32", METADATA),
    // Google over IPv6, Azure, Alibaba.
    ("fd20:ce::254/128", METADATA),
    ("168.63.129.16/32", METADATA),
    ("100.100.100.200/32", METADATA),
    ("127.0.0.0/8", "a loopback address"),
    ("::1/128", "a loopback address"),
    ("169.254.0.0/16", "a link-local address"),
    ("fe80::/10", "a link-local address"),
    ("224.0.0.0/4", "a multicast address"),
    ("ff00::/8", "a multicast address"),
    ("0.0.0.0/8", "no address of a device"),
    ("::/128", "no address of a device"),
    ("240.0.0.0/4", "no address of a device"),
];

impl Rules {
    fn permit(
        &self,
        name: Option<&str>,
        address: IpAddr,
        planes: &[IpAddr],
        is_own: impl Fn(IpAddr) -> bool,
    ) -> Result<(), Refusal> {
        let address = plain(address);
        if let Some(rule) = self.deny.iter().find(|rule| rule.covers(name, address)) {
            return Err(Refusal::Denied(rule.clone()));
        }
        for (network, what) in NEVER.iter().filter_map(|(text, what)| Some((text.parse().ok()?, *what))) {
            self.beyond(network, what, address)?;
        }
        // Whoever lists loopback means this machine.
        let single = IpNet::from(address);
        if !address.is_loopback() && planes.iter().any(|plane| plain(*plane) == address) {
            self.beyond(single, "the address of the Rackhand server itself", address)?;
        }
        if !self.allow.iter().any(|rule| rule.covers(name, address)) {
            return Err(Refusal::Unlisted);
        }
        if !address.is_loopback() && is_own(address) {
            self.beyond(single, "an address of the agent's own machine", address)?;
        }
        Ok(())
    }

    /// Refuses an address of a network that only a listed part of it opens.
    fn beyond(&self, network: IpNet, what: &'static str, address: IpAddr) -> Result<(), Refusal> {
        let opens = |rule: &Rule| match rule {
            Rule::Network(listed) => network.contains(listed) && listed.contains(&address),
            Rule::Private | Rule::Staff | Rule::Name(_) => false,
        };
        if network.contains(&address) && !self.allow.iter().any(opens) {
            return Err(Refusal::Never { what, network });
        }
        Ok(())
    }
}

/// The address that is really spoken to: one of IPv4 may be wrapped in one of IPv6 (RFC 4291 section 2.5.5,
/// RFC 6052 section 2.1).
fn plain(address: IpAddr) -> IpAddr {
    let IpAddr::V6(six) = address.to_canonical() else { return address.to_canonical() };
    match six.octets() {
        [0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d] => IpAddr::from([a, b, c, d]),
        _ => IpAddr::V6(six),
    }
}

/// Whoever speaks to an own address speaks from it. Nothing is sent.
fn is_own(address: IpAddr) -> bool {
    let any: IpAddr = match address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let from = UdpSocket::bind((any, 0)).and_then(|socket| {
        // Any port will do.
        socket.connect((address, 9))?;
        socket.local_addr()
    });
    speaks_from(address, &from.map(|from| from.ip()))
}

/// Linux: the machine has no addresses of this family at all (`EAFNOSUPPORT`).
const NO_SUCH_FAMILY: i32 = 97;

/// Says whether an address is one's own, from where it was tried to be spoken to. Only what leads nowhere is
/// certainly not: whatever else went wrong, such as too many open files, leaves it shut.
fn speaks_from(address: IpAddr, from: &io::Result<IpAddr>) -> bool {
    let error = match from {
        Ok(from) => return *from == address,
        Err(error) => error,
    };
    let nowhere =
        [io::ErrorKind::NetworkUnreachable, io::ErrorKind::HostUnreachable, io::ErrorKind::AddrNotAvailable];
    !nowhere.contains(&error.kind()) && error.raw_os_error() != Some(NO_SUCH_FAMILY)
}

#[cfg(test)]
mod tests;
