//! What a real agent makes of orders that come too late: of an epoch that has passed, or when its lease has ended.
//! The server is the test itself, so that it can say what ours never would.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a broken bench stops the test")]
#![expect(clippy::indexing_slicing, reason = "JSON values answer null where nothing is")]

use futures::{SinkExt as _, StreamExt as _};
use rackhand_agent::{identity::Folder, sealing};
use rackhand_tests::{Lab, agent::Agent, bmc_body, pdu_body};
use rackhand_wire::{
    Command, Operation, Secrets,
    agent::{Answer, Challenge, Packet, Protocols, ToAgent},
    command::{EndpointSpec, Urgency},
    id::{AgentId, CommandId, EndpointId},
    power::{Native, Switch},
};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::{WebSocketStream, accept_async, tungstenite::Message};

const LEASE: Duration = Duration::from_secs(2);

/// A way to switch a machine.
struct Device {
    spec: EndpointSpec,
    secrets: Secrets,
    target: Value,
    off: Operation,
    on: Operation,
}

/// The only machine's BMC, and the outlet of one of its feeds.
fn devices(lab: &Lab) -> [Device; 2] {
    let inventory = serde_json::to_value(lab.farm.inventory()).unwrap();
    let server = &inventory["servers"][0];
    let feed = &server["outlets"][0];
    let pdu = inventory["pdus"].as_array().unwrap().iter().find(|pdu| pdu["name"] == feed["pdu"]).unwrap();
    let power = |command| Operation::SetPower { command };
    let outlet = |to| Operation::SetOutlet { to };
    let target = json!({"outlet": feed["outlet"].to_string()});
    [
        device(&bmc_body(server), json!({}), power(Native::Off), power(Native::On)),
        device(&pdu_body(pdu), target, outlet(Switch::Off), outlet(Switch::On)),
    ]
}

fn device(body: &Value, target: Value, off: Operation, on: Operation) -> Device {
    let spec = EndpointSpec {
        id: Some(EndpointId(uuid::Uuid::now_v7())),
        kind: body["kind"].as_str().unwrap().to_owned(),
        params: body["params"].clone(),
        pinned: None,
    };
    let secrets = body["secrets"].as_object().unwrap().iter();
    let secrets = secrets.map(|(name, value)| (name.as_str(), value.as_str().unwrap())).collect();
    Device { spec, secrets, target, off, on }
}

/// The server's end of a session with a real agent.
struct Plane {
    socket: WebSocketStream<TcpStream>,
    agent: AgentId,
    sealing_key: String,
    /// Whether leases are granted.
    grants: bool,
    /// The newest question for a lease.
    asked: u64,
}

impl Plane {
    /// Takes an agent's session over from the server that enrolled it; the agent runs from here on.
    async fn of(agent: &mut Agent) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        agent.lead_to(&format!("http://{}", listener.local_addr().unwrap()));
        agent.run();
        let socket = accept_async(listener.accept().await.unwrap().0).await.unwrap();
        let sealing_key = Folder::at(agent.folder()).read().unwrap().sealing.public();
        let mut plane =
            Self { socket, agent: agent.id.parse().unwrap(), sealing_key, grants: false, asked: 0 };
        let nonce = "5a".repeat(32);
        let challenge = Challenge { nonce, protocols: Protocols::OURS, binding: false };
        plane.say(serde_json::to_string(&challenge).unwrap()).await;
        assert!(plane.heard().await["hello"].is_string());
        let welcome = Answer::Welcome {
            protocol: Protocols::OURS.newest,
            heartbeat_ms: 20_000,
            dead_ms: 60_000,
            lease_ms: u64::try_from(LEASE.as_millis()).unwrap(),
            renew_in_ms: 3_600_000,
            renew_only: false,
        };
        plane.say(serde_json::to_string(&welcome).unwrap()).await;
        plane
    }

    async fn say(&mut self, text: String) {
        self.socket.send(Message::text(text)).await.unwrap();
    }

    async fn tell(&mut self, packet: Packet) {
        self.say(serde_json::to_string(&packet).unwrap()).await;
    }

    /// The next thing that the agent says.
    async fn heard(&mut self) -> Value {
        loop {
            let next = tokio::time::timeout(Duration::from_secs(30), self.socket.next()).await;
            let message = next.expect("the agent says nothing").expect("the agent hung up").unwrap();
            let Message::Text(text) = message else { continue };
            let frame: Value = serde_json::from_str(text.as_str()).unwrap();
            if frame["frame"] == "hold" {
                self.asked = frame["number"].as_u64().unwrap();
                if self.grants {
                    self.grant(self.asked).await;
                }
            }
            return frame;
        }
    }

    async fn grant(&mut self, number: u64) {
        self.tell(Packet { frame: ToAgent::Held { number }, sealed: None }).await;
    }

    /// Waits until the agent asks for its lease.
    async fn is_asked(&mut self) -> u64 {
        while self.heard().await["frame"] != "hold" {}
        self.asked
    }

    /// Hears what the agent says for so long.
    async fn listen(&mut self, time: Duration) {
        let begun = Instant::now();
        while begun.elapsed() < time {
            self.is_asked().await;
        }
    }

    /// Has something done as of an epoch; gives the outcome, and whether the agent says that it began it.
    async fn order(
        &mut self,
        device: &Device,
        operation: &Operation,
        (fence, leased): (u64, bool),
    ) -> (bool, Value) {
        let id = CommandId(uuid::Uuid::now_v7());
        let command = Command {
            id,
            endpoint: device.spec.clone(),
            target: device.target.clone(),
            operation: operation.clone(),
            expires_in_ms: None,
            restore_after_ms: None,
            fence,
            leased,
            urgency: Urgency::Awaited,
        };
        let sealed = sealing::seal(&self.sealing_key, self.agent, id.0, &device.secrets);
        assert!(sealed.is_some());
        self.tell(Packet { frame: ToAgent::Execute(command), sealed }).await;
        let mut begun = false;
        loop {
            let frame = self.heard().await;
            if frame["command"] == id.to_string() {
                begun |= frame["frame"] == "started";
                if frame["frame"] == "finished" {
                    return (begun, frame["result"].clone());
                }
            }
        }
    }
}

