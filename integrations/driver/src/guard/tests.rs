use super::*;

fn rules(allow: &[&str], deny: &[&str]) -> Rules {
    let read = |lines: &[&str]| lines.iter().map(|line| line.parse().unwrap()).collect();
    Rules { allow: read(allow), deny: read(deny) }
}

/// One row: what is allowed and denied, the device as it was given, where it is, whether it may be spoken to.
type Row = (&'static [&'static str], &'static [&'static str], Option<&'static str>, &'static str, bool);

const DEFAULT: &[&str] = &["private", "staff"];

const MATRIX: &[Row] = &[
    (DEFAULT, &[], None, "10.1.2.3", true),
    (DEFAULT, &[], None, "172.16.0.9", true),
    (DEFAULT, &[], None, "192.168.7.7", true),
    (DEFAULT, &[], None, "fd12::7", true),
    // Staff gave it.
    (DEFAULT, &[], None, "203.0.113.7", true),
    (DEFAULT, &[], Some("bmc.example.com"), "203.0.113.7", true),
    // What no word opens.
    (DEFAULT, &[], None, "127.0.0.1", false),
    (DEFAULT, &[], None, "127.8.8.8", false),
    (DEFAULT, &[], None, "::1", false),
    (DEFAULT, &[], None, "::ffff:127.0.0.1", false),
    (DEFAULT, &[], None, "64:ff9b::7f00:1", false),
    (DEFAULT, &[], Some("rebound.example.com"), "127.0.0.1", false),
    (DEFAULT, &[], None, "169.254.1.1", false),
    (DEFAULT, &[], None, "fe80::1", false),
    (DEFAULT, &[], None, "169.254.169.254", false),
    (DEFAULT, &[], None, "64:ff9b::a9fe:a9fe", false),
    (DEFAULT, &[], None, "fd00:ec2::254", false),
    (DEFAULT, &[], None, "fd00:ec2::23", false),
    (DEFAULT, &[], None, "fd20:ce::254", false),
    (DEFAULT, &[], None, "168.63.129.16", false),
    (DEFAULT, &[], None, "169.254.170.2", false),
    (DEFAULT, &[], None, "169.254.170.23", false),
    (DEFAULT, &[], None, "100.100.100.200", false),
    (DEFAULT, &[], None, "224.0.0.1", false),
    (DEFAULT, &[], None, "ff02::1", false),
    (DEFAULT, &[], None, "0.0.0.0", false),
    (DEFAULT, &[], None, "::", false),
    (DEFAULT, &[], None, "255.255.255.255", false),
    // The control plane and this machine.
    (DEFAULT, &[], None, "10.0.0.5", false),
    (DEFAULT, &[], None, "::ffff:10.0.0.5", false),
    (&["10.0.0.0/8"], &[], None, "10.0.0.5", false),
    (&["10.0.0.5"], &[], None, "10.0.0.5", true),
    (DEFAULT, &[], None, "10.0.0.6", false),
    (&["10.0.0.6/32"], &[], None, "10.0.0.6", true),
    // A list takes the place of the default.
    (&["private"], &[], None, "203.0.113.7", false),
    (&["private"], &[], Some("bmc.example.com"), "203.0.113.7", false),
    (&["10.1.0.0/16"], &[], None, "10.1.2.3", true),
    (&["10.1.0.0/16"], &[], None, "10.2.2.3", false),
    (&["10.1.0.0/16"], &[], None, "::ffff:10.1.2.3", true),
    (&[], &[], None, "10.1.2.3", false),
    // Listed by name: by that name alone, and never what no word opens.
    (&["bmc.example.com"], &[], Some("BMC.example.com."), "203.0.113.7", true),
    (&["bmc.example.com"], &[], Some("bmc2.example.com"), "203.0.113.7", false),
    (&["bmc.example.com"], &[], None, "203.0.113.7", false),
    (&["bmc.example.com"], &[], Some("bmc.example.com"), "127.0.0.1", false),
    (&["bmc.example.com"], &[], Some("bmc.example.com"), "169.254.169.254", false),
    // Only a network within it opens what is shut.
    (&["0.0.0.0/0", "::/0"], &[], None, "127.0.0.1", false),
    (&["0.0.0.0/0", "::/0"], &[], None, "::1", false),
    (&["0.0.0.0/0"], &[], None, "203.0.113.7", true),
    (&["127.0.0.0/8"], &[], None, "127.0.0.1", true),
    (&["127.0.0.0/8"], &[], None, "::1", false),
    (&["127.0.0.0/8"], &[], None, "10.1.2.3", false),
    (&["private", "staff", "127.1.0.0/16"], &[], None, "127.1.0.1", true),
    (&["private", "staff", "127.1.0.0/16"], &[], None, "127.0.0.1", false),
    (&["169.254.0.0/16"], &[], None, "169.254.1.1", true),
    (&["169.254.0.0/16"], &[], None, "169.254.169.254", false),
    (&["169.254.0.0/16", "169.254.169.254"], &[], None, "169.254.169.254", true),
    (&["169.254.170.0/24"], &[], None, "169.254.170.2", false),
    (&["169.254.170.0/24"], &[], None, "169.254.170.23", false),
    (&["169.254.170.0/24", "169.254.170.2", "169.254.170.23"], &[], None, "169.254.170.23", true),
    (&["fd00::/8"], &[], None, "fd00:ec2::23", false),
    (&["fd00::/8", "fd00:ec2::23"], &[], None, "fd00:ec2::23", true),
    (&["fd20:ce::/32"], &[], None, "fd20:ce::254", false),
    (&["fd20:ce::254"], &[], None, "fd20:ce::254", true),
    (&["168.63.0.0/16"], &[], None, "168.63.129.16", false),
    (&["168.63.0.0/16", "168.63.129.16"], &[], None, "168.63.129.16", true),
    (&["168.63.0.0/16"], &[], None, "168.63.129.17", true),
    // Denied is denied.
    (DEFAULT, &["10.1.0.0/16"], None, "10.1.2.3", false),
    (DEFAULT, &["10.1.0.0/16"], None, "::ffff:10.1.2.3", false),
    (&["10.1.2.3"], &["private"], None, "10.1.2.3", false),
    (DEFAULT, &["bmc.example.com"], Some("bmc.example.com"), "203.0.113.7", false),
];

