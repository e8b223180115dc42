//! Our driver against `OpenIPMI`'s `ipmi_sim`, a BMC that is not ours.

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rackhand_driver::Endpoint;
use rackhand_wire::power::{Native, Switch};
use rackhand_wire::{Fault, FaultCode, Reason};
use serde_json::json;
use tempfile::TempDir;

use crate::driver::{Entry, command, identify, old_version, open, read, timings};

const REMEDY: &str = "install ipmi_sim: apt-get install openipmi";

/// GUID in the configuration below, as Rackhand writes it.
const GUID: &str = "00112233-4455-6677-8899-aabbccddeeff";

/// Presence ping of RMCP.
const PING: [u8; 12] = [6, 0, 0xff, 6, 0, 0, 0x11, 0xbe, 0x80, 0, 0, 0];

/// What the BMC asks for the chassis: keeps the power in a file and logs what it was told.
const CHASSIS: &str = r#"#!/bin/sh
cd "$1" && op=$2 && shift 2
case $op in
get) for what; do case $what in
       power) read -r now < power; echo "power:$now" ;;
       boot) echo boot:default ;;
       *) exit 1 ;;
     esac; done ;;
set) while [ $# -gt 1 ]; do
       [ "$1" = power ] && echo "$2" > power
       echo "$1 $2" >> told; shift 2
     done ;;
esac
"#;

/// A running `ipmi_sim`; it ends with the test.
struct Sim {
    child: Child,
    at: SocketAddr,
    folder: TempDir,
}

impl Sim {
    fn start() -> Sim {
        let folder = TempDir::new().unwrap();
        let at = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("chassis"), CHASSIS).unwrap();
        fs::set_permissions(path("chassis"), fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(path("power"), "1\n").unwrap();
        fs::create_dir(path("state")).unwrap();
        let bmc = "mc_setbmc 0x20\nmc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02\nmc_enable 0x20\n";
        fs::write(path("bmc.emu"), bmc).unwrap();
        fs::write(path("lan.conf"), configuration(at, folder.path().to_str().unwrap())).unwrap();
        let child = Command::new("ipmi_sim")
            .arg("-c")
            .arg(path("lan.conf"))
            .arg("-f")
            .arg(path("bmc.emu"))
            .arg("-s")
            .arg(path("state"))
            .arg("-n")
            .stdin(Stdio::null())
            .stdout(fs::File::create(path("log")).unwrap())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("ipmi_sim: {error}; {REMEDY}"));
        let mut sim = Sim { child, at, folder };
        sim.wait();
        sim
    }

    /// Waits until it answers a presence ping.
    fn wait(&mut self) {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let end = Instant::now() + Duration::from_secs(30);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("ipmi_sim ended at once with {status}; {REMEDY}");
            }
            socket.send_to(&PING, self.at).unwrap();
            if socket.recv(&mut [0; 64]).is_ok() {
                return;
            }
            assert!(Instant::now() < end, "ipmi_sim does not answer; {REMEDY}");
        }
    }

    /// Lists what the chassis was told.
    fn told(&self) -> Vec<String> {
        let told = fs::read_to_string(self.folder.path().join("told")).unwrap_or_default();
        told.lines().map(str::to_owned).collect()
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    async fn open(&self, entry: Entry) -> std::sync::Arc<dyn Endpoint> {
        open(self.at, entry).await
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        // SIGKILL also ends a stopped process.
        let ended = self.child.kill().and_then(|()| self.child.wait());
        if let Err(error) = ended {
            eprintln!("ipmi_sim could not be ended: {error}");
        }
    }
}

fn configuration(at: SocketAddr, folder: &str) -> String {
    let auths: String = ["callback", "user", "operator", "admin"]
        .map(|level| format!("    allowed_auths_{level} none md2 md5 straight\n"))
        .concat();
    let guid = GUID.replace('-', "");
    format!(
        "name \"peer\"\nset_working_mc 0x20\n  startlan 1\n    addr {} {}\n    priv_limit admin\n{auths}    \
         guid {guid}\n  endlan\n  chassis_control \"{folder}/chassis {folder}\"\n  \
         user 1 false \"\" \"\" user 10 none md2 md5 straight\n  \
         user 2 true \"admin\" \"labpass\" admin 10 none md2 md5 straight\n  \
         user 3 true \"oper\" \"operpass\" operator 10 none md2 md5 straight\n",
        at.ip(),
        at.port(),
    )
}

/// The two dialects that it speaks: suite 3, found after 17 was refused, and IPMI 1.5.
fn dialects() -> [serde_json::Value; 2] {
    [json!({}), old_version()]
}

#[tokio::test]
async fn the_driver_reads_and_commands_once_in_both_dialects() {
    for params in dialects() {
        let sim = Sim::start();
        let bmc = sim.open(Entry { params: params.clone(), ..Entry::default() }).await;
        assert_eq!(read(&*bmc).await.unwrap().power, Switch::On, "{params}");
        command(&*bmc, Native::Reset).await.unwrap();
        command(&*bmc, Native::Off).await.unwrap();
        assert_eq!(read(&*bmc).await.unwrap().power, Switch::Off, "{params}");
        command(&*bmc, Native::On).await.unwrap();
        assert_eq!(read(&*bmc).await.unwrap().power, Switch::On, "{params}");
        assert_eq!(sim.told(), ["reset 1", "power 0", "power 1"], "{params}");
        bmc.close().await;
    }
}

