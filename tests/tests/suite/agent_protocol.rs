//! What the control channel takes from a peer that is not our agent.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a broken bench stops the test")]
#![expect(clippy::indexing_slicing, reason = "JSON values answer null where nothing is")]

use futures::{SinkExt as _, StreamExt as _};
use rackhand_agent::{identity, proof, sealing::SealingKey};
use rackhand_store::Db;
use rackhand_tests::{
    Lab,
    agent::Agent,
    authority::{authority, database},
    bmc_body, joined, rack_of,
};
use rackhand_wire::{
    agent::{Answer, BootId, Challenge, Hello, Protocols, Refusal, close},
    id::AgentId,
};
use rcgen::{CertificateParams, Issuer, KeyPair, PKCS_ED25519, SanType};
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::Duration};
use tokio::net::TcpStream;
use tokio_tungstenite::{WebSocketStream, client_async, tungstenite::Message};

type Socket = WebSocketStream<TcpStream>;

/// An agent in the test's own hands.
struct Peer {
    id: AgentId,
    key: KeyPair,
    certificate: String,
}

impl Peer {
    /// Enrols one through the API.
    async fn enrolled(lab: &Lab, name: &str) -> Self {
        let added = lab.post("/agents", &json!({ "name": name })).await.ok();
        let (key, sealing) = (KeyPair::generate_for(&PKCS_ED25519).unwrap(), SealingKey::generate());
        let ask = json!({
            "token": added["token"], "request": identity::request(&key).unwrap(),
            "sealing_key": sealing.public(), "host": "peer",
        });
        let url = format!("http://127.0.0.1:{}/agent/v1/enrol", lab.backend.port());
        let answer = rackhand_tests::client().post(url).json(&ask).send().await.unwrap();
        let enrolled: Value = answer.error_for_status().unwrap().json().await.unwrap();
        let certificate = enrolled["certificate"].as_str().unwrap().to_owned();
        let id = enrolled["agent"].as_str().unwrap().parse().unwrap();
        Self { id, key, certificate }
    }

    fn hello(&self) -> Hello {
        Hello {
            agent: self.id,
            boot: BootId(uuid::Uuid::now_v7()),
            protocols: Protocols::OURS,
            version: "9.9.9".into(),
            host: "peer".into(),
            kinds: BTreeMap::default(),
            watching: None,
        }
    }

    /// Connects and says hello, as `change` has it.
    async fn greet(&self, lab: &Lab, change: impl FnOnce(&mut Hello, &mut Challenge)) -> (Socket, Answer) {
        let (mut socket, mut challenge) = connect(lab).await;
        let mut hello = self.hello();
        change(&mut hello, &mut challenge);
        let signed = proof::sign(&self.key, &self.certificate, &challenge, None, &hello).unwrap();
        say(&mut socket, &serde_json::to_string(&signed).unwrap()).await;
        let answer = serde_json::from_str(&heard(&mut socket).await.unwrap()).unwrap();
        (socket, answer)
    }

    /// Begins a session.
    async fn session(&self, lab: &Lab) -> Socket {
        let (socket, answer) = self.greet(lab, |_, _| {}).await;
        assert!(matches!(answer, Answer::Welcome { renew_only: false, .. }), "{answer:?}");
        socket
    }
}

async fn connect(lab: &Lab) -> (Socket, Challenge) {
    let port = lab.backend.port();
    let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let (mut socket, _) = client_async(format!("ws://127.0.0.1:{port}/agent/v1/link"), stream).await.unwrap();
    let challenge = serde_json::from_str(&heard(&mut socket).await.unwrap()).unwrap();
    (socket, challenge)
}

async fn say(socket: &mut Socket, text: &str) {
    socket.send(Message::text(text)).await.unwrap();
}

