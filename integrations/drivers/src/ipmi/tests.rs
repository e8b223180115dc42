//! The driver against simulated BMCs on loopback. Other makers' ends are met in the peers' tests.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use rackhand_driver::{check, conformance, perform, perform_through};
use rackhand_simulators::{
    bmc::{Account, BmcHandle, LegacyOffer, Level, Suite, serve},
    world::{ChassisCommand, EffectKind, Machine, ReplyKind, Which, World, WorldTimings},
};
use rackhand_wire::{
    Answer, FaultCode, Operation, Reason, Secrets, Timings,
    operation::{BootChoice, BootDevice, BootFirmware, BootHold, Identity},
    power::{Native, PowerReading, RestorePolicy, Switch},
};

use rackhand_protocols::ipmi::{
    NetFn, Response,
    bmc::{Bmc, Call, Host, Profile},
    command::chassis,
};
use tokio::net::UdpSocket;

use super::*;

/// A machine with its BMC.
struct Bench {
    machine: Machine,
    bmc: BmcHandle,
    world: World,
}

async fn bench_with(change: impl FnOnce(&mut Account)) -> Bench {
    let world = World::new(WorldTimings::quick());
    let machine = world.add_machine("srv-01", &[]);
    let mut account = Account::administrator("admin", "secret");
    change(&mut account);
    let bmc = serve(machine.clone(), "127.0.0.1:0".parse().unwrap(), account).await.unwrap();
    Bench { machine, bmc, world }
}

async fn bench() -> Bench {
    bench_with(|_| ()).await
}

/// What a person enters.
struct Form {
    params: Value,
    secrets: Vec<(&'static str, &'static str)>,
    pinned: Option<String>,
    timings: Timings,
}

impl Bench {
    fn form(&self) -> Form {
        Form {
            params: json!({ "host": "127.0.0.1", "port": self.bmc.addr().port(), "user": "admin" }),
            secrets: vec![("password", "secret")],
            pinned: None,
            timings: Timings::default().scaled(0.05),
        }
    }

    async fn open(&self) -> Arc<dyn Endpoint> {
        self.form().open().await
    }
}

impl Form {
    fn with(mut self, name: &str, value: impl Into<Value>) -> Form {
        self.params[name] = value.into();
        self
    }

    fn secret(mut self, name: &'static str, value: &'static str) -> Form {
        self.secrets.retain(|(known, _)| *known != name);
        self.secrets.push((name, value));
        self
    }

    fn secrets(&self) -> Secrets {
        self.secrets.iter().copied().collect()
    }

    async fn open(&self) -> Arc<dyn Endpoint> {
        let secrets = self.secrets();
        let params = check::endpoint(Ipmi.descriptor(), &self.params, &secrets).unwrap();
        assert_eq!(Ipmi.check(&params, &secrets), []);
        let pinned = self.pinned.as_deref();
        let (timings, guard) = (&self.timings, &conformance::guard());
        let opening = Opening { params: &params, secrets: &secrets, pinned, timings, guard };
        Ipmi.open(opening).await.unwrap()
    }
}

async fn command(endpoint: &Arc<dyn Endpoint>, command: Native) -> Result<Answer, Fault> {
    perform(endpoint.as_ref(), &Value::Null, &Operation::SetPower { command }).await
}

async fn read(endpoint: &Arc<dyn Endpoint>) -> Result<PowerReading, Fault> {
    let answer = perform(endpoint.as_ref(), &Value::Null, &Operation::ReadPower).await?;
    let Answer::Power(reading) = answer else { panic!("{answer:?}") };
    Ok(reading)
}

#[tokio::test]
async fn it_offers_what_it_advertises() {
    let bench = bench().await;
    let endpoint = bench.open().await;
    let device = endpoint.attach(&Value::Null).unwrap();
    assert_eq!(conformance::findings(Ipmi.descriptor(), device.as_ref()), Vec::<String>::new());
}

#[tokio::test]
async fn a_bmc_says_what_it_is_and_how_it_was_reached() {
    let bench = bench().await;
    bench.machine.set_restore_policy(rackhand_simulators::world::RestorePolicy::AlwaysOff);
    let identity = bench.open().await.identify().await.unwrap();
    let Identity { vendor: None, firmware, unique, protocol, notes, .. } = identity else {
        panic!("{identity:?}")
    };
    assert_eq!(firmware.unwrap(), "1.05");
    assert_eq!(unique.unwrap(), guid::text(bench.machine.guid()));
    assert_eq!(protocol.unwrap(), "IPMI 2.0, cipher suite 17, administrator");
    assert!(notes.iter().any(|note| note.contains("stays off")), "{notes:?}");
}

