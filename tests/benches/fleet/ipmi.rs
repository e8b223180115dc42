//! Status of many BMCs (`OpenIPMI`'s `ipmi_sim`), read by us and by three others.

use rackhand_driver::{Endpoint, Integration, Opening, check, conformance, perform};
use rackhand_drivers::ipmi::Ipmi;
use rackhand_tests::ipmi_sim::{ADMIN, Chassis, IpmiSim};
use rackhand_wire::{Answer, Fault, Operation, Secrets, Timings, power::Switch};
use serde_json::{Value, json};
use std::{
    net::{Ipv4Addr, SocketAddr},
    process::Command,
    sync::Arc,
};

use crate::{
    Extent,
    figure::{Figure, spread},
    tools::{Cost, need, own, peer, program},
};

/// BMCs in the farm.
const NODES: u32 = 500;

/// Of these ipmitool reads some: it starts a process for each.
const FOR_IPMITOOL: u32 = 100;

/// Times that every open session is read in one run.
const REUSED: u32 = 10;

/// Where the BMCs listen, each at an address of its own.
pub const PORT: u16 = 9623;

/// Suite that the peers are told; `ipmi_sim` knows no better one.
const SUITE: &str = "3";

/// Lets the driver find the suite by itself.
const FOUND: &str = "auto";

/// What one run cost.
struct Run {
    cold: Cost,
    first: Cost,
    reuse: Cost,
    ipmipower: Cost,
    ipmi_chassis: Cost,
    ipmitool: Cost,
}

/// Measures.
pub async fn measure(extent: Extent) -> Vec<Figure> {
    need(&[
        ("ipmi_sim", "openipmi"),
        ("ipmitool", "ipmitool"),
        ("ipmipower", "freeipmi-tools"),
        ("ipmi-chassis", "freeipmi-tools"),
    ]);
    let nodes = extent.of(NODES);
    let farm = IpmiSim::start_all(&places(nodes), Chassis::Dark);
    let places: Vec<SocketAddr> = farm.iter().map(IpmiSim::at).collect();
    let few = &places[..extent.of(FOR_IPMITOOL).min(nodes) as usize];
    let mut runs = Vec::new();
    for run in 0..=extent.runs {
        let ((), cold) = own(sweep(&places, SUITE)).await;
        let (output, ipmipower) = peer(&mut self::ipmipower(&places));
        expect(&output.stdout, ": off", places.len());
        let (output, ipmi_chassis) = peer(&mut self::ipmi_chassis(&places));
        expect(&output.stdout, "System Power", places.len());
        let reuse = reuse(&places).await;
        let ((), first) = own(sweep(&places, FOUND)).await;
        let (output, ipmitool) = peer(&mut self::ipmitool(few));
        expect(&output.stdout, "Chassis Power is off", few.len());
        if run > 0 {
            runs.push(Run { cold, first, reuse, ipmipower, ipmi_chassis, ipmitool });
        }
    }
    figures(&runs, nodes, few.len())
}

fn figures(runs: &[Run], nodes: u32, few: usize) -> Vec<Figure> {
    let n = f64::from(nodes);
    let milliseconds =
        |cost: fn(&Run) -> f64, of: f64| runs.iter().map(|run| cost(run) / of * 1e3).collect::<Vec<f64>>();
    let cold = milliseconds(|run| run.cold.cpu, n);
    let first = milliseconds(|run| run.first.cpu, n);
    let reuse = milliseconds(|run| run.reuse.cpu, n * f64::from(REUSED));
    let power = milliseconds(|run| run.ipmipower.cpu, n);
    let tool = milliseconds(|run| run.ipmitool.cpu, few as f64);
    let name = "CPU per status read";
    let does = "opens a session, reads status and restart cause, closes it";
    let mut figures = vec![
        Figure::at_most(format!("{name}, cold, {nodes} BMCs"), "ms", &cold, 0.3)
            .beside("ipmipower", &cold, &power)
            .below_peer()
            .noting(format!("{} ms; {does}", spread(&cold, 3))),
        Figure::at_most(format!("{name}, cold, suite not told"), "ms", &first, 0.3)
            .beside("ipmipower", &first, &power)
            .below_peer()
            .noting(format!(
                "{} ms; also asks for the suites and is refused 17; the peer is told 3",
                spread(&first, 3)
            )),
        Figure::told(format!("{name}, cold, {few} BMCs for the peer"), "ms", &cold)
            .beside("ipmitool", &cold, &tool),
        Figure::at_most(format!("{name}, session kept"), "ms", &reuse, 0.05)
            .beside("ipmipower", &reuse, &power)
            .noting(format!("{} ms; the peer keeps no session", spread(&reuse, 3))),
        Figure::told(format!("{name}, session kept, {few} BMCs for the peer"), "ms", &reuse)
            .beside("ipmitool", &reuse, &tool),
    ];
    let seconds = |cost: fn(&Run) -> f64| runs.iter().map(cost).collect::<Vec<f64>>();
    let peers = [
        ("ipmipower", seconds(|run| run.ipmipower.wall)),
        ("ipmi-chassis", seconds(|run| run.ipmi_chassis.wall)),
    ];
    let told = seconds(|run| run.cold.wall);
    let found = seconds(|run| run.first.wall);
    for (how, ours) in [("", told), (", suite not told", found)] {
        for (peer, theirs) in &peers {
            let name = format!("Sweep of {nodes} BMCs, cold, wall time{how}");
            let note = format!("{} s, theirs {} s", spread(&ours, 3), spread(theirs, 3));
            figures
                .push(Figure::told(name, "s", &ours).beside(peer, &ours, theirs).below_peer().noting(note));
        }
    }
    figures
}

