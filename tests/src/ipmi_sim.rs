//! `OpenIPMI`'s `ipmi_sim`: BMCs that are not ours.

use std::{
    fs,
    net::{SocketAddr, UdpSocket},
    os::unix::fs::PermissionsExt,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

const REMEDY: &str = "install ipmi_sim: apt-get install openipmi";

/// Administrator of every BMC, and the password.
pub const ADMIN: (&str, &str) = ("admin", "labpass");

/// GUID of every BMC, as Rackhand writes it.
pub const GUID: &str = "00112233-4455-6677-8899-aabbccddeeff";

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

/// Who keeps the power of a BMC's machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chassis {
    /// A script per request, which also notes what it was told: for checking commands.
    Script,
    /// Nobody: the machine is off for ever. Answers without starting a process: for measuring reads.
    Dark,
}

/// A running `ipmi_sim`, one BMC; it ends with this value.
pub struct IpmiSim {
    child: Child,
    at: SocketAddr,
    folder: TempDir,
}

impl IpmiSim {
    /// Starts a BMC at an address (port 0: a free one) and waits until it answers.
    #[must_use]
    pub fn start(at: SocketAddr, chassis: Chassis) -> Self {
        let mut sim = Self::spawn(at, chassis);
        sim.wait();
        sim
    }

    /// Starts several BMCs, and waits for all of them at the end.
    #[must_use]
    pub fn start_all(places: &[SocketAddr], chassis: Chassis) -> Vec<Self> {
        let mut sims: Vec<Self> = places.iter().map(|at| Self::spawn(*at, chassis)).collect();
        sims.iter_mut().for_each(Self::wait);
        sims
    }

    /// Where it listens.
    #[must_use]
    pub fn at(&self) -> SocketAddr {
        self.at
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Lists what the chassis was told; only the script notes it.
    #[must_use]
    pub fn told(&self) -> Vec<String> {
        let told = fs::read_to_string(self.folder.path().join("told")).unwrap_or_default();
        told.lines().map(str::to_owned).collect()
    }

    fn spawn(at: SocketAddr, chassis: Chassis) -> Self {
        let at = if at.port() == 0 { UdpSocket::bind(at).unwrap().local_addr().unwrap() } else { at };
        let folder = TempDir::new().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("chassis"), CHASSIS).unwrap();
        fs::set_permissions(path("chassis"), fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(path("power"), "1\n").unwrap();
        fs::create_dir(path("state")).unwrap();
        let bmc = "mc_setbmc 0x20\nmc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02\nmc_enable 0x20\n";
        fs::write(path("bmc.emu"), bmc).unwrap();
        fs::write(path("lan.conf"), configuration(at, folder.path().to_str().unwrap(), chassis)).unwrap();
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
        Self { child, at, folder }
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
}

impl Drop for IpmiSim {
    fn drop(&mut self) {
        // SIGKILL also ends a stopped process.
        let ended = self.child.kill().and_then(|()| self.child.wait());
        if let Err(error) = ended {
            eprintln!("ipmi_sim could not be ended: {error}");
        }
    }
}

fn configuration(at: SocketAddr, folder: &str, chassis: Chassis) -> String {
    let auths: String = ["callback", "user", "operator", "admin"]
        .map(|level| format!("    allowed_auths_{level} none md2 md5 straight\n"))
        .concat();
    let chassis = match chassis {
        Chassis::Script => format!("  chassis_control \"{folder}/chassis {folder}\"\n"),
        Chassis::Dark => String::new(),
    };
    let (user, password) = ADMIN;
    format!(
        "name \"peer\"\nset_working_mc 0x20\n  startlan 1\n    addr {} {}\n    priv_limit admin\n{auths}    \
         guid {}\n  endlan\n{chassis}  user 1 false \"\" \"\" user 10 none md2 md5 straight\n  \
         user 2 true \"{user}\" \"{password}\" admin 10 none md2 md5 straight\n  \
         user 3 true \"oper\" \"operpass\" operator 10 none md2 md5 straight\n",
        at.ip(),
        at.port(),
        GUID.replace('-', ""),
    )
}