#[tokio::test]
async fn every_command_does_what_it_says_once() {
    let bench = bench().await;
    let endpoint = bench.open().await;
    for (native, effect) in [
        (Native::Reset, EffectKind::Reset),
        (Native::Nmi, EffectKind::Diag),
        (Native::Shutdown, EffectKind::SoftPressed),
        (Native::Off, EffectKind::PoweredOff),
        (Native::On, EffectKind::PoweredOn),
    ] {
        assert_eq!(command(&endpoint, native).await, Ok(Answer::Done));
        assert_eq!(bench.machine.count(&effect), 1, "{native:?}");
    }
    // What a BMC makes of it by itself: off, and on again after a while.
    assert_eq!(command(&endpoint, Native::Cycle).await, Ok(Answer::Done));
    let begun = Instant::now();
    let transitions =
        || [EffectKind::PoweredOff, EffectKind::PoweredOn].map(|what| bench.machine.count(&what));
    while transitions() != [2, 2] {
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", transitions());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(bench.bmc.tally().opened, 1);
}

#[tokio::test]
async fn a_write_passes_its_gate_when_all_else_is_done_and_again_before_each_repetition() {
    let bench = bench().await;
    let endpoint = bench.open().await;
    let refusal = || Fault::new(FaultCode::Exec, Reason::LeaseLost, "");
    let sessions = Mutex::new(Vec::new());
    let shut = || -> Result<(), Fault> {
        sessions.lock().unwrap().push(bench.bmc.open_sessions());
        Err(refusal())
    };
    let choice = BootChoice { device: BootDevice::Pxe, hold: BootHold::Once, firmware: BootFirmware::Uefi };
    let always_on = Operation::SetRestorePolicy { policy: RestorePolicy::AlwaysOn };
    for write in [
        Operation::SetPower { command: Native::Off },
        Operation::SetBootDevice { boot: choice },
        Operation::SetIdentifyLight { seconds: Some(60) },
        always_on.clone(),
    ] {
        let done = perform_through(&shut, endpoint.as_ref(), &Value::Null, &write).await;
        assert_eq!(done, Err(refusal()), "{write:?}");
    }
    assert_eq!(*sessions.lock().unwrap(), [1; 4], "the session is open by then");
    assert!(bench.machine.is_on() && bench.machine.identify_left().is_none());
    let asked = AtomicU32::new(0);
    let once = || -> Result<(), Fault> {
        if asked.fetch_add(1, Ordering::SeqCst) > 0 {
            return Err(refusal());
        }
        // The answer to what leaves now.
        bench.machine.change_bmc_faults(|faults| {
            faults.link.drop_next_replies(1, Which::Only(ReplyKind::Other));
        });
        Ok(())
    };
    let done = perform_through(&once, endpoint.as_ref(), &Value::Null, &always_on).await;
    assert_eq!((done, asked.load(Ordering::SeqCst)), (Err(refusal()), 2));
    let policy = bench.machine.restore_policy();
    assert_eq!(policy, rackhand_simulators::world::RestorePolicy::AlwaysOn, "the first one had arrived");
    assert!(read(&endpoint).await.is_ok());
}

#[tokio::test]
async fn a_reading_tells_power_restore_policy_and_restart_cause() {
    let bench = bench().await;
    let endpoint = bench.open().await;
    let set = Operation::SetRestorePolicy { policy: RestorePolicy::AlwaysOn };
    perform(endpoint.as_ref(), &Value::Null, &set).await.unwrap();
    command(&endpoint, Native::Off).await.unwrap();
    assert_eq!(read(&endpoint).await.unwrap().power, Switch::Off);
    command(&endpoint, Native::On).await.unwrap();
    let reading = read(&endpoint).await.unwrap();
    assert_eq!(
        reading,
        PowerReading {
            power: Switch::On,
            restore_policy: Some(RestorePolicy::AlwaysOn),
            restart_cause: Some("chassis control command".to_owned()),
        }
    );
}

#[tokio::test]
async fn the_boot_device_and_the_lamp_are_set_and_read_back() {
    let bench = bench().await;
    let endpoint = bench.open().await;
    let boot = |operation| {
        let endpoint = endpoint.clone();
        async move { perform(endpoint.as_ref(), &Value::Null, &operation).await.unwrap() }
    };
    assert_eq!(boot(Operation::ReadBootDevice).await, Answer::BootDevice { boot: None });
    for device in [BootDevice::Pxe, BootDevice::Disk, BootDevice::Cdrom, BootDevice::Setup] {
        for (hold, firmware) in
            [(BootHold::Once, BootFirmware::Uefi), (BootHold::Persistent, BootFirmware::Bios)]
        {
            let choice = BootChoice { device, hold, firmware };
            boot(Operation::SetBootDevice { boot: choice }).await;
            assert_eq!(boot(Operation::ReadBootDevice).await, Answer::BootDevice { boot: Some(choice) });
        }
    }
    boot(Operation::SetIdentifyLight { seconds: Some(60) }).await;
    assert!(bench.machine.identify_left().is_some());
    boot(Operation::SetIdentifyLight { seconds: None }).await;
    assert!(bench.machine.identify_left().is_none());
}

/// What is on the BMC, what is entered, and what must come of it.
type Row = (fn(&mut Account), fn(Form) -> Form, FaultCode, Reason);

#[tokio::test]
async fn each_refusal_has_its_code_and_reason_and_changes_nothing() {
    let two: fn(&mut Account) = |account| account.suites = vec![Suite::Three];
    let kg: fn(&mut Account) = |account| account.kg = Some(b"key".to_vec());
    let operator: fn(&mut Account) = |account| account.privilege = Level::Operator;
    let user: fn(&mut Account) = |account| account.privilege = Level::User;
    let usual: fn(&mut Account) = |_| ();
    let same: fn(Form) -> Form = |form| form;
    let rows: [Row; 7] = [
        (usual, |form| form.with("user", "nobody"), FaultCode::Auth, Reason::WrongUser),
        (usual, |form| form.secret("password", "wrong"), FaultCode::Auth, Reason::WrongPassword),
        (kg, same, FaultCode::Auth, Reason::WrongKg),
        (kg, |form| form.secret("kg", "0x6b6578"), FaultCode::Auth, Reason::WrongKg),
        (two, |form| form.with("cipher", "17"), FaultCode::Config, Reason::NoMatchingCipher),
        (
            operator,
            |form| form.with("privilege", "administrator"),
            FaultCode::Config,
            Reason::InsufficientPrivilege,
        ),
        (user, same, FaultCode::Config, Reason::InsufficientPrivilege),
    ];
    for (account, form, code, reason) in rows {
        let bench = bench_with(account).await;
        let endpoint = form(bench.form()).open().await;
        let began = Instant::now();
        let fault = command(&endpoint, Native::Off).await.unwrap_err();
        assert_eq!((fault.code, fault.reason), (code, reason), "{fault}");
        assert!(began.elapsed() < Duration::from_secs(1), "{reason:?} took {:?}", began.elapsed());
        assert_eq!(bench.machine.effects(), [], "{reason:?}");
        assert!(bench.bmc.tally().refused <= 1, "{reason:?} was tried more than once");
    }
}

#[tokio::test]
async fn the_key_kg_is_taken_as_text_and_as_digits() {
    let bench = bench_with(|account| account.kg = Some(b"key".to_vec())).await;
    for text in ["key", "0x6b6579"] {
        assert!(read(&bench.form().secret("kg", text).open().await).await.is_ok(), "{text}");
    }
}

#[tokio::test]
async fn a_reset_while_off_is_a_matter_of_state() {
    let bench = bench().await;
    bench.machine.chassis(ChassisCommand::Down).unwrap();
    let fault = command(&bench.open().await, Native::Reset).await.unwrap_err();
    assert_eq!((fault.code, fault.reason), (FaultCode::State, Reason::WrongState));
}

#[tokio::test]
async fn a_mute_bmc_is_unreachable_neither_too_soon_nor_too_late() {
    let bench = bench().await;
    let mut form = bench.form();
    form.timings = Timings::default().scaled(0.1);
    let endpoint = form.open().await;
    read(&endpoint).await.unwrap();
    bench.machine.change_bmc_faults(|faults| faults.link.mute = true);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let began = Instant::now();
    let fault = command(&endpoint, Native::Off).await.unwrap_err();
    assert_eq!((fault.code, fault.reason), (FaultCode::Unreach, Reason::NoAnswer));
    let took = began.elapsed();
    assert!(took >= Duration::from_secs(2) && took < Duration::from_millis(2500), "{took:?} at 1/10 scale");
    assert!(bench.machine.is_on());
}

#[tokio::test]
async fn a_closed_port_is_unreachable_and_said_to_be_closed() {
    let bench = bench().await;
    let form = bench.form();
    drop(bench.bmc);
    let fault = read(&form.open().await).await.unwrap_err();
    assert_eq!(fault.code, FaultCode::Unreach);
    assert!(fault.detail.contains("BMC port closed"), "{fault}");
}

#[tokio::test]
async fn a_name_that_does_not_exist_says_nothing_of_the_bmc() {
    let bench = bench().await;
    let fault = read(&bench.form().with("host", "no-such-host.invalid").open().await).await.unwrap_err();
    assert!(matches!(fault.code, FaultCode::Config | FaultCode::Exec), "{fault}");
    assert_eq!(fault.reason, Reason::HostNotFound);
}

#[tokio::test]
async fn a_lost_answer_is_lost_however_many_are_lost_and_nothing_is_done_twice() {
    for count in 1..=5 {
        for (native, effect) in [(Native::Reset, EffectKind::Reset), (Native::Off, EffectKind::PoweredOff)] {
            let bench = bench().await;
            let endpoint = bench.open().await;
            bench.machine.change_bmc_faults(|faults| {
                faults.link.drop_next_replies(count, Which::Only(ReplyKind::ChassisControl));
            });
            let fault = command(&endpoint, native).await.unwrap_err();
            assert_eq!((fault.code, fault.reason), (FaultCode::Lost, Reason::AnswerLost));
            assert_eq!(bench.machine.count(&effect), 1, "{native:?} with {count} lost replies");
            assert!(read(&endpoint).await.is_ok());
        }
    }
}

#[tokio::test]
async fn another_machine_at_the_address_is_told_nothing() {
    let bench = bench().await;
    let mut form = bench.form();
    form.pinned = bench.open().await.identify().await.unwrap().unique;
    let endpoint = form.open().await;
    assert!(command(&endpoint, Native::Reset).await.is_ok());
    bench.machine.change_bmc_faults(|faults| faults.wrong_guid = true);
    tokio::time::sleep(Duration::from_millis(100)).await;
    let fault = command(&endpoint, Native::Off).await.unwrap_err();
    assert_eq!((fault.code, fault.reason), (FaultCode::Config, Reason::IdentityMismatch));
    assert!(bench.machine.is_on());
}

#[tokio::test]
async fn a_restarted_bmc_is_found_again() {
    let bench = bench().await;
    let endpoint = bench.open().await;
    read(&endpoint).await.unwrap();
    bench.machine.restart_bmc();
    tokio::time::sleep(bench.world.timings().bmc_boot / 2).await;
    // Asked while it still boots: the driver's patience outlasts that.
    assert!(read(&endpoint).await.is_ok());
    assert_eq!(bench.bmc.tally().opened, 2);
}

#[tokio::test]
async fn a_session_is_reused_closed_when_idle_and_closed_with_the_endpoint() {
    let bench = bench().await;
    let mut form = bench.form();
    form.timings.ipmi_session_idle = Duration::from_millis(150);
    let endpoint = form.open().await;
    for _ in 0..20 {
        read(&endpoint).await.unwrap();
    }
    assert_eq!((bench.bmc.tally().opened, bench.bmc.open_sessions()), (1, 1));
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(bench.bmc.open_sessions(), 0, "idle");
    for polite in [true, false] {
        read(&endpoint).await.unwrap();
        assert_eq!(bench.bmc.open_sessions(), 1);
        if polite {
            endpoint.close().await;
            tokio::time::sleep(Duration::from_millis(50)).await;
            assert_eq!(bench.bmc.open_sessions(), 0, "closed");
        }
    }
    drop(endpoint);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(bench.bmc.open_sessions(), 0, "dropped");
}

#[tokio::test]
async fn requests_at_one_time_share_one_session() {
    let bench = bench().await;
    let endpoint = bench.open().await;
    let readers: Vec<_> = (0..20)
        .map(|_| {
            let endpoint = endpoint.clone();
            tokio::spawn(async move { read(&endpoint).await })
        })
        .collect();
    for reader in readers {
        assert!(reader.await.unwrap().is_ok());
    }
    let tally = bench.bmc.tally();
    assert_eq!((tally.opened, tally.peak), (1, 1));
}

#[tokio::test]
async fn a_request_that_its_caller_gave_up_does_not_disturb_the_next() {
    let bench = bench().await;
    let endpoint = bench.open().await;
    read(&endpoint).await.unwrap();
    bench.machine.change_bmc_faults(|faults| faults.link.delay = Duration::from_millis(60));
    for _ in 0..3 {
        let given_up = tokio::time::timeout(Duration::from_millis(20), read(&endpoint)).await;
        assert!(given_up.is_err(), "the answer takes longer");
    }
    assert_eq!(read(&endpoint).await.unwrap().power, Switch::On);
}

#[tokio::test]
async fn a_hundred_bmcs_at_five_percent_loss_each_way_all_answer_within_three_seconds() {
    let world = World::new(WorldTimings::quick());
    let mut bmcs = Vec::new();
    for number in 0..100 {
        let machine = world.add_machine(&format!("srv-{number}"), &[]);
        machine.change_bmc_faults(|faults| faults.link.loss_percent = 5);
        let account = Account::administrator("admin", "secret");
        bmcs.push(serve(machine, "127.0.0.1:0".parse().unwrap(), account).await.unwrap());
    }
    let began = Instant::now();
    let mut sweep = Vec::new();
    for bmc in &bmcs {
        let port = bmc.addr().port();
        sweep.push(tokio::spawn(async move {
            let form = Form {
                params: json!({ "host": "127.0.0.1", "port": port, "user": "admin" }),
                secrets: vec![("password", "secret")],
                pinned: None,
                timings: Timings::default(),
            };
            read(&form.open().await).await
        }));
    }
    for reading in sweep {
        assert!(reading.await.unwrap().is_ok());
    }
    assert!(began.elapsed() <= Duration::from_secs(3), "{:?}", began.elapsed());
}

#[tokio::test]
async fn ipmi_1_5_is_spoken_only_when_it_was_ticked() {
    for offer in [LegacyOffer::Offered, LegacyOffer::StraightOnly] {
        speaks_ipmi_1_5(offer).await;
    }
}

async fn speaks_ipmi_1_5(offer: LegacyOffer) {
    let bench = bench_with(|account| {
        account.suites = vec![];
        account.ipmi_1_5 = offer;
    })
    .await;
    let fault = read(&bench.open().await).await.unwrap_err();
    assert_eq!(fault.reason, Reason::NoMatchingCipher);
    let identity = bench.form().with("allow_1_5", true).open().await.identify().await.unwrap();
    assert_eq!(identity.protocol.unwrap(), "IPMI 1.5, administrator");
    assert_eq!(identity.unique.unwrap(), guid::text(bench.machine.guid()));
    let wrong = bench.form().with("allow_1_5", true).secret("password", "wrong").open().await;
    assert_eq!(read(&wrong).await.unwrap_err().reason, Reason::WrongPassword);
}

#[tokio::test]
async fn a_full_bmc_is_busy() {
    let bench = bench_with(|account| {
        account.most_sessions = 1;
        account.ipmi_1_5 = LegacyOffer::Refused;
    })
    .await;
    let (first, second) = (bench.open().await, bench.open().await);
    read(&first).await.unwrap();
    assert_eq!(read(&second).await.unwrap_err().code, FaultCode::Busy);
    first.close().await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(read(&second).await.is_ok());
}

#[test]
fn what_cannot_be_is_refused_at_its_field() {
    let params = json!({ "host": "127.0.0.1", "user": "admin" });
    let errors = |params: &Value, secrets: &[(&str, &str)]| {
        let secrets: Secrets = secrets.iter().copied().collect();
        let mut errors: Vec<_> = match check::endpoint(Ipmi.descriptor(), params, &secrets) {
            Ok(_) => Vec::new(),
            Err(errors) => errors,
        };
        errors.extend(Ipmi.check(params, &secrets));
        errors.into_iter().map(|error| (error.field, error.code)).collect::<Vec<_>>()
    };
    let row = |field: &str, code: &str| vec![(field.to_owned(), code.to_owned())];
    assert_eq!(errors(&params, &[("password", "12345678901234567890")]), []);
    assert_eq!(errors(&params, &[("password", "123456789012345678901")]), row("password", "too_long"));
    assert_eq!(errors(&params, &[]), row("password", "required"));
    let legacy = json!({ "host": "127.0.0.1", "user": "admin", "allow_1_5": true });
    assert_eq!(errors(&legacy, &[("password", "1234567890123456")]), []);
    assert_eq!(errors(&legacy, &[("password", "12345678901234567")]), row("password", "too_long"));
    let user = json!({ "host": "127.0.0.1", "user": "seventeen-letters" });
    assert_eq!(errors(&user, &[("password", "x")]), row("user", "too_long"));
    for kg in ["0x123", "0xzz", "a key of 21 letters!!", "0x+1"] {
        assert_eq!(errors(&params, &[("password", "x"), ("kg", kg)]), row("kg", "not_a_key"), "{kg}");
    }
}

#[test]
fn a_pasted_address_is_recognised() {
    let suggest = |text| Ipmi.suggest(text).map(|found| (found.params, found.certainty));
    assert_eq!(suggest("ipmi://10.0.0.7:6230/"), Some((json!({ "host": "10.0.0.7", "port": 6230 }), 95)));
    assert_eq!(suggest("127.42.0.5:6230"), Some((json!({ "host": "127.42.0.5", "port": 6230 }), 50)));
    assert_eq!(suggest(" 10.0.0.7 "), Some((json!({ "host": "10.0.0.7" }), 50)));
    assert_eq!(suggest("https://10.0.0.7:8443/#/login"), Some((json!({ "host": "10.0.0.7" }), 50)));
    assert_eq!(suggest("idrac-42.example.net"), Some((json!({ "host": "idrac-42.example.net" }), 70)));
    assert_eq!(suggest("fe80::1"), Some((json!({ "host": "fe80::1" }), 50)));
    assert_eq!(suggest("ipmi://[fe80::1]:623"), Some((json!({ "host": "fe80::1", "port": 623 }), 95)));
    assert_eq!(suggest("www.example.net"), None);
    assert_eq!(suggest("snmp://10.0.0.7"), None);
    assert_eq!(Ipmi.address(&json!({ "host": "BMC-1" })).unwrap(), "bmc-1:623");
}

#[test]
fn a_guid_is_read_as_it_was_written() {
    let guid = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 0xff];
    assert_eq!(guid::text(guid), "00010203-0405-0607-0809-0a0b0c0d0eff");
    assert_eq!(guid::parse(&guid::text(guid)), Some(guid));
    assert_eq!(guid::parse("no guid"), None);
}