/// The next text; an error is the code with which it was closed.
async fn heard(socket: &mut Socket) -> Result<String, u16> {
    loop {
        let next =
            tokio::time::timeout(Duration::from_secs(10), socket.next()).await.expect("nothing is said");
        match next {
            Some(Ok(Message::Text(text))) => return Ok(text.as_str().to_owned()),
            Some(Ok(Message::Close(frame))) => return Err(frame.map_or(0, |frame| frame.code.into())),
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return Err(0),
        }
    }
}

fn refusal(answer: &Answer) -> Option<Refusal> {
    if let Answer::Refused { refusal, .. } = answer { Some(*refusal) } else { None }
}

/// A certificate for a key by this very authority or another one, as `change` has it.
fn certify(issuer: &Issuer<'_, KeyPair>, peer: &Peer, change: impl FnOnce(&mut CertificateParams)) -> String {
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![SanType::URI(format!("rackhand:agent:{}", peer.id).try_into().unwrap())];
    change(&mut params);
    params.signed_by(&peer.key, issuer).unwrap().pem()
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_agent_itself_begins_its_session() {
    let lab = Lab::bare(1).await;
    let (mut peer, other) = (Peer::enrolled(&lab, "peer").await, Peer::enrolled(&lab, "other").await);
    drop(peer.session(&lab).await);

    let (_, answer) = peer.greet(&lab, |hello, _| hello.agent = other.id).await;
    assert_eq!(refusal(&answer), Some(Refusal::WrongSignature), "another agent's name");
    let (_, answer) = peer.greet(&lab, |_, challenge| challenge.nonce = "00".repeat(32)).await;
    assert_eq!(refusal(&answer), Some(Refusal::WrongSignature), "the signature of another day");
    let own = std::mem::replace(&mut peer.certificate, other.certificate.clone());
    let (_, answer) = peer.greet(&lab, |hello, _| hello.agent = other.id).await;
    assert_eq!(refusal(&answer), Some(Refusal::WrongSignature), "another agent's certificate");

    let forger = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let stranger = Issuer::from_params(&params, forger);
    peer.certificate = certify(&stranger, &peer, |_| {});
    let (_, answer) = peer.greet(&lab, |_, _| {}).await;
    assert_eq!(refusal(&answer), Some(Refusal::ForgedCertificate));
    peer.certificate = "nonsense".into();
    let (_, answer) = peer.greet(&lab, |_, _| {}).await;
    assert_eq!(refusal(&answer), Some(Refusal::ForgedCertificate));
    peer.certificate = own;
    drop(peer.session(&lab).await);
}

/// Lets a certificate have ended so many days ago.
fn ended(days: u64) -> impl FnOnce(&mut CertificateParams) {
    let at = std::time::SystemTime::now() - Duration::from_secs(days * 24 * 3600);
    move |params| {
        params.not_before = rcgen::date_time_ymd(2000, 1, 1);
        params.not_after = at.into();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_was_off_for_days_comes_back_by_itself_within_those_of_the_setting() {
    let lab = Lab::bare(1).await;
    let mut agent = Agent::start(&lab, "site-a", lab.backend.port()).await;
    agent.kill();
    let issuer = authority(&own_database(&lab).await).await;
    let file = |name: &str| agent.folder().join(name);
    let key = KeyPair::from_pem(&std::fs::read_to_string(file("identity.key")).unwrap()).unwrap();
    let peer = Peer { id: agent.id.parse().unwrap(), key, certificate: String::new() };
    std::fs::write(file("identity.pem"), certify(&issuer, &peer, ended(3))).unwrap();
    let may_renew = async |days: u32| {
        let kept = lab.get("/settings").await.ok()["installation"].clone();
        let installation = joined(kept, &json!({"agent_renewal_days": days}));
        lab.patch("/settings", &json!({"installation": installation})).await.ok();
    };

    may_renew(2).await;
    agent.run();
    let refused = "the certificate ended more than 2 days ago";
    lab.wait_until("it says why", async |_: &Lab| agent.log().contains(refused)).await;
    let shown = async |lab: &Lab| lab.get(&format!("/agents/{}", agent.id)).await.ok();
    assert_eq!(shown(&lab).await["state"], "offline");

    may_renew(4).await;
    lab.wait_until("it is back", async |lab: &Lab| shown(lab).await["state"] == "online").await;
    assert!(agent.log().contains("the certificate was renewed"), "{}", agent.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_certificate_is_good_for_its_renewal_alone_and_for_ninety_days() {
    let lab = Lab::bare(1).await;
    let mut peer = Peer::enrolled(&lab, "peer").await;
    let issuer = authority(&own_database(&lab).await).await;
    let own = peer.certificate.clone();
    peer.certificate = certify(&issuer, &peer, ended(91));
    let (_, answer) = peer.greet(&lab, |_, _| {}).await;
    assert_eq!(refusal(&answer), Some(Refusal::Expired));

    peer.certificate = certify(&issuer, &peer, ended(89));
    let (mut socket, answer) = peer.greet(&lab, |_, _| {}).await;
    assert!(matches!(answer, Answer::Welcome { renew_only: true, .. }), "{answer:?}");
    assert_eq!(lab.get(&format!("/agents/{}", peer.id)).await.ok()["state"], "offline", "it serves nothing");
    let next = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let renew = json!({"frame": "renew", "request": identity::request(&next).unwrap()});
    say(&mut socket, &renew.to_string()).await;
    let given: Value = serde_json::from_str(&heard(&mut socket).await.unwrap()).unwrap();
    assert_eq!(given["frame"], "certificate");

    // Both keys count until the new one was used, so that no crash in between strands the agent.
    let renewed =
        Peer { id: peer.id, key: next, certificate: given["certificate"].as_str().unwrap().to_owned() };
    peer.certificate = own;
    drop(peer.session(&lab).await);
    drop(renewed.session(&lab).await);
    let (_, answer) = peer.greet(&lab, |_, _| {}).await;
    assert_eq!(
        refusal(&answer),
        Some(Refusal::Revoked),
        "the old key ends with the first use of the new one"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_meet_at_the_newest_that_both_speak() {
    let lab = Lab::bare(1).await;
    let peer = Peer::enrolled(&lab, "peer").await;
    let (_, answer) = peer.greet(&lab, |hello, _| hello.protocols = Protocols { oldest: 1, newest: 7 }).await;
    assert!(matches!(answer, Answer::Welcome { protocol: 1, .. }), "{answer:?}");
    let (_, answer) = peer.greet(&lab, |hello, _| hello.protocols = Protocols { oldest: 2, newest: 7 }).await;
    let Answer::Refused { refusal: Refusal::Protocol, message } = answer else { panic!("{answer:?}") };
    assert!(message.contains("2 to 7") && message.contains("1 to 1"), "{message}");
}

/// What agents of protocol 1 say and hear, as it was recorded when that version came out.
macro_rules! recorded {
    ($name:literal) => {
        include_str!(concat!("../../../wire/src/agent/fixtures/v1/", $name, ".json")).trim_end()
    };
}

/// Names of the fields of a JSON object, also of those within.
fn fields(value: &Value, within: &str, found: &mut Vec<String>) {
    for (name, value) in value.as_object().into_iter().flatten() {
        let path = format!("{within}/{name}");
        // What a device needs is the integration's own.
        if name != "params" && name != "target" {
            fields(value, &path, found);
        }
        found.push(path);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_of_protocol_1_is_served_by_a_server_that_speaks_2_as_well() {
    let mut lab = Lab::bare(1).await;
    let peer = Peer::enrolled(&lab, "peer").await;
    lab.backend.restart_with(&[("RACKHAND_PROTOCOLS", "1-2")]);
    let (mut socket, challenge) = connect(&lab).await;
    assert_eq!(challenge.protocols, Protocols { oldest: 1, newest: 2 });
    // Its hello is the recorded one, but for who it is.
    let mut hello: Hello = serde_json::from_str(recorded!("hello")).unwrap();
    hello.agent = peer.id;
    let signed = proof::sign(&peer.key, &peer.certificate, &challenge, None, &hello).unwrap();
    let recorded_agent = "00000000-0000-0000-0000-000000000003";
    assert_eq!(signed.hello, recorded!("hello").replace(recorded_agent, &peer.id.to_string()));
    say(&mut socket, &serde_json::to_string(&signed).unwrap()).await;
    let answer = serde_json::from_str(&heard(&mut socket).await.unwrap()).unwrap();
    assert!(matches!(answer, Answer::Welcome { protocol: 1, renew_only: false, .. }), "{answer:?}");

    let trial = json!({
        "agent_id": peer.id, "kind": "snmp_pdu", "params": {"host": "127.0.0.1", "port": 161, "version": "v2c"},
        "secrets": {"community": "public", "write_community": "private"},
    });
    let job = lab.post("/endpoints/test", &trial).await.ok();
    let mut known = Vec::new();
    fields(&serde_json::from_str(recorded!("execute")).unwrap(), "", &mut known);
    for answer in [recorded!("finished"), recorded!("finished-fault")] {
        let asked: Value = serde_json::from_str(&heard(&mut socket).await.unwrap()).unwrap();
        assert_eq!(asked["frame"], "execute");
        let mut told = Vec::new();
        fields(&asked, "", &mut told);
        told.retain(|field| !known.contains(field));
        assert_eq!(told, Vec::<String>::new(), "protocol 1 has no such fields: {asked:#}");
        let recorded_command = "00000000-0000-0000-0000-000000000001";
        for said in [recorded!("started"), answer] {
            say(&mut socket, &said.replace(recorded_command, asked["id"].as_str().unwrap())).await;
        }
    }
    let job = lab.finish(job["id"].as_str().unwrap()).await;
    assert_eq!((&job["state"], &job["reason"]), (&json!("failed"), &json!("unreach")), "{job:#}");
    assert!(job["summary"].as_str().unwrap().contains("3 handshakes in 20 s"), "{job:#}");
    say(&mut socket, recorded!("hold")).await;
    assert_eq!(heard(&mut socket).await.unwrap(), recorded!("held"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_does_not_know_a_kind_is_given_no_device_of_it() {
    let lab = Lab::bare(1).await;
    let peer = Peer::enrolled(&lab, "old").await;
    let server = lab.post("/servers", &json!({"name": "srv-01"})).await.ok();
    let connections = format!("/servers/{}/connections", server["id"].as_str().unwrap());
    let inventory = serde_json::to_value(lab.farm.inventory()).unwrap();
    let mut body = bmc_body(&inventory["servers"][0]);
    body["agent_id"] = json!(peer.id);
    // What it knows is not known before it has come.
    let device = lab.post("/endpoints", &body).await.ok();
    let only = BTreeMap::from([("snmp_pdu".to_owned(), "1".to_owned())]);
    drop(peer.greet(&lab, |hello, _| hello.kinds = only).await);

    let refused = lab.post(&connections, &json!({"endpoint": body, "target": {}})).await;
    assert_eq!(refused.field(), ("endpoint.agent_id", "unknown_kind"), "{refused:?}");
    for (field, name) in [("agent_id", json!(peer.id)), ("agent_group", json!("old"))] {
        let new = json!({"endpoint_id": device["id"], "target": {}, field: name});
        let refused = lab.post(&connections, &new).await;
        assert_eq!(refused.field(), (field, "unknown_kind"), "{refused:?}");
    }
    // What names it already may be changed otherwise, and leave it.
    let path = format!("/endpoints/{}", device["id"].as_str().unwrap());
    lab.patch(&path, &json!({"name": "bmc"})).await.ok();
    lab.patch(&path, &json!({"agent_id": null})).await.ok();
    let refused = lab.patch(&path, &json!({"agent_id": peer.id})).await;
    assert_eq!(refused.field(), ("agent_id", "unknown_kind"), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_that_do_not_meet_are_named_on_both_sides() {
    let (mut lab, agent, _line) = Lab::behind_an_agent(rack_of(1)).await;
    lab.backend.restart_with(&[("RACKHAND_PROTOCOLS", "2-3")]);
    let words = "the agent speaks protocol 1 to 1, this server 2 to 3";
    lab.wait_until("the agent says why", async |_: &Lab| agent.log().contains(words)).await;
    assert!(lab.backend.log().contains(words), "{}", lab.backend.log());
    agent.seen(&lab, "offline").await;
    lab.backend.restart_with(&[]);
    agent.online(&lab).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nonsense_ends_the_session_and_nothing_else() {
    let lab = Lab::bare(1).await;
    let peer = Peer::enrolled(&lab, "peer").await;
    for nonsense in ["", "{}", "[1]", r#"{"frame":"hold"}"#, r#"{"frame":"finished","command":"x"}"#, "\u{0}"]
    {
        let mut socket = peer.session(&lab).await;
        say(&mut socket, nonsense).await;
        assert_eq!(heard(&mut socket).await, Err(close::MALFORMED), "{nonsense:?}");
    }
    let mut socket = peer.session(&lab).await;
    socket.send(Message::binary(vec![0; 16])).await.unwrap();
    assert_eq!(heard(&mut socket).await, Err(close::MALFORMED), "binary");
    for size in [1024 * 1024 + 1, 3 * 1024 * 1024] {
        let mut socket = peer.session(&lab).await;
        // The server may hang up before all of it has left.
        socket.send(Message::text("x".repeat(size))).await.ok();
        assert_eq!(heard(&mut socket).await, Err(close::MALFORMED), "{size} bytes");
    }
    let large = "x".repeat(1024 * 1024 + 1);
    for hello in
        ["", "{}", "null"].map(Message::text).into_iter().chain([Message::binary(vec![0]), large.into()])
    {
        let (mut socket, _) = connect(&lab).await;
        // The server may hang up before all of it has left.
        socket.send(hello.clone()).await.ok();
        let answer: Answer = serde_json::from_str(&heard(&mut socket).await.unwrap()).unwrap();
        assert_eq!(refusal(&answer), Some(Refusal::Protocol), "{} bytes", hello.len());
        assert_eq!(heard(&mut socket).await, Err(close::REFUSED));
    }
    let mut socket = peer.session(&lab).await;
    say(&mut socket, r#"{"frame":"teleport","to":"mars"}"#).await;
    say(&mut socket, r#"{"frame":"hold","number":5}"#).await;
    assert_eq!(
        heard(&mut socket).await.unwrap(),
        r#"{"frame":"held","number":5}"#,
        "newer frames are passed over"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_gets_no_credentials_and_answers_no_commands_of_others() {
    let (lab, agent, _relay) = Lab::behind_an_agent(rack_of(1)).await;
    let peer = Peer::enrolled(&lab, "peer").await;
    let mut socket = peer.session(&lab).await;
    let devices = lab.get("/endpoints").await.ok();
    let device = devices["items"][0]["id"].as_str().unwrap();
    say(&mut socket, &json!({"frame": "need_secrets", "endpoint": device}).to_string()).await;
    // What is answered comes in order: nothing was, before this.
    say(&mut socket, r#"{"frame":"hold","number":1}"#).await;
    assert_eq!(heard(&mut socket).await.unwrap(), r#"{"frame":"held","number":1}"#);
    tokio::time::sleep(Duration::from_millis(300)).await;
    say(&mut socket, r#"{"frame":"hold","number":2}"#).await;
    assert_eq!(heard(&mut socket).await.unwrap(), r#"{"frame":"held","number":2}"#);

    // It claims to have done what the other agent is doing.
    lab.machine("srv-01").change_bmc_faults(|faults| faults.link.delay = Duration::from_millis(400));
    let job = lab.start_power("srv-01", json!({"action": "off"})).await;
    let id = job["id"].as_str().unwrap();
    let path = format!("/jobs/{id}");
    lab.wait_until("a step is under way", async |lab: &Lab| {
        !lab.get(&path).await.ok()["steps"].as_array().unwrap().is_empty()
    })
    .await;
    for command in commands(&lab, id).await {
        let done = json!({"frame": "finished", "command": command, "result": {"Ok": {"answer": "done"}}, "took_ms": 1});
        say(&mut socket, &done.to_string()).await;
    }
    lab.machine("srv-01").change_bmc_faults(|faults| faults.link.delay = Duration::ZERO);
    let job = lab.finish(id).await;
    assert_eq!((&job["state"], lab.machine("srv-01").is_on()), (&json!("succeeded"), false), "{job:#}");
    drop(agent);
}

/// Adds a machine whose BMC an agent reaches; gives the device's id.
async fn machine_behind(lab: &Lab, agent: AgentId) -> String {
    let inventory = serde_json::to_value(lab.farm.inventory()).unwrap();
    let server = lab.post("/servers", &json!({"name": "srv-01"})).await.ok();
    let device = joined(bmc_body(&inventory["servers"][0]), &json!({"agent_id": agent}));
    let path = format!("/servers/{}/connections", server["id"].as_str().unwrap());
    lab.post(&path, &json!({ "endpoint": device })).await.ok()["endpoint_id"].as_str().unwrap().to_owned()
}

/// The next frame.
async fn frame(socket: &mut Socket) -> Value {
    serde_json::from_str(&heard(socket).await.unwrap()).unwrap()
}

/// Waits until a device is shown as it should be.
async fn is_shown(lab: &Lab, device: &str, state: &str) {
    let path = format!("/endpoints/{device}");
    lab.wait_until(state, async |lab: &Lab| lab.get(&path).await.ok()["status"]["state"] == state).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_looks_at_nothing_by_itself_is_sent_each_look_as_a_command() {
    let lab = Lab::bare(1).await;
    let peer = Peer::enrolled(&lab, "peer").await;
    let mut socket = peer.session(&lab).await;
    let device = machine_behind(&lab, peer.id).await;
    for (operation, answer) in [
        (
            "identify",
            json!({"answer": "identity", "vendor": "Dell", "model": null, "firmware": null, "unique": null,
            "profile": null, "protocol": null, "notes": []}),
        ),
        (
            "read_power",
            json!({"answer": "power", "power": "on", "restore_policy": null, "restart_cause": null}),
        ),
    ] {
        let asked = frame(&mut socket).await;
        assert_eq!(
            (&asked["frame"], &asked["operation"]["op"]),
            (&json!("execute"), &json!(operation)),
            "{asked:#}"
        );
        assert_eq!((&asked["urgency"], &asked["endpoint"]["id"]), (&json!("background"), &json!(device)));
        assert!(asked["sealed"]["text"].is_string(), "{asked:#}");
        let done =
            json!({"frame": "finished", "command": asked["id"], "result": {"Ok": answer}, "took_ms": 1});
        say(&mut socket, &done.to_string()).await;
    }
    is_shown(&lab, &device, "ok").await;
    let shown = lab.get(&format!("/endpoints/{device}")).await.ok();
    assert_eq!(shown["status"]["identity"]["vendor"], "Dell", "{shown:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn samples_count_once_and_only_those_of_its_own_devices() {
    let (lab, _agent, _line) = Lab::behind_an_agent(rack_of(1)).await;
    let foreign = lab.get("/endpoints?q=kind:ipmi").await.ok()["items"][0]["id"].clone();
    let peer = Peer::enrolled(&lab, "peer").await;
    let (mut socket, _) = peer.greet(&lab, |hello, _| hello.watching = Some("nothing".into())).await;
    assert_eq!(frame(&mut socket).await["frame"], "watch_begin");
    assert_eq!(frame(&mut socket).await["frame"], "watch_end");
    let added = json!({"kind": "ipmi", "name": "bmc", "agent_id": peer.id,
        "params": {"host": "127.0.0.9", "user": "admin"}, "secrets": {"password": "unheard of"}});
    let device = lab.post("/endpoints", &added).await.ok()["id"].clone();
    let watch = frame(&mut socket).await;
    assert_eq!(
        (&watch["frame"], &watch["endpoint"], &watch["identify"]),
        (&json!("watch"), &device, &json!(true))
    );
    assert!(watch["sealed"].is_object() && !watch.to_string().contains("unheard of"));
    assert_eq!(frame(&mut socket).await, json!({"frame": "look_now", "endpoints": [device]}));
    let spool = uuid::Uuid::now_v7();
    let sample = |endpoint: &Value, age: u64, detail: &str| {
        // One silence is told once, whatever its words are.
        let (code, reason) = if detail == "two" { ("busy", "busy") } else { ("unreach", "no_answer") };
        let fault = json!({"code": code, "reason": reason, "detail": detail});
        json!({"entry": "sample", "endpoint": endpoint, "generation": watch["generation"], "age_ms": age,
            "found": {"found": "nothing", "fault": fault}})
    };
    let tell = async |socket: &mut Socket, first: u64, entries: Vec<Value>, through: u64| {
        let frame = json!({"frame": "samples", "spool": spool, "first": first, "entries": entries});
        say(socket, &frame.to_string()).await;
        let stored = heard(socket).await.unwrap();
        assert_eq!(stored, json!({"frame": "stored", "spool": spool, "through": through}).to_string());
    };
    let entries =
        vec![sample(&device, 90_000, "one"), sample(&foreign, 0, "x"), sample(&device, 60_000, "two")];
    tell(&mut socket, 1, entries.clone(), 3).await;
    tell(&mut socket, 1, entries, 3).await;
    // Ten are left out, and what is older than what is known does not count.
    tell(&mut socket, 14, vec![sample(&device, 70_000, "late")], 14).await;
    let told = lab.get("/events?limit=100").await.ok();
    let of = |kind: &str, key: &str, id: &Value| -> Vec<String> {
        let all = told["items"].as_array().unwrap().iter().rev();
        let some = all.filter(|event| event["kind"] == kind && event[key] == *id);
        some.map(|event| event["message"].as_str().unwrap().to_owned()).collect()
    };
    let failing = of("endpoint.failing", "endpoint_id", &device);
    assert!(failing.len() == 2 && failing[0].contains("one") && failing[1].contains("two"), "{failing:?}");
    assert_eq!(of("endpoint.failing", "endpoint_id", &foreign), Vec::<String>::new());
    let dropped = of("agent.samples_dropped", "agent_id", &json!(peer.id));
    assert!(dropped.len() == 1 && dropped[0].starts_with("10 samples"), "{dropped:?}");
    is_shown(&lab, device.as_str().unwrap(), "failing").await;
}

/// The database of a backend, which a test may read because it owns the master key.
async fn own_database(lab: &Lab) -> Db {
    database(lab.backend.folder(), &lab.backend.database()).await
}

/// The commands of a job, read from the database as nobody else can.
async fn commands(lab: &Lab, job: &str) -> Vec<String> {
    use sea_orm::{ConnectionTrait as _, Statement};
    let db = own_database(lab).await;
    let engine = db.reader().get_database_backend();
    let job: uuid::Uuid = job.parse().unwrap();
    let mark = if engine == sea_orm::DbBackend::Postgres { "$1" } else { "?" };
    let text = format!("SELECT command_id FROM step WHERE job_id = {mark}");
    let rows =
        db.reader().query_all_raw(Statement::from_sql_and_values(engine, text, [job.into()])).await.unwrap();
    rows.iter()
        .filter_map(|row| row.try_get::<Option<uuid::Uuid>>("", "command_id").unwrap())
        .map(|id| id.to_string())
        .collect()
}
