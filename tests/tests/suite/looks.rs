//! An agent that looks at its devices with and without a server.

#![expect(clippy::unwrap_used, reason = "a broken bench stops the test")]
#![expect(clippy::indexing_slicing, reason = "JSON values answer null where nothing is")]

use chrono::{DateTime, Utc};
use rackhand_simulators::{
    farm::FarmConfig,
    world::{ChassisCommand, EffectKind},
};
use rackhand_tests::{Lab, Line, SCALE, agent::Agent, mute, rack_of};
use serde_json::{Value, json};
use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

/// More samples than may have been stored without the agent knowing when the server was killed: these are dropped and
/// are not missing.
const UNDER_WAY: u64 = 8;

/// A minute of the product.
const MINUTE: Duration = Duration::from_secs(3);

/// A lab behind an agent that looks twice a minute.
async fn lab(servers: u16) -> (Lab, Agent, rackhand_tests::Relay) {
    assert_eq!(Duration::from_mins(1).mul_f64(SCALE), MINUTE);
    let (lab, agent, line) = Lab::behind_an_agent(rack_of(servers)).await;
    let mut installation = lab.get("/settings").await.ok()["installation"].clone();
    installation["poll_interval_s"] = 30.into();
    lab.patch("/settings", &json!({"installation": installation})).await.ok();
    (lab, agent, line)
}

/// Everything that is in the files below a folder.
fn files(folder: &Path) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            text += &files(&path);
        } else {
            // A file may be dropped in this very moment.
            text += &String::from_utf8_lossy(&fs::read(&path).unwrap_or_default());
        }
    }
    text
}

/// Samples that the agent has on disk and has not told yet, or not dropped yet.
fn kept(agent: &Agent) -> String {
    files(&agent.folder().join("spool/samples"))
}

/// Events of a kind, the oldest first.
async fn events(lab: &Lab, query: &str) -> Vec<Value> {
    let mut events = lab.get(&format!("/events?limit=200&q={query}")).await.ok()["items"].clone();
    let events = events.as_array_mut().unwrap();
    events.reverse();
    events.clone()
}

