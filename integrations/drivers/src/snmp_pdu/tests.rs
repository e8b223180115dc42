//! The driver against simulated PDUs on loopback. Recorded walks of real devices are read in the peers' tests.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use rackhand_driver::{check, conformance, perform};
use rackhand_simulators::pdu::{PduAccess, PduAgent, PduModel, Rights, V3Auth, V3Privacy, V3User};
use rackhand_simulators::world::{self, OutletFault, PduEffectKind, RequestKind, Which, World, WorldTimings};
use rackhand_wire::power::{OutletReading, Switch};
use rackhand_wire::{Answer, FaultCode, Input, Operation, OutletState, Reason, Secrets, Timings};

use super::*;

/// A simulated PDU with one server on outlet 7, and how to reach it.
struct Bench {
    pdu: world::Pdu,
    agent: PduAgent,
    _world: World,
}

async fn bench(model: PduModel) -> Bench {
    bench_with(model, &PduAccess::default()).await
}

async fn bench_with(model: PduModel, access: &PduAccess) -> Bench {
    let world = World::new(WorldTimings::quick());
    let pdu = world.add_pdu("pdu-a", 8);
    let _server = world.add_machine("srv-01", &[world::OutletId::new("pdu-a", 7)]);
    let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let agent = PduAgent::start(pdu.clone(), model, addr, access).await.unwrap();
    Bench { pdu, agent, _world: world }
}

impl Bench {
    fn params(&self, version: &str) -> Value {
        json!({ "host": "127.0.0.1", "port": self.agent.addr().port(), "version": version })
    }

    async fn open(&self, read: &str, write: &str) -> Arc<dyn Endpoint> {
        open(&self.params("v2c"), &[("community", read), ("write_community", write)], None).await.unwrap()
    }
}

async fn open(
    params: &Value,
    secrets: &[(&str, &str)],
    pinned: Option<&str>,
) -> Result<Arc<dyn Endpoint>, Fault> {
    let secrets: Secrets = secrets.iter().copied().filter(|(_, value)| !value.is_empty()).collect();
    let params = check::endpoint(SnmpPdu.descriptor(), params, &secrets).unwrap();
    let timings = Timings {
        snmp_request: Duration::from_millis(150),
        snmp_retries: 2,
        ..Timings::default().scaled(0.05)
    };
    let opening = Opening {
        params: &params,
        secrets: &secrets,
        pinned,
        timings: &timings,
        guard: &conformance::guard(),
    };
    SnmpPdu.open(opening).await
}

async fn outlet(endpoint: &dyn Endpoint, outlet: &str) -> Result<OutletReading, Fault> {
    let answer = perform(endpoint, &json!({ "outlet": outlet }), &Operation::ReadOutlet).await?;
    let Answer::Outlet(reading) = answer else { panic!("{answer:?}") };
    Ok(reading)
}

async fn switch(endpoint: &dyn Endpoint, outlet: &str, to: Switch) -> Result<(), Fault> {
    perform(endpoint, &json!({ "outlet": outlet }), &Operation::SetOutlet { to }).await.map(|_| ())
}

fn cause<T>(result: Result<T, Fault>) -> (FaultCode, Reason) {
    let fault = result.err().unwrap();
    (fault.code, fault.reason)
}

#[tokio::test]
async fn every_simulated_model_is_told_apart_read_and_switched() {
    for model in PduModel::ALL {
        let bench = bench(model).await;
        let endpoint = bench.open("public", "private").await;
        let identity = endpoint.identify().await.unwrap();
        assert_eq!(identity.profile.as_deref(), Some(model.key()));
        assert!(identity.unique.is_some_and(|serial| serial.starts_with("SIM")));
        assert_eq!(outlet(&*endpoint, "7").await.unwrap().state, OutletState::On, "{model}");
        switch(&*endpoint, "7", Switch::Off).await.unwrap();
        assert!(!bench.pdu.outlet(7).unwrap().is_on, "{model}");
        assert_eq!(outlet(&*endpoint, "7").await.unwrap().state, OutletState::Off, "{model}");
        switch(&*endpoint, "7", Switch::On).await.unwrap();
        assert!(bench.pdu.outlet(7).unwrap().is_on, "{model}");
        let others = bench.pdu.effects().into_iter().filter(|effect| effect.outlet != 7).count();
        assert_eq!(others, 0, "{model} touched another outlet");
    }
}

