//! What the two real ends of an agents' line make of what goes wrong between them.

#![expect(clippy::unwrap_used, reason = "a broken bench stops the test")]
#![expect(clippy::indexing_slicing, reason = "JSON values answer null where nothing is")]

use rackhand_simulators::world::EffectKind;
use rackhand_tests::{
    Lab,
    agent::Agent,
    between::{Between, Manner, Side},
    state,
};
use rackhand_wire::agent::close;
use serde_json::json;
use std::time::Duration;
use tokio_tungstenite::tungstenite::Message;

/// One byte more than a message may have.
const TOO_LARGE: usize = 1024 * 1024 + 1;

/// Machines that an agent alone reaches, through a relay that understands what is said.
async fn site(servers: u16) -> (Lab, Agent, Between) {
    let mut lab = Lab::bare(servers).await;
    let between = Between::start(([127, 0, 0, 1], lab.backend.port()).into()).await;
    let port = lab.backend.port();
    let mut agent = Agent::of(&lab, &json!({"name": "site-a", "group": "pair"}), port).await;
    // Another one that could serve the same devices makes the first ask for its lease; it stays away.
    Agent::of(&lab, &json!({"name": "site-b", "group": "pair"}), port).await;
    agent.lead_to(&format!("http://127.0.0.1:{}", between.port));
    agent.run();
    agent.online(&lab).await;
    lab.wire(&json!({"agent_group": "pair"})).await;
    (lab, agent, between)
}

/// What nobody of ours would say to a side.
fn nonsense(to: Side) -> Vec<Message> {
    let half = match to {
        Side::Agent => [r#"{"frame":"execute"}"#, r#"{"frame":"held","number":-1}"#],
        Side::Server => [r#"{"frame":"finished","command":"x"}"#, r#"{"frame":"hold","number":-1}"#],
    };
    let mut all: Vec<_> = ["", "[1]", r#"{"frame":7}"#].into_iter().chain(half).map(Message::text).collect();
    all.push(Message::binary(vec![0; 16]));
    all.push(Message::text("x".repeat(TOO_LARGE)));
    all.push(Message::text("x".repeat(3 * TOO_LARGE)));
    all
}

/// Has one side hear nonsense in the middle of a job and checks what becomes of session and job.
async fn confuse(to: Side, said_there: &str, told_by_other: (&str, fn(&Lab, &Agent) -> String)) {
    let (lab, agent, between) = site(1).await;
    let machine = lab.machine("srv-01");
    for (round, message) in nonsense(to).into_iter().enumerate() {
        let job = lab.start_power("srv-01", json!({"action": "cycle"})).await;
        lab.wait_until("it is under way", async |_: &Lab| machine.count(&EffectKind::PoweredOff) > round)
            .await;
        let (words, log) = (told_by_other.0, told_by_other.1);
        let told = |lab: &Lab| log(lab, &agent).matches(words).count();
        let (ended, before) = (between.closed().len(), told(&lab));
        let what: String = message.to_text().unwrap_or("binary").chars().take(40).collect();
        between.say(to, message).await;
        lab.wait_until(&format!("the session ends: {what}"), async |_: &Lab| between.closed().len() > ended)
            .await;
        assert_eq!(between.closed()[ended], (to, close::MALFORMED), "{what}");
        lab.wait_until(&format!("the other side says why: {what}"), async |lab: &Lab| told(lab) > before)
            .await;
        let job = lab.finish(job["id"].as_str().unwrap()).await;
        assert_eq!(state(&job).0, "succeeded", "{what}: {job:#}");
        let counts = [EffectKind::PoweredOff, EffectKind::PoweredOn].map(|effect| machine.count(&effect));
        assert_eq!((counts, machine.is_on()), ([round + 1; 2], true), "{what}: {job:#}");
        agent.online(&lab).await;
    }
    let log = if to == Side::Agent { agent.log() } else { lab.backend.log() };
    assert!(log.contains(said_there), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nonsense_to_the_agent_ends_the_session_with_a_reason_on_both_sides_and_loses_nothing() {
    let told =
        ("could not understand what it was told", (|lab, _| lab.backend.log()) as fn(&Lab, &Agent) -> _);
    confuse(Side::Agent, "nonsense was received", told).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nonsense_to_the_server_ends_the_session_with_a_reason_on_both_sides_and_loses_nothing() {
    let told =
        ("could not understand what this agent said", (|_, agent| agent.log()) as fn(&Lab, &Agent) -> _);
    confuse(Side::Server, "an agent sent nonsense", told).await;
}

/// How often a machine went off, came on, was reset, and lost and got back a feed.
fn effects(lab: &Lab, server: &str) -> [usize; 4] {
    let machine = lab.machine(server);
    let [off, on, resets] =
        [EffectKind::PoweredOff, EffectKind::PoweredOn, EffectKind::Reset].map(|what| machine.count(&what));
    [off, on, resets, lab.feed_changes(server)]
}

/// Everything that can be asked of a server, one after the other.
async fn everything(lab: &Lab, server: &str, manner: Manner) {
    for body in [
        json!({"action": "cycle"}),
        json!({"action": "reset"}),
        json!({"action": "cycle", "via": "outlets", "confirm_name": server}),
        json!({"action": "off", "via": "outlets", "confirm_name": server}),
        json!({"action": "on"}),
    ] {
        let job = lab.power(server, body).await;
        assert_eq!(state(&job).0, "succeeded", "{manner:?}: {job:#}");
        let machine = lab.machine(server);
        lab.wait_until("the BMC is up again or has no power", async |lab: &Lab| {
            machine.bmc_answers() || lab.feeds_on(server) == 0
        })
        .await;
    }
    // A reset of a server that is shown as off would be refused: what is shown is what was read last.
    let shown = format!("/servers/{}", lab.id(server));
    lab.wait_until("it is shown as on", async |lab: &Lab| {
        lab.get(&shown).await.ok()["power"]["value"] == "on"
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_come_twice_late_or_in_another_order_change_nothing_that_happens() {
    let (lab, agent, between) = site(1).await;
    // Renewals happen among everything else.
    between.renew_in(Duration::from_millis(500));
    let mut clean = None;
    for manner in [Manner::Faithful, Manner::Thrice, Manner::Shuffled, Manner::Wild] {
        // A session of its own, and so a renewal.
        between.deliver(Manner::Faithful);
        let ended = between.closed().len();
        lab.wait_until("the session has ended", async |_: &Lab| {
            // One that has ended by itself hears nothing.
            between.say(Side::Server, Message::text("[]")).await;
            tokio::time::sleep(Duration::from_millis(500)).await;
            between.closed().len() > ended
        })
        .await;
        agent.online(&lab).await;
        between.deliver(manner);
        let (before, renewed) = (effects(&lab, "srv-01"), between.carried("certificate"));
        everything(&lab, "srv-01", manner).await;
        let after = effects(&lab, "srv-01");
        let happened = [0, 1, 2, 3].map(|what| after[what] - before[what]);
        assert_eq!(*clean.get_or_insert(happened), happened, "{manner:?}");
        assert!(between.carried("certificate") > renewed, "{manner:?}: no certificate was renewed");
        // The last copies arrive when everything is over, and must find nothing to do.
        tokio::time::sleep(Duration::from_secs(4)).await;
        assert_eq!(effects(&lab, "srv-01"), after, "{manner:?}: afterwards");
    }
    for kind in ["execute", "keep_off", "acknowledge", "started", "finished", "renew", "hold", "held"] {
        assert!(between.carried(kind) > 0, "{kind} was never said, and so never said twice");
    }
}
