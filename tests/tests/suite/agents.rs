//! A real agent at the other end of a line that can be cut.

#![expect(clippy::unwrap_used, reason = "a broken bench stops the test")]

use rackhand_simulators::{
    farm::FarmConfig,
    world::{EffectKind, Machine, PduEffectKind},
};
use rackhand_tests::{Lab, Line, SCALE, SLOW, agent, agent::Agent, binary, rack_of};
use rackhand_wire::Timings;
use serde_json::{Value, json};
use std::{fs, process::Command, time::Duration};

fn state(job: &Value) -> (&str, &str) {
    (job["state"].as_str().unwrap_or_default(), job["reason"].as_str().unwrap_or_default())
}

fn server_with(feeds: u16) -> FarmConfig {
    FarmConfig { pdus_per_rack: feeds.clamp(2, 3), feeds, ..rack_of(1) }
}

fn cut_feeds(lab: &Lab, machine: &Machine) -> usize {
    let off = |feed: &rackhand_simulators::world::OutletId| {
        let effects = lab.farm.world().pdu(feed.pdu()).unwrap().effects();
        effects
            .iter()
            .filter(|effect| effect.outlet == feed.number() && effect.what == PduEffectKind::SwitchedOff)
            .count()
    };
    machine.feeds().iter().map(off).sum()
}