#[test]
fn the_list_decides_and_general_words_never_open_what_is_beside_the_devices() {
    let planes = ["10.0.0.5".parse().unwrap()];
    let own: IpAddr = "10.0.0.6".parse().unwrap();
    for (allow, deny, name, address, may) in MATRIX {
        let decided =
            rules(allow, deny).permit(*name, address.parse().unwrap(), &planes, |address| address == own);
        assert_eq!(decided.is_ok(), *may, "{allow:?} {deny:?} {name:?} {address}: {decided:?}");
    }
    assert_eq!(rules(DEFAULT, &[]), Rules::default());
}

#[test]
fn the_machine_knows_its_own_addresses() {
    assert!(is_own("127.0.0.1".parse().unwrap()));
    for other in ["192.0.2.1", "198.51.100.7", "2001:db8::1"] {
        assert!(!is_own(other.parse().unwrap()), "{other}");
    }
}

#[test]
fn an_address_of_which_nobody_can_tell_whose_it_is_counts_as_the_machines_own() {
    let address: IpAddr = "10.1.2.3".parse().unwrap();
    let too_many_files = || io::Error::from_raw_os_error(24);
    assert!(speaks_from(address, &Err(too_many_files())));
    assert!(speaks_from(address, &Ok(address)));
    assert!(!speaks_from(address, &Ok("10.1.2.4".parse().unwrap())));
    for kind in [io::ErrorKind::NetworkUnreachable, io::ErrorKind::HostUnreachable] {
        assert!(!speaks_from(address, &Err(kind.into())), "{kind}");
    }
}

#[test]
fn every_shut_network_is_one() {
    for (text, _) in NEVER {
        assert!(text.parse::<IpNet>().is_ok(), "{text}");
    }
}

#[test]
fn a_refusal_says_the_remedy() {
    let guard = Guard::new(Rules::default(), "agent.toml");
    let fault = guard.permit(Some("bmc.lab"), "127.0.0.9".parse().unwrap()).unwrap_err();
    assert_eq!(fault.reason, Reason::NotAllowed);
    assert_eq!(
        fault.to_string(),
        "The agent's allow list does not permit this address: bmc.lab is 127.0.0.9, a loopback address; list \
         “127.0.0.0/8” under allow in agent.toml, beside “private” and “staff”, if a device is there"
    );
    guard.change(rules(&["127.0.0.0/8"], &[]));
    assert!(guard.permit(Some("bmc.lab"), "127.0.0.9".parse().unwrap()).is_ok());
}

#[test]
fn a_line_that_means_nothing_is_refused() {
    for line in ["private", "staff", "10.0.0.0/8", "10.1.2.3", "fd00::/8", "bmc-1.example.com", "localhost"] {
        assert_eq!(line.parse::<Rule>().unwrap().to_string(), line);
    }
    for line in ["", "10.0.0.1/8", "10.0.0.0/33", "10.0.0", "300.1.1.1", "a..b", "-a.b", "a b", "http://a"] {
        assert!(line.parse::<Rule>().is_err(), "{line}");
    }
}
