//! Every message of every version as it travels, byte for byte. A file here never changes once its version is
//! out: agents and backends in the field speak it.

use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;
use std::fmt::Debug;
use uuid::Uuid;

use super::{
    Answer, Answered, BootId, Challenge, Entry, Found, Hello, Look, Packet, Protocols, Read, Refusal, Sample,
    Sealed, Signed, ToAgent, ToBackend, Unread,
    enrol::{Enrol, Enrolled},
    read,
};
use crate::{
    Command, Fault, FaultCode, Operation, Reason,
    command::{EndpointSpec, Outlet, Urgency},
    id::{AgentId, CommandId, EndpointId},
    operation::Identity,
    power::{Native, Switch},
};

fn id(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

fn command(operation: Operation) -> Command {
    Command {
        id: CommandId(id(1)),
        endpoint: EndpointSpec {
            id: Some(EndpointId(id(2))),
            kind: "snmp_pdu".into(),
            params: json!({"host": "10.0.0.7", "port": 161, "version": "v2c"}),
            pinned: Some("pdu-a".into()),
        },
        target: json!({"outlet": "7"}),
        operation,
        expires_in_ms: Some(30_000),
        restore_after_ms: Some(70_000),
        fence: 3,
        leased: true,
        urgency: Urgency::Awaited,
    }
}

fn outlet() -> Outlet {
    Outlet { endpoint: EndpointId(id(2)), target: json!({"outlet": "7"}) }
}

fn packet(frame: ToAgent) -> Packet {
    Packet { frame, sealed: None }
}

/// The bytes and the value are the same thing.
fn holds<T: Serialize + DeserializeOwned + PartialEq + Debug>(file: &str, value: &T) {
    let file = file.trim_end();
    assert_eq!(serde_json::to_string(value).unwrap(), file, "this version is written differently now");
    assert_eq!(&serde_json::from_str::<T>(file).unwrap(), value, "this version is read differently now");
}

macro_rules! v1 {
    ($name:literal, $value:expr) => {
        holds(include_str!(concat!("fixtures/v1/", $name, ".json")), &$value)
    };
}

#[test]
fn version_1_greets_as_it_always_did() {
    v1!(
        "challenge",
        Challenge { nonce: "00ff".into(), protocols: Protocols { oldest: 1, newest: 1 }, binding: true }
    );
    let hello = Hello {
        agent: AgentId(id(3)),
        boot: BootId(id(4)),
        protocols: Protocols { oldest: 1, newest: 1 },
        version: "0.1.0".into(),
        host: "rack-7".into(),
        kinds: [("ipmi".to_owned(), "0011223344556677".to_owned())].into_iter().collect(),
        watching: None,
    };
    v1!("hello", hello.clone());
    // It came to this version later: who does not know it passes over it.
    v1!("hello-watching", Hello { watching: Some("00ff".into()), ..hello });
    v1!("signed", Signed { hello: "{}".into(), certificate: "PEM".into(), signature: "00".into() });
    v1!(
        "welcome",
        Answer::Welcome {
            protocol: 1,
            heartbeat_ms: 15_000,
            dead_ms: 40_000,
            lease_ms: 6_000,
            renew_in_ms: 43_200_000,
            renew_only: false
        }
    );
    v1!("refused", Answer::Refused { refusal: Refusal::Revoked, message: "this agent was revoked".into() });
    v1!(
        "enrol",
        Enrol {
            token: Some("rha_token".into()),
            agent: None,
            request: "PEM".into(),
            sealing_key: "00".into(),
            host: "rack-7".into()
        }
    );
    v1!("enrolled", Enrolled { agent: AgentId(id(3)), name: "site-a".into(), certificate: "PEM".into() });
}

#[test]
fn version_1_tells_agents_as_it_always_did() {
    let sealed = Some(Sealed { key: "00".into(), text: "ff".into() });
    let execute = ToAgent::Execute(command(Operation::SetOutlet { to: Switch::Off }));
    v1!("execute", Packet { frame: execute, sealed: sealed.clone() });
    let power = command(Operation::SetPower { command: Native::Reset });
    v1!("execute-power", packet(ToAgent::Execute(power)));
    let (cuts, outlets) = (vec![CommandId(id(1))], vec![outlet()]);
    v1!("keep-off", packet(ToAgent::KeepOff { id: CommandId(id(5)), cuts: cuts.clone(), outlets }));
    v1!("acknowledge", packet(ToAgent::Acknowledge { commands: cuts.clone() }));
    v1!("noted", packet(ToAgent::Noted { cuts }));
    v1!("secrets", Packet { frame: ToAgent::Secrets { endpoint: EndpointId(id(2)) }, sealed });
    v1!("certificate", packet(ToAgent::Certificate { certificate: "PEM".into(), renew_in_ms: 43_200_000 }));
    v1!("held", packet(ToAgent::Held { number: 9 }));
    v1!("go-away", packet(ToAgent::GoAway { within_ms: 5_000 }));
}

#[test]
fn version_1_tells_the_backend_as_it_always_did() {
    let command = CommandId(id(1));
    v1!("started", ToBackend::Started { command });
    v1!("finished", ToBackend::Finished { command, result: Ok(crate::Answer::Done), took_ms: 12 });
    let fault = Fault::new(FaultCode::Unreach, Reason::NoAnswer, "3 handshakes in 20 s");
    v1!("finished-fault", ToBackend::Finished { command, result: Err(fault), took_ms: 20_000 });
    v1!("restored", ToBackend::Restored { cut: command, result: Ok(()) });
    v1!("hold", ToBackend::Hold { number: 9 });
    v1!("dark", ToBackend::Dark { cuts: vec![command] });
    v1!("disk", ToBackend::Disk { fault: Some("No space left on device".into()) });
    v1!("need-secrets", ToBackend::NeedSecrets { endpoint: EndpointId(id(2)) });
    v1!("renew", ToBackend::Renew { request: "PEM".into() });
}

fn look() -> Look {
    Look {
        endpoint: EndpointId(id(2)),
        kind: "snmp_pdu".into(),
        params: json!({"host": "10.0.0.7", "port": 161, "version": "v2c"}),
        pinned: Some("pdu-a".into()),
        identify: false,
        reads: vec![Read { target: json!({}), operation: Operation::ReadOutlets }],
        every_ms: 60_000,
        generation: "0011223344556677".into(),
        mark: "8899aabbccddeeff".into(),
        needs_secrets: true,
    }
}

#[test]
fn looks_came_to_version_1_and_stay_as_they_came() {
    let sealed = Some(Sealed { key: "00".into(), text: "ff".into() });
    v1!("watch-begin", packet(ToAgent::WatchBegin {}));
    v1!("watch", Packet { frame: ToAgent::Watch(look()), sealed });
    v1!("watch-end", packet(ToAgent::WatchEnd {}));
    let endpoints = vec![EndpointId(id(2))];
    v1!("unwatch", packet(ToAgent::Unwatch { endpoints: endpoints.clone() }));
    v1!("look-now", packet(ToAgent::LookNow { endpoints }));
    v1!("stored", packet(ToAgent::Stored { spool: id(6), through: 41 }));
    let sample = |found| {
        let generation = look().generation;
        Entry::Sample(Sample { endpoint: EndpointId(id(2)), generation, age_ms: 1_200, found })
    };
    let result = Ok(crate::Answer::Outlets { outlets: Vec::new() });
    let identity = Some(Identity { vendor: Some("APC".into()), ..Identity::default() });
    let answers = vec![Answered { target: json!({}), result }];
    let fault = Fault::unreachable("3 handshakes in 20 s");
    let entries = vec![
        sample(Found::Answers { identity, answers }),
        sample(Found::Nothing { fault }),
        Entry::RestartedAlone { devices: 3, lasted_ms: 90_000, age_ms: 7 },
    ];
    v1!("samples", ToBackend::Samples { spool: id(6), first: 39, entries });
}

#[test]
fn what_is_newer_is_told_from_nonsense() {
    let newer = r#"{"frame":"teleport","to":"mars"}"#;
    assert_eq!(read::<ToBackend>(newer, &ToBackend::KNOWN), Err(Unread::Unknown("teleport".into())));
    let richer = r#"{"frame":"hold","number":9,"mood":"calm"}"#;
    assert_eq!(read::<ToBackend>(richer, &ToBackend::KNOWN), Ok(ToBackend::Hold { number: 9 }));
    for nonsense in
        ["", "[]", "{}", r#"{"frame":"hold"}"#, r#"{"frame":"hold","number":-1}"#, r#"{"frame":7}"#]
    {
        let read = read::<ToBackend>(nonsense, &ToBackend::KNOWN);
        assert!(matches!(read, Err(Unread::Malformed(_))), "{nonsense}: {read:?}");
    }
}