/// Text of an answer on standard error.
fn said(output: &std::process::Output) -> String {
    assert!(!output.status.success());
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_remote_agent_reaches_is_switched_as_what_is_near() {
    let (lab, agent, _relay) = Lab::behind_an_agent(rack_of(2)).await;
    let machine = lab.machine("srv-01");
    let job = lab.power("srv-01", json!({"action": "cycle"})).await;
    assert_eq!((state(&job).0, machine.is_on()), ("succeeded", true), "{job:#}");
    assert_eq!((machine.count(&EffectKind::PoweredOff), cut_feeds(&lab, &machine)), (1, 0));
    machine.change_bmc_faults(|faults| faults.link.mute = true);
    let job = lab.power("srv-01", json!({"action": "off"})).await;
    assert_eq!(state(&job), ("succeeded", "done_by_outlets"), "{job:#}");
    assert!(!machine.is_on() && cut_feeds(&lab, &machine) == 2);
    let shown = agent.view(&lab).await;
    assert_eq!(
        (&shown["state"], &shown["group"], &shown["endpoints"]),
        (&json!("online"), &json!("site-a"), &json!(4))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_good_once_in_its_time_from_its_place() {
    let lab = Lab::bare(1).await;
    let port = lab.backend.port();
    let first = Agent::start(&lab, "site-a", port).await;
    let added = lab.post("/agents", &json!({"name": "site-b"})).await.ok();
    let token = added["token"].as_str().unwrap();
    assert!(added["command"].as_str().unwrap().ends_with(token));
    let folder = tempfile::tempdir().unwrap();
    assert!(agent::enroll(folder.path(), port, &["--token", token]).status.success());
    let again = agent::enroll(folder.path(), port, &["--token", token]);
    assert!(said(&again).contains("--force"), "an identity is not overwritten by accident");
    let again = agent::enroll(folder.path(), port, &["--token", token, "--force"]);
    assert!(said(&again).contains("used already"), "{}", said(&again));
    let other = tempfile::tempdir().unwrap();
    let wrong = agent::enroll(other.path(), port, &["--token", "rha_nonsense"]);
    assert!(said(&wrong).contains("never existed"));
    let elsewhere = json!({"name": "site-c", "source": "203.0.113.0/24"});
    let elsewhere = lab.post("/agents", &elsewhere).await.ok();
    let refused = agent::enroll(other.path(), port, &["--token", elsewhere["token"].as_str().unwrap()]);
    assert!(said(&refused).contains("203.0.113.0/24"));
    for (body, field) in [
        (json!({"name": ""}), "name"),
        (json!({"name": "site-a"}), "name"),
        (json!({"name": "x", "group": "local"}), "group"),
        (json!({"name": "x", "source": "here"}), "source"),
        (json!({"name": "x", "public_key": "none"}), "public_key"),
    ] {
        let reply = lab.post("/agents", &body).await;
        assert_eq!((reply.status, reply.field().0), (422, field), "{body}");
    }
    drop(first);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_was_registered_beforehand_needs_no_token() {
    let lab = Lab::bare(1).await;
    let folder = tempfile::tempdir().unwrap();
    let (key, public) = (folder.path().join("own.key"), folder.path().join("own.pub"));
    let openssl = |args: &[&str]| {
        let made = Command::new("openssl").args(args).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    };
    openssl(&["genpkey", "-algorithm", "ed25519", "-out", key.to_str().unwrap()]);
    openssl(&["pkey", "-in", key.to_str().unwrap(), "-pubout", "-out", public.to_str().unwrap()]);
    let public = fs::read_to_string(public).unwrap();
    let added = lab.post("/agents", &json!({"name": "site-a", "public_key": public})).await.ok();
    assert!(added["token"].is_null());
    let id = added["agent"]["id"].as_str().unwrap();
    let strange = folder.path().join("strange.key");
    openssl(&["genpkey", "-algorithm", "ed25519", "-out", strange.to_str().unwrap()]);
    let data = tempfile::tempdir().unwrap();
    let port = lab.backend.port();
    let with = |key: &std::path::Path| {
        agent::enroll(data.path(), port, &["--agent", id, "--key", key.to_str().unwrap()])
    };
    assert!(said(&with(&strange)).contains("No agent is registered with this key"));
    assert!(with(&key).status.success());
    let mut process = agent::spawn(data.path());
    lab.wait_until("it is online", async |lab: &Lab| {
        lab.get(&format!("/agents/{id}")).await.ok()["state"] == "online"
    })
    .await;
    process.kill().unwrap();
    process.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_cut_after_the_first_cut_leaves_no_feed_off_and_the_job_says_so() {
    for feeds in 1..=6 {
        let (lab, agent, relay) = Lab::behind_an_agent(server_with(feeds)).await;
        let machine = lab.machine("srv-01");
        // The line is cut before all feeds are proven off, also on a busy machine.
        for pdu in lab.farm.world().pdus() {
            pdu.change_faults(|faults| faults.link.delay = Duration::from_millis(30));
        }
        let forced = json!({"action": "cycle", "via": "outlets", "confirm_name": "srv-01"});
        let job = lab.start_power("srv-01", forced).await;
        lab.wait_until("a feed is cut", async |lab: &Lab| cut_feeds(lab, &machine) > 0).await;
        relay.set(Line::Cut);
        agent.seen(&lab, "offline").await;
        lab.wait_until("the agent has restored by itself", async |lab: &Lab| lab.fully_fed("srv-01")).await;
        let cut = cut_feeds(&lab, &machine);
        relay.set(Line::Whole);
        let job = lab.finish(job["id"].as_str().unwrap()).await;
        assert!(lab.fully_fed("srv-01"), "{feeds} feeds: {job:#}");
        assert_eq!(cut_feeds(&lab, &machine), cut, "{feeds} feeds: nothing is cut again: {job:#}");
        // Where all feeds were dark for a while, the server may have lost power: that is neither nothing nor all.
        let expected = if cut == usize::from(feeds) { "failed_partial" } else { "failed" };
        assert_eq!(state(&job), (expected, "feeds_restored"), "{feeds} feeds, {cut} cut: {job:#}");
        let of_job = format!("/events?q=server:{}", lab.id("srv-01"));
        lab.wait_until("it is told what the agent did", async |lab: &Lab| {
            let events = lab.get(&of_job).await.ok();
            let told =
                events["items"].as_array().unwrap().iter().filter(|event| event["kind"] == "outlet.restored");
            told.count() == cut
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waited_too_long_for_its_agent_expires_and_is_never_done() {
    let (lab, mut agent, _relay) = Lab::behind_an_agent(rack_of(1)).await;
    let machine = lab.machine("srv-01");
    agent.kill();
    agent.seen(&lab, "offline").await;
    let job = lab.power("srv-01", json!({"action": "off"})).await;
    assert_eq!(state(&job).0, "expired", "{job:#}");
    agent.run();
    agent.online(&lab).await;
    let job = lab.power("srv-01", json!({"action": "reset"})).await;
    assert_eq!(state(&job).0, "succeeded", "{job:#}");
    assert_eq!(machine.count(&EffectKind::PoweredOff), 0, "the first job was not done late");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_agent_is_shut_out_at_once_and_comes_back_with_a_new_token() {
    let lab = Lab::bare(1).await;
    let agent = Agent::start(&lab, "site-a", lab.backend.port()).await;
    agent.shut_out(&lab).await;
    agent.seen(&lab, "revoked").await;
    lab.wait_until("the agent says why", async |_: &Lab| agent.log().contains("was revoked")).await;
    let replaced = lab.post(&format!("/agents/{}/replace", agent.id), &json!({"force": true})).await.ok();
    let token = replaced["token"].as_str().unwrap();
    let done = agent::enroll(agent.folder(), lab.backend.port(), &["--force", "--token", token]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    agent.online(&lab).await;

    // The same by a command beside the server, which hears of it in time.
    let replaced = Command::new(binary("rackhand"))
        .args([
            "agent",
            "replace",
            "site-a",
            "--force",
            "--database-url",
            &lab.backend.database(),
            "--data-dir",
        ])
        .arg(lab.backend.folder())
        .output()
        .unwrap();
    assert!(replaced.status.success(), "{}", String::from_utf8_lossy(&replaced.stderr));
    agent.seen(&lab, "revoked").await;
    lab.wait_until("the line is cut", async |_: &Lab| agent.log().matches("was revoked").count() > 1).await;
    let told = String::from_utf8(replaced.stdout).unwrap();
    let token = told.trim().rsplit(' ').next().unwrap();
    let done = agent::enroll(agent.folder(), lab.backend.port(), &["--force", "--token", token]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    agent.online(&lab).await;
    assert_eq!(lab.get(&format!("/agents/{}", agent.id)).await.ok()["name"], "site-a");

    let embedded = lab.get("/agents").await.ok();
    let embedded =
        embedded["items"].as_array().unwrap().iter().find(|agent| agent["embedded"] == true).unwrap();
    let refused = lab.post(&format!("/agents/{}/revoke", embedded["id"].as_str().unwrap()), &json!({})).await;
    assert_eq!((refused.status, refused.code()), (409, "embedded"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copied_agent_is_flagged_and_one_of_the_two_ends() {
    let (mut lab, mut agent, _line) = Lab::behind_an_agent(rack_of(1)).await;
    // A live process answers within a lease, which at 1/20 is no time on a busy machine.
    lab.backend.restart_at(SLOW);
    agent.slowed(&lab).await;
    let copy = tempfile::tempdir().unwrap();
    let copied =
        Command::new("cp").arg("-r").arg(agent.folder().join(".")).arg(copy.path()).status().unwrap();
    assert!(copied.success());
    let mut process = agent::spawn(copy.path());
    let (code, said) = agent.ended();
    assert_eq!(code, Some(3), "the unit's RestartPreventExitStatus");
    assert!(said.contains("took its place"));
    let shown = agent.view(&lab).await;
    assert!(!shown["copies_at"].is_null(), "{shown:#}");
    agent.online(&lab).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(process.try_wait().unwrap().is_none(), "the newer one stays");
    let (job, machine) = (lab.power("srv-01", json!({"action": "cycle"})).await, lab.machine("srv-01"));
    let counts = [EffectKind::PoweredOff, EffectKind::PoweredOn].map(|what| machine.count(&what));
    assert_eq!((state(&job).0, counts), ("succeeded", [1, 1]), "it alone works: {job:#}");
    process.kill().unwrap();
    process.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_was_forgotten_is_noticed_and_dialled_again() {
    let (lab, agent, line) = Lab::behind_an_agent(rack_of(1)).await;
    let machine = lab.machine("srv-01");
    for round in 1..=3 {
        let noticed = || agent.log().matches("nothing was heard for too long").count();
        let before = noticed();
        line.forget();
        // It is asked before either side can know that nothing arrives any more: too old by then, and not done.
        let job = lab.power("srv-01", json!({"action": "cycle", "expires_in_ms": 10_000})).await;
        assert_eq!(state(&job).0, "expired", "{job:#}");
        lab.wait_until("both have noticed", async |_: &Lab| noticed() > before).await;
        agent.online(&lab).await;
        let job = lab.power("srv-01", json!({"action": "cycle"})).await;
        assert_eq!(state(&job).0, "succeeded", "{job:#}");
        assert_eq!((machine.count(&EffectKind::PoweredOff), machine.is_on()), (round, true), "{job:#}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_line_changes_nothing_but_the_time() {
    let (lab, _agent, _line) = Lab::behind_a_line(rack_of(1), Duration::from_millis(100)).await;
    let machine = lab.machine("srv-01");
    let job = lab.power("srv-01", json!({"action": "cycle"})).await;
    assert_eq!((state(&job).0, machine.is_on()), ("succeeded", true), "{job:#}");
    let job = lab.power("srv-01", json!({"action": "off", "via": "outlets", "confirm_name": "srv-01"})).await;
    assert_eq!((state(&job), machine.is_on()), (("succeeded", "done_by_outlets"), false), "{job:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_leaves_in_the_off_phase_leaves_an_alarm() {
    let (lab, mut agent, _line) = Lab::behind_an_agent(rack_of(1)).await;
    let machine = lab.machine("srv-01");
    let job = lab.start_power("srv-01", json!({"action": "cycle"})).await;
    let path = format!("/jobs/{}", job["id"].as_str().unwrap());
    lab.wait_until("it is off", async |_: &Lab| !machine.is_on()).await;
    // It is read before it is switched on again: that takes long enough to see how far the job is.
    machine.change_bmc_faults(|faults| faults.link.delay = Duration::from_millis(400));
    lab.wait_until("off is proven", async |lab: &Lab| {
        let steps = lab.get(&path).await.ok()["steps"].clone();
        steps.as_array().unwrap().iter().any(|step| step["phase"] == "Hold")
    })
    .await;
    agent.kill();
    let job = lab.finish(job["id"].as_str().unwrap()).await;
    assert_eq!((state(&job).0, machine.is_on()), ("failed_partial", false), "{job:#}");
    assert!(job["summary"].as_str().unwrap().contains("the server is off"), "{job:#}");
    let alarms = lab.get("/events?q=severity:alarm").await.ok();
    assert!(!alarms["items"].as_array().unwrap().is_empty(), "somebody must look");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_agent_met_is_not_said_of_a_device_that_another_one_has() {
    let lab = Lab::start(1).await;
    let connections = lab.get(&format!("/servers/{}/connections", lab.id("srv-01"))).await.ok();
    let device = format!("/endpoints/{}", connections["items"][0]["endpoint_id"].as_str().unwrap());
    let answers = async |lab: &Lab| lab.get(&device).await.ok()["status"]["state"] == "ok";
    lab.wait_until("it answers", answers).await;
    let other = lab.post("/agents", &json!({"name": "site-b"})).await.ok()["agent"]["id"].clone();
    let given = lab.patch(&device, &json!({"agent_id": other})).await.ok();
    let said = |status: &Value| (status["state"].clone(), status["checked_at"].clone());
    assert_eq!(said(&given["status"]), (json!("unchecked"), Value::Null), "{given:#}");
    // Nor when the first one looks once more.
    tokio::time::sleep(Timings::default().scaled(SCALE).poll * 2).await;
    let later = lab.get(&device).await.ok();
    assert_eq!(said(&later["status"]), (json!("unchecked"), Value::Null), "{later:#}");
    lab.patch(&device, &json!({"agent_id": null})).await.ok();
    lab.wait_until("it answers again", answers).await;
}
