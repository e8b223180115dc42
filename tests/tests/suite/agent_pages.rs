//! What a person can ask about an agent: its log, what it serves, whether it reaches a device, what a
//! firewall must let through.

#![expect(clippy::unwrap_used, reason = "a wrong answer stops the test")]
#![expect(clippy::indexing_slicing, reason = "JSON values answer null where nothing is")]

use rackhand_tests::{Lab, Line, SLOW, agent, agent::Agent, rack_of};
use serde_json::{Value, json};
use std::fs;

fn items(page: &Value) -> Vec<Value> {
    page["items"].as_array().unwrap().clone()
}

async fn kinds(lab: &Lab, agent: &Agent) -> Vec<String> {
    let log = lab.get(&format!("/agents/{}/log?limit=500", agent.id)).await.ok();
    items(&log).iter().map(|entry| entry["kind"].as_str().unwrap().to_owned()).collect()
}

/// Waits until the log tells something; newest first.
async fn told(lab: &Lab, agent: &Agent, expected: &[&str]) {
    lab.wait_until(&format!("the log tells {expected:?}"), async |lab: &Lab| {
        kinds(lab, agent).await == expected
    })
    .await;
}

async fn probed(lab: &Lab, agent: &str, endpoint: &str) -> Vec<(String, String)> {
    let job = lab.post(&format!("/agents/{agent}/probe"), &json!({"endpoint_id": endpoint})).await;
    assert_eq!(job.status, 202);
    let job = lab.finish(job.ok()["id"].as_str().unwrap()).await;
    let stages = job["result"]["stages"].as_array().unwrap();
    let word = |value: &Value| value.as_str().unwrap().to_owned();
    stages.iter().map(|stage| (word(&stage["of"]), word(&stage["state"]))).collect()
}

