//! When nothing may be cut, or nothing may be believed, although the BMC is silent.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a broken bench stops the test")]

use rackhand_simulators::{
    farm::FarmConfig,
    world::{EffectKind, Machine, OutletCommand, RestorePolicy},
};
use rackhand_tests::{Lab, SCALE, agent::Agent, joined, mute, rack_of, state, unmute};
use rackhand_wire::Timings;
use serde_json::{Value, json};
use std::time::Duration;

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
    // The outlets are off, which tells nothing of this server.
    lab.wait_until("nothing is known of it", async |lab: &Lab| {
        let power = power(lab, "srv-01").await;
        power["value"] == "unknown" && dark_feeds(&power) == 2
    })
    .await;
    let job = lab.power("srv-01", json!({"action": "reset"})).await;
    assert_eq!(state(&job), ("failed", "no_outlet_equivalent"), "it may be on: {job:#}");
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
async fn a_server_that_was_off_before_its_outlets_were_cut_accuses_nobody() {
    let lab = Lab::start(1).await;
    let job = lab.power("srv-01", json!({"action": "off"})).await;
    assert_eq!(state(&job), ("succeeded", "done"), "{job:#}");
    tokio::time::sleep(Timings::default().scaled(SCALE).discharge).await;
    let job = lab.power("srv-01", json!({"action": "off"})).await;
    assert_eq!(state(&job), ("succeeded", "done"), "the BMC says off for longer than supplies last: {job:#}");
    let forced = json!({"action": "off", "via": "outlets", "confirm_name": "srv-01"});
    let job = lab.power("srv-01", forced).await;
    assert_eq!(state(&job), ("succeeded", "done_by_outlets"), "{job:#}");
    lab.wait_until("the dark feeds were seen", async |lab: &Lab| {
        let seen = power(lab, "srv-01").await;
        assert!(!has_flag(&seen, "wiring_mismatch"), "{seen:#}");
        dark_feeds(&seen) == 2 && seen["dark_since"].is_string()
    })
    .await;
}

