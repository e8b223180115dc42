//! What the whole-product tests share: a real `rackhand serve` beside simulated racks.
//!
//! The server runs as a process of its own, so that a test can kill it; the racks run in the test, so
//! that it can count what physically happened. Durations are those of the product at 1/20.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a broken bench stops the test")]
#![expect(clippy::indexing_slicing, reason = "JSON values answer null where nothing is")]
#![expect(clippy::missing_panics_doc, reason = "everything here panics when the bench is broken")]

pub mod agent;
pub mod authority;
mod backend;
pub mod between;
pub mod chrome;
pub mod ipmi_sim;
pub mod peers;
pub mod relay;
pub mod site;

pub use backend::{Backend, PASSWORD, USER, database};
pub use relay::{Line, Relay};

use rackhand_simulators::{
    farm::{Farm, FarmConfig},
    world::{ChassisCommand, EffectKind, Machine, OutletId, PduEffectKind},
};
use serde_json::{Value, json};
use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

/// The product's durations are multiplied by this.
pub const SCALE: f64 = 0.05;

/// The same where the time counts that our own processes take: at 1/20 that is no less, and more on a busy machine.
pub const SLOW: f64 = 0.25;

/// Finds a binary of the workspace beside the running test.
#[must_use]
pub fn binary(name: &str) -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let found = own.ancestors().map(|folder| folder.join(name)).find(|file| file.is_file());
    found.unwrap_or_else(|| {
        panic!("{name} is not built; run: cargo build -p rackhand-server -p rackhand-agent -p rackhand-simulators")
    })
}

/// A client of the API.
#[must_use]
pub fn client() -> reqwest::Client {
    client_builder().build().unwrap()
}

/// The same, to be changed first.
pub fn client_builder() -> reqwest::ClientBuilder {
    // One of several ways to encrypt must be chosen once in a process; that it was chosen already does no harm.
    rustls::crypto::ring::default_provider().install_default().ok();
    // Servers are killed in the middle of everything: no connection of before may be tried once more.
    reqwest::Client::builder().pool_max_idle_per_host(0)
}

/// What an HTTP request brought.
#[derive(Debug, Clone)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// JSON body; null when there is none.
    pub body: Value,
}

impl Reply {
    /// The body of a success.
    #[expect(clippy::must_use_candidate, reason = "asserting the success is use enough")]
    pub fn ok(self) -> Value {
        assert!(self.status < 300, "{}: {}", self.status, self.body);
        self.body
    }

    /// The code of a problem.
    #[must_use]
    pub fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }

    /// Field and code of the first wrong field.
    #[must_use]
    pub fn field(&self) -> (&str, &str) {
        let error = &self.body["errors"][0];
        (error["field"].as_str().unwrap_or_default(), error["code"].as_str().unwrap_or_default())
    }
}

/// A server beside simulated racks that it knows.
pub struct Lab {
    /// The server.
    pub backend: Backend,
    /// The racks.
    pub farm: Farm,
    client: reqwest::Client,
    servers: Vec<(String, String)>,
}

impl Lab {
    /// Starts `servers` machines in one rack with two PDUs, all added with BMC and both outlets, and
    /// waits until each was read once.
    pub async fn start(servers: u16) -> Self {
        Self::wired(rack_of(servers)).await
    }

    /// The same with racks of another shape.
    pub async fn wired(config: FarmConfig) -> Self {
        let mut lab = Self::with_farm(config).await;
        lab.wire(&json!({})).await;
        lab
    }

    /// The same where the time counts that our own processes take.
    pub async fn slow(config: FarmConfig) -> Self {
        let mut lab = Self::with_farm(config).await;
        lab.backend.restart_at(SLOW);
        lab.wire(&json!({})).await;
        lab
    }

    /// The same with a remote agent that alone reaches the racks, over a line that can be cut.
    pub async fn behind_an_agent(config: FarmConfig) -> (Self, agent::Agent, Relay) {
        Self::behind_a_line(config, Duration::ZERO).await
    }

    /// The same over a line that takes so long each way.
    pub async fn behind_a_line(config: FarmConfig, delay: Duration) -> (Self, agent::Agent, Relay) {
        let mut lab = Self::with_farm(config).await;
        let backend = ([127, 0, 0, 1], lab.backend.port).into();
        let relay = Relay::start(backend, delay).await;
        let agent = agent::Agent::start(&lab, "site-a", relay.port).await;
        lab.wire(&json!({"agent_id": agent.id})).await;
        (lab, agent, relay)
    }

