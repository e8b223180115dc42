//! A server that is stopped and started anew, as for an upgrade, while its agents are at work.

use futures::future::join_all;
use rackhand_simulators::world::EffectKind;
use rackhand_tests::{Lab, rack_of, state};
use serde_json::json;

/// A process takes no less time to start at 1/20. At this scale what waits for one does not expire meanwhile, as it does
/// not in production.
const SLOW: [(&str, &str); 1] = [("RACKHAND_TIME_SCALE", "0.25")];

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_in_the_middle_of_many_jobs_loses_none_and_repeats_none() {
    let servers: u16 = std::env::var("RACKHAND_ROLLING").map_or(20, |count| count.parse().unwrap());
    let (mut lab, mut agent, _line) = Lab::behind_an_agent(rack_of(servers)).await;
    agent.kill();
    lab.backend.restart_with(&SLOW);
    agent.move_to(vec!["env".into(), SLOW.map(|(name, value)| format!("{name}={value}")).concat()]);
    agent.run();
    agent.online(&lab).await;
    let names: Vec<String> =
        lab.farm.world().machines().iter().map(|machine| machine.name().to_owned()).collect();
    // Off, on, resets so far of each.
    let mut expected = [0, 0, 0];
    for action in ["cycle", "reset", "cycle"] {
        let body = json!({"action": action});
        let jobs = join_all(names.iter().map(|name| lab.start_power(name, body.clone()))).await;
        let running = async |lab: &Lab| {
            let found = lab.get("/jobs?q=kind:power state:running&limit=200").await.ok();
            found["items"].as_array().unwrap().len()
        };
        lab.wait_until("all are under way", async |lab: &Lab| {
            lab.in_flight(&agent.id).await > 0 && running(lab).await >= names.len() / 2
        })
        .await;
        let gone = agent.log().matches("the backend stops or moves").count();
        lab.backend.stop();
        lab.wait_until("the agent was told", async |_: &Lab| {
            agent.log().matches("the backend stops or moves").count() > gone
        })
        .await;
        lab.backend.start_again_with(&SLOW);
        expected = match action {
            "cycle" => [expected[0] + 1, expected[1] + 1, expected[2]],
            _ => [expected[0], expected[1], expected[2] + 1],
        };
        for (name, job) in names.iter().zip(jobs) {
            let job = lab.finish(job["id"].as_str().unwrap()).await;
            assert_eq!(state(&job).0, "succeeded", "{name}: {job:#}");
            let machine = lab.machine(name);
            let found = [EffectKind::PoweredOff, EffectKind::PoweredOn, EffectKind::Reset]
                .map(|what| machine.count(&what));
            assert_eq!(found, expected, "{name}: {job:#}");
            lab.wait_until("the BMC is up", async |_: &Lab| machine.bmc_answers()).await;
        }
    }
}
