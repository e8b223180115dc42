//! When nothing may be cut, or nothing may be believed, although the BMC is silent.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a broken bench stops the test")]

use rackhand_simulators::{
    farm::FarmConfig,
    world::{Machine, OutletCommand},
};
use rackhand_tests::{Lab, SCALE, rack_of};
use rackhand_wire::Timings;
use serde_json::{Value, json};
use std::time::Duration;

fn state(job: &Value) -> (&str, &str) {
    (job["state"].as_str().unwrap_or_default(), job["reason"].as_str().unwrap_or_default())
}

fn mute(machine: &Machine) {
    machine.change_bmc_faults(|faults| faults.link.mute = true);
}

async fn power(lab: &Lab, server: &str) -> Value {
    lab.get(&format!("/servers/{}/power", lab.id(server))).await.ok()
}

fn has_flag(power: &Value, flag: &str) -> bool {
    power["flags"].as_array().unwrap().iter().any(|known| known == flag)
}

fn dark_feeds(power: &Value) -> usize {
    power["paths"].as_array().unwrap().iter().filter(|path| path["state"] == "feed_off").count()
}

/// Somebody switches the outlets of a machine at the PDUs themselves.
fn switch(lab: &Lab, machine: &Machine, command: OutletCommand) {
    for feed in machine.feeds() {
        lab.farm.world().pdu(feed.pdu()).unwrap().switch(feed.number(), command).unwrap();
    }
}

async fn feeds_of(lab: &Lab, server: &str) -> Vec<Value> {
    let all = lab.get(&format!("/servers/{}/connections", lab.id(server))).await.ok();
    let mut all = all["items"].as_array().unwrap().clone();
    all.retain(|connection| connection["role"] == "feed");
    all
}

/// The labels of two servers were swapped: srv-01 is said to hang on the outlets of srv-02.
async fn with_swapped_labels() -> Lab {
    let lab = Lab::start(2).await;
    let place = |server: &str| format!("/servers/{}", lab.id(server));
    for connection in feeds_of(&lab, "srv-02").await {
        let path = format!("{}/connections/{}", place("srv-02"), connection["id"].as_str().unwrap());
        lab.send("DELETE", &path, None, &[]).await;
    }
    let others = lab.machine("srv-02").feeds();
    for connection in feeds_of(&lab, "srv-01").await {
        let pdu = connection["endpoint_name"].as_str().unwrap();
        let feed = others.iter().find(|feed| feed.pdu() == pdu).unwrap();
        let path = format!("{}/connections/{}", place("srv-01"), connection["id"].as_str().unwrap());
        let target = json!({"target": {"outlet": feed.number().to_string()}});
        lab.patch(&path, &target).await.ok();
    }
    lab.patch(&place("srv-01"), &json!({"feeds_complete": true})).await.ok();
    lab
}

