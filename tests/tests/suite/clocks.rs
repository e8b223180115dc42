//! Clocks that are wrong by an hour, or are set while there is work.

#![expect(clippy::unwrap_used, reason = "a broken bench stops the test")]
#![expect(clippy::indexing_slicing, reason = "JSON values answer null where nothing is")]

use chrono::{DateTime, Utc};
use rackhand_simulators::world::EffectKind;
use rackhand_tests::{Lab, Line, Relay, agent::Agent, rack_of, state};
use serde_json::{Value, json};
use std::{fs, path::PathBuf, time::Duration};
use tempfile::TempDir;

/// A clock of a process, which the test sets.
struct Clock(TempDir);

impl Clock {
    fn new() -> Self {
        let clock = Self(TempDir::new().unwrap());
        clock.set("+0");
        clock
    }

    /// Sets it by so much beside the right time: `+1h`, `-1h`.
    fn set(&self, by: &str) {
        fs::write(self.file(), by).unwrap();
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("clock")
    }

    /// What makes a process look at it: the time of day alone, not the clock that only runs.
    fn variables(&self) -> Vec<(String, String)> {
        let library = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";
        let library = std::env::var("RACKHAND_FAKETIME").unwrap_or_else(|_| library.into());
        assert!(
            fs::exists(&library).unwrap(),
            "{library} is missing: as root, run apt-get install --yes faketime"
        );
        let file = self.file().to_str().unwrap().to_owned();
        [
            ("LD_PRELOAD", library.as_str()),
            ("FAKETIME_TIMESTAMP_FILE", &file),
            ("FAKETIME_NO_CACHE", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
    }
}

struct Bench {
    lab: Lab,
    agent: Agent,
    line: Relay,
    server_clock: Clock,
    agent_clock: Clock,
}

impl Bench {
    async fn new(servers: u16) -> Self {
        let (server_clock, agent_clock) = (Clock::new(), Clock::new());
        let (mut lab, mut agent, line) = Lab::behind_an_agent(rack_of(servers)).await;
        let variables = server_clock.variables();
        let variables: Vec<_> =
            variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        lab.backend.restart_with(&variables);
        agent.kill();
        let words = agent_clock.variables().into_iter().map(|(name, value)| format!("{name}={value}"));
        agent.move_to(["env".to_owned()].into_iter().chain(words).collect());
        agent.run();
        agent.online(&lab).await;
        Self { lab, agent, line, server_clock, agent_clock }
    }

    fn counts(&self) -> [usize; 3] {
        let machine = self.lab.machine("srv-01");
        [EffectKind::PoweredOff, EffectKind::PoweredOn, EffectKind::Reset].map(|what| machine.count(&what))
    }

    /// By how many hours the agent's clock is off, as its log tells.
    fn agent_is_off_by(&self) -> i64 {
        let log = self.agent.log();
        let mut lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        hours_from_now(lines.next_back().unwrap()["timestamp"].as_str().unwrap().parse().unwrap())
    }

    /// Has something done to the server; checks that it was done, once. Gives the job.
    async fn does(&self, what: &str, body: Value, expected: [usize; 3]) -> Value {
        let before = self.counts();
        let job = self.lab.power("srv-01", body).await;
        assert_eq!(state(&job).0, "succeeded", "{what}: {job:#}");
        let after = self.counts();
        assert_eq!([0, 1, 2].map(|at| after[at] - before[at]), expected, "{what}: {job:#}");
        self.lab.wait_until("the BMC is up", async |lab: &Lab| lab.machine("srv-01").bmc_answers()).await;
        job
    }
}

fn hours_from_now(time: DateTime<Utc>) -> i64 {
    let minutes = (time - Utc::now()).num_minutes();
    // Rounded to the next one.
    (minutes + 30).div_euclid(60)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_hour_more_or_less_makes_nothing_late_and_nothing_early() {
    let mut bench = Bench::new(1).await;
    for (server, agent) in [("+1h", "+0"), ("-1h", "+0"), ("+0", "+1h"), ("+0", "-1h"), ("+1h", "-1h")] {
        let what = format!("server {server}, agent {agent}");
        bench.server_clock.set(server);
        bench.agent_clock.set(agent);
        // A session of its own: the certificate is judged by this clock.
        bench.line.set(Line::Cut);
        bench.agent.seen(&bench.lab, "offline").await;
        bench.line.set(Line::Whole);
        bench.agent.online(&bench.lab).await;
        let job = bench.does(&what, json!({"action": "cycle"}), [1, 1, 0]).await;
        let hours = |by: &str| by.trim_end_matches('h').parse::<i64>().unwrap();
        let began: DateTime<Utc> = job["created_at"].as_str().unwrap().parse().unwrap();
        assert_eq!(hours_from_now(began), hours(server), "the server's clock is off: {job:#}");
        assert_eq!(bench.agent_is_off_by(), hours(agent), "the agent's clock is off");
        bench.does(&what, json!({"action": "reset"}), [0, 0, 1]).await;
        let forced = json!({"action": "cycle", "via": "outlets", "confirm_name": "srv-01"});
        bench.does(&what, forced, [1, 1, 0]).await;
        // What waited too long is not done late.
        let before = bench.counts();
        bench.agent.kill();
        bench.agent.seen(&bench.lab, "offline").await;
        let job = bench.lab.power("srv-01", json!({"action": "off"})).await;
        assert_eq!(state(&job).0, "expired", "{what}: {job:#}");
        bench.agent.run();
        bench.agent.online(&bench.lab).await;
        bench.does(&what, json!({"action": "reset"}), [0, 0, 1]).await;
        assert_eq!(bench.counts()[..2], before[..2], "{what}: the expired job was not done");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_set_in_the_middle_of_a_job_changes_nothing_of_it() {
    let bench = Bench::new(1).await;
    let forced = json!({"action": "cycle", "via": "outlets", "confirm_name": "srv-01"});
    for (whose, by) in
        [("server", "+1h"), ("server", "-1h"), ("agent", "+1h"), ("agent", "-1h"), ("both", "+1h")]
    {
        for body in [json!({"action": "cycle"}), forced.clone()] {
            let what = format!("{whose} {by}: {body}");
            let before = bench.counts();
            let job = bench.lab.start_power("srv-01", body.clone()).await;
            bench
                .lab
                .wait_until("it is under way", async |lab: &Lab| {
                    bench.counts()[0] > before[0] || lab.feeds_on("srv-01") < 2
                })
                .await;
            for (name, clock) in [("server", &bench.server_clock), ("agent", &bench.agent_clock)] {
                if whose == name || whose == "both" {
                    clock.set(by);
                }
            }
            let job = bench.lab.finish(job["id"].as_str().unwrap()).await;
            assert_eq!(state(&job).0, "succeeded", "{what}: {job:#}");
            let after = bench.counts();
            assert_eq!([0, 1, 2].map(|at| after[at] - before[at]), [1, 1, 0], "{what}: {job:#}");
            assert!(bench.lab.fully_fed("srv-01"), "{what}: {job:#}");
            bench
                .lab
                .wait_until("the BMC is up", async |lab: &Lab| lab.machine("srv-01").bmc_answers())
                .await;
        }
    }
    // The record is in the order in which things happened, whatever the clock said.
    let audit = bench.lab.get("/audit?limit=100").await.ok();
    let numbers: Vec<u64> =
        audit["items"].as_array().unwrap().iter().filter_map(|record| record["seq"].as_u64()).collect();
    assert!(numbers.len() > 10 && numbers.is_sorted_by(|newer, older| newer > older), "{numbers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_its_turn_grows_old_by_no_clock_that_is_set() {
    let mut bench = Bench::new(1).await;
    // A minute and a second at 1/20.
    for (by, expires_in_ms, ends) in [("+1h", 1_200_000, "succeeded"), ("-1h", 20_000, "expired")] {
        bench.agent.kill();
        bench.agent.seen(&bench.lab, "offline").await;
        let order = |action: &str| json!({"action": action, "queue": true, "expires_in_ms": expires_in_ms});
        let mut jobs = Vec::new();
        for action in ["off", "on"] {
            jobs.push(bench.lab.start_power("srv-01", order(action)).await);
        }
        bench.server_clock.set(by);
        if ends == "succeeded" {
            // Long enough to look several times what waits for too long.
            tokio::time::sleep(Duration::from_secs(2)).await;
            bench.agent.run();
            bench.agent.online(&bench.lab).await;
        }
        for job in &jobs {
            let job = bench.lab.finish(job["id"].as_str().unwrap()).await;
            assert_eq!(state(&job).0, ends, "{by}: {job:#}");
        }
        if !bench.agent.is_running() {
            bench.agent.run();
            bench.agent.online(&bench.lab).await;
        }
    }
}
