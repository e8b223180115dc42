//! Jobs whose agent is away: done in order when it comes in time, never late, and nobody has to wait for it.

#![expect(clippy::unwrap_used, reason = "a broken bench stops the test")]
#![expect(clippy::indexing_slicing, reason = "JSON values answer null where nothing is")]

use rackhand_simulators::world::{EffectKind, Machine};
use rackhand_store::{jobs, nodes};
use rackhand_tests::{Lab, authority::database, joined, rack_of, state};
use rackhand_wire::{
    PowerAction,
    api::{job::JobKind, power::Via},
    id::TenantId,
};
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

/// Short enough to pass during a test: a second at 1/20.
const SOON: u64 = 20_000;
/// Long enough for everything.
const LATE: u64 = 24 * 3_600_000;

fn changes(machine: &Machine) -> [usize; 3] {
    [EffectKind::PoweredOff, EffectKind::PoweredOn, EffectKind::Reset].map(|what| machine.count(&what))
}

fn forced(action: &str, server: &str, expires_in_ms: u64) -> Value {
    json!({"action": action, "via": "outlets", "confirm_name": server, "expires_in_ms": expires_in_ms})
}

/// What the open step of a job tells.
async fn told(lab: &Lab, job: &Value) -> String {
    let seen = lab.get(&format!("/jobs/{}", job["id"].as_str().unwrap())).await.ok();
    let step = seen["steps"].as_array().unwrap().last().cloned().unwrap_or_default();
    step["detail"].as_str().unwrap_or_default().to_owned()
}

async fn waits_for(lab: &Lab, job: &Value, agent: &str) {
    lab.wait_until("it is told whom the job waits for", async |lab: &Lab| {
        told(lab, job).await == format!("waiting for agent {agent}, which is offline")
    })
    .await;
}

async fn ended(lab: &Lab, job: &Value) -> Value {
    lab.finish(job["id"].as_str().unwrap()).await
}

