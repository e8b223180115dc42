//! One line of an allow list.

use ipnet::IpNet;
use serde::Deserialize;
use std::{fmt, net::IpAddr, str::FromStr};

/// What is listed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Rule {
    /// `private`: RFC 1918 and unique local IPv6 (RFC 4193).
    Private,
    /// `staff`: wherever staff says that a device is. Only staff can add a device or try one.
    Staff,
    /// A network or a single address.
    Network(IpNet),
    /// A name: devices that were given by it, wherever it leads.
    Name(String),
}

/// A line that means nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrongRule(String);

impl fmt::Display for WrongRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "“{}” is no address, network (10.20.0.0/16), host name, “private” or “staff”", self.0)
    }
}

impl std::error::Error for WrongRule {}

impl FromStr for Rule {
    type Err = WrongRule;

    fn from_str(text: &str) -> Result<Self, WrongRule> {
        let text = text.trim();
        let wrong = || WrongRule(text.to_owned());
        match text {
            "private" => return Ok(Self::Private),
            "staff" => return Ok(Self::Staff),
            _ => {}
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::Network(address.to_canonical().into()));
        }
        if text.contains('/') {
            // Bits beyond the prefix are a slip of the pen, and which of the two was meant cannot be told.
            let network: IpNet = text.parse().map_err(|_| wrong())?;
            return if network.trunc() == network { Ok(Self::Network(network)) } else { Err(wrong()) };
        }
        let name = folded(text);
        // What ends in digits was meant as an address (RFC 1123 section 2.1).
        let is_number = name.rsplit('.').next().is_none_or(|last| last.bytes().all(|c| c.is_ascii_digit()));
        let is_name = name.split('.').all(is_label) && !is_number;
        if is_name { Ok(Self::Name(name)) } else { Err(wrong()) }
    }
}

fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && !label.starts_with('-')
        && label.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_'))
}

fn folded(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

impl TryFrom<String> for Rule {
    type Error = WrongRule;

    fn try_from(text: String) -> Result<Self, WrongRule> {
        text.parse()
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Private => f.write_str("private"),
            Self::Staff => f.write_str("staff"),
            Self::Network(network) if network.prefix_len() == network.max_prefix_len() => {
                network.addr().fmt(f)
            }
            Self::Network(network) => network.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

impl Rule {
    /// Says whether this line speaks of an address that was given by `name`, if by name.
    pub(super) fn covers(&self, name: Option<&str>, address: IpAddr) -> bool {
        match self {
            Self::Private => match address {
                IpAddr::V4(four) => four.is_private(),
                IpAddr::V6(six) => six.is_unique_local(),
            },
            Self::Staff => true,
            Self::Network(network) => network.contains(&address),
            Self::Name(listed) => name.is_some_and(|name| folded(name) == *listed),
        }
    }
}
