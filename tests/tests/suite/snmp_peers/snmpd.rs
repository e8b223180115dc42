//! Our driver meets net-snmp's own agent, which plays an APC `MasterSwitch` by `override` lines.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::process::Command;

use rackhand_wire::power::Switch;
use rackhand_wire::{FaultCode, OutletState, Reason};
use tempfile::TempDir;

use super::driver;
use rackhand_tests::peers::net_snmp::{READER, REMEDY, get};
use rackhand_tests::peers::process::{Running, free_address};

const COMMAND_1: &str = "1.3.6.1.4.1.318.1.1.4.4.2.1.3.1";

/// Users with every pair of protocols that the form offers and net-snmp has.
const USERS: [(&str, &str, &str, &str, &str); 6] = [
    ("u1", "SHA", "AES", "sha1", "aes128"),
    ("u2", "SHA-256", "AES", "sha256", "aes128"),
    ("u3", "SHA-512", "AES", "sha512", "aes128"),
    ("u4", "SHA", "AES-256", "sha1", "aes256"),
    ("u5", "SHA-256", "AES-256", "sha256", "aes256"),
    ("u6", "SHA-512", "AES-256", "sha512", "aes256"),
];

struct Snmpd {
    at: SocketAddr,
    _running: Running,
    _folder: TempDir,
}

fn snmpd() -> Snmpd {
    let at = free_address();
    let folder = TempDir::new().unwrap();
    let mut text = format!("agentAddress udp:{at}\nrocommunity public\nrwcommunity private\n");
    for n in 1..=4 {
        writeln!(text, "override -rw .1.3.6.1.4.1.318.1.1.4.4.2.1.3.{n} integer 1").unwrap();
        writeln!(text, "override .1.3.6.1.4.1.318.1.1.4.4.2.1.4.{n} octet_str \"Outlet {n}\"").unwrap();
    }
    for (user, auth, privacy, _, _) in USERS {
        writeln!(text, "createUser {user} {auth} {user}-auth-password {privacy} {user}-priv-password")
            .unwrap();
        writeln!(text, "rwuser {user} priv").unwrap();
    }
    writeln!(text, "createUser looker SHA-256 looker-auth-password AES looker-priv-password").unwrap();
    writeln!(text, "rouser looker priv").unwrap();
    let config = folder.path().join("snmpd.conf");
    std::fs::write(&config, text).unwrap();
    let mut command = Command::new("/usr/sbin/snmpd");
    command.args(["-f", "-C", "-LE", "1", "-p"]).arg(folder.path().join("pid")).arg("-c").arg(&config);
    command.env("SNMP_PERSISTENT_DIR", folder.path());
    let running = Running::start(&mut command, REMEDY, || get(READER, at, COMMAND_1).is_ok());
    Snmpd { at, _running: running, _folder: folder }
}

async fn open_user(
    at: SocketAddr,
    user: &str,
    auth: &str,
    privacy: &str,
    passwords: &str,
) -> std::sync::Arc<dyn rackhand_driver::Endpoint> {
    let params = [
        ("version", "v3"),
        ("user", user),
        ("auth_protocol", auth),
        ("priv_protocol", privacy),
        ("model", "apc_spdu"),
    ];
    let [auth_password, priv_password] = ["auth", "priv"].map(|kind| format!("{passwords}-{kind}-password"));
    driver::open(at, &params, &[("auth_password", &auth_password), ("priv_password", &priv_password)]).await
}

#[tokio::test]
async fn every_pair_of_version_3_protocols_reads_and_switches_net_snmp() {
    let snmpd = snmpd();
    for (user, _, _, auth, privacy) in USERS {
        let endpoint = open_user(snmpd.at, user, auth, privacy, user).await;
        assert_eq!(driver::outlets(&*endpoint).await.unwrap().len(), 4, "{auth} {privacy}");
        driver::switch(&*endpoint, "1", Switch::Off).await.unwrap();
        assert_eq!(get(READER, snmpd.at, COMMAND_1).as_deref(), Ok("2"), "{auth} {privacy}");
        driver::switch(&*endpoint, "1", Switch::On).await.unwrap();
        assert_eq!(get(READER, snmpd.at, COMMAND_1).as_deref(), Ok("1"), "{auth} {privacy}");
    }
}

#[tokio::test]
async fn communities_of_versions_1_and_2c_read_and_switch_net_snmp() {
    let snmpd = snmpd();
    for version in ["v1", "v2c"] {
        let secrets = [("community", "public"), ("write_community", "private")];
        let endpoint = driver::open(snmpd.at, &[("version", version), ("model", "apc_spdu")], &secrets).await;
        driver::switch(&*endpoint, "3", Switch::Off).await.unwrap();
        assert_eq!(driver::outlet(&*endpoint, "3").await.unwrap().state, OutletState::Off, "{version}");
        driver::switch(&*endpoint, "3", Switch::On).await.unwrap();
        let reader =
            driver::open(snmpd.at, &[("version", version), ("model", "apc_spdu")], &secrets[..1]).await;
        let fault = driver::switch(&*reader, "3", Switch::Off).await.unwrap_err();
        assert_eq!((fault.code, fault.reason), (FaultCode::Auth, Reason::WriteRefused), "{version}: {fault}");
        assert_eq!(driver::outlet(&*endpoint, "3").await.unwrap().state, OutletState::On, "{version}");
    }
}

#[tokio::test]
async fn net_snmp_s_refusals_are_told_apart() {
    let snmpd = snmpd();
    let cases = [
        ("u2", "sha256", "someone-else", Reason::WrongPassword),
        ("u2", "sha512", "u2", Reason::WrongPassword),
        ("nobody", "sha256", "u2", Reason::WrongUser),
    ];
    for (user, auth, passwords, reason) in cases {
        let endpoint = open_user(snmpd.at, user, auth, "aes128", passwords).await;
        let fault = endpoint.identify().await.unwrap_err();
        assert_eq!(
            (fault.code, fault.reason),
            (FaultCode::Auth, reason),
            "{user} {auth} {passwords}: {fault}"
        );
    }
    let looker = open_user(snmpd.at, "looker", "sha256", "aes128", "looker").await;
    let fault = driver::switch(&*looker, "1", Switch::Off).await.unwrap_err();
    assert_eq!((fault.code, fault.reason), (FaultCode::Auth, Reason::WriteRefused), "{fault}");
    assert_eq!(get(READER, snmpd.at, COMMAND_1).as_deref(), Ok("1"));
}
