//! Outlets as one group: order, sharing, limits, and what is put back when everything goes wrong.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a broken bench stops the test")]

use rackhand_simulators::{
    farm::FarmConfig,
    world::{
        EffectKind, Machine, OutletCommand, OutletFault, OutletId, PduEffectKind, PduFaults, RestorePolicy,
        WorldTimings,
    },
};
use rackhand_tests::{
    Lab, SCALE, SLOW, agent::Agent, authority::database, joined, mute, rack_of, state, unmute,
};
use rackhand_wire::Timings;
use sea_orm::{ConnectionTrait as _, Statement};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// One server with so many power supplies on three PDUs.
fn server_with(feeds: u16) -> FarmConfig {
    FarmConfig { feeds, pdus_per_rack: 3, ..rack_of(1) }
}

/// When the relays of a server's outlets moved that way.
fn moved(lab: &Lab, machine: &Machine, what: PduEffectKind) -> Vec<Instant> {
    let mut moments = Vec::new();
    for feed in machine.feeds() {
        let effects = lab.farm.world().pdu(feed.pdu()).unwrap().effects();
        let own = effects.iter().filter(|effect| effect.outlet == feed.number() && effect.what == what);
        moments.extend(own.map(|effect| effect.at));
    }
    moments.sort();
    moments
}

fn phases<'a>(job: &'a Value, name: &str) -> Vec<(usize, &'a Value)> {
    let steps = job["steps"].as_array().unwrap();
    steps.iter().enumerate().filter(|(_, step)| step["phase"] == name).collect()
}

/// Somebody switches an outlet off at the PDU itself.
fn switch_off(lab: &Lab, feed: &OutletId) {
    let command = OutletCommand::Off(Duration::ZERO);
    lab.farm.world().pdu(feed.pdu()).unwrap().switch(feed.number(), command).unwrap();
}

fn break_outlet(lab: &Lab, feed: &OutletId, fault: OutletFault) {
    lab.farm.world().pdu(feed.pdu()).unwrap().set_outlet_fault(feed.number(), Some(fault)).unwrap();
}

