//! A site in network namespaces of its own: a router that translates addresses and lets nothing in, an agent's machine
//! behind it, and the wire on which that machine finds its devices.
//!
//! ```text
//! here ──10.77.1── router ──10.77.2── site
//!   └─────────────10.77.3──────────────┘   devices alone: what the site says to loopback over UDP comes out here
//! ```
//! Only for tests that run in a namespace of their own already, where they may change what they like.

use std::{
    fs,
    io::Write as _,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// Where the site finds the server.
pub const SERVER: &str = "10.77.1.1";

/// A process that keeps a namespace alive.
struct Namespace(Child);

impl Namespace {
    fn new() -> Self {
        let child = Command::new("unshare").args(["--net", "cat"]).stdin(Stdio::piped()).spawn().unwrap();
        let (own, begun) = (fs::read_link("/proc/self/ns/net").unwrap(), Instant::now());
        let its = format!("/proc/{}/ns/net", child.id());
        while fs::read_link(&its).is_ok_and(|it| it == own) {
            assert!(begun.elapsed() < Duration::from_secs(10), "unshare makes no namespace");
            std::thread::sleep(Duration::from_millis(2));
        }
        let namespace = Self(child);
        namespace.ip("link set lo up");
        namespace
    }

    /// The words that run a command in it.
    fn enter(&self) -> Vec<String> {
        vec!["nsenter".into(), format!("--net=/proc/{}/ns/net", self.0.id())]
    }

    fn ip(&self, words: &str) {
        run(&self.enter(), "ip", words);
    }

    fn rules(&self, rules: &str) {
        nft(&self.enter(), rules);
    }

    /// Sets a switch of the kernel below `net/ipv4`.
    fn set(&self, switch: &str) {
        let set = format!("echo 1 > /proc/sys/net/ipv4/{switch}");
        let mut words = self.enter();
        words.extend(["sh".into(), "-c".into(), set]);
        assert!(Command::new(&words[0]).args(&words[1..]).status().unwrap().success(), "{switch}");
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn run(within: &[String], program: &str, words: &str) {
    let mut all: Vec<&str> = within.iter().map(String::as_str).collect();
    all.push(program);
    all.extend(words.split(' '));
    let status = Command::new(all[0]).args(&all[1..]).status().unwrap();
    assert!(status.success(), "{}: {status}", all.join(" "));
}

/// Loads rules of nftables in place of all others.
pub fn nft(within: &[String], rules: &str) {
    let mut all: Vec<&str> = within.iter().map(String::as_str).collect();
    all.extend(["nft", "-f", "-"]);
    let mut nft = Command::new(all[0]).args(&all[1..]).stdin(Stdio::piped()).spawn().unwrap();
    nft.stdin.take().unwrap().write_all(format!("flush ruleset\n{rules}").as_bytes()).unwrap();
    assert!(nft.wait().unwrap().success(), "nft refuses: {rules}");
}

/// The site.
pub struct Site {
    router: Namespace,
    machine: Namespace,
    /// Port of the server.
    port: u16,
}

impl Site {
    /// Builds one whose router lets it reach this port of the server and nothing else.
    #[must_use]
    pub fn new(port: u16) -> Self {
        let (router, machine) = (Namespace::new(), Namespace::new());
        let (router_id, machine_id) = (router.0.id(), machine.0.id());
        let here = |words: &str| run(&[], "ip", words);
        here(&format!("link add out type veth peer name wan netns {router_id}"));
        here(&format!("link add racks type veth peer name racks netns {machine_id}"));
        router.ip(&format!("link add lan type veth peer name lan netns {machine_id}"));
        for (namespace, address, name) in [
            (None, "10.77.1.1", "out"),
            (Some(&router), "10.77.1.2", "wan"),
            (Some(&router), "10.77.2.1", "lan"),
            (Some(&machine), "10.77.2.2", "lan"),
            (Some(&machine), "10.77.3.2", "racks"),
            (None, "10.77.3.1", "racks"),
        ] {
            let within = namespace.map(Namespace::enter).unwrap_or_default();
            run(&within, "ip", &format!("address add {address}/24 dev {name}"));
            run(&within, "ip", &format!("link set {name} up"));
        }
        machine.ip("route add default via 10.77.2.1");
        router.set("ip_forward");
        // Devices and server listen on loopback; what comes for them over the wire is led there.
        machine.set("conf/all/route_localnet");
        fs::write("/proc/sys/net/ipv4/conf/all/route_localnet", "1").unwrap();
        machine.rules(
            "table ip racks {\n\
             chain out { type nat hook output priority -100; ip daddr 127.0.0.0/8 meta l4proto udp dnat to 10.77.3.1; }\n\
             chain post { type nat hook postrouting priority 100; oifname racks masquerade; }\n}\n",
        );
        nft(
            &[],
            &format!(
                "table ip led {{\nchain pre {{ type nat hook prerouting priority -100;\n\
                 iifname racks meta l4proto udp dnat to 127.0.0.1\n\
                 iifname out tcp dport {port} dnat to 127.0.0.1\n}}\n}}\n"
            ),
        );
        let site = Self { router, machine, port };
        site.open();
        site
    }

    /// The words that run a command on the site's machine.
    #[must_use]
    pub fn within(&self) -> Vec<String> {
        self.machine.enter()
    }

    /// Carries what belongs to connections that the site made; drops all else.
    pub fn open(&self) {
        self.forward(&format!(
            "ct state established,related accept\niifname lan oifname wan tcp dport {} ct state new accept",
            self.port
        ));
    }

    /// Drops everything without a word.
    pub fn part(&self) {
        self.forward("");
    }

    fn forward(&self, rules: &str) {
        self.router.rules(&format!(
            "table ip router {{\n\
             chain forward {{ type filter hook forward priority 0; policy drop;\n{rules}\n}}\n\
             chain input {{ type filter hook input priority 0; policy drop; }}\n\
             chain post {{ type nat hook postrouting priority 100; oifname wan masquerade; }}\n}}\n"
        ));
    }
}