fn time(value: &Value) -> DateTime<Utc> {
    value.as_str().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happened_while_the_server_was_away_is_told_once_in_order_and_with_its_time() {
    let (mut lab, agent, line) = lab(2).await;
    let machine = lab.machine("srv-01");
    let query = format!("server:{}%20kind:power.", lab.id("srv-01"));
    let before = events(&lab, &query).await.len();
    let device = lab.bmc("srv-01").await;
    lab.backend.kill();
    let gone = Utc::now();
    let seen = |word: &str| {
        kept(&agent).lines().filter(|line| line.contains(&device) && line.contains(word)).count()
    };
    for (command, word) in
        [(ChassisCommand::Down, "\"power\":\"off\""), (ChassisCommand::Up, "\"power\":\"on\"")]
    {
        let before = seen(word);
        machine.chassis(command).unwrap();
        lab.wait_until(word, async |_: &Lab| seen(word) > before).await;
    }
    let back = Utc::now();
    lab.backend.start_again();
    let told = async |lab: &Lab| events(lab, &query).await.split_off(before);
    lab.wait_until("both are told", async |lab: &Lab| told(lab).await.len() >= 2).await;
    // Cut off while more is told: it is told again and counts once.
    line.set(Line::Cut);
    line.set(Line::Whole);
    agent.online(&lab).await;
    let path = format!("/servers/{}", lab.id("srv-01"));
    let online = Utc::now();
    lab.wait_until("it was looked at since", async |lab: &Lab| {
        time(&lab.get(&path).await.ok()["power"]["checked_at"]) > online
    })
    .await;
    let told = told(&lab).await;
    let kinds: Vec<&str> = told.iter().map(|event| event["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["power.off", "power.on"], "{told:#?}");
    let times: Vec<_> = told.iter().map(|event| time(&event["at"])).collect();
    // An age counts from the arrival of what tells it: the way there makes it a little later.
    let way = chrono::TimeDelta::seconds(1);
    assert!(gone < times[0] && times[0] < times[1] && times[1] < back + way, "{gone} {times:?} {back}");
    let shown = lab.get(&path).await.ok();
    assert_eq!(shown["power"]["value"], "on", "{shown:#}");
    assert!(
        (time(&shown["power"]["since"]) - times[1]).num_milliseconds().abs() < 1000,
        "{shown:#} {times:?}"
    );
    assert_eq!(events(&lab, "kind:agent.samples_dropped").await, Vec::<Value>::new());
    assert_eq!((machine.count(&EffectKind::PoweredOff), machine.count(&EffectKind::PoweredOn)), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_that_nobody_reads_any_more_is_kept_with_its_age_and_not_trusted() {
    let (lab, mut agent, _line) = lab(2).await;
    let power = async |lab: &Lab| lab.get(&format!("/servers/{}/power", lab.id("srv-01"))).await.ok();
    lab.wait_until("it is sure", async |lab: &Lab| power(lab).await["confidence"] == "high").await;
    agent.kill();
    let left = Utc::now();
    lab.wait_until("it is unsure", async |lab: &Lab| power(lab).await["confidence"] != "high").await;
    let changed = lab.patch(&format!("/servers/{}", lab.id("srv-01")), &json!({"notes": "x"})).await.ok();
    assert_ne!(changed["power"]["confidence"], "high", "a change answers as a look does: {changed:#}");
    let rows = lab.get("/servers").await.ok()["items"].clone();
    for row in rows.as_array().unwrap() {
        assert_ne!(row["confidence"], "high", "the list says the same: {row:#}");
        assert!(row["paths"].as_array().unwrap().iter().all(|path| path["agent_away"] == true), "{row:#}");
    }
    lab.wait_until("it is doubted", async |lab: &Lab| power(lab).await["confidence"] == "low").await;
    let seen = power(&lab).await;
    assert_eq!(seen["value"], "on", "the last that was heard: {seen:#}");
    // It is read every half minute, and doubted when three of those are missing.
    let age = Utc::now() - time(&seen["checked_at"]);
    assert!(age.to_std().unwrap() > MINUTE / 2 * 3 && time(&seen["checked_at"]) < left, "{seen:#}");
    lab.wait_until("all are doubted", async |lab: &Lab| {
        let rows = lab.get("/servers").await.ok()["items"].clone();
        rows.as_array().unwrap().iter().all(|row| row["confidence"] == "low" && row["power"] == seen["value"])
    })
    .await;
    agent.run();
    lab.wait_until("it is sure again", async |lab: &Lab| power(lab).await["confidence"] == "high").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_restart_alone_nothing_is_asked_without_credentials_and_the_gap_is_marked() {
    let (mut lab, mut agent, _line) = lab(2).await;
    let secrets = ["rackhand-bmc", "write_community", "\"community\""];
    let clean = |agent: &Agent| {
        let found = files(agent.folder());
        assert!(found.contains("\"looks\":[") && found.contains("needs_secrets"), "the looks are on disk");
        for secret in secrets {
            assert!(!found.contains(secret), "{secret} is on the agent's disk");
        }
    };
    lab.wait_until("the looks at all four are written", async |_: &Lab| {
        let looks = fs::read_to_string(agent.folder().join("spool/looks.json")).unwrap_or_default();
        looks.matches("\"endpoint\":").count() == 4
    })
    .await;
    lab.backend.kill();
    let seen = kept(&agent).len();
    lab.wait_until("it goes on alone", async |_: &Lab| kept(&agent).len() > seen).await;
    clean(&agent);
    agent.kill();
    let tally = |lab: &Lab| lab.farm.bmc("srv-01").unwrap().tally().begun;
    let before = tally(&lab);
    agent.run();
    // Longer than every device takes its turn.
    tokio::time::sleep(MINUTE).await;
    assert_eq!(tally(&lab), before, "it was asked without credentials");
    clean(&agent);
    lab.backend.start_again();
    agent.online(&lab).await;
    lab.wait_until("the gap is marked", async |lab: &Lab| {
        !events(lab, "kind:agent.restarted_alone").await.is_empty()
    })
    .await;
    let marks = events(&lab, "kind:agent.restarted_alone").await;
    let message = marks[0]["message"].as_str().unwrap();
    assert!(marks.len() == 1 && message.contains("4 device(s)"), "{marks:#?}");
    assert_eq!(marks[0]["agent_id"], agent.id, "{marks:#?}");
    lab.wait_until("it is asked again", async |lab: &Lab| tally(lab) > before).await;
    clean(&agent);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_disk_may_not_hold_is_dropped_from_the_oldest_on_and_said() {
    let (mut lab, agent, _line) = lab(2).await;
    agent.configure("allow = [\"127.0.0.0/8\"]\nspool_mb = 0.008\n");
    agent.reload(&lab).await;
    lab.backend.kill();
    let dropped = |agent: &Agent| -> u64 {
        let lines = agent.log();
        let lines = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines
            .filter(|line| line.to_string().contains("oldest samples were dropped"))
            .map(|line| count(&line))
            .sum()
    };
    let machine = lab.machine("srv-01");
    let begun = Instant::now();
    while dropped(&agent) < UNDER_WAY {
        // What changes takes room.
        machine.chassis(ChassisCommand::Cycle).ok();
        assert!(begun.elapsed() < Duration::from_mins(1), "nothing is dropped:\n{}", kept(&agent));
        tokio::time::sleep(MINUTE / 4).await;
    }
    assert!(kept(&agent).len() < 12_000, "{}", kept(&agent).len());
    lab.backend.start_again();
    agent.online(&lab).await;
    lab.wait_until("it is said", async |lab: &Lab| {
        let said = events(lab, "kind:agent.samples_dropped").await;
        let number = |event: &Value| event["message"].as_str()?.split(' ').next()?.parse::<u64>().ok();
        let (said, dropped) = (said.iter().filter_map(number).sum::<u64>(), dropped(&agent));
        said > 0 && said <= dropped && dropped - said < UNDER_WAY
    })
    .await;
    let path = format!("/servers/{}", lab.id("srv-02"));
    assert_eq!(lab.get(&path).await.ok()["power"]["value"], "on");
}

fn count(line: &Value) -> u64 {
    line["fields"]["samples"].as_u64().or_else(|| line["samples"].as_u64()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_devices_hold_nobody_up() {
    let config = FarmConfig {
        servers: 200,
        per_rack: 50,
        feeds: 1,
        pdus_per_rack: 1,
        outlets: 50,
        ..FarmConfig::default()
    };
    let (lab, agent, _line) = Lab::behind_an_agent(config).await;
    let names: Vec<String> =
        lab.farm.world().machines().iter().map(|machine| machine.name().to_owned()).collect();
    let (dead, live) = names.split_at(20);
    for name in dead {
        mute(&lab.machine(name));
    }
    let begun = Utc::now();
    let status = async |lab: &Lab, state: &str| {
        let mut all = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = lab.get(&format!("/endpoints?limit=100&q=status:{state}{cursor}")).await.ok();
            all.extend(page["items"].as_array().unwrap().iter().map(|it| time(&it["status"]["checked_at"])));
            match page["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return all,
            }
        }
    };
    lab.wait_until("the dead ones are known", async |lab: &Lab| {
        status(lab, "failing").await.len() == dead.len()
    })
    .await;
    // What waits now was due while they were silent.
    for _ in 0..3 {
        tokio::time::sleep(MINUTE).await;
        let all = live.len() + lab.farm.inventory().pdus.len();
        lab.wait_until("all the others answer", async |lab: &Lab| status(lab, "ok").await.len() == all).await;
        let now = Utc::now();
        let checked = status(&lab, "ok").await;
        let worst = checked.iter().map(|at| now - at).max().unwrap().to_std().unwrap();
        assert!(worst < MINUTE * 2, "the oldest reading of a live device is {worst:?} old");
    }
    // Half a second, with room for a busy machine.
    for name in live.iter().take(5) {
        let machine = lab.machine(name);
        let asked = Instant::now();
        lab.start_power(name, json!({"action": "off"})).await;
        lab.wait_until("it is off", async |_: &Lab| !machine.is_on()).await;
        let took = asked.elapsed();
        assert!(took < Duration::from_millis(1500), "{name}: {took:?}");
    }
    let failing = format!("endpoint:{}%20kind:endpoint.", lab.bmc(&dead[0]).await);
    let told = events(&lab, &failing).await;
    let since: Vec<_> =
        told.iter().filter(|event| time(&event["at"]) > begun).map(|event| &event["kind"]).collect();
    assert_eq!(since, ["endpoint.failing"], "each edge is told once");
    drop(agent);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_device_is_asked_less_and_less_often_until_somebody_wants_to_know() {
    let (lab, agent, _line) = lab(1).await;
    mute(&lab.machine("srv-01"));
    let path = format!("/endpoints/{}", lab.bmc("srv-01").await);
    let mut asked = Vec::new();
    let begun = Instant::now();
    while asked.len() < 4 {
        assert!(begun.elapsed() < Duration::from_mins(1), "{asked:?}");
        let status = lab.get(&path).await.ok()["status"].clone();
        let at = status["checked_at"].clone();
        if status["state"] == "failing" && asked.last() != Some(&at) {
            asked.push(at);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let times: Vec<_> = asked.iter().map(time).collect();
    let pauses: Vec<f64> =
        times.windows(2).map(|pair| (pair[1] - pair[0]).as_seconds_f64() / MINUTE.as_secs_f64()).collect();
    for (pause, minutes) in pauses.iter().zip([1.0, 2.0, 4.0]) {
        assert!(*pause >= minutes && *pause < minutes * 1.5 + 1.0, "{pauses:?}");
    }
    // The next one would be due in eight minutes.
    rackhand_tests::unmute(&lab.machine("srv-01"));
    let asked = Instant::now();
    lab.post(&format!("/servers/{}/power/refresh", lab.id("srv-01")), &json!({})).await.ok();
    lab.wait_until("it answers", async |lab: &Lab| lab.get(&path).await.ok()["status"]["state"] == "ok")
        .await;
    assert!(asked.elapsed() < MINUTE, "{:?}", asked.elapsed());
    drop(agent);
}
