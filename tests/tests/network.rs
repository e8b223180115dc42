//! A line that loses what is sent, in a network namespace of its own.

#![expect(clippy::unwrap_used, reason = "a broken bench stops the test")]
#![expect(clippy::indexing_slicing, reason = "JSON values answer null where nothing is")]

use rackhand_simulators::world::EffectKind;
use rackhand_tests::{Lab, agent::Agent, rack_of};
use serde_json::json;
use std::{
    fs,
    io::Write as _,
    process::{Command, Stdio},
};

/// Says that a test runs in its namespace already.
const INSIDE: &str = "RACKHAND_NAMESPACE";

/// Runs a test of this file in a network namespace of its own, where it may lose what it likes.
fn enter(test: &str) {
    let mut command = Command::new("unshare");
    command.arg("--net");
    if !rustix::process::geteuid().is_root() {
        command.arg("--map-root-user");
    }
    let status = command
        .arg(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture"])
        .env(INSIDE, "1")
        .status()
        .unwrap();
    assert!(status.success(), "{test}: {status}");
}

/// Drops so many of a hundred packets to and from a TCP port.
fn lose(port: u16, percent: u32) {
    let rules = format!(
        "flush ruleset\n\
         table inet line {{ chain out {{ type filter hook output priority 0;\n\
         tcp dport {port} numgen random mod 100 < {percent} drop\n\
         tcp sport {port} numgen random mod 100 < {percent} drop\n}}\n}}\n"
    );
    let mut nft = Command::new("nft").args(["-f", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    nft.stdin.take().unwrap().write_all(rules.as_bytes()).unwrap();
    assert!(nft.wait().unwrap().success(), "nft refuses the rules");
}

/// Ports on which a process waits for others.
fn listening(pid: u32) -> Vec<String> {
    let inodes: Vec<String> = fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .filter_map(|file| fs::read_link(file.ok()?.path()).ok())
        .filter_map(|link| Some(link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect();
    ["tcp", "tcp6"]
        .iter()
        .flat_map(|table| {
            let lines = fs::read_to_string(format!("/proc/{pid}/net/{table}")).unwrap();
            lines.lines().skip(1).map(str::to_owned).collect::<Vec<_>>()
        })
        .filter(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            // State 0A is LISTEN.
            fields[3] == "0A" && inodes.iter().any(|inode| inode == fields[9])
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_loses_packets_does_nothing_twice() {
    if std::env::var_os(INSIDE).is_none() {
        return enter("a_line_that_loses_packets_does_nothing_twice");
    }
    assert!(Command::new("ip").args(["link", "set", "lo", "up"]).status().unwrap().success());
    let (lab, agent, line) = Lab::behind_an_agent(rack_of(4)).await;
    let mut done = 0;
    for percent in [5, 20] {
        lose(line.port, percent);
        for _ in 0..5 {
            done += 1;
            for n in 1..=4 {
                let name = format!("srv-0{n}");
                let job = lab.power(&name, json!({"action": "reset"})).await;
                assert_eq!(job["state"], "succeeded", "{percent} %: {job:#}");
                assert_eq!(lab.machine(&name).count(&EffectKind::Reset), done, "{percent} %: {job:#}");
            }
        }
        let job = lab.power("srv-01", json!({"action": "cycle"})).await;
        assert_eq!(job["state"], "succeeded", "{percent} %: {job:#}");
        agent.online(&lab).await;
    }
    assert_eq!(lab.machine("srv-01").count(&EffectKind::PoweredOff), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_waits_for_nobody() {
    let lab = Lab::bare(1).await;
    let agent = Agent::start(&lab, "site-a", lab.backend.port()).await;
    assert_eq!(listening(agent.pid()), Vec::<String>::new(), "nothing on site listens");
    let here = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    assert_eq!(listening(std::process::id()).len(), 1, "the look itself sees what listens");
    drop(here);
}
