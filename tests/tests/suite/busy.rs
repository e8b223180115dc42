//! What a power job uses stays as it is until the job is over: its commands read the device anew each time.

#![expect(clippy::unwrap_used, reason = "a broken bench stops the test")]
#![expect(clippy::indexing_slicing, reason = "JSON values answer null where nothing is")]

use rackhand_tests::{Lab, Reply, agent::Agent, joined, state};
use serde_json::{Value, json};

/// A shutdown that the operating system ignores: under way until somebody stops it.
struct Held<'a> {
    lab: &'a Lab,
    job: Value,
}

impl<'a> Held<'a> {
    async fn new(lab: &'a Lab) -> Self {
        lab.machine("srv-01").change_bmc_faults(|faults| faults.ignore_soft = true);
        let job = lab.start_power("srv-01", json!({"action": "shutdown", "deadline_s": 600})).await;
        Self { lab, job: job["id"].clone() }
    }

    fn refuses(&self, reply: &Reply, what: &str) {
        assert_eq!((reply.status, reply.code()), (409, "power_conflict"), "{what}: {}", reply.body);
        assert_eq!(reply.body["job_id"], self.job, "{what}");
    }

    async fn end(self) {
        let id = self.job.as_str().unwrap();
        self.lab.post(&format!("/jobs/{id}/cancel"), &json!({})).await.ok();
        assert_eq!(state(&self.lab.finish(id).await).0, "cancelled");
    }
}

fn path(object: &Value) -> String {
    format!("/endpoints/{}", object["id"].as_str().unwrap())
}

async fn endpoints(lab: &Lab) -> Vec<Value> {
    lab.get("/endpoints").await.ok()["items"].as_array().unwrap().clone()
}