#[tokio::test]
async fn meters_and_names_are_read_for_the_whole_device() {
    for model in [PduModel::ApcRpdu2, PduModel::RaritanPx2, PduModel::EatonG3] {
        let bench = bench(model).await;
        bench.pdu.rename(7, "srv-01 feed A").unwrap();
        let endpoint = bench.open("public", "").await;
        let outlets = endpoint.outlets().unwrap().read_all().await.unwrap();
        assert_eq!(outlets.len(), 8);
        let seventh = outlets.iter().find(|outlet| outlet.outlet == "7").unwrap();
        let load = bench.pdu.reading(7).unwrap();
        assert_eq!(seventh.name, "srv-01 feed A");
        assert_eq!(seventh.watts, Some(f64::from(load.watts)), "{model}");
        let amps = f64::from(load.milliamps) / 1000.0;
        assert!((seventh.amps.unwrap() - amps).abs() < 0.06, "{model}: {:?} for {amps}", seventh.amps);
    }
}

#[tokio::test]
async fn versions_1_and_3_switch_too() {
    let users = [
        ("sha1", V3Auth::Sha1, "aes128", V3Privacy::Aes128),
        ("sha256", V3Auth::Sha256, "aes256", V3Privacy::Aes256),
        ("sha512", V3Auth::Sha512, "aes256", V3Privacy::Aes256),
    ];
    let bench = bench(PduModel::ApcRpdu).await;
    let v1 = open(&bench.params("v1"), &[("community", "private")], None).await.unwrap();
    switch(&*v1, "7", Switch::Off).await.unwrap();
    assert!(!bench.pdu.outlet(7).unwrap().is_on);
    assert_eq!(v1.outlets().unwrap().read_all().await.unwrap().len(), 8);
    for (auth_protocol, auth, priv_protocol, privacy) in users {
        let bench = bench_with(PduModel::EatonG3, &access_of(auth, privacy)).await;
        let mut params = bench.params("v3");
        params["user"] = json!("rackhand");
        params["auth_protocol"] = json!(auth_protocol);
        params["priv_protocol"] = json!(priv_protocol);
        let secrets = [("auth_password", "rackhand-auth"), ("priv_password", "rackhand-priv")];
        let v3 = open(&params, &secrets, None).await.unwrap();
        switch(&*v3, "7", Switch::Off).await.unwrap();
        assert!(!bench.pdu.outlet(7).unwrap().is_on, "{auth_protocol} {priv_protocol}");
    }
}

fn access_of(auth: V3Auth, privacy: V3Privacy) -> PduAccess {
    let user = V3User {
        name: "rackhand".into(),
        auth,
        auth_password: "rackhand-auth".into(),
        privacy,
        privacy_password: "rackhand-priv".into(),
        rights: Rights::ReadWrite,
    };
    PduAccess { v3: vec![user], ..PduAccess::default() }
}