/// What is said of an order that is not begun.
fn refused(why: &str) -> (bool, Value) {
    (false, json!({"Err": {"code": "exec", "reason": "lease_lost", "detail": why}}))
}

fn done() -> (bool, Value) {
    (true, json!({"Ok": {"answer": "done"}}))
}

/// Checks what the machine has felt so far, whatever of it came by which device.
async fn has_felt(lab: &Lab, times: usize) {
    let machine = lab.machine("srv-01");
    let felt = || machine.effects().len();
    lab.wait_until("the machine has felt it", async |_: &Lab| felt() >= times).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(felt(), times, "{:#?}", machine.effects());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_of_an_older_epoch_never_reaches_a_device_and_the_agent_says_so() {
    let lab = Lab::bare(1).await;
    let mut agent = Agent::enrolled(&lab, "site-a", lab.backend.port()).await;
    let mut plane = Plane::of(&mut agent).await;
    let before = lab.machine("srv-01").effects().len();
    let older = refused("the command is of an older epoch");
    for (at, device) in devices(&lab).iter().enumerate() {
        let so_far = before + at * 2;
        assert_eq!(plane.order(device, &device.off, (3, false)).await, done());
        has_felt(&lab, so_far + 1).await;
        // With a lease it must not be refused for the lease's sake.
        for leased in [false, true] {
            plane.grants = leased;
            plane.is_asked().await;
            assert_eq!(plane.order(device, &device.on, (2, leased)).await, older);
        }
        has_felt(&lab, so_far + 1).await;
        assert_eq!(plane.order(device, &device.on, (4, false)).await, done());
        assert_eq!(plane.order(device, &device.off, (3, false)).await, older, "it was the newest before");
        has_felt(&lab, so_far + 2).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_without_a_lease_never_reaches_a_device_and_the_agent_says_so() {
    let lab = Lab::bare(1).await;
    let mut agent = Agent::enrolled(&lab, "site-a", lab.backend.port()).await;
    let mut plane = Plane::of(&mut agent).await;
    let before = lab.machine("srv-01").effects().len();
    let ended = refused("its lease has ended");
    for (at, device) in devices(&lab).iter().enumerate() {
        let so_far = before + at * 2;
        assert_eq!(plane.order(device, &device.off, (1, true)).await, ended, "it was never granted");
        has_felt(&lab, so_far).await;
        plane.grants = true;
        plane.is_asked().await;
        assert_eq!(plane.order(device, &device.off, (1, true)).await, done());
        has_felt(&lab, so_far + 1).await;
        plane.grants = false;
        let late = plane.is_asked().await;
        plane.listen(LEASE * 3 / 2).await;
        assert_eq!(plane.order(device, &device.on, (1, true)).await, ended, "nobody renewed it");
        // What is granted late counts from the question, and so is over already.
        plane.grant(late).await;
        assert_eq!(plane.order(device, &device.on, (1, true)).await, ended, "it was granted too late");
        has_felt(&lab, so_far + 1).await;
        plane.grants = true;
        plane.is_asked().await;
        assert_eq!(plane.order(device, &device.on, (1, true)).await, done());
        has_felt(&lab, so_far + 2).await;
        // The next device begins without a lease again.
        plane.grants = false;
        plane.listen(LEASE * 3 / 2).await;
    }
}
