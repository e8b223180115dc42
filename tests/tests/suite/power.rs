//! Power, end to end: the real server, the real protocols, and effects counted in the simulated racks.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a broken bench stops the test")]

use chrono::{DateTime, FixedOffset};
use futures::StreamExt;
use rackhand_simulators::world::{EffectKind, Machine, ReplyKind, RestorePolicy, Which};
use rackhand_tests::{Lab, SCALE, SLOW, mute, rack_of, state};
use serde_json::{Value, json};
use std::time::Duration;

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
    let effects = machine.effects();
    let last = |kind: EffectKind| effects.iter().rfind(|effect| effect.what == kind).unwrap().at;
    let held = last(EffectKind::PoweredOn) - last(EffectKind::PoweredOff);
    assert!(held >= Duration::from_secs(5).mul_f64(SCALE), "on again after {held:?}");
    let job = lab.power("srv-01", json!({"action": "reset"})).await;
    assert_eq!((state(&job).0, count(&machine, &EffectKind::Reset)), ("succeeded", 1));
    assert_eq!(lab.pdu_writes(), 0);
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
    // Not before 20 s; within 5 s from then, and three times that on a busy machine.
    let [soonest, room] = [20, 5].map(|seconds| Duration::from_secs(seconds).mul_f64(SCALE));
    assert!(decided >= soonest && decided < soonest + room * 3, "decided after {decided:?}: {job:#}");
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
    assert_eq!(lab.pdu_writes(), 0);
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
    assert_eq!(lab.pdu_writes(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn when_every_answer_is_lost_the_job_does_not_claim_that_nothing_happened() {
    for (action, effect) in [
        ("on", EffectKind::PoweredOn),
        ("off", EffectKind::PoweredOff),
        ("reset", EffectKind::Reset),
        ("cycle", EffectKind::PoweredOff),
    ] {
        let lab = Lab::start(2).await;
        let machine = lab.machine("srv-01");
        if action == "on" {
            lab.power("srv-01", json!({"action": "off"})).await;
        }
        machine.change_bmc_faults(|faults| {
            faults.link.drop_next_replies(u32::MAX, Which::Only(ReplyKind::ChassisControl));
        });
        let job = lab.start_power("srv-01", json!({"action": action})).await;
        lab.wait_until("the command has arrived", async |_: &Lab| count(&machine, &effect) == 1).await;
        machine.change_bmc_faults(|faults| faults.link.drop_next_replies(u32::MAX, Which::Any));
        let job = lab.finish(job["id"].as_str().unwrap()).await;
        assert_eq!(state(&job).0, "indeterminate", "{action}: {job:#}");
        assert_eq!(count(&machine, &effect), 1, "{action} happened once");
        assert_eq!(lab.pdu_writes(), 0, "a lost answer is no reason to cut a feed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ignored_soft_shutdown_times_out_and_cuts_nothing() {
    let lab = Lab::slow(rack_of(1)).await;
    let machine = lab.machine("srv-01");
    machine.change_bmc_faults(|faults| faults.ignore_soft = true);
    let job = lab.power("srv-01", json!({"action": "shutdown", "deadline_s": 30})).await;
    assert_eq!(state(&job), ("failed", "soft_timeout"), "{job:#}");
    let took = (moment(&job["finished_at"]) - moment(&job["started_at"])).to_std().unwrap();
    // Within 2 s of the deadline, and three times that on a busy machine.
    let [deadline, slack] = [30, 2].map(|seconds| Duration::from_secs(seconds).mul_f64(SLOW));
    assert!(took + slack >= deadline && took < deadline + slack * 3, "{took:?} of {deadline:?}: {job:#}");
    assert!(machine.is_on());
    assert_eq!(count(&machine, &EffectKind::PoweredOff), 0);
    let job = lab.power("srv-01", json!({"action": "shutdown", "deadline_s": 30, "escalate": true})).await;
    assert_eq!((state(&job).0, machine.is_on()), ("succeeded", false), "{job:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn identical_requests_join_and_others_are_refused() {
    // Shutting down takes longer than it takes to answer them all, and less than a second press waits.
    let mut farm = rack_of(1);
    farm.timings.os_soft_off = Duration::from_secs(45).mul_f64(SCALE);
    let lab = Lab::wired(farm).await;
    let machine = lab.machine("srv-01");
    let path = format!("/servers/{}/power", lab.id("srv-01"));
    let (same, other) = (json!({"action": "shutdown"}), json!({"action": "on"}));
    // No job is known when they are sent: one of them makes it, and 99 join.
    let joined = futures::future::join_all((0..100).map(|_| lab.post(&path, &same))).await;
    let refused = futures::future::join_all((0..20).map(|_| lab.post(&path, &other))).await;
    let job = joined[0].body["id"].clone();
    for reply in joined {
        assert_eq!((reply.status, &reply.body["id"]), (202, &job), "{}", reply.body);
    }
    for reply in refused {
        assert_eq!((reply.status, reply.code()), (409, "power_conflict"), "{}", reply.body);
        assert_eq!(reply.body["job_id"], job);
    }
    let job = lab.finish(job.as_str().unwrap()).await;
    assert_eq!(state(&job), ("succeeded", "done"), "{job:#}");
    let effects = [EffectKind::SoftPressed, EffectKind::PoweredOff].map(|what| count(&machine, &what));
    assert_eq!(effects, [1, 1], "one execution for all of them");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_idempotency_key_is_one_job() {
    let lab = Lab::start(1).await;
    let path = format!("/servers/{}/power", lab.id("srv-01"));
    let key = [("idempotency-key", "one")];
    let body = json!({"action": "cycle"});
    // None is known when they are sent: one of them makes the job, and as many race as open files let through.
    let all = (0..1000).map(|_| lab.send("POST", &path, Some(&body), &key));
    let replies = futures::stream::iter(all).buffer_unordered(400).collect::<Vec<_>>().await;
    assert_eq!(replies.len(), 1000);
    let job = replies[0].body["id"].clone();
    for reply in replies {
        assert_eq!((reply.status, &reply.body["id"]), (202, &job), "{}", reply.body);
    }
    lab.finish(job.as_str().unwrap()).await;
    let again = lab.send("POST", &path, Some(&body), &key).await;
    assert_eq!((again.status, &again.body["id"]), (202, &job), "also when it is over");
    let jobs = lab.get("/jobs").await.ok();
    let made = jobs["items"].as_array().unwrap().iter().filter(|job| job["kind"] == "power");
    assert_eq!(made.count(), 1, "{jobs:#}");
    let other = lab.send("POST", &path, Some(&json!({"action": "off"})), &key).await;
    assert_eq!((other.status, other.code()), (422, "idempotency_key_reused"));
    // It may have had to wait for too long in such a crowd.
    assert!(count(&lab.machine("srv-01"), &EffectKind::PoweredOff) <= 1);
}

/// What is told of another BMC at a server's address, newest first.
async fn told_of_another_bmc(lab: &Lab) -> Vec<Value> {
    let query = format!("/events?q=server:{} kind:server.identity_mismatch", lab.id("srv-01"));
    lab.get(&query).await.ok()["items"].as_array().unwrap().clone()
}

/// Every page of the server shows that another BMC is at its address.
async fn another_bmc_is_shown(lab: &Lab) {
    let path = format!("/servers/{}", lab.id("srv-01"));
    let (view, power) = (lab.get(&path).await.ok(), lab.get(&format!("{path}/power")).await.ok());
    let row = lab.get("/servers").await.ok()["items"][0].clone();
    for flags in [&view["power"]["flags"], &power["flags"], &row["flags"]] {
        assert!(flags.as_array().unwrap().contains(&json!("identity_mismatch")), "{flags} {power:#}");
    }
    let bmc = &power["paths"][0];
    let fault = (&bmc["fault"]["code"], &bmc["fault"]["reason"]);
    assert_eq!(fault, (&json!("config"), &json!("identity_mismatch")), "{bmc:#}");
    assert!(bmc["state"].is_null(), "another machine's power is not this one's: {bmc:#}");
    assert_eq!(lab.get("/servers/tally").await.ok()["attention"], 1);
    let plan = lab.get(&format!("{path}/power/plan?action=off")).await.ok();
    assert_eq!(plan["fallback_possible"], false, "{plan:#}");
    assert!(plan["fallback"].as_str().unwrap().contains("Another BMC"), "{plan:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_bmc_at_the_address_gets_no_command_and_raises_one_alarm() {
    let lab = Lab::start(1).await;
    let machine = lab.machine("srv-01");
    lab.wait_until("the right one is known", async |lab: &Lab| {
        lab.get("/endpoints?q=kind:ipmi").await.ok()["items"][0]["status"]["identity"]["unique"].is_string()
    })
    .await;
    assert!(told_of_another_bmc(&lab).await.is_empty());
    machine.change_bmc_faults(|faults| faults.wrong_guid = true);
    machine.restart_bmc();
    lab.wait_until("the BMC is back", async |_: &Lab| machine.bmc_answers()).await;
    for action in ["off", "cycle", "reset"] {
        let job = lab.power("srv-01", json!({"action": action})).await;
        assert_eq!(state(&job), ("failed", "config"), "{job:#}");
    }
    assert!(machine.is_on());
    assert_eq!(count(&machine, &EffectKind::Reset) + lab.feed_changes("srv-01"), 0);

    lab.wait_until("it was told", async |lab: &Lab| !told_of_another_bmc(lab).await.is_empty()).await;
    another_bmc_is_shown(&lab).await;
    // Neither three jobs nor another look tell it again.
    let power = format!("/servers/{}/power", lab.id("srv-01"));
    let looked_at = async |lab: &Lab| lab.get(&power).await.ok()["paths"][0]["checked_at"].clone();
    let before = looked_at(&lab).await;
    lab.post(&format!("{power}/refresh"), &json!({})).await.ok();
    lab.wait_until("it was looked at", async |lab: &Lab| looked_at(lab).await != before).await;
    another_bmc_is_shown(&lab).await;
    let told = told_of_another_bmc(&lab).await;
    assert_eq!(told.len(), 1, "{told:#?}");
    assert_eq!((&told[0]["severity"], &told[0]["server_name"]), (&json!("alarm"), &json!("srv-01")));
    assert!(told[0]["message"].as_str().unwrap().contains("another BMC at its address"), "{told:#?}");
    let failed = lab.get("/events?q=kind:job.failed").await.ok()["items"].clone();
    let failed = failed.as_array().unwrap();
    assert!(failed.len() == 3 && failed.iter().all(|event| event["severity"] == "alarm"), "{failed:#?}");
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
    assert_eq!(lab.pdu_writes(), 0);
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
    assert_eq!(lab.pdu_writes(), 0);
}