    /// Makes the machines known, reached by the agent or the group that `via` names, and waits until each was
    /// read.
    pub async fn wire(&mut self, via: &Value) {
        let lab = self;
        let inventory = serde_json::to_value(lab.farm.inventory()).unwrap();
        let mut pdus = Vec::new();
        for pdu in inventory["pdus"].as_array().unwrap() {
            let added = lab.post("/endpoints", &joined(pdu_body(pdu), via)).await.ok();
            pdus.push((pdu["name"].clone(), added["id"].clone()));
        }
        let servers = inventory["servers"].as_array().unwrap();
        for server in servers {
            lab.add_server(server, &pdus, via).await;
        }
        let servers = servers.len();
        lab.wait_until("every server was read", async |lab: &Lab| {
            let tally = lab.get("/servers/tally").await.ok();
            // Feeds alone tell nothing of the controller, whose identity the first reading pins.
            let unread = tally["unknown"].as_u64().zip(tally["fed"].as_u64());
            tally["on"].as_u64() == Some(servers as u64) || unread == Some((0, 0))
        })
        .await;
    }

    /// Starts the server and the machines without making them known to each other.
    pub async fn bare(servers: u16) -> Self {
        Self::with_farm(rack_of(servers)).await
    }

    /// The same with a server on SQLite, wherever the other tests have their databases.
    pub async fn embedded(servers: u16) -> Self {
        Self::of(Backend::embedded(), rack_of(servers)).await
    }

    async fn with_farm(config: FarmConfig) -> Self {
        Self::of(Backend::start(), config).await
    }

    async fn of(backend: Backend, config: FarmConfig) -> Self {
        Self { backend, farm: farm(config).await, client: client(), servers: Vec::new() }
    }

    async fn add_server(&mut self, server: &Value, pdus: &[(Value, Value)], via: &Value) {
        let name = server["name"].as_str().unwrap().to_owned();
        let added = self.post("/servers", &json!({"name": name, "rack": server["rack"]})).await.ok();
        let id = added["id"].as_str().unwrap().to_owned();
        let path = format!("/servers/{id}/connections");
        let bmc = json!({"endpoint": joined(bmc_body(server), via)});
        self.post(&path, &bmc).await.ok();
        for outlet in server["outlets"].as_array().unwrap() {
            let (_, pdu) = pdus.iter().find(|(name, _)| *name == outlet["pdu"]).unwrap();
            let target = json!({"outlet": outlet["outlet"].to_string()});
            let body = json!({"endpoint_id": pdu, "target": target, "feeds_complete": true});
            self.post(&path, &body).await.ok();
        }
        self.servers.push((name, id));
    }

    /// Id of a server by its name.
    #[must_use]
    pub fn id(&self, name: &str) -> &str {
        self.servers.iter().find(|(known, _)| known == name).map(|(_, id)| id.as_str()).unwrap()
    }

    /// Id of the BMC that was added with a server.
    pub async fn bmc(&self, server: &str) -> String {
        let connections = self.get(&format!("/servers/{}/connections", self.id(server))).await.ok();
        connections["items"][0]["endpoint_id"].as_str().unwrap().to_owned()
    }

    /// The machine itself.
    #[must_use]
    pub fn machine(&self, name: &str) -> Machine {
        self.farm.world().machine(name).unwrap()
    }

    /// Sends a request with the token.
    pub async fn send(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
        headers: &[(&str, &str)],
    ) -> Reply {
        self.send_to(self.backend.port, method, path, body, headers).await
    }

    /// The same to a server of choice.
    pub async fn send_to(
        &self,
        port: u16,
        method: &str,
        path: &str,
        body: Option<&Value>,
        headers: &[(&str, &str)],
    ) -> Reply {
        let url = format!("http://127.0.0.1:{port}/api/v1{path}");
        let mut request = self
            .client
            .request(method.parse().unwrap(), url)
            .header("authorization", format!("Bearer {}", self.backend.token));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        Reply { status, body: serde_json::from_str(&text).unwrap_or(Value::Null) }
    }

    /// Gets.
    pub async fn get(&self, path: &str) -> Reply {
        self.send("GET", path, None, &[]).await
    }

    /// Posts.
    pub async fn post(&self, path: &str, body: &Value) -> Reply {
        self.send("POST", path, Some(body), &[]).await
    }

    /// Patches.
    pub async fn patch(&self, path: &str, body: &Value) -> Reply {
        self.send("PATCH", path, Some(body), &[]).await
    }

    /// Starts a power action; gives the job.
    pub async fn start_power(&self, server: &str, body: Value) -> Value {
        self.post(&format!("/servers/{}/power", self.id(server)), &body).await.ok()
    }

    /// Runs a power action to its end; gives the job with its steps.
    pub async fn power(&self, server: &str, body: Value) -> Value {
        let job = self.start_power(server, body).await;
        self.finish(job["id"].as_str().unwrap()).await
    }