/// A BMC that does not get done with chassis controls in time, and counts them.
struct Sluggish {
    controls: Vec<chassis::Control>,
}

impl Host for Sluggish {
    fn guid(&self) -> [u8; 16] {
        [7; 16]
    }

    fn command(&mut self, call: &Call<'_>) -> Response {
        match (call.netfn, call.command) {
            (NetFn::Chassis, chassis::CONTROL) => {
                self.controls.extend(chassis::Control::parse(call.data));
                Response::refusal(0xc3)
            }
            _ => Response::refusal(0xc1),
        }
    }
}

#[tokio::test]
async fn a_command_that_the_bmc_timed_out_over_is_lost() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let params = json!({ "host": "127.0.0.1", "port": socket.local_addr().unwrap().port(), "user": "admin" });
    let form = Form {
        params,
        secrets: vec![("password", "secret")],
        pinned: None,
        timings: Timings::default().scaled(0.05),
    };
    let endpoint = form.open().await;
    let mut bmc = Bmc::new(Profile::usual(b"admin", b"secret"), [1; 32]);
    let mut host = Sluggish { controls: Vec::new() };
    let began = Instant::now();
    let asked = async {
        let mut codes = Vec::new();
        for native in [Native::Reset, Native::Nmi, Native::Shutdown, Native::Cycle, Native::Off, Native::On] {
            codes.push(command(&endpoint, native).await.unwrap_err().code);
        }
        codes
    };
    let answering = async {
        let mut buffer = [0; 1024];
        loop {
            let (length, peer) = socket.recv_from(&mut buffer).await.unwrap();
            if let Some(reply) = bmc.handle(&buffer[..length], &mut host, began.elapsed()) {
                socket.send_to(&reply.bytes, peer).await.unwrap();
            }
        }
    };
    let codes: Vec<FaultCode> = tokio::select! {
        codes = asked => codes,
        () = answering => unreachable!(),
    };
    assert_eq!(codes, [FaultCode::Lost; 6]);
    assert_eq!(host.controls.len(), 6, "each was sent once: {:?}", host.controls);
}
