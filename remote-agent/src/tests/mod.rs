//! The agent before devices that stay silent.

mod restores;
mod writes;

use async_trait::async_trait;
use rackhand_wire::{
    Command, Fault, FaultCode, Operation, Reason, Secret, Secrets, Timings,
    agent::{ToAgent, ToBackend},
    command::{EndpointSpec, Urgency},
    id::{AgentId, CommandId, EndpointId},
};
use std::{sync::Arc, time::Duration};
use tokio::net::UdpSocket;

use crate::{Agent, Config, Delivery, Link, SecretSource, poller::Limits};

/// Longer than any step of a test may take, shorter than the silence that would otherwise pass.
const SOON: Duration = Duration::from_secs(30);

struct Nobody;

#[async_trait]
impl SecretSource for Nobody {
    async fn find(&self, _: EndpointId) -> Option<Secrets> {
        None
    }
}

fn agent(folder: &tempfile::TempDir) -> Link {
    let timings = Timings { unreachable_after: Duration::from_mins(10), ..Timings::default() };
    let (journal, spool) = (folder.path().join("journal"), folder.path().join("spool"));
    let (secrets, guard) = (Arc::new(Nobody), rackhand_driver::conformance::guard());
    Agent::start(Config {
        id: AgentId(id(1)),
        journal,
        spool,
        keep: Limits::default(),
        timings,
        secrets,
        guard,
    })
    .unwrap()
    .attach()
}

fn id(n: u128) -> uuid::Uuid {
    uuid::Uuid::from_u128(n)
}

/// Reads the power of a BMC at a socket, device 7.
fn read(n: u128, device: &UdpSocket, urgency: Urgency) -> Delivery {
    read_of(7, n, device, urgency)
}

fn read_of(endpoint: u128, n: u128, device: &UdpSocket, urgency: Urgency) -> Delivery {
    let port = device.local_addr().unwrap().port();
    let command = Command {
        id: CommandId(id(n)),
        endpoint: EndpointSpec {
            id: Some(EndpointId(id(endpoint))),
            kind: "ipmi".into(),
            params: serde_json::json!({"host": "127.0.0.1", "port": port, "user": "admin"}),
            pinned: None,
        },
        target: serde_json::json!({}),
        operation: Operation::ReadPower,
        expires_in_ms: None,
        restore_after_ms: None,
        fence: 1,
        leased: false,
        urgency,
    };
    let mut secrets = Secrets::default();
    secrets.set("password", Secret::new("secret"));
    Delivery { frame: ToAgent::Execute(command), secrets }
}

async fn finished(link: &mut Link) -> (CommandId, Result<(), Fault>) {
    loop {
        let frame = tokio::time::timeout(SOON, link.from_agent.recv()).await.expect("nothing ends").unwrap();
        if let ToBackend::Finished { command, result, .. } = frame {
            return (command, result.map(|_| ()));
        }
    }
}

async fn is_asked(device: &UdpSocket) {
    tokio::time::timeout(SOON, device.recv(&mut [0; 512])).await.expect("the device is not asked").unwrap();
}

#[tokio::test]
async fn a_look_gives_way_to_what_somebody_waits_for() {
    let folder = tempfile::tempdir().unwrap();
    let mut link = agent(&folder);
    let device = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    link.to_agent.send(read(1, &device, Urgency::Background)).await.ok().unwrap();
    is_asked(&device).await;
    link.to_agent.send(read(2, &device, Urgency::Background)).await.ok().unwrap();
    link.to_agent.send(read(3, &device, Urgency::Awaited)).await.ok().unwrap();
    let (command, result) = finished(&mut link).await;
    let fault = result.unwrap_err();
    assert_eq!((command, fault.code, fault.reason), (CommandId(id(1)), FaultCode::Exec, Reason::GaveWay));
    is_asked(&device).await;
    // What is awaited is now under way; another one waits for it, as one device has one writer.
    link.to_agent.send(read(4, &device, Urgency::Awaited)).await.ok().unwrap();
    let early = tokio::time::timeout(Duration::from_millis(300), link.from_agent.recv()).await;
    assert!(early.is_err(), "an awaited command was interrupted: {early:?}");
}

#[tokio::test]
async fn a_dead_device_holds_no_other_up_however_much_waits_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let link = agent(&folder);
    let (dead, other) =
        (UdpSocket::bind("127.0.0.1:0").await.unwrap(), UdpSocket::bind("127.0.0.1:0").await.unwrap());
    for n in 1..=200 {
        link.to_agent.send(read_of(7, n, &dead, Urgency::Awaited)).await.ok().unwrap();
    }
    link.to_agent.send(read_of(8, 201, &other, Urgency::Awaited)).await.ok().unwrap();
    is_asked(&other).await;
}
