//! The end of a process exactly between an intent, its effect and its outcome.

#![expect(clippy::indexing_slicing, reason = "JSON values answer null where nothing is")]

use rackhand_simulators::world::{EffectKind, Machine};
use rackhand_tests::{Lab, SCALE, SLOW, rack_of, state};
use sea_orm::ConnectionTrait as _;
use serde_json::{Value, json};

/// What was asked, and how often the machine went off, came on and was reset since.
struct Case<'a> {
    lab: &'a Lab,
    server: &'a str,
    before: [usize; 3],
}

impl<'a> Case<'a> {
    fn new(lab: &'a Lab, server: &'a str) -> Self {
        Self { lab, server, before: counts(&lab.machine(server)) }
    }

    /// Compares what happened with what must have.
    fn happened(&self, place: &str, job: &Value, allowed: Allowed) {
        let after = counts(&self.lab.machine(self.server));
        let found = [0, 1, 2].map(|at| after[at] - self.before[at]);
        let fits = allowed.iter().any(|(word, counts)| *word == state(job).0 && *counts == found);
        assert!(fits, "{place}: {:?} with {found:?} (off, on, resets): {job:#}", state(job));
        assert!(self.lab.fully_fed(self.server), "{place}: a feed stays off: {job:#}");
    }
}

fn counts(machine: &Machine) -> [usize; 3] {
    [EffectKind::PoweredOff, EffectKind::PoweredOn, EffectKind::Reset].map(|what| machine.count(&what))
}

/// States of a job, each with how often the machine may have gone off, come on and been reset.
type Allowed = &'static [(&'static str, [usize; 3])];

/// A day, the longest that a job may wait for its agent before it begins.
const LATE: u64 = 24 * 3_600_000;

/// What is asked, with what may come of it; a reset whose answer is lost is never sent again.
fn wishes(server: &str) -> [(Value, Allowed); 3] {
    [
        (json!({"action": "cycle", "expires_in_ms": LATE}), &[("succeeded", [1, 1, 0])]),
        (
            json!({"action": "reset", "expires_in_ms": LATE}),
            &[("succeeded", [0, 0, 1]), ("indeterminate", [0, 0, 0]), ("indeterminate", [0, 0, 1])],
        ),
        (
            json!({"action": "cycle", "via": "outlets", "confirm_name": server, "expires_in_ms": LATE}),
            // Where nobody could go on in time, the agent has put back what was cut.
            &[("succeeded", [1, 1, 0]), ("failed", [0, 0, 0]), ("failed_partial", [1, 1, 0])],
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_ends_between_intent_and_outcome_does_nothing_twice() {
    let (mut lab, mut agent, _line) = Lab::behind_an_agent(rack_of(1)).await;
    for place in ["agent-received", "agent-started", "agent-performed", "agent-done"] {
        // What is in no journal yet expires while the agent is away: at 1/20 before a busy machine has started it.
        lab.backend.restart_at(if place == "agent-received" { SLOW } else { SCALE });
        for nth in 1..=4 {
            for (body, allowed) in wishes("srv-01") {
                if (body["via"].is_null() && nth > 2) || (body["action"] == "reset" && nth > 1) {
                    continue;
                }
                agent.kill();
                agent.run_until(&format!("{place}:{nth}"));
                agent.online(&lab).await;
                let case = Case::new(&lab, "srv-01");
                let job = lab.start_power("srv-01", body.clone()).await;
                agent.ended();
                agent.run();
                let job = lab.finish(job["id"].as_str().unwrap()).await;
                case.happened(&format!("{place}:{nth} of {body}"), &job, allowed);
                agent.online(&lab).await;
                lab.wait_until("the BMC is up", async |lab: &Lab| lab.machine("srv-01").bmc_answers()).await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_ends_between_intent_and_outcome_does_nothing_twice() {
    let mut lab = Lab::start(1).await;
    for place in ["intended", "performed", "recorded"] {
        for (what, nth, wish) in [
            ("look", 1, 0),
            ("command", 1, 0),
            ("command", 2, 0),
            ("command", 1, 1),
            ("cut", 1, 2),
            ("cut", 2, 2),
            ("feed", 1, 2),
            ("feed", 2, 2),
        ] {
            let (body, allowed) = wishes("srv-01")[wish].clone();
            let failpoint = format!("server-{what}-{place}:{nth}");
            lab.backend.restart_until(&failpoint);
            let before = counts(&lab.machine("srv-01"));
            let job = lab.start_power("srv-01", body.clone()).await;
            lab.backend.wait_ended();
            lab.backend.kill_and_restart();
            let job = lab.finish(job["id"].as_str().unwrap()).await;
            let case = Case { lab: &lab, server: "srv-01", before };
            case.happened(&format!("{failpoint} of {body}"), &job, allowed);
            lab.wait_until("the BMC is up", async |lab: &Lab| lab.machine("srv-01").bmc_answers()).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_last_cut_of_a_server_that_ended_counts_though_it_was_undone_before_the_job_went_on() {
    let (mut lab, agent, _line) = Lab::behind_an_agent(rack_of(1)).await;
    lab.backend.restart_until("server-cut-performed:2");
    agent.online(&lab).await;
    let (body, _) = wishes("srv-01")[2].clone();
    let job = lab.start_power("srv-01", body).await;
    lab.backend.wait_ended();
    assert_eq!(lab.feeds_on("srv-01"), 0, "both are cut, and the outcome of the second is not stored");
    lab.wait_until("the agent has restored them", async |lab: &Lab| lab.fully_fed("srv-01")).await;
    // As after a restart that heard of it and ended before it took the job up.
    let database = sea_orm::Database::connect(lab.backend.database()).await.unwrap();
    let heard = "UPDATE step SET restored = 'restored' WHERE title LIKE 'Switch off%'";
    assert_eq!(database.execute_unprepared(heard).await.unwrap().rows_affected(), 2);
    database.close().await.unwrap();
    lab.backend.kill_and_restart();
    let job = lab.finish(job["id"].as_str().unwrap()).await;
    assert_eq!(state(&job), ("failed_partial", "feeds_restored"), "{job:#}");
    assert!(job["summary"].as_str().unwrap().contains("may have lost power"), "{job:#}");
    assert!(lab.fully_fed("srv-01"));
}
