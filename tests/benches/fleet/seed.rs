//! A database of many servers, each with a BMC and two outlets, and the simulated devices behind it.
//!
//! The rows are written through the store: adding them one by one through the API would take longer than
//! measuring.

use rackhand_simulators::control::{FaultOrder, Request, ask};
use rackhand_store::{Db, Scope, connections, endpoints, sealed::Keyring, servers};
use rackhand_tests::binary;
use rackhand_wire::{
    Feature, Role, Secrets,
    api::server::AddServer,
    id::{AgentId, EndpointId, ServerId, TenantId},
};
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
    process::{Child, Command, Stdio},
};

/// Simulated racks in a process of their own; it ends with this value.
pub struct Racks {
    child: Child,
    inventory: Value,
    /// Its BMCs are made known without what feeds their machines.
    is_bare: bool,
    control: SocketAddr,
}

impl Racks {
    /// Starts simulated servers with their PDUs.
    pub fn start(servers: u32) -> Self {
        Self::wired(servers, false)
    }

    /// The same, of which only BMCs are made known.
    pub fn of_bmcs(servers: u32) -> Self {
        Self::wired(servers, true)
    }

    fn wired(servers: u32, is_bare: bool) -> Self {
        let control = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
        let mut child = Command::new(binary("rackhand-sim"))
            .args(["--servers", &servers.to_string(), "--addresses", "free", "--pace", "quick", "--json"])
            .args(["--control", &control.to_string()])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = child.stdout.take().unwrap();
        let mut values = serde_json::Deserializer::from_reader(output).into_iter::<Value>();
        let inventory = values.next().expect("the simulators did not start").unwrap();
        Self { child, inventory, is_bare, control }
    }

    /// Silences so many BMCs.
    pub async fn mute(&self, count: usize) {
        for server in self.inventory["servers"].as_array().unwrap().iter().take(count) {
            let mute = Request::Fault { device: text(&server["name"]), fault: FaultOrder::Mute };
            ask(self.control, &mute).await.unwrap();
        }
    }

    /// Makes them known to a server that does not run, whose folder has a database and a master key.
    pub async fn make_known(&self, folder: &Path) {
        self.make_known_to(folder, None).await;
    }

    /// The same, reached by an agent.
    pub async fn make_known_to(&self, folder: &Path, agent: Option<AgentId>) {
        let key: [u8; 32] = fs::read(folder.join("master.key")).unwrap().try_into().unwrap();
        let url = format!("sqlite://{}", folder.join("rackhand.db").display());
        let db = Db::open(&url, Keyring::new(key)).await.unwrap();
        // One transaction: a commit per row would mostly wait for the disk.
        let tx = db.begin().await.unwrap();
        let mut pdus = HashMap::new();
        for pdu in self.inventory["pdus"].as_array().unwrap().iter().filter(|_| !self.is_bare) {
            let secrets =
                secrets(&[("community", &pdu["community"]), ("write_community", &pdu["write_community"])]);
            let params =
                |at: SocketAddr| json!({"host": at.ip().to_string(), "port": at.port(), "version": "v2c"});
            let new = device("snmp_pdu", text(&pdu["name"]), &pdu["addr"], params, secrets);
            let new = endpoints::New { agent_id: agent, ..new };
            let added = endpoints::add(&tx, db.keys(), new).await.unwrap();
            pdus.insert(added.name, added.id);
        }
        for server in self.inventory["servers"].as_array().unwrap() {
            add(&tx, db.keys(), server, &pdus, agent).await;
        }
        tx.commit().await.unwrap();
        db.close().await;
    }
}

impl Drop for Racks {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

async fn add(
    tx: &rackhand_store::Tx,
    keys: &Keyring,
    server: &Value,
    pdus: &HashMap<String, EndpointId>,
    agent: Option<AgentId>,
) {
    let name = text(&server["name"]);
    let new = AddServer {
        name: name.clone(),
        rack: text(&server["rack"]),
        site_id: None,
        tags: vec!["rented".to_owned()],
        notes: String::new(),
    };
    let id = servers::add(tx, TenantId::PROVIDER, new).await.unwrap().id;
    let bmc = &server["bmc"];
    let params =
        |at: SocketAddr| json!({"host": at.ip().to_string(), "port": at.port(), "user": bmc["user"]});
    let secrets = secrets(&[("password", &bmc["password"])]);
    let new = device("ipmi", format!("BMC of {name}"), &bmc["addr"], params, secrets);
    let new = endpoints::New { agent_id: agent, ..new };
    let endpoint = endpoints::add(tx, keys, new).await.unwrap().id;
    connections::add(tx, tie(id, endpoint, Role::Controller, json!({}), String::new())).await.unwrap();
    for outlet in server["outlets"].as_array().unwrap() {
        let number = outlet["outlet"].to_string();
        let label = format!("outlet {number}");
        let Some(pdu) = pdus.get(outlet["pdu"].as_str().unwrap()).copied() else { continue };
        connections::add(tx, tie(id, pdu, Role::Feed, json!({"outlet": number}), label)).await.unwrap();
    }
    // Also finds the words that the server is searched by.
    let mapped = servers::Change { feeds_complete: Some(true), ..Default::default() };
    servers::change(tx, &Scope::provider(), id, mapped).await.unwrap();
}

fn device(
    kind: &str,
    name: String,
    at: &Value,
    params: impl FnOnce(SocketAddr) -> Value,
    secrets: Secrets,
) -> endpoints::New {
    let at: SocketAddr = at.as_str().unwrap().parse().unwrap();
    endpoints::New {
        tenant: TenantId::PROVIDER,
        kind: kind.to_owned(),
        name,
        agent_id: None,
        agent_group: None,
        params: params(at),
        secrets,
        address: Some(at.to_string()),
    }
}

fn tie(
    server: ServerId,
    endpoint: EndpointId,
    role: Role,
    target: Value,
    target_label: String,
) -> connections::New {
    let features = vec![Feature::Power];
    let tenant = TenantId::PROVIDER;
    connections::New {
        tenant,
        server,
        endpoint,
        role,
        target,
        target_label,
        features,
        agent: None,
        group: None,
    }
}

fn secrets(values: &[(&str, &Value)]) -> Secrets {
    values.iter().map(|(name, value)| (*name, value.as_str().unwrap())).collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}
