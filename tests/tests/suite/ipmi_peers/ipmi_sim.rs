//! Our driver against `OpenIPMI`'s `ipmi_sim`, a BMC that is not ours.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rackhand_driver::Endpoint;
use rackhand_tests::ipmi_sim::{Chassis, GUID, IpmiSim};
use rackhand_wire::power::{Native, Switch};
use rackhand_wire::{Fault, FaultCode, Reason};
use serde_json::json;

use super::driver::{Entry, command, identify, old_version, open, read, timings};
use super::line;

/// A running BMC; it ends with the test.
fn start() -> IpmiSim {
    IpmiSim::start("127.0.0.1:0".parse().unwrap(), Chassis::Script)
}

/// Sends a signal to the BMC's process.
fn signal(sim: &IpmiSim, name: &str) {
    let status = std::process::Command::new("kill").args([name, &sim.pid().to_string()]).status().unwrap();
    assert!(status.success());
}

/// The two dialects that it speaks: suite 3, found after 17 was refused, and IPMI 1.5.
fn dialects() -> [serde_json::Value; 2] {
    [json!({}), old_version()]
}

#[tokio::test]
async fn the_driver_reads_and_commands_once_in_both_dialects() {
    for params in dialects() {
        let sim = start();
        let bmc = open(sim.at(), Entry { params: params.clone(), ..Entry::default() }).await;
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
    let sim = start();
    for (params, protocol) in dialects().into_iter().zip(["IPMI 2.0, cipher suite 3", "IPMI 1.5"]) {
        let bmc = open(sim.at(), Entry { params, ..Entry::default() }).await;
        let identity = identify(&*bmc).await.unwrap();
        assert_eq!(identity.unique.as_deref(), Some(GUID));
        assert!(identity.protocol.as_deref().unwrap().starts_with(protocol), "{identity:?}");
        assert_eq!(identity.firmware.as_deref(), Some("9.08"));
    }
}

#[tokio::test]
async fn one_session_serves_many_reads_and_a_closed_one_is_opened_anew() {
    let sim = start();
    let bmc = open(sim.at(), Entry::default()).await;
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
    let sim = start();
    let bmc = open(sim.at(), Entry { user: "oper", password: "operpass", ..Entry::default() }).await;
    command(&*bmc, Native::Off).await.unwrap();
    assert_eq!(sim.told(), ["power 0"]);
}

#[tokio::test]
async fn wrong_user_password_suite_and_level_have_their_own_names_and_switch_nothing() {
    let sim = start();
    let mut as_administrator = old_version();
    as_administrator["privilege"] = "administrator".into();
    let cases = [
        (json!({}), "nobody", "labpass", FaultCode::Auth, Reason::WrongUser),
        (json!({}), "admin", "guess", FaultCode::Auth, Reason::WrongPassword),
        (json!({ "cipher": "17" }), "admin", "labpass", FaultCode::Config, Reason::NoMatchingCipher),
        (old_version(), "nobody", "labpass", FaultCode::Auth, Reason::WrongUser),
        (old_version(), "admin", "guess", FaultCode::Auth, Reason::WrongPassword),
        // In IPMI 2.0 this BMC grants everybody any level.
        (as_administrator, "oper", "operpass", FaultCode::Config, Reason::InsufficientPrivilege),
    ];
    for (params, user, password, code, reason) in cases {
        let bmc = open(sim.at(), Entry { params: params.clone(), user, password, ..Entry::default() }).await;
        let began = Instant::now();
        let fault = command(&*bmc, Native::Off).await.unwrap_err();
        assert_eq!((fault.code, fault.reason), (code, reason), "{params} {user} {password}: {fault}");
        assert!(began.elapsed() < Duration::from_secs(3), "{params} {user} {password}");
    }
    assert_eq!(sim.told(), [""; 0]);
}

#[tokio::test]
async fn a_command_whose_answer_is_lost_is_told_so_and_a_reset_is_not_sent_again() {
    for params in dialects() {
        for (native, done) in [(Native::Reset, "reset 1"), (Native::Off, "power 0")] {
            let sim = Arc::new(start());
            let at = line::losing_answers(&sim).await;
            let bmc = open(at, Entry { params: params.clone(), ..Entry::default() }).await;
            assert_eq!(read(&*bmc).await.unwrap().power, Switch::On, "{params}");
            let fault = command(&*bmc, native).await.unwrap_err();
            assert_eq!(
                (fault.code, fault.reason),
                (FaultCode::Lost, Reason::AnswerLost),
                "{params}: {fault}"
            );
            let told = sim.told();
            assert!(told.iter().all(|one| one == done) && !told.is_empty(), "{params}: {told:?}");
            assert!(told.len() == 1 || native == Native::Off, "{params}: {told:?}");
        }
    }
}

#[tokio::test]
async fn another_machine_at_the_address_is_told_nothing() {
    let sim = start();
    for params in dialects() {
        let pinned = Some("ffffffff-4455-6677-8899-aabbccddeeff");
        let bmc = open(sim.at(), Entry { params: params.clone(), pinned, ..Entry::default() }).await;
        let fault = command(&*bmc, Native::Off).await.unwrap_err();
        assert_eq!((fault.code, fault.reason), (FaultCode::Config, Reason::IdentityMismatch), "{params}");
        let bmc = open(sim.at(), Entry { params, pinned: Some(GUID), ..Entry::default() }).await;
        assert_eq!(read(&*bmc).await.unwrap().power, Switch::On);
    }
    assert_eq!(sim.told(), [""; 0]);
}

#[tokio::test]
async fn a_silent_bmc_is_unreachable_in_time_and_welcome_when_it_speaks_again() {
    let sim = start();
    let known = open(sim.at(), Entry::default()).await;
    read(&*known).await.unwrap();
    signal(&sim, "-STOP");
    let stranger = open(sim.at(), Entry::default()).await;
    let (fault, took) = timed(&*stranger).await;
    assert_eq!((fault.code, fault.reason), (FaultCode::Unreach, Reason::NoAnswer), "{fault}");
    assert_in_time(took);
    let fault = read(&*known).await.unwrap_err();
    assert_eq!(fault.code, FaultCode::Unreach, "in an open session too: {fault}");
    signal(&sim, "-CONT");
    assert_eq!(read(&*known).await.unwrap().power, Switch::On);
    assert_eq!(sim.told(), [""; 0]);
}

#[tokio::test]
async fn a_command_does_not_leave_for_a_bmc_that_fell_silent_a_moment_ago() {
    let sim = start();
    let bmc = open(sim.at(), Entry::default()).await;
    read(&*bmc).await.unwrap();
    signal(&sim, "-STOP");
    // A stopped BMC would find it on waking, long after the outlets were cut in its place.
    let (fault, took) = timed(&*bmc).await;
    assert_eq!((fault.code, fault.reason), (FaultCode::Unreach, Reason::NoAnswer), "{fault}");
    assert_in_time(took);
    signal(&sim, "-CONT");
    assert_eq!(read(&*bmc).await.unwrap().power, Switch::On);
    assert_eq!(sim.told(), [""; 0]);
}

#[tokio::test]
async fn a_closed_port_is_told_and_shortens_nothing() {
    let sim = start();
    let at = sim.at();
    drop(sim);
    let bmc = open(at, Entry::default()).await;
    let (fault, took) = timed(&*bmc).await;
    assert_eq!((fault.code, fault.reason), (FaultCode::Unreach, Reason::PortClosed));
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