async fn cancel(lab: &Lab, job: &Value) {
    lab.post(&format!("/jobs/{}/cancel", job["id"].as_str().unwrap()), &json!({})).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_expired_is_never_done_and_what_did_not_is_done_once_in_order() {
    let (lab, mut agent, _line) = Lab::behind_an_agent(rack_of(8)).await;
    lab.power("srv-05", forced("off", "srv-05", LATE)).await;
    let names = (1..=8).map(|at| format!("srv-{at:02}"));
    let before: HashMap<String, [usize; 3]> =
        names.map(|name| (name.clone(), changes(&lab.machine(&name)))).collect();
    let since = |name: &str| {
        let now = changes(&lab.machine(name));
        [0, 1, 2].map(|at| now[at] - before[name][at])
    };
    let cuts = lab.feed_changes("srv-05");
    agent.kill();
    agent.seen(&lab, "offline").await;
    let mut expiring = Vec::new();
    for (server, body) in [
        ("srv-01", json!({"action": "off", "expires_in_ms": SOON})),
        ("srv-02", json!({"action": "reset", "expires_in_ms": SOON})),
        ("srv-03", forced("cycle", "srv-03", SOON)),
        ("srv-04", json!({"action": "shutdown", "expires_in_ms": SOON})),
        ("srv-05", forced("on", "srv-05", SOON)),
    ] {
        expiring.push((server, lab.start_power(server, body).await));
    }
    let mut lasting = Vec::new();
    for server in ["srv-06", "srv-07"] {
        for action in ["off", "on", "reset", "cycle"] {
            let body = json!({"action": action, "queue": true, "expires_in_ms": LATE});
            lasting.push(lab.start_power(server, body).await);
        }
    }
    let behind = json!({"action": "shutdown", "queue": true, "expires_in_ms": SOON});
    let behind = lab.start_power("srv-06", behind).await;
    let stopped = lab.start_power("srv-07", json!({"action": "shutdown", "queue": true})).await;
    let last = json!({"action": "shutdown", "queue": true, "expires_in_ms": LATE});
    let last = lab.start_power("srv-07", last).await;
    waits_for(&lab, &lasting[0], "site-a").await;
    for (server, job) in &expiring {
        let job = ended(&lab, job).await;
        assert_eq!(state(&job).0, "expired", "{server}: {job:#}");
    }
    let job = ended(&lab, &behind).await;
    assert_eq!(state(&job).0, "expired", "it waited for its turn too long: {job:#}");
    cancel(&lab, &stopped).await;
    let job = lab.get(&format!("/jobs/{}", stopped["id"].as_str().unwrap())).await.ok();
    assert_eq!(state(&job), ("cancelled", "cancelled"), "it need not wait for its turn: {job:#}");
    agent.run();
    agent.online(&lab).await;
    let mut ends = Vec::new();
    for job in &lasting {
        let job = ended(&lab, job).await;
        assert_eq!(state(&job).0, "succeeded", "{job:#}");
        ends.push(job["finished_at"].as_str().unwrap().to_owned());
    }
    let job = ended(&lab, &last).await;
    assert_eq!(state(&job).0, "succeeded", "the one behind the stopped one has its turn: {job:#}");
    for (server, at, offs) in [("srv-06", 0..4, 2), ("srv-07", 4..8, 3)] {
        assert_eq!(since(server), [offs, 2, 1], "{server}: each once");
        assert!(ends[at].is_sorted(), "{server}: in their order");
    }
    for server in ["srv-01", "srv-02", "srv-03", "srv-04"] {
        assert_eq!(since(server), [0, 0, 0], "{server}: nothing was done late");
        assert_eq!(lab.machine(server).count(&EffectKind::SoftPressed) + lab.feed_changes(server), 0);
    }
    assert_eq!(lab.feed_changes("srv-05"), cuts, "it was not switched on late");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_ends_what_waits_for_its_agent_at_once() {
    let (lab, mut agent, _line) = Lab::behind_an_agent(rack_of(2)).await;
    let machine = lab.machine("srv-01");
    agent.kill();
    agent.seen(&lab, "offline").await;
    for body in [json!({"action": "off"}), forced("off", "srv-01", LATE), forced("on", "srv-01", LATE)] {
        let body = joined(body, &json!({"expires_in_ms": LATE}));
        let job = lab.start_power("srv-01", body).await;
        waits_for(&lab, &job, "site-a").await;
        let begun = Instant::now();
        cancel(&lab, &job).await;
        let job = ended(&lab, &job).await;
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}: {job:#}", begun.elapsed());
        assert_eq!(state(&job), ("cancelled", "cancelled"), "{job:#}");
        assert_eq!(job["summary"], "Stopped before anything was sent.", "{job:#}");
    }
    agent.run_until("agent-started:1");
    agent.online(&lab).await;
    let begun = lab.start_power("srv-01", json!({"action": "off"})).await;
    agent.ended();
    waits_for(&lab, &begun, "site-a").await;
    cancel(&lab, &begun).await;
    let begun = ended(&lab, &begun).await;
    assert_eq!(begun["summary"], "Stopped after “off” was sent; its effect was not awaited.", "{begun:#}");
    agent.run();
    agent.online(&lab).await;
    let job = lab.power("srv-01", json!({"action": "reset"})).await;
    assert_eq!(state(&job).0, "succeeded", "{job:#}");
    assert_eq!(machine.count(&EffectKind::PoweredOff) + lab.feed_changes("srv-01"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_to_begin_has_bounds() {
    let lab = Lab::start(1).await;
    let path = format!("/servers/{}/power", lab.id("srv-01"));
    for wrong in [0, 999, LATE + 1, u64::MAX] {
        let refused = lab.post(&path, &json!({"action": "off", "expires_in_ms": wrong})).await;
        assert_eq!((refused.status, refused.field()), (422, ("expires_in_ms", "out_of_range")), "{wrong}");
    }
    for wrong in [json!(-1), json!("1000"), json!(1.5)] {
        let refused = lab.post(&path, &json!({"action": "off", "expires_in_ms": wrong})).await;
        assert_eq!((refused.status, refused.field()), (422, ("expires_in_ms", "wrong_type")), "{wrong}");
    }
    for right in [1000, LATE] {
        // A busy machine may need longer than the least time.
        let job = lab.power("srv-01", json!({"action": "off", "expires_in_ms": right})).await;
        let ends: &[&str] = if right == LATE { &["succeeded"] } else { &["succeeded", "expired"] };
        assert!(ends.contains(&state(&job).0), "{job:#}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_was_stored_and_not_begun_is_performed_all_the_same() {
    let lab = Lab::start(1).await;
    let db = database(lab.backend.folder(), &lab.backend.database()).await;
    let node = nodes::beats(db.reader()).await.unwrap()[0].0;
    // As the server leaves it whose caller hung up in the middle, or whose database died after it had stored it.
    let tx = db.begin().await.unwrap();
    let new = jobs::New {
        tenant: TenantId::PROVIDER,
        kind: JobKind::Power,
        server: Some(lab.id("srv-01").parse().unwrap()),
        waits: false,
        endpoint: None,
        power: Some((PowerAction::Off, Via::Auto)),
        title: "Force off srv-01".into(),
        requested_by: "somebody who hung up".into(),
        source_ip: None,
        request: json!({"action": "off", "via": "auto", "on_if_off": false, "escalate": false, "queue": false, "shared_with": []}),
        node,
    };
    let job = jobs::add(&tx, new).await.unwrap().id;
    tx.commit().await.unwrap();
    db.close().await;
    let job = lab.finish(&job.to_string()).await;
    assert_eq!(state(&job).0, "succeeded", "{job:#}");
    assert!(!lab.machine("srv-01").is_on());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_agent_has_begun_says_nothing_of_a_server() {
    let (lab, mut agent, _line) = Lab::behind_an_agent(rack_of(1)).await;
    agent.kill();
    agent.seen(&lab, "offline").await;
    let power = async |lab: &Lab| lab.get(&format!("/servers/{}/power", lab.id("srv-01"))).await.ok();
    let told = |power: &Value| {
        let paths = power["paths"].as_array().unwrap().iter();
        let paths =
            paths.map(|path| (path["state"].clone(), path["fault"].clone(), path["checked_at"].clone()));
        (power["value"].clone(), paths.collect::<Vec<_>>())
    };
    let before = told(&power(&lab).await);
    let job = lab.start_power("srv-01", json!({"action": "cycle", "expires_in_ms": 60_000})).await;
    waits_for(&lab, &job, "site-a").await;
    lab.post(&format!("/jobs/{}/cancel", job["id"].as_str().unwrap()), &Value::Null).await.ok();
    let job = ended(&lab, &job).await;
    assert_eq!(job["state"], "cancelled", "{job:#}");
    let last = job["steps"].as_array().unwrap().last().unwrap();
    assert_eq!((&last["outcome"], &last["fault"]), (&json!("interrupted"), &Value::Null), "nobody failed");
    assert_eq!(told(&power(&lab).await), before, "nobody was asked");
}
