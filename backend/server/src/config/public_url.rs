//! The address under which people reach the server, written as browsers write it in `Origin`.

use std::net::{IpAddr, Ipv6Addr};

use crate::Failure;

/// Reads scheme, host and port, and writes them without the port that the scheme implies.
///
/// # Errors
/// When no browser could come from there, with the remedy.
pub fn origin(url: &str) -> Result<String, Failure> {
    let no = |why: &str| Failure::new("use public_url", format!("“{url}” {why}"));
    let lower = url.trim().to_lowercase();
    let secure = lower.strip_prefix("https://").map(|rest| ("https", 443, rest));
    let found = secure.or_else(|| lower.strip_prefix("http://").map(|rest| ("http", 80, rest)));
    let (scheme, usual, rest) = found.ok_or_else(|| no("must begin with http:// or https://"))?;
    if rest.contains('@') {
        // Not said again: a password may stand there.
        let why = "public_url is told to everybody: leave out what stands before the @";
        return Err(Failure::new("use public_url", why));
    }
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    if authority.contains(['/', '?', '#']) {
        return Err(no(
            "goes on after its host and port: the server has a host of its own, so end public_url there",
        ));
    }
    let (name, port) = split(authority).ok_or_else(|| no("has no host that could be reached"))?;
    let host = host(name).ok_or_else(|| {
        no("has no host that could be reached: write a name in ASCII (xn--…), 192.0.2.10 or [2001:db8::10]")
    })?;
    let port = match port {
        None | Some("") => usual,
        Some(digits) => digits.parse::<u16>().map_err(|_| no("has no port behind its colon"))?,
    };
    Ok(if port == usual { format!("{scheme}://{host}") } else { format!("{scheme}://{host}:{port}") })
}

/// Splits `host:port`; the colons of `[2001:db8::10]` belong to the host.
fn split(authority: &str) -> Option<(&str, Option<&str>)> {
    let end = if authority.starts_with('[') {
        authority.find(']')? + 1
    } else {
        authority.find(':').unwrap_or(authority.len())
    };
    let (name, rest) = authority.split_at(end);
    match rest.strip_prefix(':') {
        Some(port) => Some((name, Some(port))),
        None => rest.is_empty().then_some((name, None)),
    }
}

fn host(name: &str) -> Option<String> {
    if let Some(address) = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
        return address.parse::<Ipv6Addr>().ok().map(|address| format!("[{address}]"));
    }
    let is_name = |part: &str| {
        !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
    };
    let is_host = name.strip_suffix('.').unwrap_or(name).split('.').all(is_name);
    // What ends in a number is an address to a browser.
    let ends_in_number = name.rsplit('.').next().is_some_and(|last| last.parse::<u64>().is_ok());
    let fits = is_host && (!ends_in_number || name.parse::<IpAddr>().is_ok());
    fits.then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_browser_sends_as_its_origin_is_what_is_kept() {
        for (given, kept) in [
            ("https://panel.example.com:443", "https://panel.example.com"),
            ("https://panel.example.com:443/", "https://panel.example.com"),
            ("http://panel.example.com:80", "http://panel.example.com"),
            ("https://panel.example.com:80", "https://panel.example.com:80"),
            ("https://panel.example.com:", "https://panel.example.com"),
            ("HTTPS://Panel.Example.COM:8443", "https://panel.example.com:8443"),
            ("http://localhost:8080", "http://localhost:8080"),
            ("https://192.0.2.10:0443", "https://192.0.2.10"),
            ("https://[2001:DB8:0:0::10]:443", "https://[2001:db8::10]"),
        ] {
            assert_eq!(origin(given).unwrap(), kept, "{given}");
        }
    }

    #[test]
    fn what_no_browser_can_come_from_is_refused_with_the_key_and_the_remedy() {
        for (given, said) in [
            ("", "must begin with"),
            ("panel.example.com", "must begin with"),
            ("ftp://panel.example.com", "must begin with"),
            ("https://", "no host"),
            ("https:///", "no host"),
            ("https://:8443", "no host"),
            ("https://panel example.com", "no host"),
            ("https://bücher.example", "xn--"),
            ("https://192.0.2", "no host"),
            ("https://[2001:db8::10", "no host"),
            ("https://[panel]", "no host"),
            ("https://2001:db8::10", "[2001:db8::10]"),
            ("https://panel.example.com:99999", "no port"),
            ("https://panel.example.com:https", "no port"),
            ("https://panel.example.com/rackhand", "goes on after its host"),
            ("https://panel.example.com/?a", "goes on after its host"),
            ("https://panel.example.com?a", "goes on after its host"),
            ("https://panel.example.com#a", "goes on after its host"),
            ("https://ada@panel.example.com", "before the @"),
            ("https://ada:sesame@panel.example.com", "before the @"),
        ] {
            let text = origin(given).unwrap_err().to_string();
            assert!(text.contains("use public_url") && text.contains(said), "{given}: {text}");
            assert!(!text.contains("sesame"), "{text}");
        }
    }
}