#[tokio::test]
async fn wrong_credentials_are_told_from_silence_where_the_protocol_lets_us() {
    let bench = bench(PduModel::EatonG3).await;
    for (user, auth, privacy, reason) in [
        ("rackhand", "rackhand-wrong", "rackhand-priv", Reason::WrongPassword),
        ("rackhand", "rackhand-auth", "rackhand-wrong", Reason::WrongPassword),
        ("nobody", "rackhand-auth", "rackhand-priv", Reason::WrongUser),
    ] {
        let mut params = bench.params("v3");
        params["user"] = json!(user);
        let v3 = open(&params, &[("auth_password", auth), ("priv_password", privacy)], None).await.unwrap();
        assert_eq!(cause(v3.identify().await), (FaultCode::Auth, reason), "{user} {auth} {privacy}");
    }
    let guess = bench.open("guess", "").await;
    assert_eq!(cause(guess.identify().await), (FaultCode::Unreach, Reason::TimeoutOrCredentials));
    bench.pdu.change_faults(|faults| faults.link.mute = true);
    let mut params = bench.params("v3");
    params["user"] = json!("rackhand");
    let secrets = [("auth_password", "rackhand-auth"), ("priv_password", "rackhand-priv")];
    let v3 = open(&params, &secrets, None).await.unwrap();
    assert_eq!(cause(v3.identify().await), (FaultCode::Unreach, Reason::TimeoutOrCredentials));
}

#[tokio::test]
async fn a_community_that_may_not_write_is_refused_and_switches_nothing() {
    let bench = bench(PduModel::ApcRpdu2).await;
    let reader = bench.open("public", "").await;
    assert_eq!(cause(switch(&*reader, "7", Switch::Off).await), (FaultCode::Auth, Reason::WriteRefused));
    let guess = bench.open("public", "guess").await;
    assert_eq!(cause(switch(&*guess, "7", Switch::Off).await), (FaultCode::Auth, Reason::WriteRefused));
    assert_eq!(cause(guess.identify().await), (FaultCode::Auth, Reason::WriteRefused));
    assert!(bench.pdu.effects().is_empty());
}