#[tokio::test]
async fn an_endpoint_says_what_it_is_and_how_it_was_reached() {
    let sim = Sim::start();
    for (params, protocol) in dialects().into_iter().zip(["IPMI 2.0, cipher suite 3", "IPMI 1.5"]) {
        let bmc = sim.open(Entry { params, ..Entry::default() }).await;
        let identity = identify(&*bmc).await.unwrap();
        assert_eq!(identity.unique.as_deref(), Some(GUID));
        assert!(identity.protocol.as_deref().unwrap().starts_with(protocol), "{identity:?}");
        assert_eq!(identity.firmware.as_deref(), Some("9.08"));
    }
}

#[tokio::test]
async fn one_session_serves_many_reads_and_a_closed_one_is_opened_anew() {
    let sim = Sim::start();
    let bmc = sim.open(Entry::default()).await;
    for _ in 0..200 {
        read(&*bmc).await.unwrap();
    }
    for _ in 0..80 {
        // The BMC has 63 sessions: any that stayed open would be missed here.
        bmc.close().await;
        read(&*bmc).await.unwrap();
    }
}

#[tokio::test]
async fn an_operator_signs_in_and_switches() {
    let sim = Sim::start();
    let bmc = sim.open(Entry { user: "oper", password: "operpass", ..Entry::default() }).await;
    command(&*bmc, Native::Off).await.unwrap();
    assert_eq!(sim.told(), ["power 0"]);
}

#[tokio::test]
async fn wrong_user_password_and_suite_have_their_own_names_and_switch_nothing() {
    let sim = Sim::start();
    let cases = [
        (json!({}), "nobody", "labpass", FaultCode::Auth, Reason::WrongUser),
        (json!({}), "admin", "guess", FaultCode::Auth, Reason::WrongPassword),
        (json!({ "cipher": "17" }), "admin", "labpass", FaultCode::Config, Reason::NoMatchingCipher),
        (old_version(), "nobody", "labpass", FaultCode::Auth, Reason::WrongUser),
        (old_version(), "admin", "guess", FaultCode::Auth, Reason::WrongPassword),
    ];
    for (params, user, password, code, reason) in cases {
        let bmc = sim.open(Entry { params: params.clone(), user, password, ..Entry::default() }).await;
        let began = Instant::now();
        let fault = command(&*bmc, Native::Off).await.unwrap_err();
        assert_eq!((fault.code, fault.reason), (code, reason), "{params} {user} {password}: {fault}");
        assert!(began.elapsed() < Duration::from_secs(3), "{params} {user} {password}");
    }
    assert_eq!(sim.told(), [""; 0]);
}

#[tokio::test]
async fn another_machine_at_the_address_is_told_nothing() {
    let sim = Sim::start();
    for params in dialects() {
        let pinned = Some("ffffffff-4455-6677-8899-aabbccddeeff");
        let bmc = sim.open(Entry { params: params.clone(), pinned, ..Entry::default() }).await;
        let fault = command(&*bmc, Native::Off).await.unwrap_err();
        assert_eq!((fault.code, fault.reason), (FaultCode::Config, Reason::IdentityMismatch), "{params}");
        let bmc = sim.open(Entry { params, pinned: Some(GUID), ..Entry::default() }).await;
        assert_eq!(read(&*bmc).await.unwrap().power, Switch::On);
    }
    assert_eq!(sim.told(), [""; 0]);
}

#[tokio::test]
async fn a_silent_bmc_is_unreachable_in_time_and_welcome_when_it_speaks_again() {
    let sim = Sim::start();
    let known = sim.open(Entry::default()).await;
    read(&*known).await.unwrap();
    sim.signal("-STOP");
    let stranger = sim.open(Entry::default()).await;
    let (fault, took) = timed(&*stranger).await;
    assert_eq!((fault.code, fault.reason), (FaultCode::Unreach, Reason::NoAnswer), "{fault}");
    assert_in_time(took);
    let fault = read(&*known).await.unwrap_err();
    assert_eq!(fault.code, FaultCode::Unreach, "in an open session too: {fault}");
    sim.signal("-CONT");
    assert_eq!(read(&*known).await.unwrap().power, Switch::On);
    assert_eq!(sim.told(), [""; 0]);
}

#[tokio::test]
async fn a_command_that_left_before_the_silence_is_lost_rather_than_undelivered() {
    let sim = Sim::start();
    let bmc = sim.open(Entry::default()).await;
    read(&*bmc).await.unwrap();
    sim.signal("-STOP");
    // The session was heard a moment ago, so the command leaves at once; a stopped BMC finds it on waking.
    let (fault, _) = timed(&*bmc).await;
    assert_eq!((fault.code, fault.reason), (FaultCode::Lost, Reason::AnswerLost), "{fault}");
    sim.signal("-CONT");
    assert_eq!(read(&*bmc).await.unwrap().power, Switch::Off);
    assert_eq!(sim.told(), ["power 0"]);
}

#[tokio::test]
async fn a_closed_port_is_told_and_shortens_nothing() {
    let sim = Sim::start();
    let at = sim.at;
    drop(sim);
    let bmc = open(at, Entry::default()).await;
    let (fault, took) = timed(&*bmc).await;
    assert_eq!((fault.code, fault.reason), (FaultCode::Unreach, Reason::NoAnswer));
    assert!(fault.detail.contains("port closed"), "{fault}");
    assert_in_time(took);
}

/// Sends a command that must fail, and says how and after how long.
async fn timed(bmc: &dyn Endpoint) -> (Fault, Duration) {
    let began = Instant::now();
    let fault = command(bmc, Native::Off).await.unwrap_err();
    (fault, began.elapsed())
}

/// The decision falls between 20 and 25 seconds, at the scale of these tests.
fn assert_in_time(took: Duration) {
    let due = timings().unreachable_after;
    assert!(took >= due && took < due.mul_f64(1.5), "decided after {took:?}, due after {due:?}");
}
