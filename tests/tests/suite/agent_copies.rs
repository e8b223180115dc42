//! Two copies of one agent that their service managers start again and again.

#![expect(clippy::unwrap_used, reason = "a broken bench stops the test")]
#![expect(clippy::indexing_slicing, reason = "JSON values answer null where nothing is")]

use rackhand_simulators::world::{EffectKind, ReplyKind, Which};
use rackhand_tests::{Lab, Relay, SLOW, agent, agent::Agent, rack_of, state};
use sea_orm::ConnectionTrait as _;
use serde_json::{Value, json};

/// What both are told.
const FIGHT: &str =
    "several processes with this identity evict one another; stop all but one and wait five minutes";

/// A machine behind an agent. A live process answers within a lease, which at 1/20 is no time on a busy machine.
async fn behind_an_agent() -> (Lab, Agent, Relay) {
    let (mut lab, agent, line) = Lab::behind_an_agent(rack_of(1)).await;
    lab.backend.restart_at(SLOW);
    agent.slowed(&lab).await;
    (lab, agent, line)
}

/// Starts a process and waits until it has the session.
async fn takes_over(lab: &Lab, agent: &mut Agent) {
    agent.run();
    agent.online(lab).await;
}

async fn is_told(lab: &Lab, agent: &Agent, why: &str) {
    lab.wait_until(why, async |_: &Lab| agent.log().contains(why)).await;
}

/// Has an agent and its copy throw one another out until nobody is let in; gives the copy. Both run in the end.
async fn fight(lab: &Lab, agent: &mut Agent) -> Agent {
    let mut copy = agent.copied();
    takes_over(lab, &mut copy).await;
    assert_eq!(agent.ended().0, Some(3), "the first eviction");
    takes_over(lab, agent).await;
    assert_eq!(copy.ended().0, Some(3), "the second");
    copy.run();
    assert_eq!(agent.ended().0, Some(3), "the third");
    is_told(lab, &copy, FIGHT).await;
    assert!(!agent.log().contains(FIGHT));
    agent.run();
    is_told(lab, agent, FIGHT).await;
    agent.seen(lab, "offline").await;
    copy
}

/// Events of an agent, of a kind.
async fn events(lab: &Lab, agent: &Agent, kind: &str) -> Vec<Value> {
    let found = lab.get(&format!("/events?limit=100&q=agent:{}%20kind:{kind}", agent.id)).await.ok();
    found["items"].as_array().unwrap().clone()
}

/// The agent as the list of all shows it.
async fn listed(lab: &Lab, agent: &Agent) -> Value {
    let list = lab.get("/agents").await.ok();
    list["items"].as_array().unwrap().iter().find(|one| one["id"] == agent.id.as_str()).unwrap().clone()
}

fn counts(lab: &Lab) -> [usize; 2] {
    [EffectKind::PoweredOff, EffectKind::PoweredOn].map(|what| lab.machine("srv-01").count(&what))
}

/// Whoever has the session does what is asked, once.
async fn works(lab: &Lab) {
    let before = counts(lab);
    let job = lab.power("srv-01", json!({"action": "cycle"})).await;
    assert_eq!((state(&job).0, counts(lab)), ("succeeded", before.map(|count| count + 1)), "{job:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_that_throw_one_another_out_three_times_are_both_refused_until_five_minutes_have_passed() {
    let (lab, mut agent, _line) = behind_an_agent().await;
    let mut copy = fight(&lab, &mut agent).await;
    let shown = listed(&lab, &agent).await;
    assert!(!shown["copies_at"].is_null(), "{shown:#}");
    let evictions = events(&lab, &agent, "agent.copies").await;
    assert_eq!(evictions.len(), 3, "{evictions:#?}");
    assert!(evictions.iter().all(|event| event["severity"] == "alarm"), "{evictions:#?}");
    let refused = events(&lab, &agent, "agent.refused").await;
    assert_eq!(refused.len(), 1, "the same refusal is told once: {refused:#?}");
    assert!(refused[0]["message"].as_str().unwrap().contains(FIGHT), "{refused:#?}");
    let job = lab.power("srv-01", json!({"action": "cycle"})).await;
    assert_eq!((state(&job).0, counts(&lab)), ("expired", [0, 0]), "nobody is there to do it: {job:#}");
    assert!(copy.is_running() && agent.is_running(), "they go on asking");

    agent.kill();
    let database = sea_orm::Database::connect(lab.backend.database()).await.unwrap();
    for back in [
        "UPDATE event SET at = at - 300000 WHERE kind = 'agent.copies'",
        "UPDATE agent SET copies_at = copies_at - 300000 WHERE copies_at IS NOT NULL",
    ] {
        assert!(database.execute_unprepared(back).await.unwrap().rows_affected() > 0, "{back}");
    }
    database.close().await.unwrap();
    copy.online(&lab).await;
    works(&lab).await;
    assert_eq!(events(&lab, &agent, "agent.copies").await.len(), 3, "the one that is left evicts nobody");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_identity_for_one_of_the_copies_ends_their_fight_at_once() {
    let (lab, mut agent, _line) = behind_an_agent().await;
    let mut copy = fight(&lab, &mut agent).await;
    let replaced = lab.post(&format!("/agents/{}/replace", agent.id), &json!({"force": true})).await.ok();
    let token = replaced["token"].as_str().unwrap();
    let done = agent::enroll(agent.folder(), lab.backend.port(), &["--force", "--token", token]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    agent.online(&lab).await;
    is_told(&lab, &copy, "the key of this agent was replaced").await;
    let shown = listed(&lab, &agent).await;
    assert!(shown["copies_at"].is_null(), "{shown:#}");
    works(&lab).await;
    assert!(copy.is_running() && agent.is_running());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_that_one_copy_has_begun_is_not_begun_by_the_other() {
    let (lab, mut agent, _line) = behind_an_agent().await;
    let machine = lab.machine("srv-01");
    // An answer is waited for as long as in production, so that the copy can be there meanwhile.
    agent.kill();
    agent.move_to(vec!["env".into(), "RACKHAND_TIME_SCALE=1".into()]);
    takes_over(&lab, &mut agent).await;
    let mut copy = agent.copied();
    machine.change_bmc_faults(|faults| {
        faults.link.drop_next_replies(u32::MAX, Which::Only(ReplyKind::ChassisControl));
    });
    let job = lab.start_power("srv-01", json!({"action": "reset"})).await;
    lab.wait_until("it was reset", async |_: &Lab| machine.count(&EffectKind::Reset) == 1).await;
    // The answer never comes, and the copy does while it is waited for.
    copy.run();
    assert_eq!(agent.ended().0, Some(3));
    let job = lab.finish(job["id"].as_str().unwrap()).await;
    assert_eq!(machine.count(&EffectKind::Reset), 1, "{job:#}");
    let reset = job["steps"].as_array().unwrap().iter().find(|step| step["outcome"] == "unclear").unwrap();
    assert!(
        reset["detail"].as_str().unwrap().contains("went away"),
        "it was over before the copy came: {job:#}"
    );
    assert!(matches!(state(&job).0, "succeeded" | "indeterminate"), "{job:#}");
}
