//! One agent that looks at many devices, a tenth of them dead, while people press buttons.

#![expect(clippy::unwrap_used, reason = "a broken bench stops the test")]
#![expect(clippy::indexing_slicing, reason = "JSON values answer null where nothing is")]

use chrono::{DateTime, Utc};
use rackhand_simulators::world::{EffectKind, Machine};
use rackhand_store::{Scope, Tx, connections, endpoints, servers};
use rackhand_tests::{Lab, SCALE, agent::Agent, authority::database, bmc_body, mute, state};
use rackhand_wire::{
    Feature, Role,
    api::server::AddServer,
    id::{AgentId, ServerId, TenantId},
};
use rustix::process::{Resource, getrlimit, setrlimit};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Everything is looked at once in this time, as it would be in production: a poll interval of twenty minutes at 1/20.
const ROUND: Duration = Duration::from_mins(1);

/// People's orders, one after the other.
const ORDERS: usize = 20;

/// An order is at its device within this, from the moment at which it was accepted: with room for a busy machine where
/// nothing is measured.
fn soon() -> Duration {
    Duration::from_millis(500) * if std::env::var_os("RACKHAND_OVERLOAD").is_some() { 1 } else { 3 }
}

/// Devices, told by `RACKHAND_OVERLOAD`. The simulated ones live in this process.
fn many() -> u16 {
    std::env::var("RACKHAND_OVERLOAD").map_or(150, |count| count.parse().unwrap())
}

/// Every BMC has a socket in this process, and every one that is asked one in the agent's.
fn allow_many_sockets() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
}

/// Makes the BMCs known, all reached by one agent. Through the API it would take longer than what is measured.
async fn make_known(lab: &Lab, agent: AgentId) -> Vec<(Machine, ServerId)> {
    let db = database(lab.backend.folder(), &lab.backend.database()).await;
    let tx = db.begin().await.unwrap();
    let inventory = serde_json::to_value(lab.farm.inventory()).unwrap();
    let mut known = Vec::new();
    for entry in inventory["servers"].as_array().unwrap() {
        let server = add_server(&tx, &entry["name"]).await;
        let body = bmc_body(entry);
        let secrets = body["secrets"].as_object().unwrap().iter();
        let new = endpoints::New {
            tenant: TenantId::PROVIDER,
            kind: "ipmi".into(),
            name: body["name"].as_str().unwrap().to_owned(),
            agent_id: Some(agent),
            agent_group: None,
            params: body["params"].clone(),
            secrets: secrets.map(|(name, value)| (name.as_str(), value.as_str().unwrap())).collect(),
            address: entry["bmc"]["addr"].as_str().map(str::to_owned),
        };
        let endpoint = endpoints::add(&tx, db.keys(), new).await.unwrap().id;
        let tie = connections::New {
            tenant: TenantId::PROVIDER,
            server,
            endpoint,
            role: Role::Controller,
            target: json!({}),
            target_label: String::new(),
            features: vec![Feature::Power],
            agent: None,
            group: None,
        };
        connections::add(&tx, tie).await.unwrap();
        servers::change(&tx, &Scope::provider(), server, servers::Change::default()).await.unwrap();
        known.push((lab.machine(entry["name"].as_str().unwrap()), server));
    }
    tx.commit().await.unwrap();
    db.close().await;
    known
}

async fn add_server(tx: &Tx, name: &Value) -> ServerId {
    let new = AddServer {
        name: name.as_str().unwrap().to_owned(),
        rack: String::new(),
        site_id: None,
        tags: Vec::new(),
        notes: String::new(),
    };
    servers::add(tx, TenantId::PROVIDER, new).await.unwrap().id
}

/// How often the BMCs were signed in to, which each look does anew.
fn looks(lab: &Lab, machines: &[(Machine, ServerId)]) -> u64 {
    machines.iter().map(|(machine, _)| lab.farm.bmc(machine.name()).unwrap().tally().begun).sum()
}

/// Waits until a server is shown as running, and so its controller is known.
async fn is_known(lab: &Lab, server: ServerId) {
    let path = format!("/servers/{server}");
    lab.post(&format!("{path}/power/refresh"), &json!({})).await.ok();
    lab.wait_until("it was read", async |lab: &Lab| lab.get(&path).await.ok()["power"]["value"] == "on")
        .await;
}

/// How long an order was under way from its acceptance until its machine felt it, and until its first step began.
async fn felt(lab: &Lab, (machine, server): &(Machine, ServerId)) -> (Duration, Duration) {
    let reply = lab.post(&format!("/servers/{server}/power"), &json!({"action": "reset"})).await;
    let accepted = Instant::now();
    assert_eq!(reply.status, 202, "{}", reply.body);
    let job = lab.finish(reply.body["id"].as_str().unwrap()).await;
    assert_eq!(state(&job).0, "succeeded", "{job:#}");
    let resets: Vec<Instant> = machine
        .effects()
        .iter()
        .filter(|effect| effect.what == EffectKind::Reset)
        .map(|effect| effect.at)
        .collect();
    assert_eq!(resets.len(), 1, "{job:#}");
    let time = |value: &Value| value.as_str().unwrap().parse::<DateTime<Utc>>().unwrap();
    let begun = time(&job["steps"][0]["started_at"]) - time(&job["created_at"]);
    // It may be there before the answer is here.
    (resets[0].saturating_duration_since(accepted), begun.to_std().unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_person_orders_is_at_its_device_in_half_a_second_while_many_others_are_looked_at() {
    allow_many_sockets();
    let mut lab = Lab::bare(many()).await;
    let agent = Agent::start(&lab, "site-a", lab.backend.port()).await;
    let mut installation = lab.get("/settings").await.ok()["installation"].clone();
    installation["poll_interval_s"] = json!(ROUND.div_f64(SCALE).as_secs());
    lab.patch("/settings", &json!({ "installation": installation })).await.ok();
    let machines = make_known(&lab, agent.id.parse().unwrap()).await;
    let (dead, live) = machines.split_at(machines.len() / 10);
    for (machine, _) in dead {
        mute(machine);
    }
    lab.backend.kill_and_restart();
    agent.online(&lab).await;
    let pressed: Vec<_> = live.iter().step_by(live.len() / ORDERS).take(ORDERS).collect();
    for (_, server) in &pressed {
        is_known(&lab, *server).await;
    }
    let (since, before) = (Instant::now(), looks(&lab, live));
    let mut times = Vec::new();
    for one in &pressed {
        times.push(felt(&lab, one).await);
    }
    // The measure is worth nothing where nobody looks meanwhile.
    let (took, looked) = (since.elapsed(), looks(&lab, live) - before);
    let due = took.div_duration_f64(ROUND) * f64::from(u32::try_from(live.len()).unwrap());
    assert!(f64::from(u32::try_from(looked).unwrap()) > due / 2.0, "{looked} looks in {took:?}, due {due}");
    times.sort_unstable();
    let worst = times[ORDERS - 1].0;
    assert!(worst <= soon(), "{looked} looks in {took:?}; felt after, first step begun after: {times:#?}");
}