#[tokio::test]
async fn a_dead_pdu_is_unreachable_and_nothing_was_written() {
    let bench = bench(PduModel::ApcRpdu2).await;
    let endpoint = bench.open("public", "private").await;
    outlet(&*endpoint, "7").await.unwrap();
    bench.pdu.change_faults(|faults| faults.link.mute = true);
    assert_eq!(cause(switch(&*endpoint, "7", Switch::Off).await), (FaultCode::Unreach, Reason::NoAnswer));
    bench.pdu.change_faults(|faults| faults.link.mute = false);
    assert!(bench.pdu.effects().is_empty());
    switch(&*endpoint, "7", Switch::Off).await.unwrap();
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_is_lost_and_sent_once() {
    let bench = bench(PduModel::RaritanPx2).await;
    let endpoint = bench.open("public", "private").await;
    bench
        .pdu
        .change_faults(|faults| faults.link.drop_next_replies(u32::MAX, Which::Only(RequestKind::Write)));
    assert_eq!(cause(switch(&*endpoint, "7", Switch::Off).await), (FaultCode::Lost, Reason::AnswerLost));
    let log = bench.pdu.effects();
    let commands = log.iter().filter(|effect| effect.what == PduEffectKind::Commanded).count();
    assert_eq!(commands, 1);
    assert_eq!(outlet(&*endpoint, "7").await.unwrap().state, OutletState::Off);
}

#[tokio::test]
async fn a_locked_outlet_says_so_and_is_not_written_to() {
    for (model, reason) in [(PduModel::EatonG3, Reason::Locked), (PduModel::ApcRpdu2, Reason::WrongState)] {
        let bench = bench(model).await;
        bench.pdu.set_outlet_fault(7, Some(OutletFault::Locked)).unwrap();
        let endpoint = bench.open("public", "private").await;
        assert_eq!(cause(switch(&*endpoint, "7", Switch::Off).await), (FaultCode::State, reason), "{model}");
        assert!(bench.pdu.effects().is_empty(), "{model}");
    }
}

#[tokio::test]
async fn a_stuck_outlet_is_acknowledged_and_read_back_as_it_is() {
    let bench = bench(PduModel::EatonG3).await;
    bench.pdu.set_outlet_fault(7, Some(OutletFault::Stuck)).unwrap();
    let endpoint = bench.open("private", "").await;
    switch(&*endpoint, "7", Switch::Off).await.unwrap();
    assert_eq!(outlet(&*endpoint, "7").await.unwrap().state, OutletState::On);
}

#[tokio::test]
async fn a_pending_command_keeps_the_next_one_out() {
    let bench = bench(PduModel::ApcRpdu2).await;
    bench.pdu.switch(7, world::OutletCommand::Off(Duration::from_mins(1))).unwrap();
    let endpoint = bench.open("private", "").await;
    assert_eq!(outlet(&*endpoint, "7").await.unwrap().state, OutletState::PendingOff);
    assert_eq!(cause(switch(&*endpoint, "7", Switch::On).await), (FaultCode::Busy, Reason::Busy));
}

#[tokio::test]
async fn an_outlet_that_does_not_exist_names_those_that_do() {
    let bench = bench(PduModel::ApcSpdu).await;
    let endpoint = bench.open("public", "").await;
    let fault = outlet(&*endpoint, "99").await.unwrap_err();
    assert_eq!((fault.code, fault.reason), (FaultCode::Config, Reason::NoSuchTarget));
    assert_eq!(fault.detail, "there is no outlet 99; this PDU has 8 outlets, 1 to 8");
}

#[tokio::test]
async fn another_device_at_the_same_address_is_neither_read_nor_written() {
    let bench = bench(PduModel::EatonG3).await;
    let secrets = [("community", "private")];
    let endpoint = open(&bench.params("v2c"), &secrets, Some("SIM-OTHER")).await.unwrap();
    let mismatch = (FaultCode::Config, Reason::IdentityMismatch);
    assert_eq!(cause(outlet(&*endpoint, "7").await), mismatch);
    assert_eq!(cause(switch(&*endpoint, "7", Switch::Off).await), mismatch);
    assert!(bench.pdu.effects().is_empty());
}

#[tokio::test]
async fn a_model_is_never_guessed_and_can_be_chosen() {
    let bench = bench(PduModel::ApcRpdu2).await;
    let mut params = bench.params("v2c");
    params["model"] = json!("apc_spdu");
    let secrets = [("community", "private")];
    let chosen = open(&params, &secrets, None).await.unwrap();
    assert_eq!(chosen.identify().await.unwrap().profile.as_deref(), Some("apc_spdu"));
    params["model"] = json!("sentry3");
    let wrong = open(&params, &secrets, None).await.unwrap();
    assert_eq!(cause(wrong.identify().await), (FaultCode::Unsupported, Reason::NotSupported));
}

#[tokio::test]
async fn a_host_that_does_not_resolve_is_a_wrong_setting() {
    let params = json!({ "host": "pdu.invalid", "version": "v2c" });
    let endpoint = open(&params, &[("community", "public")], None).await.unwrap();
    let (code, reason) = cause(endpoint.identify().await);
    assert_eq!(reason, Reason::HostNotFound);
    // Without any resolver the name is not wrong, it is only not known; neither may be taken for silence.
    assert!(matches!(code, FaultCode::Config | FaultCode::Exec), "{code:?}");
}

#[tokio::test]
async fn a_fifth_of_the_packets_lost_each_way_still_reads() {
    let bench = bench(PduModel::ApcSpdu).await;
    let secrets = [("community", "private")];
    let endpoint = open(&bench.params("v2c"), &secrets, None).await.unwrap();
    outlet(&*endpoint, "7").await.unwrap();
    bench.pdu.change_faults(|faults| faults.link.loss_percent = 20);
    let mut read = 0;
    for _ in 0..20 {
        read += usize::from(outlet(&*endpoint, "7").await.is_ok());
    }
    assert!(read >= 15, "{read} of 20");
}

#[tokio::test]
async fn twenty_writers_take_turns() {
    let bench = bench(PduModel::ApcRpdu).await;
    let delay = Duration::from_millis(20);
    bench.pdu.change_faults(|faults| faults.link.delay = delay);
    let endpoint = bench.open("public", "private").await;
    let mut writers = tokio::task::JoinSet::new();
    for n in 0..20_u16 {
        let endpoint = endpoint.clone();
        let to = if n % 2 == 0 { Switch::Off } else { Switch::On };
        writers.spawn(async move { switch(&*endpoint, &(n % 8 + 1).to_string(), to).await });
    }
    while let Some(done) = writers.join_next().await {
        done.unwrap().unwrap();
    }
    let mut told: Vec<_> = bench.pdu.effects();
    told.retain(|effect| effect.what == PduEffectKind::Commanded);
    assert_eq!(told.len(), 20);
    let apart = told.windows(2).map(|pair| pair[1].at - pair[0].at).min().unwrap();
    assert!(apart >= delay, "each waits until the one before was answered: {apart:?}");
}

#[tokio::test]
async fn what_is_advertised_is_offered() {
    let bench = bench(PduModel::EatonG3).await;
    let endpoint = bench.open("public", "").await;
    let target = json!({ "outlet": "7" });
    let device = endpoint.attach(&target).unwrap();
    assert_eq!(conformance::findings(SnmpPdu.descriptor(), &*device), Vec::<String>::new());
}

#[test]
fn outlets_are_understood_as_people_write_them() {
    for (text, outlet) in
        [("7", "7"), ("07", "7"), (" Outlet 7 ", "7"), ("#7", "7"), ("aa3", "AA3"), ("2.7", "2.7")]
    {
        assert_eq!(outlet::parse(text).unwrap(), outlet);
    }
    for text in ["", "0", "outlet", "7; rm", "<b>", "seven!", "1234567890123456789012345678901234"] {
        assert_eq!(outlet::parse(text).unwrap_err().field, "outlet", "{text}");
    }
    assert_eq!(SnmpPdu.target_label(&json!({ "outlet": 7 })), "Outlet 7");
}

#[test]
fn version_3_passwords_are_asked_for_and_measured() {
    let params = json!({ "host": "pdu", "version": "v3", "user": "u" });
    let secrets: Secrets = [("auth_password", "short")].into_iter().collect();
    let errors = check::endpoint(SnmpPdu.descriptor(), &params, &secrets).unwrap_err();
    let fields: Vec<(&str, &str)> = errors.iter().map(|e| (e.field.as_str(), e.code.as_str())).collect();
    assert_eq!(fields, [("auth_password", "too_short"), ("priv_password", "required")]);
    assert!(
        check::endpoint(SnmpPdu.descriptor(), &json!({ "host": "pdu" }), &Secrets::default())
            .unwrap_err()
            .iter()
            .any(|error| error.field == "community")
    );
}

#[test]
fn the_form_says_of_each_model_what_it_was_checked_with() {
    let fields = &SnmpPdu.descriptor().endpoint_fields;
    let field = fields.iter().find(|field| field.name == "model").unwrap();
    let Input::Choice { options } = &field.input else { panic!("{:?}", field.input) };
    let label = |key: &str| options.iter().find(|option| option.value == key).unwrap().label.as_str();
    for (key, checked) in [
        ("eaton_g3", "read on a recording, switched on a recording"),
        ("apc_cpdu", "read on a recording, never seen switching"),
        ("raritan_px2", "partly read on a recording, never seen switching"),
        ("enlogic", "never seen reading, never seen switching"),
    ] {
        assert!(label(key).ends_with(checked), "{}", label(key));
    }
}

#[test]
fn the_same_device_has_the_same_address_however_it_is_written() {
    let address = |params: Value| SnmpPdu.address(&params).unwrap();
    assert_eq!(
        address(json!({ "host": "PDU-A.example.net" })),
        address(json!({ "host": "pdu-a.example.net", "port": 161 }))
    );
    let suggestion = SnmpPdu.suggest("snmp://10.0.0.7:1161/").unwrap();
    assert_eq!(suggestion.params, json!({ "host": "10.0.0.7", "port": 1161 }));
    assert!(SnmpPdu.suggest("https://10.0.0.7/").is_none());
}