/// Mutes the BMC of the first server and waits until that is known.
async fn fall_silent(lab: &Lab, machine: &Machine) {
    mute(machine);
    lab.wait_until("its silence was noticed", async |lab: &Lab| {
        power(lab, "srv-01").await["paths"][0]["fault"]["code"] == "unreach"
    })
    .await;
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
    fall_silent(&lab, &machine).await;
    let job = lab.power("srv-01", json!({"action": "off"})).await;
    assert_eq!(state(&job), ("failed", "identity_mismatch"), "{job:#}");
    assert_eq!(lab.feed_changes("srv-01"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bmc_whose_firmware_is_written_is_left_alone_also_when_it_falls_silent() {
    let lab = Lab::start(2).await;
    let machine = lab.machine("srv-01");
    machine.change_bmc_faults(|faults| faults.updating = true);
    lab.wait_until("the update was noticed", async |lab: &Lab| {
        has_flag(&power(lab, "srv-01").await, "firmware_update")
    })
    .await;
    fall_silent(&lab, &machine).await;
    let id = lab.id("srv-01");
    for body in [
        json!({"action": "off"}),
        json!({"action": "on"}),
        json!({"action": "cycle", "via": "outlets", "confirm_name": "srv-01"}),
    ] {
        let refused = lab.post(&format!("/servers/{id}/power"), &body).await;
        assert_eq!(
            (refused.status, &refused.body["code"]),
            (409, &json!("firmware_update")),
            "{body}: {refused:?}"
        );
    }
    assert_eq!(lab.feed_changes("srv-01"), 0);
    machine.change_bmc_faults(|faults| faults.updating = false);
    unmute(&machine);
    lab.wait_until("it answers again", async |lab: &Lab| {
        !has_flag(&power(lab, "srv-01").await, "firmware_update")
    })
    .await;
    let job = lab.power("srv-01", json!({"action": "off"})).await;
    assert_eq!(state(&job), ("succeeded", "done"), "{job:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_policy_forbids_it_is_never_cut_by_itself() {
    let lab = Lab::start(2).await;
    let machine = lab.machine("srv-01");
    let server = format!("/servers/{}", lab.id("srv-01"));
    let before = lab.get("/settings").await.ok()["installation"].clone();
    let allow = async |own: bool, all: bool| {
        lab.patch(&server, &json!({"fallback_enabled": own})).await.ok();
        let installation = joined(before.clone(), &json!({"fallback_enabled": all}));
        lab.patch("/settings", &json!({"installation": installation})).await.ok();
    };
    mute(&machine);
    for (own, all) in [(false, true), (true, false)] {
        allow(own, all).await;
        for action in ["off", "cycle"] {
            let job = lab.power("srv-01", json!({"action": action})).await;
            assert_eq!(state(&job), ("failed", "fallback_disabled"), "own {own}, all {all}: {job:#}");
        }
        assert_eq!((lab.pdu_writes(), machine.is_on()), (0, true), "own {own}, all {all}");
    }

    allow(true, true).await;
    let job = lab.start_power("srv-01", json!({"action": "cycle"})).await;
    lab.wait_until("both feeds were cut", async |lab: &Lab| lab.feed_changes("srv-01") >= 2).await;
    unmute(&machine);
    let job = lab.finish(job["id"].as_str().unwrap()).await;
    assert_eq!(state(&job), ("succeeded", "done_by_outlets"), "nothing but that was in the way: {job:#}");
    assert!(machine.is_on() && lab.fully_fed("srv-01"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_its_restore_policy_keeps_off_is_told_while_it_may_be_cut_by_itself() {
    let lab = Lab::start(2).await;
    let told = async |server: &str| {
        let query = format!("/events?q=server:{} kind:server.stays_off", lab.id(server));
        lab.get(&query).await.ok()["items"].as_array().unwrap().clone()
    };
    assert!(told("srv-01").await.is_empty());
    lab.machine("srv-01").set_restore_policy(RestorePolicy::AlwaysOff);
    lab.wait_until("its policy was read", async |lab: &Lab| {
        has_flag(&power(lab, "srv-01").await, "stays_off_after_feed")
    })
    .await;
    let events = told("srv-01").await;
    assert_eq!(events.len(), 1, "{events:#?}");
    assert_eq!((&events[0]["severity"], &events[0]["server_name"]), (&json!("warning"), &json!("srv-01")));
    assert!(told("srv-02").await.is_empty(), "its policy is another one");

    let server = format!("/servers/{}", lab.id("srv-01"));
    lab.patch(&server, &json!({"fallback_enabled": false})).await.ok();
    assert!(!has_flag(&power(&lab, "srv-01").await, "stays_off_after_feed"), "nothing cuts it by itself");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_path_asks_for_attention_until_it_answers() {
    let lab = Lab::start(2).await;
    let attention = async |lab: &Lab| lab.get("/servers/tally").await.ok()["attention"].as_u64();
    assert_eq!(attention(&lab).await, Some(0));
    mute(&lab.machine("srv-01"));
    lab.wait_until("its silence counts", async |lab: &Lab| attention(lab).await == Some(1)).await;
    unmute(&lab.machine("srv-01"));
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

/// Enters the BMC of a server under another name or address that leads to it, too.
async fn enter_bmc(lab: &Lab, server: &str, host: &str) {
    let connections = lab.get(&format!("/servers/{}/connections", lab.id(server))).await.ok();
    let bmc = format!("/endpoints/{}", connections["items"][0]["endpoint_id"].as_str().unwrap());
    let mut params = lab.get(&bmc).await.ok()["params"].clone();
    params["host"] = host.into();
    let secrets = json!({"password": "rackhand-bmc"});
    lab.patch(&bmc, &json!({"params": params, "secrets": secrets})).await.ok();
    let job = lab.power(server, json!({"action": "on"})).await;
    assert_eq!(state(&job), ("succeeded", "done"), "it answers there: {job:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pdu_that_is_sought_elsewhere_is_vouched_for_again() {
    let lab = Lab::start(2).await;
    let pdu = lab.get("/endpoints?q=pdu-a").await.ok()["items"][0].clone();
    let path = format!("/endpoints/{}", pdu["id"].as_str().unwrap());
    let complete = async |lab: &Lab| {
        lab.get(&format!("/servers/{}", lab.id("srv-01"))).await.ok()["feeds_complete"].as_bool().unwrap()
    };
    lab.patch(&path, &json!({"name": "pdu-x", "params": pdu["params"]})).await.ok();
    assert!(complete(&lab).await, "it is the same device");

    let mut params = pdu["params"].clone();
    params["host"] = "localhost".into();
    let inventory = serde_json::to_value(lab.farm.inventory()).unwrap();
    let known = inventory["pdus"].as_array().unwrap().iter().find(|known| known["name"] == "pdu-a").unwrap();
    let secrets = json!({"community": known["community"], "write_community": known["write_community"]});
    lab.patch(&path, &json!({"params": params, "secrets": secrets})).await.ok();
    assert!(!complete(&lab).await);
    let events = lab.get("/events?q=kind:server.feeds_unconfirmed").await.ok();
    assert_eq!(events["items"].as_array().unwrap().len(), 2, "{events:#}");
    fall_silent(&lab, &lab.machine("srv-01")).await;
    let job = lab.power("srv-01", json!({"action": "off"})).await;
    assert_eq!(state(&job), ("failed", "feeds_incomplete"), "{job:#}");
    assert_eq!(lab.feed_changes("srv-01"), 0);

    let path = format!("/servers/{}", lab.id("srv-01"));
    lab.patch(&path, &json!({"feeds_complete": true})).await.ok();
    let job = lab.power("srv-01", json!({"action": "off"})).await;
    assert_eq!(state(&job), ("succeeded", "done_by_outlets"), "{job:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bmc_that_was_entered_by_name_falls_back_too() {
    let lab = Lab::start(2).await;
    enter_bmc(&lab, "srv-01", "localhost").await;
    mute(&lab.machine("srv-01"));
    let job = lab.power("srv-01", json!({"action": "off"})).await;
    assert_eq!(state(&job), ("succeeded", "done_by_outlets"), "{job:#}");
}

/// The system takes this for itself, so a BMC of ours answers there; but it is not a loopback address, and so it
/// lies in another subnet than everything else.
const ELSEWHERE: &str = "0.0.0.0";

#[tokio::test(flavor = "multi_thread")]
async fn only_an_answer_from_the_same_subnet_proves_the_path() {
    let lab = Lab::start(3).await;
    enter_bmc(&lab, "srv-01", ELSEWHERE).await;
    mute(&lab.machine("srv-01"));
    for action in ["off", "cycle"] {
        // PDUs and other BMCs answer, each in another subnet.
        let job = lab.power("srv-01", json!({"action": action})).await;
        assert_eq!(state(&job), ("failed", "path_unproven"), "{job:#}");
    }
    assert_eq!(lab.feed_changes("srv-01"), 0);

    enter_bmc(&lab, "srv-02", ELSEWHERE).await;
    mute(&lab.machine("srv-02"));
    lab.wait_until("its silence was noticed", async |lab: &Lab| {
        power(lab, "srv-02").await["paths"][0]["fault"]["code"] == "unreach"
    })
    .await;
    let job = lab.power("srv-01", json!({"action": "off"})).await;
    assert_eq!(state(&job), ("failed", "path_unproven"), "a silent neighbour proves nothing: {job:#}");
    assert_eq!(lab.feed_changes("srv-01"), 0);

    unmute(&lab.machine("srv-02"));
    goes_off(&lab).await;
}

/// What was in the way is not any more.
async fn goes_off(lab: &Lab) {
    for attempt in 1.. {
        let job = lab.power("srv-01", json!({"action": "off"})).await;
        if state(&job).0 == "succeeded" {
            break;
        }
        // At 1/20 a busy machine may not answer in time; a person asks again.
        assert!(state(&job).1 == "path_unproven" && attempt < 5, "nothing but that was in the way: {job:#}");
    }
    assert_eq!(lab.feeds_on("srv-01"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_its_own_agent_hears_proves_the_path() {
    let lab = Lab::start(3).await;
    let far = Agent::start(&lab, "far", lab.backend.port()).await;
    let give = async |server: &str| {
        let path = format!("/servers/{}/connections", lab.id(server));
        let bmc = lab.get(&path).await.ok()["items"][0]["id"].as_str().unwrap().to_owned();
        lab.patch(&format!("{path}/{bmc}"), &json!({"agent_id": far.id})).await.ok();
    };
    give("srv-01").await;
    fall_silent(&lab, &lab.machine("srv-01")).await;
    for action in ["off", "cycle"] {
        // BMCs and PDUs answer the server's own agent in the same subnet.
        let job = lab.power("srv-01", json!({"action": action})).await;
        assert_eq!(state(&job), ("failed", "path_unproven"), "{job:#}");
    }
    assert_eq!(lab.feed_changes("srv-01"), 0);
    give("srv-02").await;
    goes_off(&lab).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_reaches_nothing_cuts_nothing() {
    let lab = Lab::start(2).await;
    for server in ["srv-01", "srv-02"] {
        mute(&lab.machine(server));
    }
    for pdu in lab.farm.world().pdus() {
        pdu.change_faults(|faults| faults.link.mute = true);
    }
    // Within a minute of its last answer a neighbour would still prove the path.
    lab.wait_until("the silence was noticed", async |lab: &Lab| {
        lab.get("/endpoints?q=status:failing").await.ok()["items"].as_array().unwrap().len() == 4
    })
    .await;
    for action in ["off", "cycle"] {
        let job = lab.power("srv-01", json!({"action": action})).await;
        assert_eq!(state(&job), ("failed", "path_unproven"), "{job:#}");
    }
    assert_eq!(lab.feed_changes("srv-01"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_bmc_is_not_said_to_answer_because_a_job_keeps_the_polls_away() {
    let lab = Lab::start(1).await;
    let machine = lab.machine("srv-01");
    let bmc = lab.bmc("srv-01").await;
    machine.change_bmc_faults(|faults| faults.ignore_soft = true);
    let job = lab.start_power("srv-01", json!({"action": "shutdown", "deadline_s": 180})).await;
    lab.wait_until("the button was pressed", async |_: &Lab| machine.count(&EffectKind::SoftPressed) == 1)
        .await;
    mute(&machine);
    let events = async |lab: &Lab| {
        let found = lab.get(&format!("/events?q=endpoint:{bmc}%20kind:endpoint")).await.ok();
        let kinds = found["items"].as_array().unwrap().iter().map(|event| event["kind"].clone());
        kinds.collect::<Vec<_>>()
    };
    let before = events(&lab).await.len();
    lab.finish(job["id"].as_str().unwrap()).await;
    let mut since = events(&lab).await;
    since.truncate(since.len() - before);
    assert_eq!(since, ["endpoint.failing"], "three polls were due meanwhile");
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