/// Addresses for BMCs.
pub fn places(nodes: u32) -> Vec<SocketAddr> {
    let place = |at: u32| {
        let [_, _, high, low] = (at / 250 * 256 + at % 250 + 1).to_be_bytes();
        SocketAddr::from((Ipv4Addr::new(127, 46, high, low), PORT))
    };
    (0..nodes).map(place).collect()
}

/// Opens a BMC as the agent does; nothing is sent yet.
pub async fn open(at: SocketAddr, suite: &str) -> Arc<dyn Endpoint> {
    let (user, password) = ADMIN;
    let params = json!({ "host": at.ip().to_string(), "port": at.port(), "user": user, "cipher": suite });
    let secrets: Secrets = [("password", password)].into_iter().collect();
    let params = check::endpoint(Ipmi.descriptor(), &params, &secrets).unwrap();
    let timings = Timings::default();
    let (timings, guard) = (&timings, &conformance::guard());
    let opening = Opening { params: &params, secrets: &secrets, pinned: None, timings, guard };
    Ipmi.open(opening).await.unwrap()
}

/// Reads a BMC's power.
pub async fn read(bmc: &dyn Endpoint) -> Result<Switch, Fault> {
    match perform(bmc, &Value::Null, &Operation::ReadPower).await? {
        Answer::Power(reading) => Ok(reading.power),
        other @ (Answer::Done
        | Answer::Identity(_)
        | Answer::Outlets { .. }
        | Answer::Outlet(_)
        | Answer::BootDevice { .. }) => panic!("{other:?}"),
    }
}

/// Opens, reads and closes every BMC, all at a time.
async fn sweep(places: &[SocketAddr], suite: &'static str) {
    let each = places.iter().map(|at| {
        let at = *at;
        tokio::spawn(async move {
            let bmc = open(at, suite).await;
            assert_eq!(read(&*bmc).await.unwrap(), Switch::Off);
            bmc.close().await;
        })
    });
    for task in each.collect::<Vec<_>>() {
        task.await.unwrap();
    }
}

/// Opens every BMC, then counts what reading them again and again costs.
async fn reuse(places: &[SocketAddr]) -> Cost {
    let mut bmcs = Vec::new();
    for at in places {
        let bmc = open(*at, SUITE).await;
        read(&*bmc).await.unwrap();
        bmcs.push(bmc);
    }
    let ((), cost) = own(async {
        for _ in 0..REUSED {
            let each = bmcs.iter().cloned().map(|bmc| tokio::spawn(async move { read(&*bmc).await }));
            for task in each.collect::<Vec<_>>() {
                assert_eq!(task.await.unwrap().unwrap(), Switch::Off);
            }
        }
    })
    .await;
    for bmc in bmcs {
        bmc.close().await;
    }
    cost
}

/// `FreeIPMI`'s ipmipower for all of them.
pub fn ipmipower(places: &[SocketAddr]) -> Command {
    let mut command = free(program("ipmipower"), places);
    command.arg("--stat");
    command
}

fn ipmi_chassis(places: &[SocketAddr]) -> Command {
    let mut command = free(program("ipmi-chassis"), places);
    command.args(["-D", "LAN_2_0", "-F", "64", "--get-chassis-status"]);
    command
}

fn free(mut command: Command, places: &[SocketAddr]) -> Command {
    let hosts: Vec<String> = places.iter().map(SocketAddr::to_string).collect();
    let (user, password) = ADMIN;
    command.args(["-W", "opensesspriv", "-I", SUITE, "-u", user, "-p", password, "-h", &hosts.join(",")]);
    command
}

/// One ipmitool per BMC, 32 at a time.
fn ipmitool(places: &[SocketAddr]) -> Command {
    let hosts: Vec<String> = places.iter().map(|at| at.ip().to_string()).collect();
    let (user, password) = ADMIN;
    let each = format!(
        "printf '%s\\n' {} | xargs -P 32 -I HOST ipmitool -I lanplus -C {SUITE} -H HOST -p {PORT} -U {user} -P {password} \
         chassis power status",
        hosts.join(" ")
    );
    let mut command = program("sh");
    command.args(["-c", &each]);
    command
}

fn expect(output: &[u8], words: &str, count: usize) {
    let text = String::from_utf8_lossy(output);
    assert_eq!(text.matches(words).count(), count, "a peer failed, so it can't be compared:\n{text}");
}
