//! Status of many BMCs on a line that loses 5 % or 20 % of the packets each way.
//!
//! nftables drops them in a network namespace that is made for this; the machine's own rules are not touched.

use rackhand_tests::ipmi_sim::{Chassis, IpmiSim};
use std::{
    io::Write,
    net::SocketAddr,
    process::{Command, Stdio, exit},
    time::Duration,
};

use crate::{
    Extent,
    figure::{Figure, spread},
    ipmi::{PORT, ipmipower, open, places, read},
    tools::{need, own, peer, program},
};

const NODES: u32 = 100;

/// Nobody waits longer for one BMC.
const PATIENCE: Duration = Duration::from_mins(1);

/// So long a read may take on a bad line.
const BAD_PATIENCE: Duration = Duration::from_secs(15);

/// How often each BMC is read in one run on a bad line.
const SWEEPS: u32 = 4;

/// Runs this program again in a network namespace of its own.
pub fn enter(extent: Extent) {
    need(&[
        ("ipmi_sim", "openipmi"),
        ("ipmipower", "freeipmi-tools"),
        ("nft", "nftables"),
        ("ip", "iproute2"),
        ("unshare", "util-linux"),
    ]);
    let mut command = program("unshare");
    command.arg("--net");
    if !rustix::process::geteuid().is_root() {
        command.arg("--map-root-user");
    }
    command.arg(std::env::current_exe().unwrap()).args(["loss-inside", "--runs", &extent.runs.to_string()]);
    if extent.divisor > 1 {
        command.arg("--small");
    }
    exit(command.status().unwrap().code().unwrap_or(1));
}

/// Measures.
pub async fn measure(extent: Extent) -> Vec<Figure> {
    succeed(program("ip").args(["link", "set", "lo", "up"]));
    let nodes = extent.of(NODES);
    let farm = IpmiSim::start_all(&places(nodes), Chassis::Dark);
    let places: Vec<SocketAddr> = farm.iter().map(IpmiSim::at).collect();
    // The first run, without loss, warms the farm up.
    assert_eq!(sweep(&places, PATIENCE).await, places.len());
    vec![slightly(extent, &places).await, badly(extent, &places).await]
}

/// How long all of them take where one packet in twenty is lost.
async fn slightly(extent: Extent, places: &[SocketAddr]) -> Figure {
    let nodes = places.len();
    lose(5);
    let (mut ours, mut theirs, mut answered, mut peer_answered) = (vec![], vec![], vec![], vec![]);
    for _ in 0..extent.runs {
        let (count, cost) = own(sweep(places, PATIENCE)).await;
        ours.push(cost.wall);
        answered.push(count as f64);
        let (output, cost) = peer(&mut ipmipower(places));
        theirs.push(cost.wall);
        peer_answered.push(String::from_utf8_lossy(&output.stdout).matches(": off").count() as f64);
    }
    let all = answered.iter().all(|count| *count >= nodes as f64);
    let name = format!("{nodes} BMCs at 5 % loss each way, wall time");
    let mut figure = Figure::at_most(name, "s", &ours, 3.0).beside("ipmipower", &ours, &theirs);
    figure.met = figure.met.map(|met| met && all);
    figure.target = format!("{nodes}/{nodes} in ≤ 3 s");
    let note = format!(
        "ours answered {} of {nodes} in {} s; theirs {} of {nodes} in {} s",
        spread(&answered, 0),
        spread(&ours, 2),
        spread(&peer_answered, 0),
        spread(&theirs, 2)
    );
    figure.noting(note)
}

/// How many reads are answered in time where one packet in five is lost.
async fn badly(extent: Extent, places: &[SocketAddr]) -> Figure {
    lose(20);
    let limit = BAD_PATIENCE.as_millis().to_string();
    let (mut asked, mut answered, mut ours, mut theirs) = (0, 0, vec![], vec![]);
    for _ in 0..extent.runs {
        let (mut in_time, mut peer_in_time) = (0, 0);
        for _ in 0..SWEEPS {
            in_time += sweep(places, BAD_PATIENCE).await;
            let (output, _) = peer(ipmipower(places).args(["--session-timeout", &limit]));
            peer_in_time += String::from_utf8_lossy(&output.stdout).matches(": off").count();
        }
        let reads = places.len() * SWEEPS as usize;
        asked += reads;
        answered += in_time;
        ours.push(in_time as f64 / reads as f64 * 100.0);
        theirs.push(peer_in_time as f64 / reads as f64 * 100.0);
    }
    let share = answered as f64 / asked as f64 * 100.0;
    let mut figure = Figure::told("Reads answered within 15 s at 20 % loss each way", "%", &[share]);
    figure.target = "≥ 99.9 %".into();
    figure.met = Some(share >= 99.9);
    let note = format!(
        "ours {answered} of {asked} cold reads, {} % per run; theirs {} %",
        spread(&ours, 1),
        spread(&theirs, 1)
    );
    figure.beside("ipmipower", &ours, &theirs).noting(note)
}

/// Reads every BMC, all at a time, and counts those that answered in time.
async fn sweep(places: &[SocketAddr], patience: Duration) -> usize {
    let each = places.iter().map(|at| {
        let at = *at;
        tokio::spawn(async move {
            let bmc = open(at, "3").await;
            let read = tokio::time::timeout(patience, read(&*bmc)).await;
            bmc.close().await;
            matches!(read, Ok(Ok(_)))
        })
    });
    let mut answered = 0;
    for task in each.collect::<Vec<_>>() {
        answered += usize::from(task.await.unwrap());
    }
    answered
}

/// Drops so many of a hundred packets, by chance, to and from the BMCs.
fn lose(percent: u32) {
    let rules = format!(
        "table inet loss\ndelete table inet loss\n\
         table inet loss {{\nchain arriving {{\ntype filter hook input priority 0;\n\
         udp dport {PORT} numgen random mod 100 < {percent} drop\n\
         udp sport {PORT} numgen random mod 100 < {percent} drop\n}}\n}}\n"
    );
    let mut child = program("nft").args(["-f", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(rules.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "nft did not take the rules");
}

fn succeed(command: &mut Command) {
    assert!(command.status().unwrap().success(), "{command:?}");
}
