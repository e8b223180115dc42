//! A line that loses what is sent, in a network namespace of its own.

#![expect(clippy::unwrap_used, reason = "a broken bench stops the test")]
#![expect(clippy::indexing_slicing, reason = "JSON values answer null where nothing is")]

use super::no_fallback::{name_the_bmc, nothing_is_cut};
use rackhand_simulators::world::EffectKind;
use rackhand_tests::{
    Lab, SCALE, SLOW,
    agent::Agent,
    mute, rack_of,
    site::{SERVER, Site, nft},
    state,
};
use rackhand_wire::Timings;
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::{SocketAddr, TcpStream, UdpSocket},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// Says that a test runs in its namespace already.
const INSIDE: &str = "RACKHAND_NAMESPACE";

/// Runs a test of this file in a network namespace of its own, where it may lose what it likes and name other files;
/// says whether that is done. Inside it sets the test free.
fn enters(test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        assert!(Command::new("ip").args(["link", "set", "lo", "up"]).status().unwrap().success());
        return false;
    }
    let mut command = Command::new("unshare");
    command.args(["--net", "--mount"]);
    if !rustix::process::geteuid().is_root() {
        command.arg("--map-root-user");
    }
    let ran = command
        .arg(std::env::current_exe().unwrap())
        .args([&format!("network::{test}"), "--exact", "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    eprint!("{}{said}", String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success() && said.contains("1 passed"), "{test}: {}", ran.status);
    true
}

/// Drops so many of a hundred packets to and from a TCP port.
fn lose(port: u16, percent: u32) {
    let rules = format!(
        "table inet line {{ chain out {{ type filter hook output priority 0;\n\
         tcp dport {port} numgen random mod 100 < {percent} drop\n\
         tcp sport {port} numgen random mod 100 < {percent} drop\n}}\n}}\n"
    );
    nft(&[], &rules);
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
    if enters("a_line_that_loses_packets_does_nothing_twice") {
        return;
    }
    let (lab, agent, line) = Lab::behind_an_agent(rack_of(4)).await;
    let rounds = 5;
    let (mut asked, mut succeeded) = (0, 0);
    for percent in [5, 20] {
        lose(line.port, percent);
        for _ in 0..rounds {
            for n in 1..=4 {
                let name = format!("srv-0{n}");
                let before = transitions(&lab, &name);
                let job = lab.power(&name, json!({"action": "reset"})).await;
                let after = transitions(&lab, &name);
                assert_eq!(after[..2], before[..2], "{percent} %: {job:#}");
                asked += 1;
                match (state(&job).0, after[2] - before[2]) {
                    ("succeeded", 1) => succeeded += 1,
                    // The line stood too late for it, or ended while the BMC was told.
                    ("expired", 0) | ("indeterminate", 0 | 1) => {}
                    (other, times) => panic!("{percent} %: {other}, {times} resets: {job:#}"),
                }
            }
        }
        let before = transitions(&lab, "srv-01");
        let job = lab.power("srv-01", json!({"action": "cycle"})).await;
        let after = transitions(&lab, "srv-01");
        let happened = [0, 1, 2].map(|what| after[what] - before[what]);
        match state(&job).0 {
            "succeeded" => assert_eq!(happened, [1, 1, 0], "{percent} %: {job:#}"),
            _ => {
                assert!(happened[0] <= 1 && happened[1] <= happened[0], "{percent} %: {happened:?}: {job:#}");
            }
        }
        agent.online(&lab).await;
        let job = lab.power("srv-01", json!({"action": "on"})).await;
        assert!(["succeeded", "expired"].contains(&state(&job).0), "{percent} %: {job:#}");
    }
    eprintln!(
        "{succeeded} of {asked} resets were done and proved, the others not done or not proved; none twice"
    );
    assert!(succeeded * 10 >= asked * 8, "{succeeded} of {asked}");
}

/// Drops so many of a hundred packets to and from the BMCs.
fn lose_at_the_bmcs(lab: &Lab, percent: u32) {
    let servers = &lab.farm.inventory().servers;
    let ports: BTreeSet<String> = servers.iter().map(|server| server.bmc.addr.port().to_string()).collect();
    let ports = Vec::from_iter(ports).join(", ");
    // What is dropped on its way out is told to the sender; a line tells nobody.
    let rules = format!(
        "table inet bmcs {{ chain come {{ type filter hook input priority 0;\n\
         udp dport {{ {ports} }} numgen random mod 100 < {percent} drop\n\
         udp sport {{ {ports} }} numgen random mod 100 < {percent} drop\n}}\n}}\n"
    );
    nft(&[], &rules);
}

/// Resets one server again and again; counts how many ended in which state.
async fn resets(lab: &Lab, server: String, rounds: usize, percent: u32) -> BTreeMap<String, usize> {
    let mut ends = BTreeMap::new();
    for _ in 0..rounds {
        let before = transitions(lab, &server);
        let job = lab.power(&server, json!({"action": "reset"})).await;
        let after = transitions(lab, &server);
        assert_eq!(after[..2], before[..2], "{percent} %: {job:#}");
        let (end, times) = (state(&job).0, after[2] - before[2]);
        let is_true = match end {
            "succeeded" => times == 1,
            "indeterminate" => times <= 1,
            // The handshake took too long: nothing was sent.
            "failed" => times == 0 && job["reason"] == "unreachable",
            _ => false,
        };
        assert!(is_true, "{percent} %: {times} resets: {job:#}");
        *ends.entry(end.to_owned()).or_default() += 1;
    }
    ends
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bmc_on_a_line_that_loses_packets_is_never_reset_twice() {
    if enters("a_bmc_on_a_line_that_loses_packets_is_never_reset_twice") {
        return;
    }
    let mut lab = Lab::start(8).await;
    // Half a minute of trying is a second and a half at 1/20: too little for one packet in five.
    lab.backend.restart_at(SLOW);
    let count: usize = std::env::var("RACKHAND_RESETS").map_or(80, |count| count.parse().unwrap());
    for percent in [5, 20] {
        lose_at_the_bmcs(&lab, percent);
        let each = (1..=8).map(|n| resets(&lab, format!("srv-0{n}"), (count / 16).max(1), percent));
        let mut ends: BTreeMap<String, usize> = BTreeMap::new();
        for (end, times) in futures::future::join_all(each).await.into_iter().flatten() {
            *ends.entry(end).or_default() += times;
        }
        let asked: usize = ends.values().sum();
        eprintln!(
            "measured: {asked} resets at {percent} % loss each way ended as {ends:?}, none happened twice"
        );
        assert!(ends["succeeded"] * 2 > asked, "most are proved: {ends:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_waits_for_nobody() {
    let lab = Lab::bare(1).await;
    let agent = Agent::start(&lab, "site-a", lab.backend.port()).await;
    assert_eq!(listening(agent.pid()), Vec::<String>::new(), "nothing on site listens");
    let here = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    // As the kernel writes it: address and port in hexadecimal.
    let port = format!(":{:04X} ", here.local_addr().unwrap().port());
    let seen = listening(std::process::id()).iter().any(|line| line.contains(&port));
    assert!(seen, "the look itself sees what listens");
}

/// Machines that an agent behind a router alone reaches.
async fn behind_a_router(test: &str, servers: u16) -> Option<(Lab, Agent, Site)> {
    if enters(test) {
        return None;
    }
    let mut lab = Lab::bare(servers).await;
    let port = lab.backend.port();
    let site = Site::new(port);
    let mut agent = Agent::enrolled(&lab, "site-a", port).await;
    agent.lead_to(&format!("http://{SERVER}:{port}"));
    agent.move_to(site.within());
    agent.run();
    agent.online(&lab).await;
    lab.wire(&json!({"agent_id": agent.id})).await;
    Some((lab, agent, site))
}

fn transitions(lab: &Lab, server: &str) -> [usize; 3] {
    [EffectKind::PoweredOff, EffectKind::PoweredOn, EffectKind::Reset]
        .map(|what| lab.machine(server).count(&what))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_behind_a_router_that_lets_nothing_in_serves_its_site() {
    let test = "an_agent_behind_a_router_that_lets_nothing_in_serves_its_site";
    let Some((lab, agent, _site)) = behind_a_router(test, 1).await else { return };
    let job = lab.power("srv-01", json!({"action": "cycle"})).await;
    assert_eq!((state(&job).0, transitions(&lab, "srv-01")), ("succeeded", [1, 1, 0]), "{job:#}");
    let forced = json!({"action": "off", "via": "outlets", "confirm_name": "srv-01"});
    let job = lab.power("srv-01", forced).await;
    assert_eq!(state(&job), ("succeeded", "done_by_outlets"), "{job:#}");
    assert_eq!(agent.view(&lab).await["source_ip"], "10.77.1.2", "{:#}", agent.view(&lab).await);
    // Nothing gets in, not even to a port that the agent's own connection uses.
    for address in ["10.77.1.2:22", "10.77.1.2:443", "10.77.1.2:40000"] {
        let address: SocketAddr = address.parse().unwrap();
        let tried = TcpStream::connect_timeout(&address, Duration::from_millis(300));
        assert!(tried.is_err(), "{address} lets somebody in");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_that_is_cut_off_in_the_middle_of_its_jobs_ends_them_once_it_is_back() {
    let test = "a_site_that_is_cut_off_in_the_middle_of_its_jobs_ends_them_once_it_is_back";
    let Some((lab, agent, site)) = behind_a_router(test, 2).await else { return };
    let seconds = std::env::var("RACKHAND_PARTITION").map_or(15, |seconds| seconds.parse().unwrap());
    // The line is cut before all feeds are proven off, also on a busy machine.
    for pdu in lab.farm.world().pdus() {
        pdu.change_faults(|faults| faults.link.delay = Duration::from_millis(30));
    }
    let plain = lab.start_power("srv-01", json!({"action": "cycle"})).await;
    let forced = json!({"action": "cycle", "via": "outlets", "confirm_name": "srv-02"});
    let forced = lab.start_power("srv-02", forced).await;
    lab.wait_until("both are under way", async |lab: &Lab| {
        transitions(lab, "srv-01")[0] == 1 && lab.feeds_on("srv-02") < 2
    })
    .await;
    let parted = Instant::now();
    site.part();
    agent.seen(&lab, "offline").await;
    lab.wait_until("the agent alone has restored what it cut", async |lab: &Lab| lab.fully_fed("srv-02"))
        .await;
    let rest = Duration::from_secs(seconds).saturating_sub(parted.elapsed());
    tokio::time::sleep(rest).await;
    site.open();
    let begun = Instant::now();
    agent.online(&lab).await;
    let longest = Timings::default().scaled(SCALE).reconnect_longest;
    // A try to connect that began before may last fifteen seconds, which tests do not shorten.
    assert!(begun.elapsed() < longest * 3 + Duration::from_secs(15), "back after {:?}", begun.elapsed());
    let plain = lab.finish(plain["id"].as_str().unwrap()).await;
    let forced = lab.finish(forced["id"].as_str().unwrap()).await;
    let [off, on, resets] = transitions(&lab, "srv-01");
    assert!(off == 1 && on <= 1 && resets == 0, "nothing happens twice: {off} {on} {resets}: {plain:#}");
    // A look that waits too long for its agent expires: a person must hear that the server is off, or may be.
    let told = plain["summary"].as_str().unwrap();
    match state(&plain).0 {
        "succeeded" => assert_eq!(on, 1, "{plain:#}"),
        "failed_partial" => assert!(on == 0 && told.contains("the server is off"), "{plain:#}"),
        other => {
            assert_eq!((other, on), ("indeterminate", 0), "{plain:#}");
            assert!(told.contains("could not be found out"), "{plain:#}");
        }
    }
    assert_eq!(state(&forced).1, "feeds_restored", "{forced:#}");
    assert!(lab.fully_fed("srv-02"), "{forced:#}");
    let job = lab.power("srv-01", json!({"action": "on"})).await;
    assert_eq!((state(&job).0, transitions(&lab, "srv-01")), ("succeeded", [1, 1, 0]), "{job:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_swallows_everything_is_noticed_on_both_sides_in_time() {
    let test = "a_line_that_swallows_everything_is_noticed_on_both_sides_in_time";
    let Some((lab, agent, site)) = behind_a_router(test, 1).await else { return };
    let timings = Timings::default().scaled(SCALE);
    let slack = |time: Duration| time * 3 + Duration::from_secs(2);
    let ended = || agent.log().matches("session over").count();
    let before = ended();
    let begun = Instant::now();
    site.part();
    agent.seen(&lab, "offline").await;
    assert!(begun.elapsed() < slack(timings.dead_after), "the server took {:?}", begun.elapsed());
    lab.wait_until("the agent has noticed", async |_: &Lab| ended() > before).await;
    assert!(begun.elapsed() < slack(timings.dead_after), "the agent took {:?}", begun.elapsed());
    // Neither side's kernel keeps on trying what nobody acknowledges.
    let port = format!(":{:04X} ", lab.backend.port());
    let alive = || {
        let table = fs::read_to_string("/proc/net/tcp").unwrap();
        // State 01 is ESTABLISHED; the site's address is the router's.
        table
            .lines()
            .filter(|line| line.contains(&port) && line.contains(" 02014D0A:") && line.contains(" 01 "))
            .count()
    };
    lab.wait_until("the connection is gone", async |_: &Lab| alive() == 0).await;
    assert!(begun.elapsed() < slack(timings.dead_after * 2), "the kernel took {:?}", begun.elapsed());
    site.open();
    agent.online(&lab).await;
    let job = lab.power("srv-01", json!({"action": "cycle"})).await;
    assert_eq!((state(&job).0, transitions(&lab, "srv-01")), ("succeeded", [1, 1, 0]), "{job:#}");
}

/// How long the kernel waits for an acknowledgement on the connections of a process to or from a port.
fn patience(pid: u32, port: u16) -> Vec<u32> {
    use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};
    let of = pidfd_open(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), PidfdFlags::empty()).unwrap();
    let files = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let numbers = files.filter_map(|file| file.ok()?.file_name().to_str()?.parse::<i32>().ok());
    let sockets = numbers.filter_map(|number| pidfd_getfd(&of, number, PidfdGetfdFlags::empty()).ok());
    let at = |address: std::io::Result<SocketAddr>| address.is_ok_and(|address| address.port() == port);
    sockets
        .map(TcpStream::from)
        .filter(|socket| socket.peer_addr().is_ok() && (at(socket.local_addr()) || at(socket.peer_addr())))
        .map(|socket| rustix::net::sockopt::tcp_user_timeout(&socket).unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn both_kernels_give_up_when_the_other_side_counts_as_gone() {
    let lab = Lab::bare(1).await;
    let agent = Agent::start(&lab, "site-a", lab.backend.port()).await;
    let dead_after = Timings::default().scaled(SCALE).dead_after.as_millis();
    for pid in [agent.pid(), lab.backend.pid()] {
        let found = patience(pid, lab.backend.port());
        assert!(!found.is_empty(), "process {pid} has no connection");
        assert!(found.iter().all(|ms| u128::from(*ms) == dead_after), "{found:?} ms, not {dead_after}");
    }
}

/// Makes this namespace ask a name server that knows no name, or says nothing at all.
fn ask_about_names(is_silent: Arc<AtomicBool>) {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n").unwrap();
    let mount = Command::new("mount").arg("--bind").arg(file.path()).arg("/etc/resolv.conf").status();
    assert!(mount.unwrap().success());
    let socket = UdpSocket::bind("127.0.0.1:53").unwrap();
    std::thread::spawn(move || {
        let mut packet = [0; 512];
        while let Ok((_, from)) = socket.recv_from(&mut packet) {
            if !is_silent.load(Ordering::Relaxed) {
                socket.send_to(&no_such_name(&packet), from).unwrap();
            }
        }
    });
}

/// Answers a question (RFC 1035 section 4.1): NXDOMAIN, and of what was asked the question alone.
fn no_such_name(asked: &[u8]) -> Vec<u8> {
    let mut end = 12;
    while asked[end] != 0 {
        end += usize::from(asked[end]) + 1;
    }
    let mut answer = asked[..end + 5].to_vec();
    answer[2..12].copy_from_slice(&[0x81, 0x83, 0, 1, 0, 0, 0, 0, 0, 0]);
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_a_resolver_that_knows_no_such_name_nor_one_that_is_silent_cuts_a_feed() {
    if enters("neither_a_resolver_that_knows_no_such_name_nor_one_that_is_silent_cuts_a_feed") {
        return;
    }
    let is_silent = Arc::new(AtomicBool::new(false));
    ask_about_names(is_silent.clone());
    let lab = Lab::slow(rack_of(2)).await;
    mute(&lab.machine("srv-01"));
    name_the_bmc(&lab, "bmc.rack.test").await;
    nothing_is_cut(&lab, "config").await;
    is_silent.store(true, Ordering::Relaxed);
    for action in ["off", "cycle"] {
        let job = lab.power("srv-01", json!({"action": action})).await;
        assert_eq!(state(&job), ("failed", "exec"), "{job:#}");
    }
    assert_eq!(lab.pdu_writes(), 0);
}
