//! Power, end to end: the real server, the real protocols, and effects counted in the simulated racks.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a broken bench stops the test")]

use chrono::{DateTime, FixedOffset};
use futures::StreamExt;
use rackhand_simulators::world::{EffectKind, Machine, ReplyKind, RestorePolicy, Which};
use rackhand_tests::{Lab, SCALE, mute, state};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

fn moment(text: &Value) -> DateTime<FixedOffset> {
    DateTime::parse_from_rfc3339(text.as_str().unwrap()).unwrap()
}

fn count(machine: &Machine, what: &EffectKind) -> usize {
    machine.count(what)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_controller_switches_and_success_is_what_is_read() {
    let lab = Lab::start(1).await;
    let machine = lab.machine("srv-01");
    let job = lab.power("srv-01", json!({"action": "off"})).await;
    assert_eq!(state(&job), ("succeeded", "done"), "{job:#}");
    assert!(!machine.is_on());
    let job = lab.power("srv-01", json!({"action": "cycle"})).await;
    assert_eq!((state(&job).0, machine.is_on()), ("succeeded", true));
    let (on, off) = (count(&machine, &EffectKind::PoweredOn), count(&machine, &EffectKind::PoweredOff));
    let job = lab.power("srv-01", json!({"action": "cycle"})).await;
    assert_eq!(state(&job), ("succeeded", "done"));
    assert_eq!(count(&machine, &EffectKind::PoweredOff), off + 1, "exactly one off");
    assert_eq!(count(&machine, &EffectKind::PoweredOn), on + 1, "exactly one on");
    let job = lab.power("srv-01", json!({"action": "reset"})).await;
    assert_eq!((state(&job).0, count(&machine, &EffectKind::Reset)), ("succeeded", 1));
    assert_eq!(lab.feed_changes("srv-01"), 0);
}

/// What P02 asks of an off through the outlets: the silence lasted 20 s, and both feeds are read off.
async fn is_off_by_both_feeds(lab: &Lab, job: &Value) {
    assert_eq!(state(job), ("succeeded", "done_by_outlets"), "{job:#}");
    assert_eq!(job["proof"], "feeds");
    let machine = lab.machine("srv-01");
    for feed in machine.feeds() {
        let outlet = lab.farm.world().pdu(feed.pdu()).unwrap().outlet(feed.number()).unwrap();
        assert!(!outlet.is_on, "{feed} is off");
    }
    lab.wait_until("the supplies are empty", async |_: &Lab| !machine.is_on()).await;
    let steps = job["steps"].as_array().unwrap();
    let gate = steps.iter().find(|step| step["phase"] == "Fallback").unwrap();
    let decided = moment(&gate["started_at"]) - moment(&steps[0]["started_at"]);
    let decided = decided.to_std().unwrap();
    // Not before 20 s; by 25 s, and three times that on a busy machine.
    let [soonest, latest] = [20, 25].map(|seconds| Duration::from_secs(seconds).mul_f64(SCALE));
    assert!(decided >= soonest && decided < latest * 3, "decided after {decided:?}: {job:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_bmc_falls_back_to_both_feeds() {
    let lab = Lab::start(2).await;
    let machine = lab.machine("srv-01");
    mute(&machine);
    let job = lab.power("srv-01", json!({"action": "off"})).await;
    is_off_by_both_feeds(&lab, &job).await;
    let power = lab.get(&format!("/servers/{}/power", lab.id("srv-01"))).await.ok();
    assert_eq!(power["value"], "off");
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(!machine.is_on(), "off proven on all feeds stays off: the agent must not restore them");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bmc_that_falls_silent_in_a_session_falls_back_as_soon() {
    let lab = Lab::start(2).await;
    let job = lab.power("srv-01", json!({"action": "on"})).await;
    assert_eq!(state(&job), ("succeeded", "done"), "its session is open: {job:#}");
    mute(&lab.machine("srv-01"));
    let job = lab.power("srv-01", json!({"action": "off"})).await;
    is_off_by_both_feeds(&lab, &job).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bmc_whose_port_is_closed_falls_back_no_sooner() {
    let mut lab = Lab::start(2).await;
    lab.farm.close_bmc("srv-01").await;
    let job = lab.power("srv-01", json!({"action": "off"})).await;
    is_off_by_both_feeds(&lab, &job).await;
    let read = &job["steps"][0];
    assert_eq!((&read["fault"], &read["outcome"]), (&"unreach".into(), &"failed".into()));
    assert!(read["detail"].as_str().unwrap().contains("closed"), "the port is said to be closed: {read:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cycle_through_the_feeds_brings_the_server_back_under_every_policy() {
    for policy in [RestorePolicy::AlwaysOff, RestorePolicy::Previous, RestorePolicy::AlwaysOn] {
        let lab = Lab::start(2).await;
        let machine = lab.machine("srv-01");
        machine.set_restore_policy(policy);
        mute(&machine);
        let job = lab.start_power("srv-01", json!({"action": "cycle"})).await;
        lab.wait_until("both feeds were cut", async |lab: &Lab| lab.feed_changes("srv-01") >= 2).await;
        machine.change_bmc_faults(|faults| faults.link.mute = false);
        let job = lab.finish(job["id"].as_str().unwrap()).await;
        assert_eq!(state(&job), ("succeeded", "done_by_outlets"), "{policy:?} {job:#}");
        assert_eq!(job["proof"], "controller");
        assert!(machine.is_on() && lab.fully_fed("srv-01"), "{policy:?}");
        let effects = machine.effects();
        let last_cut = effects.iter().rposition(|e| matches!(e.what, EffectKind::FeedCut { .. })).unwrap();
        let first_on =
            effects.iter().position(|e| matches!(e.what, EffectKind::FeedRestored { .. })).unwrap();
        assert!(last_cut < first_on, "every off comes before every on");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stuck_outlet_puts_everything_back() {
    let lab = Lab::start(2).await;
    let machine = lab.machine("srv-01");
    let stuck = machine.feeds().pop().unwrap();
    let pdu = lab.farm.world().pdu(stuck.pdu()).unwrap();
    pdu.set_outlet_fault(stuck.number(), Some(rackhand_simulators::world::OutletFault::Stuck)).unwrap();
    mute(&machine);
    let job = lab.power("srv-01", json!({"action": "off"})).await;
    assert_eq!(state(&job), ("failed", "feeds_restored"), "{job:#}");
    assert!(machine.is_on() && lab.fully_fed("srv-01"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_pdu_means_that_nothing_is_cut() {
    let lab = Lab::start(2).await;
    let machine = lab.machine("srv-01");
    let dead = machine.feeds().pop().unwrap();
    lab.farm.world().pdu(dead.pdu()).unwrap().change_faults(|faults| faults.link.mute = true);
    mute(&machine);
    for action in ["off", "cycle"] {
        let job = lab.power("srv-01", json!({"action": action})).await;
        assert_eq!(state(&job), ("failed", "outlet_not_ready"), "{job:#}");
    }
    assert_eq!(lab.feed_changes("srv-01"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pdu_that_dies_after_the_first_cut_is_told_and_the_cut_is_undone() {
    let lab = Lab::start(2).await;
    let machine = lab.machine("srv-01");
    let feeds = machine.feeds();
    let second = feeds.iter().max_by_key(|feed| feed.pdu().to_owned()).unwrap();
    lab.farm.world().pdu(second.pdu()).unwrap().change_faults(|faults| {
        faults.link.drop_next_replies(u32::MAX, Which::Only(rackhand_simulators::world::RequestKind::Write));
        faults.die_after_writes = Some(1);
    });
    mute(&machine);
    let job = lab.power("srv-01", json!({"action": "off"})).await;
    assert_eq!(state(&job), ("failed_partial", "feeds_stranded"), "{job:#}");
    let first = feeds.iter().find(|feed| feed.pdu() != second.pdu()).unwrap();
    let outlet = lab.farm.world().pdu(first.pdu()).unwrap().outlet(first.number()).unwrap();
    assert!(outlet.is_on, "what could be put back is on");
    let events = lab.get("/events?q=severity:alarm").await.ok();
    assert!(!events["items"].as_array().unwrap().is_empty(), "an alarm was raised");
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_answers_never_repeat_a_reset_and_never_lie() {
    let lab = Lab::start(1).await;
    let machine = lab.machine("srv-01");
    for k in 1..=5 {
        machine.change_bmc_faults(|faults| {
            faults.link.drop_next.clear();
            faults.link.drop_next_replies(k, Which::Only(ReplyKind::ChassisControl));
        });
        let before = count(&machine, &EffectKind::Reset);
        let job = lab.power("srv-01", json!({"action": "reset"})).await;
        assert!(count(&machine, &EffectKind::Reset) <= before + 1, "k={k}");
        assert!(["succeeded", "indeterminate"].contains(&state(&job).0), "k={k} {job:#}");
        for (action, on) in [("off", false), ("on", true), ("cycle", true)] {
            machine.change_bmc_faults(|faults| {
                faults.link.drop_next.clear();
                faults.link.drop_next_replies(k, Which::Only(ReplyKind::ChassisControl));
            });
            let effects =
                || (count(&machine, &EffectKind::PoweredOff), count(&machine, &EffectKind::PoweredOn));
            let before = effects();
            let job = lab.power("srv-01", json!({"action": action})).await;
            assert_eq!((state(&job).0, machine.is_on()), ("succeeded", on), "k={k} {job:#}");
            if action == "cycle" {
                assert_eq!(effects(), (before.0 + 1, before.1 + 1), "k={k}: one off, one on");
            }
        }
    }
    assert_eq!(lab.feed_changes("srv-01"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn when_every_answer_is_lost_the_job_does_not_claim_that_nothing_happened() {
    for (action, effect) in
        [("off", EffectKind::PoweredOff), ("reset", EffectKind::Reset), ("cycle", EffectKind::PoweredOff)]
    {
        let lab = Lab::start(2).await;
        let machine = lab.machine("srv-01");
        machine.change_bmc_faults(|faults| {
            faults.link.drop_next_replies(u32::MAX, Which::Only(ReplyKind::ChassisControl));
        });
        let job = lab.start_power("srv-01", json!({"action": action})).await;
        lab.wait_until("the command has arrived", async |_: &Lab| count(&machine, &effect) == 1).await;
        machine.change_bmc_faults(|faults| faults.link.drop_next_replies(u32::MAX, Which::Any));
        let job = lab.finish(job["id"].as_str().unwrap()).await;
        assert_eq!(state(&job).0, "indeterminate", "{action}: {job:#}");
        assert_eq!(count(&machine, &effect), 1, "{action} happened once");
        assert_eq!(lab.feed_changes("srv-01"), 0, "a lost answer is no reason to cut a feed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ignored_soft_shutdown_times_out_and_cuts_nothing() {
    let lab = Lab::start(1).await;
    let machine = lab.machine("srv-01");
    machine.change_bmc_faults(|faults| faults.ignore_soft = true);
    let begun = Instant::now();
    let job = lab.power("srv-01", json!({"action": "shutdown", "deadline_s": 60})).await;
    assert_eq!(state(&job), ("failed", "soft_timeout"), "{job:#}");
    assert!(begun.elapsed() >= Duration::from_secs(3), "60 s at 1/20");
    assert!(machine.is_on());
    assert_eq!(count(&machine, &EffectKind::PoweredOff), 0);
    let job = lab.power("srv-01", json!({"action": "shutdown", "deadline_s": 30, "escalate": true})).await;
    assert_eq!((state(&job).0, machine.is_on()), ("succeeded", false), "{job:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn identical_requests_join_and_others_are_refused() {
    let lab = Lab::start(1).await;
    let machine = lab.machine("srv-01");
    machine.change_bmc_faults(|faults| faults.ignore_soft = true);
    let path = format!("/servers/{}/power", lab.id("srv-01"));
    let first = lab.post(&path, &json!({"action": "shutdown"})).await.ok();
    let (same, other) = (json!({"action": "shutdown"}), json!({"action": "on"}));
    let joined = futures::future::join_all((0..99).map(|_| lab.post(&path, &same)));
    let refused = futures::future::join_all((0..20).map(|_| lab.post(&path, &other)));
    let (joined, refused) = tokio::join!(joined, refused);
    for reply in joined {
        assert_eq!((reply.status, &reply.body["id"]), (202, &first["id"]));
    }
    for reply in refused {
        assert_eq!((reply.status, reply.code()), (409, "power_conflict"));
        assert_eq!(reply.body["job_id"], first["id"]);
    }
    let id = first["id"].as_str().unwrap();
    lab.post(&format!("/jobs/{id}/cancel"), &json!({})).await.ok();
    assert_eq!(state(&lab.finish(id).await).0, "cancelled");
    assert!(count(&machine, &EffectKind::SoftPressed) <= 1, "one execution for all of them");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_idempotency_key_is_one_job() {
    let lab = Lab::start(1).await;
    let path = format!("/servers/{}/power", lab.id("srv-01"));
    let key = [("idempotency-key", "one")];
    let body = json!({"action": "cycle"});
    let first = lab.send("POST", &path, Some(&body), &key).await.ok();
    lab.finish(first["id"].as_str().unwrap()).await;
    let again = (0..1000).map(|_| lab.send("POST", &path, Some(&body), &key));
    let replies = futures::stream::iter(again).buffer_unordered(50).collect::<Vec<_>>().await;
    assert_eq!(replies.len(), 1000);
    for again in replies {
        assert_eq!((again.status, &again.body["id"]), (202, &first["id"]));
    }
    let other = lab.send("POST", &path, Some(&json!({"action": "off"})), &key).await;
    assert_eq!((other.status, other.code()), (422, "idempotency_key_reused"));
    assert_eq!(count(&lab.machine("srv-01"), &EffectKind::PoweredOff), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_bmc_at_the_address_gets_no_command() {
    let lab = Lab::start(1).await;
    let machine = lab.machine("srv-01");
    lab.wait_until("the right one is known", async |lab: &Lab| {
        lab.get("/endpoints?q=kind:ipmi").await.ok()["items"][0]["status"]["identity"]["unique"].is_string()
    })
    .await;
    machine.change_bmc_faults(|faults| faults.wrong_guid = true);
    machine.restart_bmc();
    lab.wait_until("the BMC is back", async |_: &Lab| machine.bmc_answers()).await;
    for action in ["off", "cycle", "reset"] {
        let job = lab.power("srv-01", json!({"action": action})).await;
        assert_eq!(state(&job), ("failed", "config"), "{job:#}");
    }
    assert!(machine.is_on());
    assert_eq!(count(&machine, &EffectKind::Reset) + lab.feed_changes("srv-01"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_answer_that_all_supplies_are_fed_nothing_is_cut() {
    let lab = Lab::start(2).await;
    let path = format!("/servers/{}", lab.id("srv-01"));
    lab.patch(&path, &json!({"feeds_complete": false})).await.ok();
    mute(&lab.machine("srv-01"));
    let job = lab.power("srv-01", json!({"action": "cycle"})).await;
    assert_eq!(state(&job), ("failed", "feeds_incomplete"), "{job:#}");
    let plan = lab.get(&format!("{path}/power/plan?action=cycle")).await.ok();
    assert_eq!(plan["fallback_possible"], false);
    let forced = json!({"action": "off", "via": "outlets", "confirm_name": "srv-01"});
    let refused = lab.post(&format!("{path}/power"), &forced).await;
    assert_eq!((refused.status, refused.code()), (409, "feeds_incomplete"));
    assert_eq!(lab.feed_changes("srv-01"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn when_most_of_a_subnet_is_silent_nothing_is_cut() {
    let lab = Lab::start(6).await;
    for server in ["srv-01", "srv-02", "srv-03"] {
        mute(&lab.machine(server));
    }
    for server in ["srv-02", "srv-03"] {
        lab.power(server, json!({"action": "on"})).await;
    }
    lab.wait_until("the silence was noticed", async |lab: &Lab| {
        lab.get("/endpoints?q=status:failing").await.ok()["items"].as_array().unwrap().len() >= 3
    })
    .await;
    let job = lab.power("srv-01", json!({"action": "off"})).await;
    assert_eq!(state(&job), ("failed", "subnet_breaker"), "{job:#}");
    assert_eq!(lab.feed_changes("srv-01"), 0);
}