async fn feed_seen_off(lab: &Lab) {
    lab.wait_until("the dark feed was noticed", async |lab: &Lab| {
        let power = lab.get(&format!("/servers/{}/power", lab.id("srv-01"))).await.ok();
        power["paths"].as_array().unwrap().iter().any(|path| path["state"] == "feed_off")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_feed_is_proven_off_before_any_is_on_again() {
    let discharge = Timings::default().scaled(SCALE).discharge;
    for feeds in 1..=6 {
        let lab = Lab::wired(server_with(feeds)).await;
        let machine = lab.machine("srv-01");
        mute(&machine);
        let job = lab.start_power("srv-01", json!({"action": "cycle"})).await;
        lab.wait_until("all feeds are cut", async |lab: &Lab| {
            moved(lab, &machine, PduEffectKind::SwitchedOff).len() == usize::from(feeds)
        })
        .await;
        unmute(&machine);
        let job = lab.finish(job["id"].as_str().unwrap()).await;
        assert_eq!(state(&job), ("succeeded", "done_by_outlets"), "{feeds} feeds: {job:#}");
        let off = moved(&lab, &machine, PduEffectKind::SwitchedOff);
        let on = moved(&lab, &machine, PduEffectKind::SwitchedOn);
        assert_eq!((off.len(), on.len()), (usize::from(feeds), usize::from(feeds)), "each once");
        assert!(on[0] - off[off.len() - 1] >= discharge, "{feeds} feeds: the supplies discharged");
        let (cuts, restores) = (phases(&job, "Cut feeds"), phases(&job, "Restore feeds"));
        assert!(cuts.last().unwrap().0 < restores.first().unwrap().0, "{job:#}");
        let read = phases(&job, "Check feeds");
        let proven = read.iter().filter(|(at, _)| *at > cuts.last().unwrap().0);
        assert_eq!(proven.count(), usize::from(feeds), "all are read together after the last cut: {job:#}");
        assert!(machine.is_on() && lab.fully_fed("srv-01"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_feed_waits_for_one_that_does_not_come_on() {
    let lab = Lab::start(1).await;
    let machine = lab.machine("srv-01");
    let (stuck, live) = (machine.feeds()[0].clone(), machine.feeds()[1].clone());
    break_outlet(&lab, &stuck, OutletFault::IgnoresOn);
    let forced = json!({"action": "cycle", "via": "outlets", "confirm_name": "srv-01"});
    let job = lab.power("srv-01", forced).await;
    assert_eq!(state(&job), ("succeeded_degraded", "feed_missing"), "{job:#}");
    assert!(machine.is_on());
    let restored = phases(&job, "Restore feeds");
    let at = |fits: &dyn Fn(&Value) -> bool| restored.iter().position(|(_, step)| fits(step)).unwrap();
    let named = format!("outlet {} on {}", live.number(), live.pdu());
    let told = at(&|step| step["title"].as_str().unwrap().to_lowercase().contains(&named));
    let again = at(&|step| step["reason"] == "it did not follow: once more");
    assert!(told < again, "{job:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_feed_waits_for_one_whose_agent_goes_away() {
    let lab = Lab::start(1).await;
    let machine = lab.machine("srv-01");
    let mut agent = Agent::start(&lab, "site-a", lab.backend.port()).await;
    let first = machine.feeds()[0].clone();
    let forced = |action: &str| json!({"action": action, "via": "outlets", "confirm_name": "srv-01"});
    assert_eq!(state(&lab.power("srv-01", forced("off")).await).0, "succeeded");
    let devices = lab.get("/endpoints").await.ok();
    let mut named = devices["items"].as_array().unwrap().iter();
    let id = named.find(|device| device["name"] == first.pdu()).unwrap()["id"].as_str().unwrap();
    lab.patch(&format!("/endpoints/{id}"), &json!({"agent_id": agent.id})).await.ok();
    agent.kill();
    agent.run_until("agent-started:1");
    agent.online(&lab).await;

    let job = lab.start_power("srv-01", forced("on")).await;
    agent.ended();
    // Its journal is waited for much longer than this.
    lab.wait_until("the other feed is on", async |lab: &Lab| lab.feeds_on("srv-01") == 1).await;
    agent.run();
    let job = lab.finish(job["id"].as_str().unwrap()).await;
    assert_eq!(state(&job).0, "succeeded", "{job:#}");
    assert!(machine.is_on() && lab.fully_fed("srv-01"), "{job:#}");
}

/// What an action would do, as a person is told beforehand.
async fn planned(lab: &Lab, action: &str) -> Vec<String> {
    let path = format!("/servers/{}/power/plan?action={action}", lab.id("srv-01"));
    let plan = lab.get(&path).await.ok();
    plan["steps"].as_array().unwrap().iter().map(|step| step.as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn on_brings_back_the_feed_that_was_missing() {
    let lab = Lab::start(1).await;
    let machine = lab.machine("srv-01");
    lab.power("srv-01", json!({"action": "off"})).await;
    let missing = machine.feeds().pop().unwrap();
    switch_off(&lab, &missing);
    feed_seen_off(&lab).await;
    let first = format!("Switches outlet {} on {} on first.", missing.number(), missing.pdu());
    assert_eq!(planned(&lab, "on").await[0], first);
    let job = lab.power("srv-01", json!({"action": "on"})).await;
    assert_eq!(state(&job).0, "succeeded", "{job:#}");
    assert!(!planned(&lab, "on").await[0].contains("outlet"), "none is missing any more");
    assert!(machine.is_on() && lab.fully_fed("srv-01"));

    lab.power("srv-01", json!({"action": "off"})).await;
    switch_off(&lab, &missing);
    break_outlet(&lab, &missing, OutletFault::IgnoresOn);
    feed_seen_off(&lab).await;
    let job = lab.power("srv-01", json!({"action": "on"})).await;
    assert_eq!(state(&job).0, "succeeded_degraded", "one feed of two is not success: {job:#}");
    assert!(machine.is_on());
    let alarms = lab.get("/events?q=severity:alarm").await.ok();
    assert!(!alarms["items"].as_array().unwrap().is_empty(), "lost redundancy is said aloud");
    // Lists and the search say it too.
    let row = lab.get("/servers").await.ok()["items"][0].clone();
    let off: Vec<_> = row["paths"].as_array().unwrap().iter().filter(|path| path["is_off"] == true).collect();
    assert!(off.len() == 1 && off[0]["label"].as_str().unwrap().ends_with(missing.pdu()), "{row:#}");
    let hit = lab.get("/search?q=srv-01").await.ok()["hits"][0].clone();
    assert!(hit["power"] == "on" && hit["flags"] == json!(["degraded"]), "{hit:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn on_after_a_cut_feeds_first_awaits_the_bmc_and_ends_on_under_every_policy() {
    // Three minutes, as slow ones need.
    let bmc_boot = Duration::from_mins(3).mul_f64(SCALE);
    for policy in [RestorePolicy::AlwaysOff, RestorePolicy::Previous, RestorePolicy::AlwaysOn] {
        let timings = WorldTimings { bmc_boot, ..WorldTimings::quick() };
        let lab = Lab::wired(FarmConfig { timings, ..rack_of(1) }).await;
        let machine = lab.machine("srv-01");
        machine.set_restore_policy(policy);
        let boots = machine.bmc_boot_count();
        let forced = json!({"action": "off", "via": "outlets", "confirm_name": "srv-01"});
        let job = lab.power("srv-01", forced).await;
        assert_eq!(state(&job), ("succeeded", "done_by_outlets"), "{policy:?} {job:#}");
        lab.wait_until("the supplies are empty", async |_: &Lab| !machine.bmc_answers()).await;
        for action in ["on", "cycle"] {
            let steps = planned(&lab, action).await;
            let feeds = machine.feeds().iter().all(|feed| steps[0].contains(feed.pdu()));
            assert!(feeds && steps[0].ends_with("on first."), "{action}: {steps:?}");
            assert!(steps[1].starts_with("Waits for"), "{action}: {steps:?}");
        }
        let job = lab.power("srv-01", json!({"action": "on"})).await;
        assert_eq!(state(&job).0, "succeeded", "{policy:?} {job:#}");
        assert_eq!(job["proof"], "controller", "{policy:?}: the BMC was awaited");
        assert!(machine.is_on() && lab.fully_fed("srv-01"), "{policy:?}");
        assert!(machine.bmc_boot_count() > boots && machine.bmc_answers(), "{policy:?}");
        let steps = job["steps"].as_array().unwrap();
        assert!(steps[0]["title"].as_str().unwrap().contains("outlet"), "feeds come first: {job:#}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_bmc_said_before_its_feeds_were_cut_is_no_state_of_the_server_that_is_fed_again() {
    // As slow as real ones, at a quarter.
    let timings = WorldTimings { bmc_boot: Duration::from_secs(15), ..WorldTimings::quick() };
    let mut lab = Lab::wired(FarmConfig { timings, ..rack_of(1) }).await;
    lab.backend.restart_at(SLOW);
    let machine = lab.machine("srv-01");
    let server = format!("/servers/{}", lab.id("srv-01"));
    lab.wait_until("it is read", async |lab: &Lab| lab.get(&server).await.ok()["power"]["value"] == "on")
        .await;
    let forced = json!({"action": "cycle", "via": "outlets", "confirm_name": "srv-01"});
    let job = lab.start_power("srv-01", forced).await;
    lab.wait_until("its supplies are empty", async |_: &Lab| !machine.bmc_answers()).await;
    let mut fed = 0;
    while !machine.bmc_answers() {
        let feeds = lab.feeds_on("srv-01");
        let power = lab.get(&server).await.ok()["power"].clone();
        if feeds > 0 && !machine.bmc_answers() {
            fed += usize::from(power["value"] == "fed");
            assert_ne!(power["value"], "on", "nobody has said so since the cut: {power:#}");
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(fed > 0, "it was seen fed");
    let job = lab.finish(job["id"].as_str().unwrap()).await;
    assert_eq!(state(&job).0, "succeeded", "{job:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_word_that_all_feeds_are_known_holds_as_long_as_no_feed_has_changed() {
    let lab = Lab::start(1).await;
    let server = format!("/servers/{}", lab.id("srv-01"));
    let all = lab.get(&format!("{server}/connections")).await.ok()["items"].clone();
    let mut feeds = all.as_array().unwrap().iter().filter(|one| one["role"] == "feed");
    let feed = feeds.next_back().unwrap().clone();
    let path = format!("{server}/connections/{}", feed["id"].as_str().unwrap());
    let complete = async |lab: &Lab| lab.get(&server).await.ok()["feeds_complete"].clone();
    let same = json!({"target": feed["target"], "features": feed["features"], "agent_id": null});
    lab.patch(&path, &same).await.ok();
    assert_eq!(complete(&lab).await, true);
    // It still feeds the server, but nobody would cut it: all that is left is not all.
    lab.patch(&path, &json!({"features": []})).await.ok();
    assert_eq!(complete(&lab).await, false);
    let forced = json!({"action": "off", "via": "outlets", "confirm_name": "srv-01"});
    let refused = lab.post(&format!("{server}/power"), &forced).await;
    assert_eq!(refused.status, 409, "{}", refused.body);
    assert!(lab.machine("srv-01").is_on());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outlet_that_feeds_four_is_cut_only_when_all_four_are_named() {
    let lab = Lab::wired(FarmConfig { per_chassis: 4, ..rack_of(4) }).await;
    let others: Vec<&str> = ["srv-02", "srv-03", "srv-04"].iter().map(|name| lab.id(name)).collect();
    let path = format!("/servers/{}/power", lab.id("srv-01"));
    let body = |named: &[&str]| json!({"action": "off", "via": "outlets", "confirm_name": "srv-01", "shared_with": named});
    for named in 0..others.len() {
        let refused = lab.post(&path, &body(&others[..named])).await;
        assert_eq!((refused.status, refused.code()), (409, "shared_outlet"), "{}", refused.body);
    }
    let job = lab.power("srv-01", body(&others)).await;
    assert_eq!(state(&job).0, "succeeded", "{job:#}");
    for server in ["srv-01", "srv-02", "srv-03", "srv-04"] {
        let machine = lab.machine(server);
        lab.wait_until("its supplies are empty", async |_: &Lab| !machine.is_on()).await;
        let query = format!("/audit?q=object:server/{} action:server.power.off", lab.id(server));
        let records = lab.get(&query).await.ok();
        assert!(!records["items"].as_array().unwrap().is_empty(), "{server} has it in its history");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outlet_that_feeds_others_is_never_cut_automatically_whoever_is_named() {
    let lab = Lab::wired(FarmConfig { per_chassis: 4, ..rack_of(4) }).await;
    let others: Vec<&str> = ["srv-02", "srv-03", "srv-04"].iter().map(|name| lab.id(name)).collect();
    let plan = async |via: &str| {
        let path = format!("/servers/{}/power/plan?action=off&via={via}", lab.id("srv-01"));
        lab.get(&path).await.ok()
    };
    let by_bmc = plan("auto").await;
    assert_eq!((&by_bmc["allowed"], &by_bmc["shared_with"]), (&json!(true), &json!([])), "{by_bmc:#}");
    assert_eq!((&by_bmc["fallback_possible"], &by_bmc["cuts"]), (&json!(false), &json!([])), "{by_bmc:#}");
    let why = by_bmc["fallback"].as_str().unwrap();
    assert!(why.contains("srv-02") && why.contains("Force via PDU"), "{by_bmc:#}");
    let by_outlets = plan("outlets").await;
    assert_eq!(by_outlets["shared_with"].as_array().unwrap().len(), 3, "{by_outlets:#}");

    let job = lab.power("srv-01", json!({"action": "off"})).await;
    assert_eq!(state(&job), ("succeeded", "done"), "the BMC cuts nobody else: {job:#}");
    lab.power("srv-01", json!({"action": "on"})).await;
    mute(&lab.machine("srv-01"));
    for named in [&[][..], &others] {
        for action in ["off", "cycle"] {
            let job = lab.power("srv-01", json!({"action": action, "shared_with": named})).await;
            assert_eq!(state(&job), ("failed", "shared_outlet"), "{job:#}");
        }
    }
    assert_eq!(lab.feed_changes("srv-01"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_moved_onto_an_outlet_of_another_server_is_told_of() {
    let lab = Lab::start(2).await;
    let feed = async |server: &str| {
        let path = format!("/servers/{}/connections", lab.id(server));
        let all = lab.get(&path).await.ok();
        all["items"].as_array().unwrap().iter().find(|one| one["role"] == "feed").unwrap().clone()
    };
    let (own, moved) = (feed("srv-01").await, feed("srv-02").await);
    assert_eq!(own["endpoint_id"], moved["endpoint_id"]);
    let told = async || {
        let events = lab.get("/events?limit=200").await.ok();
        let all = events["items"].as_array().unwrap().iter();
        all.filter(|event| event["kind"] == "server.shares_outlet").cloned().collect::<Vec<_>>()
    };
    let path = format!("/servers/{}/connections/{}", lab.id("srv-02"), moved["id"].as_str().unwrap());
    lab.patch(&path, &json!({"features": moved["features"]})).await.ok();
    assert_eq!(told().await.len(), 0, "it stays where it is");
    lab.patch(&path, &json!({"target": own["target"]})).await.ok();
    let told = told().await;
    assert_eq!(told.len(), 1, "{told:#?}");
    assert_eq!((&told[0]["server_name"], &told[0]["severity"]), (&json!("srv-01"), &json!("warning")));
    assert!(told[0]["message"].as_str().unwrap().starts_with("srv-02 hangs on "), "{told:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dark_outlet_that_feeds_another_is_switched_on_by_the_way_when_that_one_is_named() {
    let lab = Lab::wired(FarmConfig { per_chassis: 2, ..rack_of(2) }).await;
    let (id, other) = (lab.id("srv-01"), lab.id("srv-02"));
    let told = lab.get("/events?limit=200").await.ok();
    let told =
        told["items"].as_array().unwrap().iter().filter(|event| event["kind"] == "server.shares_outlet");
    let told: Vec<_> = told.map(|event| (&event["server_name"], &event["severity"])).collect();
    assert_eq!(
        told,
        vec![(&json!("srv-01"), &json!("warning")); 2],
        "for each outlet, when the second one came"
    );
    let forced = json!({"action": "off", "via": "outlets", "confirm_name": "srv-01", "shared_with": [other]});
    assert_eq!(state(&lab.power("srv-01", forced).await).0, "succeeded");
    let plan = lab.get(&format!("/servers/{id}/power/plan?action=on")).await.ok();
    assert_eq!((&plan["allowed"], &plan["shared_with"][0]["id"]), (&json!(true), &json!(other)), "{plan:#}");
    let first = plan["steps"][0].as_str().unwrap();
    assert!(first.contains("if you agree to feed srv-02 too"), "{plan:#}");
    let reset = lab.get(&format!("/servers/{id}/power/plan?action=reset")).await.ok();
    assert_eq!((&reset["allowed"], &reset["steps"]), (&json!(false), &json!([])), "{reset:#}");
    let cut = lab.feed_changes("srv-01");
    let job = lab.power("srv-01", json!({"action": "on"})).await;
    assert_eq!(state(&job), ("failed", "shared_outlet"), "{job:#}");
    assert_eq!(lab.feed_changes("srv-01"), cut, "nobody agreed");
    let job = lab.power("srv-01", json!({"action": "on", "shared_with": [other]})).await;
    assert_eq!(state(&job).0, "succeeded", "{job:#}");
    assert!(lab.fully_fed("srv-01"));
    let records = lab.get(&format!("/audit?q=object:server/{other} action:server.power.on")).await.ok();
    assert_eq!(records["items"].as_array().unwrap().len(), 1, "{records:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outlet_stays_as_it_is_while_somebody_works_on_another_server_that_hangs_on_it() {
    let lab = Lab::wired(FarmConfig { per_chassis: 2, ..rack_of(2) }).await;
    let other = lab.id("srv-02");
    let (path, place) = (format!("/servers/{}/power", lab.id("srv-01")), format!("/servers/{other}"));
    let forced = |action: &str| json!({"action": action, "via": "outlets", "confirm_name": "srv-01", "shared_with": [other]});
    lab.patch(&place, &json!({"maintenance": true})).await.ok();
    for action in ["off", "cycle", "on"] {
        let refused = lab.post(&path, &forced(action)).await;
        let told = (refused.status, refused.code());
        assert_eq!(told, (409, "neighbour_in_maintenance"), "{}", refused.body);
        assert!(refused.body["title"].as_str().unwrap().contains("srv-02"), "{}", refused.body);
    }
    lab.patch(&place, &json!({"maintenance": false})).await.ok();

    lab.machine("srv-02").change_bmc_faults(|faults| faults.ignore_soft = true);
    let job = lab.start_power("srv-02", json!({"action": "shutdown"})).await;
    let refused = lab.post(&path, &forced("off")).await;
    assert_eq!((refused.status, refused.code()), (409, "neighbour_busy"), "{}", refused.body);
    assert!(refused.body["title"].as_str().unwrap().contains("srv-02"), "{}", refused.body);
    assert_eq!(lab.feed_changes("srv-01"), 0);
    let job = job["id"].as_str().unwrap();
    lab.post(&format!("/jobs/{job}/cancel"), &json!({})).await.ok();
    lab.finish(job).await;
    let job = lab.power("srv-01", forced("off")).await;
    assert_eq!(state(&job).0, "succeeded", "{job:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_after_any_cut_leaves_no_feed_off() {
    for (feeds, cuts) in
        [(1, 1), (2, 1), (2, 2), (3, 1), (3, 2), (4, 1), (4, 3), (5, 1), (5, 4), (6, 1), (6, 6)]
    {
        let mut lab = Lab::wired(server_with(feeds)).await;
        let machine = lab.machine("srv-01");
        let forced = json!({"action": "cycle", "via": "outlets", "confirm_name": "srv-01"});
        let job = lab.start_power("srv-01", forced).await;
        lab.wait_until("so many feeds are cut", async |lab: &Lab| {
            moved(lab, &machine, PduEffectKind::SwitchedOff).len() >= cuts
        })
        .await;
        let killed = chrono::Utc::now();
        lab.backend.kill_and_restart();
        let back = chrono::Utc::now();
        let job = lab.finish(job["id"].as_str().unwrap()).await;
        let begun = job["steps"].as_array().unwrap().iter().map(|step| step["started_at"].as_str().unwrap());
        let mut begun = begun.map(|at| at.parse::<chrono::DateTime<chrono::Utc>>().unwrap());
        // Two seconds, with room for a busy machine.
        let resumed = begun.find(|at| *at > killed).unwrap() - back;
        assert!(resumed <= chrono::TimeDelta::seconds(2 * 3), "it goes on after {resumed}: {job:#}");
        assert!(lab.fully_fed("srv-01"), "{cuts} of {feeds} feeds: {job:#}");
        assert_eq!((state(&job).0, machine.is_on()), ("succeeded", true), "{cuts} of {feeds} feeds: {job:#}");
        let dark = machine.count(&EffectKind::PoweredOff);
        assert_eq!(dark, 1, "{cuts} of {feeds} feeds: the machine went off once, not for each feed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agent_restores_a_feed_whose_pdu_was_away_when_it_was_due() {
    let lab = Lab::start(2).await;
    let machine = lab.machine("srv-01");
    let first = machine.feeds().into_iter().min_by_key(|feed| feed.pdu().to_owned()).unwrap();
    let pdu = lab.farm.world().pdu(first.pdu()).unwrap();
    // Long enough to see how far the job is.
    let settings = lab.get("/settings").await.ok()["installation"].clone();
    let long = json!({"installation": joined(settings, &json!({"discharge_s": 60}))});
    lab.patch("/settings", &long).await.ok();
    let forced = json!({"action": "cycle", "via": "outlets", "confirm_name": "srv-01"});
    let job = lab.start_power("srv-01", forced).await;
    let path = format!("/jobs/{}", job["id"].as_str().unwrap());
    lab.wait_until("the supplies discharge", async |lab: &Lab| {
        let seen = lab.get(&path).await.ok();
        seen["steps"].as_array().unwrap().last().is_some_and(|step| step["phase"] == "Hold")
    })
    .await;
    pdu.change_faults(|faults| faults.link.mute = true);
    let job = lab.finish(job["id"].as_str().unwrap()).await;
    assert_eq!(state(&job).0, "succeeded_degraded", "{job:#}");
    assert!(!lab.fully_fed("srv-01"));
    pdu.change_faults(|faults| *faults = PduFaults::default());
    lab.wait_until("the agent has restored it", async |lab: &Lab| lab.fully_fed("srv-01")).await;
    lab.wait_until("it is in the server's history", async |lab: &Lab| {
        let events = lab.get(&format!("/events?q=server:{}", lab.id("srv-01"))).await.ok();
        events["items"].as_array().unwrap().iter().any(|event| {
            event["kind"] == "outlet.restored" && event["message"].as_str().unwrap().contains(first.pdu())
        })
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_silent_bmcs_of_one_rack_get_one_automatic_cut() {
    // With a third one that answers late it would look like a broken switch.
    let lab = Lab::start(2).await;
    let servers = ["srv-01", "srv-02"];
    for server in servers {
        mute(&lab.machine(server));
    }
    let off = || json!({"action": "off"});
    let (a, b) = tokio::join!(lab.power(servers[0], off()), lab.power(servers[1], off()));
    let mut ends = [state(&a), state(&b)];
    ends.sort_unstable();
    assert_eq!(ends, [("failed", "rack_limit"), ("succeeded", "done_by_outlets")], "{a:#}\n{b:#}");
    let cut = servers.iter().filter(|server| lab.feed_changes(server) > 0).count();
    assert_eq!(cut, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn racks_of_one_label_at_two_sites_are_two() {
    let lab = Lab::start(2).await;
    for (server, site) in [("srv-01", "Amsterdam"), ("srv-02", "Berlin")] {
        let site = lab.post("/sites", &json!({"name": site})).await.ok();
        lab.patch(&format!("/servers/{}", lab.id(server)), &json!({"site_id": site["id"]})).await.ok();
        mute(&lab.machine(server));
    }
    for server in ["srv-01", "srv-02"] {
        let job = lab.power(server, json!({"action": "off"})).await;
        assert_eq!(state(&job), ("succeeded", "done_by_outlets"), "{job:#}");
    }
    // Where one of them stands nobody says any more: it may be in the same one.
    let second = format!("/servers/{}", lab.id("srv-02"));
    lab.patch(&second, &json!({"site_id": null})).await.ok();
    assert_eq!(state(&lab.power("srv-02", json!({"action": "on"})).await).0, "succeeded");
    let job = lab.power("srv-02", json!({"action": "off"})).await;
    assert_eq!(state(&job), ("failed", "rack_limit"), "{job:#}");
}

/// When jobs took their places among the automatic cuts, in milliseconds, the earliest first.
async fn places_taken(lab: &Lab) -> Vec<i64> {
    let db = database(lab.backend.folder(), &lab.backend.database()).await;
    let ask = "SELECT cut_at FROM job WHERE cut_at IS NOT NULL ORDER BY cut_at";
    let ask = Statement::from_string(db.reader().get_database_backend(), ask);
    let rows = db.reader().query_all_raw(ask).await.unwrap();
    db.close().await;
    rows.iter().map(|row| row.try_get("", "cut_at").unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn automatic_cuts_on_one_pdu_keep_their_distance() {
    // With a third one that answers late it would look like a broken switch.
    let lab = Lab::slow(rack_of(2)).await;
    let servers = ["srv-01", "srv-02"];
    for server in servers {
        // Racks of their own, so that the limit per rack does not come first.
        let path = format!("/servers/{}", lab.id(server));
        lab.patch(&path, &json!({"rack": format!("rack of {server}")})).await.ok();
        mute(&lab.machine(server));
    }
    let off = || json!({"action": "off"});
    let (a, b) = tokio::join!(lab.power(servers[0], off()), lab.power(servers[1], off()));
    for job in [&a, &b] {
        assert_eq!(state(job), ("succeeded", "done_by_outlets"), "{job:#}");
    }
    assert_eq!(places_taken(&lab).await.len(), 2);
    let spacing = Timings::default().scaled(SLOW).cut_spacing;
    for pdu in lab.farm.world().pdus() {
        let effects = pdu.effects();
        let cut = effects.iter().filter(|effect| effect.what == PduEffectKind::SwitchedOff);
        let mut cut: Vec<Instant> = cut.map(|effect| effect.at).collect();
        cut.sort();
        assert_eq!(cut.len(), 2, "one outlet of each server");
        // The turns are a whole distance apart; a command may be under way for longer than the next one.
        assert!(cut[1] - cut[0] > spacing / 2, "{:?} apart", cut[1] - cut[0]);
    }
}

/// A server whose BMC is silent and that is told “off”, beside another one whose job stands for one that cuts.
async fn beside_a_rival() -> (Lab, Machine, rackhand_store::Db) {
    let lab = Lab::slow(rack_of(2)).await;
    // In a rack of its own its cuts take no place of the other's.
    let path = format!("/servers/{}", lab.id("srv-02"));
    lab.patch(&path, &json!({"rack": "elsewhere"})).await.ok();
    // Its BMC proves the line.
    lab.power("srv-02", json!({"action": "on"})).await;
    let machine = lab.machine("srv-01");
    mute(&machine);
    let db = database(lab.backend.folder(), &lab.backend.database()).await;
    (lab, machine, db)
}

/// Says that the other one cuts at this moment.
async fn cut_elsewhere(db: &rackhand_store::Db) {
    let at = chrono::Utc::now().timestamp_millis();
    let mark = format!("UPDATE job SET cut_at = {at} WHERE action = 'on'");
    let mark = Statement::from_string(db.writer().get_database_backend(), mark);
    assert_eq!(db.writer().execute_raw(mark).await.unwrap().rows_affected(), 1);
}

/// Lets it cut again and again, and never end.
async fn cut_on_and_on(db: &rackhand_store::Db) -> Value {
    loop {
        cut_elsewhere(db).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Stops a job as soon as it says that it waits for its turn; gives how it ended, and whether it said so.
async fn stopped_in_its_turn(lab: &Lab, job: &str) -> (Value, bool) {
    loop {
        let seen = lab.get(&format!("/jobs/{job}")).await.ok();
        let told = seen["steps"].as_array().unwrap().iter().any(|step| {
            step["detail"].as_str().is_some_and(|detail| detail.starts_with("waiting for its turn"))
        });
        if told {
            lab.post(&format!("/jobs/{job}/cancel"), &Value::Null).await.ok();
        }
        if told || seen["finished_at"].is_string() {
            return (lab.finish(job).await, told);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_elsewhere_after_the_gates_holds_a_cut_up_as_well() {
    let (lab, machine, db) = beside_a_rival().await;
    let pdus: Vec<_> = machine.feeds().iter().map(|feed| lab.farm.world().pdu(feed.pdu()).unwrap()).collect();
    for pdu in &pdus {
        pdu.change_faults(|faults| faults.link.mute = true);
    }
    let job = lab.start_power("srv-01", json!({"action": "off"})).await;
    lab.wait_until("the gates let it through", async |lab: &Lab| !places_taken(lab).await.is_empty()).await;
    cut_elsewhere(&db).await;
    for pdu in &pdus {
        pdu.change_faults(|faults| faults.link.mute = false);
    }
    let mut last = Instant::now();
    // For longer than the distance; a busy machine is not so slow that the other one would leave room between two.
    for _ in 0..40 {
        last = Instant::now();
        cut_elsewhere(&db).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let done = lab.finish(job["id"].as_str().unwrap()).await;
    assert_eq!(state(&done), ("succeeded", "done_by_outlets"), "{done:#}");
    let spacing = Timings::default().scaled(SLOW).cut_spacing;
    let first = moved(&lab, &machine, PduEffectKind::SwitchedOff)[0];
    assert!(first >= last + spacing, "{:?} after the other cut", first.saturating_duration_since(last));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_cut_that_waits_for_its_turn_is_left_and_leaves_its_place() {
    let (lab, machine, db) = beside_a_rival().await;
    let job = lab.start_power("srv-01", json!({"action": "off"})).await;
    lab.wait_until("the gates let it through", async |lab: &Lab| !places_taken(lab).await.is_empty()).await;
    let (done, told) = tokio::select! {
        end = stopped_in_its_turn(&lab, job["id"].as_str().unwrap()) => end,
        never = cut_on_and_on(&db) => (never, false),
    };
    if told {
        assert_eq!(state(&done).0, "cancelled", "{done:#}");
        assert_eq!(lab.feed_changes("srv-01"), 0);
    } else {
        // It had cut before the other one did: it was no hindrance to it.
        assert_eq!(state(&done), ("succeeded", "done_by_outlets"), "{done:#}");
        return;
    }
    // In a small rack there is one place in ten minutes; this one is free again.
    let again = lab.power("srv-01", json!({"action": "off"})).await;
    assert_eq!(state(&again), ("succeeded", "done_by_outlets"), "{again:#}");
    assert_eq!(machine.count(&EffectKind::PoweredOff), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_who_stops_a_job_between_two_cuts_is_heard_before_the_second() {
    for _ in 0..5 {
        let (lab, machine, db) = beside_a_rival().await;
        // There is time between the two, also on a busy machine.
        for pdu in lab.farm.world().pdus() {
            pdu.change_faults(|faults| faults.link.delay = Duration::from_millis(40));
        }
        let job = lab.start_power("srv-01", json!({"action": "off"})).await;
        let cut = || moved(&lab, &machine, PduEffectKind::SwitchedOff).len();
        let begun = Instant::now();
        while cut() == 0 {
            assert!(begun.elapsed() < Duration::from_secs(30), "nothing was cut");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let (done, told) = tokio::select! {
            end = stopped_in_its_turn(&lab, job["id"].as_str().unwrap()) => end,
            never = cut_on_and_on(&db) => (never, false),
        };
        if !told {
            continue;
        }
        assert_eq!(state(&done).0, "cancelled", "{done:#}");
        assert_eq!(cut(), 1, "{done:#}");
        assert!(lab.fully_fed("srv-01") && machine.is_on());
        return;
    }
    panic!("no job waited for its turn");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_warned_of_a_bmc_whose_feeds_a_job_cut() {
    // Three minutes, as slow ones need.
    let bmc_boot = Duration::from_mins(3).mul_f64(SCALE);
    let timings = WorldTimings { bmc_boot, ..WorldTimings::quick() };
    let lab = Lab::wired(FarmConfig { timings, ..rack_of(1) }).await;
    let forced = json!({"action": "cycle", "via": "outlets", "confirm_name": "srv-01"});
    let done = lab.power("srv-01", forced).await;
    assert_eq!(state(&done).0, "succeeded", "{done:#}");
    let steps = done["steps"].as_array().unwrap();
    assert!(steps.iter().any(|step| step["fault"] == "unreach"), "its start was not awaited: {done:#}");
    let told = turns(&lab).await;
    assert!(!told.contains(&failing()), "{told:?}");
}

/// What was told of the BMC, the newest first: on a busy machine others may be late for a moment.
async fn turns(lab: &Lab) -> Vec<(String, String)> {
    let query = format!("endpoint:{}%20kind:endpoint.", lab.bmc("srv-01").await);
    let events = lab.get(&format!("/events?limit=200&q={query}")).await.ok();
    let word = |event: &Value, name: &str| event[name].as_str().unwrap().to_owned();
    let told = events["items"].as_array().unwrap().iter();
    told.map(|event| (word(event, "kind"), word(event, "severity"))).collect()
}

/// Forces it off past its BMC, and waits until that is known to be silent.
async fn go_dark(lab: &Lab) {
    let off = json!({"action": "off", "via": "outlets", "confirm_name": "srv-01"});
    assert_eq!(state(&lab.power("srv-01", off).await).0, "succeeded");
    let dark = ("endpoint.dark".to_owned(), "info".to_owned());
    lab.wait_until("it is known to be dark", async |lab: &Lab| turns(lab).await.first() == Some(&dark)).await;
}

fn failing() -> (String, String) {
    ("endpoint.failing".into(), "warning".into())
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_warned_of_a_bmc_that_is_dark_or_starts_again() {
    // Three minutes, as slow ones need.
    let bmc_boot = Duration::from_mins(3).mul_f64(SCALE);
    let timings = WorldTimings { bmc_boot, ..WorldTimings::quick() };
    let lab = Lab::wired(FarmConfig { timings, ..rack_of(1) }).await;
    go_dark(&lab).await;
    let attention = lab.get("/servers?q=flag:attention").await.ok();
    assert_eq!(attention["items"], json!([]), "who cut it knows that it is dark");
    assert_eq!(state(&lab.power("srv-01", json!({"action": "shutdown"})).await).0, "failed");
    let on = lab.power("srv-01", json!({"action": "on"})).await;
    assert_eq!(state(&on).0, "succeeded", "{on:#}");
    let told = turns(&lab).await;
    assert!(!told.contains(&failing()), "{told:?}");

    // The same where power comes back without a job.
    go_dark(&lab).await;
    for feed in lab.machine("srv-01").feeds() {
        let pdu = lab.farm.world().pdu(feed.pdu()).unwrap();
        pdu.switch(feed.number(), OutletCommand::On(Duration::ZERO)).unwrap();
    }
    lab.wait_until("it is asked again before long", async |lab: &Lab| {
        turns(lab).await.first() == Some(&("endpoint.ok".to_owned(), "info".to_owned()))
    })
    .await;
    let told = turns(&lab).await;
    assert!(!told.contains(&failing()), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bmc_that_stays_silent_with_power_is_warned_of() {
    let lab = Lab::start(1).await;
    go_dark(&lab).await;
    mute(&lab.machine("srv-01"));
    let lit = Instant::now();
    let on = json!({"action": "on", "via": "outlets", "confirm_name": "srv-01"});
    assert_eq!(state(&lab.power("srv-01", on).await).0, "succeeded");
    lab.wait_until("somebody is warned", async |lab: &Lab| turns(lab).await.first() == Some(&failing()))
        .await;
    assert!(lit.elapsed() > Timings::default().scaled(SCALE).bmc_warm_up / 3, "it may have been starting");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bmc_that_does_not_come_back_with_its_feeds_is_told_of() {
    let lab = Lab::start(1).await;
    let machine = lab.machine("srv-01");
    let forced = json!({"action": "cycle", "via": "outlets", "confirm_name": "srv-01"});
    let job = lab.start_power("srv-01", forced).await;
    lab.wait_until("it is dark", async |lab: &Lab| lab.feeds_on("srv-01") == 0).await;
    mute(&machine);
    let done = lab.finish(job["id"].as_str().unwrap()).await;
    assert_eq!(state(&done).0, "succeeded", "{done:#}");
    lab.wait_until("somebody hears of it", async |lab: &Lab| turns(lab).await.contains(&failing())).await;
}