#[tokio::test(flavor = "multi_thread")]
async fn outlets_that_feed_another_server_are_neither_believed_nor_switched() {
    let lab = with_swapped_labels().await;
    switch(&lab, &lab.machine("srv-02"), OutletCommand::Off(Duration::ZERO));
    lab.wait_until("the wrong wiring was noticed", async |lab: &Lab| {
        let power = power(lab, "srv-01").await;
        has_flag(&power, "wiring_mismatch") && power["value"] == "on" && dark_feeds(&power) == 2
    })
    .await;
    let machine = lab.machine("srv-01");
    let forced = json!({"action": "off", "via": "outlets", "confirm_name": "srv-01"});
    let refused = lab.post(&format!("/servers/{}/power", lab.id("srv-01")), &forced).await;
    assert_eq!((refused.status, refused.code()), (409, "wiring_mismatch"), "{}", refused.body);
    let job = lab.power("srv-01", json!({"action": "cycle"})).await;
    assert_eq!((state(&job).0, machine.is_on()), ("succeeded", true), "{job:#}");
    let job = lab.power("srv-01", json!({"action": "off"})).await;
    assert_eq!((state(&job).0, machine.is_on()), ("succeeded", false), "the BMC did it: {job:#}");
    mute(&machine);
    let job = lab.power("srv-01", json!({"action": "on"})).await;
    assert_eq!(state(&job), ("failed", "wiring_mismatch"), "{job:#}");
    assert_eq!(lab.feed_changes("srv-01"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn outlets_switched_off_and_on_at_the_pdu_accuse_nobody() {
    let lab = Lab::start(1).await;
    let machine = lab.machine("srv-01");
    for _ in 0..3 {
        switch(&lab, &machine, OutletCommand::Off(Duration::ZERO));
        lab.wait_until("the dark feeds were seen", async |lab: &Lab| {
            dark_feeds(&power(lab, "srv-01").await) == 2
        })
        .await;
        switch(&lab, &machine, OutletCommand::On(Duration::ZERO));
        lab.wait_until("the feeds were seen again", async |lab: &Lab| {
            let seen = power(lab, "srv-01").await;
            assert!(!has_flag(&seen, "wiring_mismatch"), "{seen:#}");
            dark_feeds(&seen) == 0
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_bmc_that_then_falls_silent_is_no_reason_to_cut() {
    let lab = Lab::start(2).await;
    let machine = lab.machine("srv-01");
    machine.change_bmc_faults(|faults| faults.wrong_guid = true);
    machine.restart_bmc();
    lab.wait_until("another BMC was noticed", async |lab: &Lab| {
        has_flag(&power(lab, "srv-01").await, "identity_mismatch")
    })
    .await;
    mute(&machine);
    lab.wait_until("its silence was noticed", async |lab: &Lab| {
        power(lab, "srv-01").await["paths"][0]["fault"]["code"] == "unreach"
    })
    .await;
    let job = lab.power("srv-01", json!({"action": "off"})).await;
    assert_eq!(state(&job), ("failed", "identity_mismatch"), "{job:#}");
    assert_eq!(lab.feed_changes("srv-01"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_path_asks_for_attention_until_it_answers() {
    let lab = Lab::start(2).await;
    let attention = async |lab: &Lab| lab.get("/servers/tally").await.ok()["attention"].as_u64();
    assert_eq!(attention(&lab).await, Some(0));
    mute(&lab.machine("srv-01"));
    lab.wait_until("its silence counts", async |lab: &Lab| attention(lab).await == Some(1)).await;
    lab.machine("srv-01").change_bmc_faults(|faults| faults.link.mute = false);
    lab.wait_until("its answer counts", async |lab: &Lab| attention(lab).await == Some(0)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_switch_that_dies_as_the_button_is_pressed_is_noticed() {
    let lab = Lab::start(6).await;
    // All were heard before the silence begins, so every stored status is good.
    tokio::time::sleep(Timings::default().scaled(SCALE).unreachable_after).await;
    for server in ["srv-01", "srv-02", "srv-03", "srv-04"] {
        mute(&lab.machine(server));
    }
    let job = lab.power("srv-01", json!({"action": "off"})).await;
    assert_eq!(state(&job), ("failed", "subnet_breaker"), "{job:#}");
    assert_eq!(lab.feed_changes("srv-01"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bmc_that_was_entered_by_name_falls_back_too() {
    let lab = Lab::start(2).await;
    let connections = lab.get(&format!("/servers/{}/connections", lab.id("srv-01"))).await.ok();
    let bmc = format!("/endpoints/{}", connections["items"][0]["endpoint_id"].as_str().unwrap());
    let mut params = lab.get(&bmc).await.ok()["params"].clone();
    params["host"] = "localhost".into();
    let secrets = json!({"password": "rackhand-bmc"});
    lab.patch(&bmc, &json!({"params": params, "secrets": secrets})).await.ok();
    mute(&lab.machine("srv-01"));
    let job = lab.power("srv-01", json!({"action": "off"})).await;
    assert_eq!(state(&job), ("succeeded", "done_by_outlets"), "{job:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_server_of_a_chassis_does_by_its_bmc_is_not_in_its_neighbours_history() {
    let lab = Lab::wired(FarmConfig { per_chassis: 4, ..rack_of(4) }).await;
    for action in ["reset", "on", "cycle"] {
        lab.power("srv-01", json!({"action": action})).await;
    }
    let query = format!("/audit?q=object:server/{} action:server.power", lab.id("srv-02"));
    assert_eq!(lab.get(&query).await.ok()["items"], json!([]));
    let plan = lab.get(&format!("/servers/{}/power/plan?action=on", lab.id("srv-01"))).await.ok();
    assert_eq!(plan["shared_with"], json!([]), "switching on by the BMC touches nobody");
}