/// Bodies that would have a device's commands reach another device, another way or with other credentials.
fn changes(endpoint: &Value, agent: &Value) -> Vec<Value> {
    let secrets = match endpoint["kind"].as_str().unwrap() {
        "ipmi" => json!({"password": "another"}),
        _ => json!({"community": "another", "write_community": "another"}),
    };
    let moved = joined(endpoint["params"].clone(), &json!({"port": 9}));
    vec![
        json!({"params": moved, "secrets": secrets}),
        json!({"secrets": secrets}),
        json!({"agent_id": agent["id"]}),
        json!({"agent_group": agent["group"]}),
        json!({"accept_identity": true}),
        json!({"name": "renamed on the way", "accept_identity": true}),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_in_use_by_a_job_changes_in_nothing_but_its_name() {
    let lab = Lab::start(2).await;
    let agent = lab.post("/agents", &json!({"name": "site-a"})).await.ok()["agent"].clone();
    let held = Held::new(&lab).await;
    let all = endpoints(&lab).await;
    let (others, used): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|endpoint| endpoint["name"] == "BMC of srv-02");
    assert_eq!((used.len(), others.len()), (3, 1), "a BMC and two PDUs, which feed another server as well");
    for endpoint in &used {
        for body in changes(endpoint, &agent) {
            held.refuses(&lab.patch(&path(endpoint), &body).await, &body.to_string());
        }
        held.refuses(&lab.send("DELETE", &path(endpoint), None, &[]).await, "removed");
        let now = lab.get(&path(endpoint)).await.ok();
        for name in ["name", "params", "agent_id", "agent_group", "version"] {
            assert_eq!(now[name], endpoint[name], "{name}");
        }
        // The form sends everything; what is not entered is empty.
        let empty: Value = endpoint["secrets_set"]
            .as_array()
            .unwrap()
            .iter()
            .map(|name| (name.as_str().unwrap(), ""))
            .collect();
        let name = format!("{}, renamed", endpoint["name"].as_str().unwrap());
        let form = json!({"name": name, "params": endpoint["params"], "agent_id": null, "agent_group": null, "secrets": empty});
        assert_eq!(lab.patch(&path(endpoint), &form).await.ok()["name"], name.as_str());
    }
    lab.patch(&path(&others[0]), &json!({"accept_identity": true})).await.ok();
    held.end().await;
    for endpoint in &used {
        lab.patch(&path(endpoint), &json!({"accept_identity": true})).await.ok();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_mended_while_the_feeds_are_cut_waits_for_the_job() {
    let lab = Lab::start(1).await;
    let settings = lab.get("/settings").await.ok()["installation"].clone();
    let long = json!({"installation": joined(settings, &json!({"discharge_s": 60}))});
    lab.patch("/settings", &long).await.ok();
    let forced = json!({"action": "cycle", "via": "outlets", "confirm_name": "srv-01"});
    let job = lab.start_power("srv-01", forced).await;
    lab.wait_until("both feeds are cut", async |lab: &Lab| lab.feeds_on("srv-01") == 0).await;
    let pdus = lab.get("/endpoints?q=kind:snmp_pdu").await.ok();
    for pdu in pdus["items"].as_array().unwrap() {
        let body = &changes(pdu, &Value::Null)[0];
        let reply = lab.patch(&path(pdu), body).await;
        assert_eq!((reply.status, reply.code(), &reply.body["job_id"]), (409, "power_conflict", &job["id"]));
    }
    let job = lab.finish(job["id"].as_str().unwrap()).await;
    assert_eq!(state(&job), ("succeeded", "done_by_outlets"), "{job:#}");
    assert!(lab.fully_fed("srv-01") && lab.machine("srv-01").is_on());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ties_a_server_of_a_job_stays() {
    let lab = Lab::start(1).await;
    let held = Held::new(&lab).await;
    let server = format!("/servers/{}", lab.id("srv-01"));
    let connections = format!("{server}/connections");
    let ties = async || {
        let mut all = lab.get(&connections).await.ok()["items"].clone();
        // What was read of a device meanwhile is no change.
        all.as_array_mut().unwrap().iter_mut().for_each(|tie| tie["status"] = Value::Null);
        all
    };
    let before = ties().await;
    for connection in before.as_array().unwrap() {
        let place = format!("{connections}/{}", connection["id"].as_str().unwrap());
        for body in [json!({"features": []}), json!({"agent_group": "local"})] {
            held.refuses(&lab.patch(&place, &body).await, &body.to_string());
        }
        held.refuses(&lab.send("DELETE", &place, None, &[]).await, "removed");
    }
    held.refuses(&lab.send("DELETE", &server, None, &[]).await, "the server itself");
    assert_eq!(ties().await, before);
    held.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_in_a_group_stays_while_a_job_goes_through_it() {
    let mut lab = Lab::bare(1).await;
    let mut one = Agent::of(&lab, &json!({"name": "one", "group": "pair"}), lab.backend.port()).await;
    let two = Agent::of(&lab, &json!({"name": "two", "group": "pair"}), lab.backend.port()).await;
    let spare = Agent::of(&lab, &json!({"name": "spare"}), lab.backend.port()).await;
    one.run();
    one.online(&lab).await;
    lab.wire(&json!({"agent_group": "pair"})).await;
    let held = Held::new(&lab).await;
    let place = |agent: &Agent| format!("/agents/{}", agent.id);
    for agent in [&one, &two] {
        held.refuses(&lab.patch(&place(agent), &json!({"group": "other"})).await, "leaves it");
        held.refuses(&lab.send("DELETE", &place(agent), None, &[]).await, "removed");
    }
    held.refuses(&lab.patch(&place(&spare), &json!({"group": "pair"})).await, "joins it");
    held.refuses(&lab.post("/agents", &json!({"name": "three", "group": "pair"})).await, "added to it");
    lab.patch(&place(&two), &json!({"name": "second", "group": "pair"})).await.ok();
    lab.patch(&place(&spare), &json!({"group": "other"})).await.ok();
    lab.post("/agents", &json!({"name": "three", "group": "other"})).await.ok();
    held.end().await;
    lab.patch(&place(&two), &json!({"group": "other"})).await.ok();
}

/// Numbers of the records that an action left, in the order in which they were stored.
async fn records(lab: &Lab, action: &str) -> Vec<u64> {
    let records = lab.get(&format!("/audit?q=action:{action}&limit=500")).await.ok();
    records["items"].as_array().unwrap().iter().map(|record| record["seq"].as_u64().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_change_slips_in_between_the_look_and_the_job() {
    let lab = Lab::start(1).await;
    let connections = format!("/servers/{}/connections", lab.id("srv-01"));
    let connection = lab.get(&connections).await.ok()["items"][0].clone();
    let connection = format!("{connections}/{}", connection["id"].as_str().unwrap());
    let bmc = path(&lab.get("/endpoints?q=kind:ipmi").await.ok()["items"][0]);
    let (same, anew) = (json!({"agent_id": null}), json!({"accept_identity": true}));
    for round in 0..10 {
        let changes = async {
            let tries = (0..8).map(async |_| {
                lab.patch(&connection, &same).await;
                lab.patch(&bmc, &anew).await;
            });
            futures::future::join_all(tries).await;
        };
        let (held, ()) = futures::join!(Held::new(&lab), changes);
        let begun = records(&lab, "server.power.shutdown").await[0];
        for action in ["connection.change", "endpoint.change"] {
            let late = records(&lab, action).await.into_iter().filter(|seq| *seq > begun).count();
            assert_eq!(late, 0, "round {round}: {action} during the job");
        }
        held.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wished_last_happens_last_and_the_same_wish_waits_once() {
    let lab = Lab::start(1).await;
    let machine = lab.machine("srv-01");
    machine.change_bmc_faults(|faults| faults.ignore_soft = true);
    let path = format!("/servers/{}/power", lab.id("srv-01"));
    let press = async |body: Value| lab.post(&path, &body).await;
    let id = |reply: Reply| reply.ok()["id"].as_str().unwrap().to_owned();
    let shutdown = json!({"action": "shutdown", "deadline_s": 600});
    let first = id(press(shutdown.clone()).await);
    assert_eq!(id(press(shutdown.clone()).await), first, "the same is joined");
    let sterner = press(joined(shutdown.clone(), &json!({"escalate": true}))).await;
    assert_eq!(
        (sterner.status, sterner.code()),
        (409, "power_conflict"),
        "it would not be what was asked for"
    );

    let queued = |action: &str| json!({"action": action, "queue": true});
    let off = id(press(queued("off")).await);
    assert_eq!(id(press(queued("off")).await), off, "it waits once");
    let on = id(press(queued("on")).await);
    let again = id(press(queued("off")).await);
    assert!(off != on && again != off, "what was asked for in between counts");
    assert_eq!(press(json!({"action": "on"})).await.status, 409, "off comes last");

    lab.post(&format!("/jobs/{first}/cancel"), &Value::Null).await.ok();
    for job in [&off, &on, &again] {
        let done = lab.finish(job).await;
        assert_eq!(state(&done).0, "succeeded", "{done:#}");
    }
    assert!(!machine.is_on());
}