fn states(stages: &[(String, String)]) -> Vec<&str> {
    let names: Vec<_> = stages.iter().map(|(of, _)| of.as_str()).collect();
    assert_eq!(names, ["route", "port", "protocol", "credentials"]);
    stages.iter().map(|(_, state)| state.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_tells_each_edge_once_and_nothing_of_a_blink() {
    let (lab, mut agent, relay) = Lab::behind_an_agent(rack_of(1)).await;
    told(&lab, &agent, &["agent.online", "agent.enrol", "agent.add"]).await;
    let before = lab.get(&format!("/agents/{}", agent.id)).await.ok()["last_seen_at"].clone();
    relay.set(Line::Cut);
    relay.set(Line::Whole);
    lab.wait_until("it is back", async |lab: &Lab| {
        let shown = agent.view(lab).await;
        shown["state"] == "online" && shown["last_seen_at"] != before
    })
    .await;
    agent.kill();
    told(&lab, &agent, &["agent.offline", "agent.online", "agent.enrol", "agent.add"]).await;
    agent.run();
    told(&lab, &agent, &["agent.online", "agent.offline", "agent.online", "agent.enrol", "agent.add"]).await;
    lab.post(&format!("/agents/{}/revoke", agent.id), &json!({})).await.ok();
    lab.wait_until("the refusal is told", async |lab: &Lab| {
        kinds(lab, &agent).await.contains(&"agent.refused".to_owned())
    })
    .await;
    let log = lab.get(&format!("/agents/{}/log", agent.id)).await.ok();
    let refused = items(&log).into_iter().find(|entry| entry["kind"] == "agent.refused").unwrap();
    assert!(refused["message"].as_str().unwrap().contains("was revoked"), "{refused:#}");
    assert!(kinds(&lab, &agent).await.contains(&"agent.revoke".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_agent_restored_and_that_it_was_copied_stands_in_its_log() {
    let (mut lab, mut agent, relay) = Lab::behind_an_agent(rack_of(1)).await;
    let forced = json!({"action": "cycle", "via": "outlets", "confirm_name": "srv-01"});
    let job = lab.start_power("srv-01", forced).await;
    lab.wait_until("a feed is cut", async |lab: &Lab| lab.feed_changes("srv-01") > 0).await;
    relay.set(Line::Cut);
    lab.wait_until("it is restored", async |lab: &Lab| lab.fully_fed("srv-01")).await;
    relay.set(Line::Whole);
    lab.finish(job["id"].as_str().unwrap()).await;
    let tells =
        async |lab: &Lab, agent: &Agent, kind: &str| kinds(lab, agent).await.iter().any(|one| one == kind);
    lab.wait_until("the log tells it", async |lab: &Lab| tells(lab, &agent, "outlet.restored").await).await;
    // A live process answers within a lease, which at 1/20 is no time on a busy machine.
    lab.backend.restart_at(SLOW);
    agent.slowed(&lab).await;
    let copy = tempfile::tempdir().unwrap();
    for file in fs::read_dir(agent.folder()).unwrap() {
        let file = file.unwrap();
        // What it found by itself is in folders, and no part of who it is.
        if file.file_type().unwrap().is_file() {
            fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
        }
    }
    let mut process = agent::spawn(copy.path());
    agent.ended();
    lab.wait_until("the log tells it", async |lab: &Lab| tells(lab, &agent, "agent.copies").await).await;
    process.kill().unwrap();
    process.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_read_page_by_page_without_a_gap() {
    let (lab, agent, _relay) = Lab::behind_an_agent(rack_of(1)).await;
    for name in ["site-b", "site-c", "site-d"] {
        lab.patch(&format!("/agents/{}", agent.id), &json!({"name": name})).await.ok();
    }
    lab.wait_until("all is told", async |lab: &Lab| kinds(lab, &agent).await.len() == 6).await;
    let whole = kinds(&lab, &agent).await;
    let (mut read, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = lab.get(&format!("/agents/{}/log?limit=2{cursor}", agent.id)).await.ok();
        assert!(items(&page).len() <= 2);
        read.extend(items(&page).iter().map(|entry| entry["kind"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(read, whole);
    for (query, field) in
        [("limit=0", "limit"), ("cursor=x", "cursor"), ("q=word", "q"), ("sort=name", "sort")]
    {
        let reply = lab.get(&format!("/agents/{}/log?{query}", agent.id)).await;
        assert_eq!((reply.status, reply.field().0), (422, field));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_through_an_agent_is_listed_with_its_servers_and_its_rules() {
    let (lab, agent, _relay) = Lab::behind_an_agent(rack_of(1)).await;
    let page = lab.get(&format!("/agents/{}/assignments", agent.id)).await.ok();
    let served = items(&page);
    assert_eq!(served.len(), 3, "a BMC and two PDUs: {page:#}");
    for device in &served {
        let connections = device["connections"].as_array().unwrap();
        assert!(connections.iter().all(|one| one["server"]["name"] == "srv-01") && !connections.is_empty());
    }
    let machine = lab.get(&format!("/servers/{}", lab.id("srv-01"))).await.ok();
    assert_eq!(machine["only_agent"]["id"], agent.id.as_str());

    let firewall = lab.get(&format!("/agents/{}/firewall", agent.id)).await.ok();
    let rules = firewall["stateful"].as_array().unwrap();
    let tcp: Vec<_> = rules.iter().filter(|rule| rule["protocol"] == "tcp").collect();
    assert!(tcp.iter().all(|rule| rule["direction"] == "out"));
    for device in &served {
        let (host, port) = device["address"].as_str().unwrap().rsplit_once(':').unwrap();
        let fits = |rule: &&Value| rule["to"] == host && rule["port"] == port && rule["protocol"] == "udp";
        assert!(rules.iter().any(|rule| fits(&rule)), "{device:#} {firewall:#}");
    }
    assert_eq!(firewall["stateless"].as_array().unwrap().len(), rules.len() * 2);

    // Once another agent serves one of the devices, it is gone here and the server has two ways in.
    let moved = served[0]["endpoint_id"].as_str().unwrap();
    lab.patch(&format!("/endpoints/{moved}"), &json!({"agent_id": null})).await.ok();
    let page = lab.get(&format!("/agents/{}/assignments", agent.id)).await.ok();
    assert_eq!(items(&page).len(), 2);
    let machine = lab.get(&format!("/servers/{}", lab.id("srv-01"))).await.ok();
    assert!(machine["only_agent"].is_null());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_whose_agent_is_away_is_not_said_to_answer() {
    let (lab, mut agent, _relay) = Lab::behind_an_agent(rack_of(1)).await;
    let server = format!("/servers/{}", lab.id("srv-01"));
    let are = async |lab: &Lab, away: bool| {
        let devices = items(&lab.get("/endpoints").await.ok());
        devices.iter().all(|device| device["status"]["agent_away"] == away)
    };
    lab.wait_until("all of them answer", async |lab: &Lab| {
        let devices = items(&lab.get("/endpoints").await.ok());
        devices.iter().all(|device| device["status"]["state"] == "ok")
    })
    .await;
    assert!(are(&lab, false).await);
    agent.kill();
    lab.wait_until("nobody asks them", async |lab: &Lab| are(lab, true).await).await;
    let connections = items(&lab.get(&format!("{server}/connections")).await.ok());
    assert!(connections.iter().all(|one| one["status"]["agent_away"] == true), "{connections:#?}");
    let shown = lab.get(&server).await.ok();
    let paths = shown["power"]["paths"].as_array().unwrap();
    assert!(paths.len() == 3 && paths.iter().all(|path| path["agent_away"] == true), "{shown:#}");
    assert_eq!(paths[0]["state"], "on", "what it said last stands: {shown:#}");
    assert_ne!(shown["power"]["confidence"], "high", "nobody looks whether it still does: {shown:#}");
    // Another way in, and it is asked again.
    let bmc = items(&lab.get("/endpoints?q=kind:ipmi").await.ok())[0]["id"].clone();
    let bmc = format!("/endpoints/{}", bmc.as_str().unwrap());
    lab.patch(&bmc, &json!({"agent_id": null})).await.ok();
    assert_eq!(lab.get(&bmc).await.ok()["status"]["agent_away"], false);
    agent.run();
    lab.wait_until("they are asked again", async |lab: &Lab| are(lab, false).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_names_the_stage_that_is_wrong() {
    let (lab, mut agent, _relay) = Lab::behind_an_agent(rack_of(1)).await;
    let machine = lab.machine("srv-01");
    let bmcs = lab.get("/endpoints?q=kind:ipmi").await.ok();
    let bmc = bmcs["items"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(states(&probed(&lab, &agent.id, &bmc).await), ["ok"; 4]);

    let wrong = json!({"secrets": {"password": "certainly wrong"}});
    lab.patch(&format!("/endpoints/{bmc}"), &wrong).await.ok();
    assert_eq!(states(&probed(&lab, &agent.id, &bmc).await), ["ok", "ok", "ok", "failed"]);

    machine.change_bmc_faults(|faults| faults.link.mute = true);
    let silent = probed(&lab, &agent.id, &bmc).await;
    assert_eq!(states(&silent), ["not_known", "not_known", "not_reached", "not_reached"]);

    agent.kill();
    agent.seen(&lab, "offline").await;
    assert_eq!(states(&probed(&lab, &agent.id, &bmc).await), ["not_reached"; 4]);
    let unknown = json!({"endpoint_id": agent.id});
    let reply = lab.post(&format!("/agents/{}/probe", agent.id), &unknown).await;
    assert_eq!((reply.status, reply.field().0), (422, "endpoint_id"));
}