    /// Waits for a job to end.
    pub async fn finish(&self, job: &str) -> Value {
        let begun = Instant::now();
        loop {
            let found = self.get(&format!("/jobs/{job}")).await.ok();
            if !found["finished_at"].is_null() {
                return found;
            }
            assert!(begun.elapsed() < Duration::from_secs(90), "the job does not end: {found:#}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until something holds, at most half a minute.
    pub async fn wait_until(&self, what: &str, holds: impl AsyncFn(&Lab) -> bool) {
        let begun = Instant::now();
        while !holds(self).await {
            assert!(begun.elapsed() < Duration::from_secs(30), "never: {what}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Counts the commands that an agent has not answered yet.
    pub async fn in_flight(&self, agent: &str) -> u64 {
        self.get(&format!("/agents/{agent}")).await.ok()["in_flight"].as_u64().unwrap()
    }

    /// Says whether an agent holds the devices of its group, as those say that were asked last.
    pub async fn holder_is(&self, agent: &str) -> bool {
        let shown = self.get(&format!("/agents/{agent}")).await.ok();
        shown["holds"].as_u64().unwrap() > 0
    }

    /// Counts the switching operations that reached any outlet of a machine.
    #[must_use]
    pub fn feed_changes(&self, server: &str) -> usize {
        let effects = self.machine(server).effects();
        let feeds = effects.iter().filter(|effect| {
            matches!(effect.what, EffectKind::FeedCut { .. } | EffectKind::FeedRestored { .. })
        });
        feeds.count()
    }

    /// Counts the commands that any outlet of any PDU was given, also where no relay moved.
    #[must_use]
    pub fn pdu_writes(&self) -> usize {
        let effects = self.farm.world().pdus().into_iter().flat_map(|pdu| pdu.effects());
        effects.filter(|effect| effect.what == PduEffectKind::Commanded).count()
    }

    /// Counts the feeds of a machine that are on.
    #[must_use]
    pub fn feeds_on(&self, server: &str) -> usize {
        let outlet = |feed: &OutletId| self.farm.world().pdu(feed.pdu())?.outlet(feed.number());
        let feeds = self.machine(server).feeds();
        feeds.iter().filter_map(outlet).filter(|outlet| outlet.is_on).count()
    }

    /// Says whether every feed of a machine is on.
    #[must_use]
    pub fn fully_fed(&self, server: &str) -> bool {
        self.feeds_on(server) == self.machine(server).feeds().len()
    }
}

/// Adds fields to a body.
#[must_use]
pub fn joined(mut body: Value, more: &Value) -> Value {
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

/// State and reason of a job.
#[must_use]
pub fn state(job: &Value) -> (&str, &str) {
    (job["state"].as_str().unwrap_or_default(), job["reason"].as_str().unwrap_or_default())
}

/// Silences a BMC.
pub fn mute(machine: &Machine) {
    machine.change_bmc_faults(|faults| faults.link.mute = true);
}

/// Lets a BMC answer again.
pub fn unmute(machine: &Machine) {
    machine.change_bmc_faults(|faults| faults.link.mute = false);
}

/// One rack of so many servers on two PDUs.
#[must_use]
pub fn rack_of(servers: u16) -> FarmConfig {
    FarmConfig { servers, per_rack: servers, outlets: servers.max(8), ..FarmConfig::default() }
}

/// Starts racks in which every machine runs.
pub async fn farm(config: FarmConfig) -> Farm {
    let farm = Farm::start(config).await.unwrap();
    for machine in farm.world().machines() {
        if !machine.is_on() {
            machine.chassis(ChassisCommand::Up).unwrap();
        }
    }
    farm
}

/// Body that adds a simulated PDU.
#[must_use]
pub fn pdu_body(pdu: &Value) -> Value {
    let address: std::net::SocketAddr = pdu["addr"].as_str().unwrap().parse().unwrap();
    json!({
        "kind": "snmp_pdu", "name": pdu["name"],
        "params": {"host": address.ip().to_string(), "port": address.port(), "version": "v2c"},
        "secrets": {"community": pdu["community"], "write_community": pdu["write_community"]},
    })
}

/// Body that adds a simulated BMC.
#[must_use]
pub fn bmc_body(server: &Value) -> Value {
    let address: std::net::SocketAddr = server["bmc"]["addr"].as_str().unwrap().parse().unwrap();
    json!({
        "kind": "ipmi", "name": format!("BMC of {}", server["name"].as_str().unwrap()),
        "params": {"host": address.ip().to_string(), "port": address.port(), "user": server["bmc"]["user"]},
        "secrets": {"password": server["bmc"]["password"]},
    })
}
