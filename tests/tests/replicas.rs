//! Two servers on one PostgreSQL: whichever a person, an agent or a job is at, the work is done, and once.
//!
//! `cargo xtask verify --only postgres` runs these tests beside a PostgreSQL that they may stop and start.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a broken bench stops the test")]
#![expect(clippy::indexing_slicing, reason = "JSON values answer null where nothing is")]

use futures::StreamExt as _;
use rackhand_simulators::world::{EffectKind, Machine};
use rackhand_store::{Db, nodes, sealed::Keyring};
use rackhand_tests::{Backend, Lab, PASSWORD, Relay, SLOW, agent::Agent, client_builder, state};
use sea_orm::{ConnectionTrait, DbBackend, Statement};
use serde_json::{Value, json};
use std::{
    net::SocketAddr,
    process::Command,
    time::{Duration, Instant},
};

/// A rack behind an agent whose line leads to one server, while people are at the other.
struct Pair {
    /// Talks to the server of people.
    lab: Lab,
    /// The server of the agent.
    other: Backend,
    agent: Agent,
    line: Relay,
}

fn address(backend: &Backend) -> SocketAddr {
    ([127, 0, 0, 1], backend.port()).into()
}

impl Pair {
    async fn new(servers: u16) -> Self {
        let mut lab = Lab::bare(servers).await;
        let other = lab.backend.beside("node2");
        let line = Relay::start(address(&other), Duration::ZERO).await;
        let agent = Agent::start(&lab, "site-a", line.port).await;
        lab.wire(&json!({"agent_id": agent.id})).await;
        Self { lab, other, agent, line }
    }

    /// Lets people go to the other server.
    fn change_sides(&mut self) {
        std::mem::swap(&mut self.lab.backend, &mut self.other);
    }

    /// Waits until a machine has felt something.
    async fn felt(&self, server: &str, what: impl Fn(&Machine) -> bool) {
        let machine = self.lab.machine(server);
        self.lab.wait_until("the machine has felt it", async |_: &Lab| what(&machine)).await;
    }
}

fn transitions(machine: &Machine) -> (usize, usize, usize) {
    let count = |what| machine.count(&what);
    (count(EffectKind::PoweredOff), count(EffectKind::PoweredOn), count(EffectKind::Reset))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_finds_the_key_that_it_was_told_at_either_server() {
    let first = Backend::configured("tls = \"self-signed\"\n");
    let second = first.beside("node2");
    let client = client_builder().danger_accept_invalid_certs(true).build().unwrap();
    let mut pins = Vec::new();
    for (server, name) in [(&first, "site-a"), (&second, "site-b")] {
        let url = format!("https://localhost:{}/api/v1/agents", server.port());
        let asked = client.post(url).bearer_auth(&server.token).json(&json!({"name": name}));
        let added: Value = asked.send().await.unwrap().json().await.unwrap();
        let token = added["token"].as_str().expect("a token").to_owned();
        let folder = tempfile::TempDir::new().unwrap();
        // Each is enrolled at the server that did not make its token.
        let other = if name == "site-a" { second.port() } else { first.port() };
        let enrolled = Command::new(rackhand_tests::binary("rackhand-agent"))
            .args(["enroll", "--server", &format!("https://localhost:{other}"), "--token", &token])
            .arg("--data-dir")
            .arg(folder.path())
            .output()
            .unwrap();
        assert!(enrolled.status.success(), "{}", String::from_utf8_lossy(&enrolled.stderr));
        pins.push(token.split_once('.').unwrap().1.to_owned());
    }
    assert_eq!(pins[0], pins[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_revoked_at_one_server_is_shut_out_of_the_other() {
    let pair = Pair::new(1).await;
    pair.agent.shut_out(&pair.lab).await;
    let why = async |_: &Lab| pair.agent.log().contains("was revoked");
    pair.lab.wait_until("the agent says why", why).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_at_one_server_switches_through_an_agent_at_the_other() {
    let mut pair = Pair::new(1).await;
    let machine = pair.lab.machine("srv-01");
    for round in 0..2 {
        let before = transitions(&machine);
        let cycled = pair.lab.power("srv-01", json!({"action": "cycle"})).await;
        assert_eq!(state(&cycled), ("succeeded", "done"), "{cycled:#}");
        let reset = pair.lab.power("srv-01", json!({"action": "reset"})).await;
        assert_eq!(state(&reset).0, "succeeded", "{reset:#}");
        assert_eq!(transitions(&machine), (before.0 + 1, before.1 + 1, before.2 + 1), "round {round}");
        // Both servers know where the agent is.
        for _ in 0..2 {
            let agents = pair.lab.get("/agents").await.ok();
            let shown =
                agents["items"].as_array().unwrap().iter().find(|one| one["name"] == "site-a").unwrap();
            assert_eq!(shown["state"], "online", "{shown:#}");
            pair.change_sides();
        }
        // From outlets that an agent cut at the other side nothing comes back by itself.
        let body = json!({"action": "off", "via": "outlets", "confirm_name": "srv-01", "password": PASSWORD});
        let off = pair.lab.power("srv-01", body).await;
        assert_eq!(state(&off).0, "succeeded", "{off:#}");
        let body = json!({"action": "on", "via": "outlets", "confirm_name": "srv-01", "password": PASSWORD});
        let on = pair.lab.power("srv-01", body).await;
        assert_eq!(state(&on).0, "succeeded", "{on:#}");
        pair.lab.wait_until("it runs", async |lab: &Lab| lab.machine("srv-01").is_on()).await;
        pair.change_sides();
        pair.line.lead(address(&pair.other));
        pair.agent.kill();
        pair.agent.run();
        pair.agent.online(&pair.lab).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_that_performs_a_job_is_killed() {
    let mut pair = Pair::new(1).await;
    let machine = pair.lab.machine("srv-01");
    for round in 0..3 {
        let before = transitions(&machine);
        let job = pair.lab.start_power("srv-01", json!({"action": "cycle"})).await;
        pair.felt("srv-01", |machine| transitions(machine).0 > before.0).await;
        // Its agent is at the other server, and so are people from now on.
        pair.lab.backend.kill();
        pair.change_sides();
        let begun = Instant::now();
        let done = pair.lab.finish(job["id"].as_str().unwrap()).await;
        assert_eq!(state(&done), ("succeeded", "done"), "round {round}: {done:#}");
        assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
        assert_eq!(transitions(&machine), (before.0 + 1, before.1 + 1, before.2), "round {round}");
        pair.other.start_again();
        pair.change_sides();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_that_holds_the_agent_is_killed() {
    let mut pair = Pair::new(1).await;
    let machine = pair.lab.machine("srv-01");
    for round in 0..3 {
        let before = transitions(&machine);
        let job = pair.lab.start_power("srv-01", json!({"action": "cycle"})).await;
        pair.felt("srv-01", |machine| transitions(machine).0 > before.0).await;
        pair.other.kill();
        // The load balancer leads the agent to the one that is left.
        pair.line.lead(address(&pair.lab.backend));
        let done = pair.lab.finish(job["id"].as_str().unwrap()).await;
        assert_eq!(state(&done), ("succeeded", "done"), "round {round}: {done:#}");
        assert_eq!(transitions(&machine), (before.0 + 1, before.1 + 1, before.2), "round {round}");
        pair.other.start_again();
        pair.line.lead(address(&pair.other));
        pair.agent.kill();
        pair.agent.run();
        pair.agent.online(&pair.lab).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_stopped_hands_its_jobs_over_at_once() {
    let mut pair = Pair::new(4).await;
    let mut jobs = Vec::new();
    for server in ["srv-01", "srv-02", "srv-03", "srv-04"] {
        let job = pair.lab.start_power(server, json!({"action": "cycle"})).await;
        jobs.push((server, job["id"].as_str().unwrap().to_owned()));
    }
    pair.felt("srv-01", |machine| transitions(machine).0 > 0).await;
    pair.lab.backend.stop();
    pair.change_sides();
    for (server, job) in jobs {
        let done = pair.lab.finish(&job).await;
        assert_eq!(state(&done), ("succeeded", "done"), "{done:#}");
        assert_eq!(transitions(&pair.lab.machine(server)), (1, 1, 0), "{server}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_takes_its_leave_ends_as_it_was_asked_to() {
    let first = Backend::start();
    let mut second = first.beside("node2");
    for _ in 0..20 {
        // Whatever it still does says no more that it lives; `stop` checks how it ends.
        second.stop();
        second.start_again();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_server_changes_the_other_knows() {
    let mut pair = Pair::new(1).await;
    let mut settings = pair.lab.get("/settings").await.ok()["installation"].clone();
    let patience = settings["soft_deadline_s"].as_u64().unwrap() + 1;
    settings["soft_deadline_s"] = patience.into();
    pair.lab.patch("/settings", &json!({ "installation": settings })).await.ok();
    // A shutdown that the machine does not hear of is cancelled at the other server.
    pair.lab.machine("srv-01").change_bmc_faults(|faults| faults.ignore_soft = true);
    let job = pair.lab.start_power("srv-01", json!({"action": "shutdown"})).await;
    let job = job["id"].as_str().unwrap().to_owned();
    pair.change_sides();
    pair.lab
        .wait_until("the other one knows the settings", async |lab: &Lab| {
            lab.get("/settings").await.ok()["installation"]["soft_deadline_s"] == patience
        })
        .await;
    pair.lab.post(&format!("/jobs/{job}/cancel"), &Value::Null).await.ok();
    let done = pair.lab.finish(&job).await;
    assert_eq!(state(&done).0, "cancelled", "{done:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_press_at_both_servers_at_once_one_is_first() {
    let pair = Pair::new(1).await;
    let path = format!("/servers/{}/power", pair.lab.id("srv-01"));
    let machine = pair.lab.machine("srv-01");
    let before = transitions(&machine);
    let ports = [pair.lab.backend.port(), pair.other.port()];
    let bodies = [json!({"action": "cycle"}), json!({"action": "reset"})];
    let asks =
        (0..50).map(|at| pair.lab.send_to(ports[at % 4 / 2], "POST", &path, Some(&bodies[at % 2]), &[]));
    let replies = futures::future::join_all(asks).await;
    let mut jobs: Vec<&str> = replies
        .iter()
        .filter(|reply| reply.status == 202)
        .map(|reply| reply.body["id"].as_str().unwrap())
        .collect();
    let refused =
        replies.iter().filter(|reply| (reply.status, reply.code()) == (409, "power_conflict")).count();
    assert_eq!(jobs.len() + refused, 50, "{replies:#?}");
    jobs.sort_unstable();
    jobs.dedup();
    assert_eq!(jobs.len(), 1, "who asks for the same gets the same job");
    let done = pair.lab.finish(jobs[0]).await;
    assert_eq!(state(&done).0, "succeeded", "{done:#}");
    let (off, on, resets) = transitions(&machine);
    let expected = if done["action"] == "cycle" { (1, 1, 0) } else { (0, 0, 1) };
    assert_eq!((off - before.0, on - before.1, resets - before.2), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_idempotency_key_at_both_servers_is_one_job() {
    let mut pair = Pair::new(1).await;
    // A thousand requests keep both servers busy: the job may wait for as long as that takes.
    pair.lab.backend.restart_at(SLOW);
    pair.other.restart_at(SLOW);
    pair.agent.slowed(&pair.lab).await;
    let path = format!("/servers/{}/power", pair.lab.id("srv-01"));
    let machine = pair.lab.machine("srv-01");
    let before = transitions(&machine);
    let (body, key) =
        (json!({"action": "cycle", "expires_in_ms": 24 * 3_600_000}), [("idempotency-key", "one")]);
    let ports = [pair.lab.backend.port(), pair.other.port()];
    let all = (0..1000).map(|at| pair.lab.send_to(ports[at % 2], "POST", &path, Some(&body), &key));
    let replies: Vec<_> = futures::stream::iter(all).buffer_unordered(50).collect().await;
    let first = replies[0].body["id"].clone();
    for reply in &replies {
        assert_eq!((reply.status, &reply.body["id"]), (202, &first), "{:#}", reply.body);
    }
    let done = pair.lab.finish(first.as_str().unwrap()).await;
    assert_eq!(state(&done), ("succeeded", "done"), "{done:#}");
    // What was answered once is answered so at both, when all is over too.
    for port in ports {
        let late = pair.lab.send_to(port, "POST", &path, Some(&body), &key).await;
        assert_eq!((late.status, &late.body["id"]), (202, &first));
        let other = pair.lab.send_to(port, "POST", &path, Some(&json!({"action": "off"})), &key).await;
        assert_eq!((other.status, other.code()), (422, "idempotency_key_reused"));
    }
    assert_eq!(transitions(&machine), (before.0 + 1, before.1 + 1, before.2));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_own_agents_of_two_servers_stand_in_for_one_another() {
    let mut lab = Lab::bare(1).await;
    let mut other = lab.backend.beside("node2");
    lab.wire(&json!({})).await;
    let machine = lab.machine("srv-01");
    for round in 0..3 {
        let before = transitions(&machine);
        let job = lab.start_power("srv-01", json!({"action": "cycle"})).await;
        lab.wait_until("it is off", async |_: &Lab| transitions(&machine).0 > before.0).await;
        lab.backend.kill();
        std::mem::swap(&mut lab.backend, &mut other);
        let done = lab.finish(job["id"].as_str().unwrap()).await;
        assert_eq!(state(&done), ("succeeded", "done"), "round {round}: {done:#}");
        assert_eq!(transitions(&machine), (before.0 + 1, before.1 + 1, before.2), "round {round}");
        other.start_again();
    }
}

/// Lets a frozen server go on: the others have given it up, and it must find that out and end by itself.
fn thaw(backend: &mut Backend) {
    backend.thaw();
    backend.wait_ended();
    assert!(backend.log().contains("the others on its database gave it up"), "{}", backend.log());
}

/// Says whether a job tells the truth of what the machine has felt meanwhile.
fn is_true(job: &Value, felt: (usize, usize, usize), whole: (usize, usize, usize)) -> bool {
    match state(job).0 {
        "succeeded" => felt == whole,
        "expired" | "failed" => felt == (0, 0, 0),
        "indeterminate" => felt == whole || felt == (0, 0, 0),
        _ => false,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_freezes_with_a_job_and_its_own_agent_writes_nothing_when_it_goes_on() {
    let mut lab = Lab::bare(1).await;
    let mut other = lab.backend.beside("node2");
    lab.wire(&json!({})).await;
    let machine = lab.machine("srv-01");
    for round in 0..8 {
        let (action, whole) = [("reset", (0, 0, 1)), ("cycle", (1, 1, 0))][round % 2];
        let what = format!("{action}, round {round}");
        let before = transitions(&machine);
        let since = |machine: &Machine| {
            let (off, on, resets) = transitions(machine);
            (off - before.0, on - before.1, resets - before.2)
        };
        let job = lab.start_power("srv-01", json!({"action": action})).await;
        // A reset freezes at moments from before the order to after its end, a cycle while the machine is off.
        if action == "reset" {
            tokio::time::sleep(Duration::from_millis(u64::try_from(round).unwrap() * 8)).await;
        } else {
            lab.wait_until("it is off", async |_: &Lab| since(&machine).0 > 0).await;
        }
        lab.backend.freeze();
        std::mem::swap(&mut lab.backend, &mut other);
        let begun = Instant::now();
        let done = lab.finish(job["id"].as_str().unwrap()).await;
        assert!(begun.elapsed() < Duration::from_secs(30), "{what}: {:?}", begun.elapsed());
        let felt = since(&machine);
        assert!(is_true(&done, felt, whole), "{what}: {felt:?}: {done:#}");
        if action == "cycle" {
            assert_eq!(state(&done), ("succeeded", "done"), "{what}: {done:#}");
        }
        thaw(&mut other);
        assert_eq!(since(&machine), felt, "{what}: it did something more when it went on");
        // It rejoins by a start of its own, and works as before.
        other.start_again();
        std::mem::swap(&mut lab.backend, &mut other);
        lab.wait_until("the BMC is up", async |_: &Lab| machine.bmc_answers()).await;
        let shown = lab.get(&format!("/jobs/{}", job["id"].as_str().unwrap())).await.ok();
        assert_eq!(state(&shown), state(&done), "{what}: both tell the same of it");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_freezes_with_a_job_of_an_agent_elsewhere_writes_nothing_when_it_goes_on() {
    let mut pair = Pair::new(1).await;
    let machine = pair.lab.machine("srv-01");
    for round in 0..3 {
        let before = transitions(&machine);
        let job = pair.lab.start_power("srv-01", json!({"action": "cycle"})).await;
        pair.felt("srv-01", |machine| transitions(machine).0 > before.0).await;
        pair.lab.backend.freeze();
        pair.change_sides();
        let begun = Instant::now();
        let done = pair.lab.finish(job["id"].as_str().unwrap()).await;
        assert_eq!(state(&done), ("succeeded", "done"), "round {round}: {done:#}");
        assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
        let whole = (before.0 + 1, before.1 + 1, before.2);
        assert_eq!(transitions(&machine), whole, "round {round}");
        thaw(&mut pair.other);
        assert_eq!(transitions(&machine), whole, "round {round}: when it went on");
        pair.other.start_again();
        pair.change_sides();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lease_of_an_agent_whose_server_freezes_ends_and_another_agent_goes_on() {
    let mut lab = Lab::bare(1).await;
    let mut other = lab.backend.beside("node2");
    // A lease at 1/20 is no time on a busy machine.
    lab.backend.restart_at(SLOW);
    other.restart_at(SLOW);
    let line = Relay::start(address(&other), Duration::ZERO).await;
    let body = |name: &str| json!({"name": name, "group": "pair"});
    let mut first = Agent::of(&lab, &body("one"), line.port).await;
    let mut second = Agent::of(&lab, &body("two"), lab.backend.port()).await;
    for agent in [&mut first, &mut second] {
        agent.run();
        agent.online(&lab).await;
    }
    lab.wire(&json!({"agent_group": "pair"})).await;
    let machine = lab.machine("srv-01");
    assert!(lab.holder_is(&first.id).await, "the first of the group has its devices");
    let before = transitions(&machine);
    let job = lab.start_power("srv-01", json!({"action": "cycle"})).await;
    lab.wait_until("it is off", async |_: &Lab| transitions(&machine).0 > before.0).await;
    other.freeze();
    let begun = Instant::now();
    let done = lab.finish(job["id"].as_str().unwrap()).await;
    assert_eq!(state(&done), ("succeeded", "done"), "{done:#}");
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    assert!(lab.holder_is(&second.id).await, "nobody else could do it");
    let whole = (before.0 + 1, before.1 + 1, before.2);
    assert_eq!(transitions(&machine), whole);
    // The job may be over before the server is given up: its agent's lease ends sooner.
    lab.wait_until("it is given up", async |lab: &Lab| lab.backend.log().contains("another server has died"))
        .await;
    thaw(&mut other);
    assert_eq!(transitions(&machine), whole, "when it went on");
    other.start_again();
    first.online(&lab).await;
    let again = lab.power("srv-01", json!({"action": "reset"})).await;
    assert_eq!(state(&again).0, "succeeded", "{again:#}");
    assert_eq!(transitions(&machine), (whole.0, whole.1, whole.2 + 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_that_its_server_did_not_survive_is_not_sent_by_the_agent_of_another_one() {
    let mut lab = Lab::bare(1).await;
    let mut other = lab.backend.beside("node2");
    lab.wire(&json!({})).await;
    let machine = lab.machine("srv-01");
    // The order must still be young when the other server takes the job up, as it is at full scale.
    let slow = ("RACKHAND_TIME_SCALE", "0.25");
    other.kill();
    lab.backend.restart_with(&[slow, ("RACKHAND_FAILPOINT", "agent-performed:1")]);
    let own = lab.get("/agents").await.ok();
    let own = own["items"].as_array().unwrap().iter().find(|agent| agent["name"] == "local-node1").unwrap();
    let own = own["id"].as_str().unwrap().to_owned();
    let refresh = format!("/servers/{}/power/refresh", lab.id("srv-01"));
    // The BMC and both PDUs: what the other server's agent had goes to this one once its lease has ended.
    lab.wait_until("its own agent has every device", async |lab: &Lab| {
        lab.post(&refresh, &Value::Null).await.ok();
        lab.get(&format!("/agents/{own}")).await.ok()["holds"] == 3
    })
    .await;
    other.restart_with(&[slow]);
    let job = lab.start_power("srv-01", json!({"action": "reset"})).await;
    lab.backend.wait_ended();
    assert_eq!(transitions(&machine), (0, 0, 1), "it died after the machine was reset");
    std::mem::swap(&mut lab.backend, &mut other);
    let done = lab.finish(job["id"].as_str().unwrap()).await;
    assert_eq!(transitions(&machine), (0, 0, 1), "it was reset once more: {done:#}");
    assert!(["succeeded", "indeterminate"].contains(&state(&done).0), "{done:#}");
}

/// Lets every notice of one server to the other get lost, from their next start on.
const DEAF: &str = "CREATE TABLE public.untold (notice text);
    CREATE FUNCTION public.pg_notify(text, text) RETURNS void LANGUAGE sql
        AS 'INSERT INTO public.untold VALUES ($2)';
    DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET search_path = public, pg_catalog', current_database()); END $$";

#[tokio::test(flavor = "multi_thread")]
async fn what_the_servers_are_not_told_of_each_other_they_find_by_themselves() {
    let mut pair = Pair::new(1).await;
    let db = Db::open(&pair.lab.backend.database(), Keyring::new([0; 32])).await.unwrap();
    db.writer().execute_unprepared(DEAF).await.unwrap();
    for server in [&mut pair.lab.backend, &mut pair.other] {
        server.restart_with(&[("RACKHAND_TIME_SCALE", "0.1")]);
    }
    pair.agent.online(&pair.lab).await;
    let machine = pair.lab.machine("srv-01");
    let before = transitions(&machine);
    let done = pair.lab.power("srv-01", json!({"action": "cycle"})).await;
    assert_eq!(state(&done), ("succeeded", "done"), "{done:#}");
    assert_eq!(transitions(&machine), (before.0 + 1, before.1 + 1, before.2));
    // A job is cancelled at the server that does not perform it.
    machine.change_bmc_faults(|faults| faults.ignore_soft = true);
    let job = pair.lab.start_power("srv-01", json!({"action": "shutdown"})).await;
    pair.change_sides();
    let job = job["id"].as_str().unwrap();
    pair.lab.post(&format!("/jobs/{job}/cancel"), &Value::Null).await.ok();
    let done = pair.lab.finish(job).await;
    assert_eq!(state(&done).0, "cancelled", "{done:#}");
    let row = "SELECT count(*) AS lost FROM public.untold";
    let row = db.reader().query_one_raw(Statement::from_string(DbBackend::Postgres, row)).await;
    let lost: i64 = row.unwrap().unwrap().try_get("", "lost").unwrap();
    assert!(lost > 0, "they were told after all");
}

/// Counts the transactions that wait for the one under way.
async fn waiting(db: &Db) -> i64 {
    let ask = "SELECT count(*) AS waiting FROM pg_locks JOIN pg_database ON pg_database.oid = database \
               WHERE locktype = 'advisory' AND NOT granted AND datname = current_database()";
    let row = db.reader().query_one_raw(Statement::from_string(DbBackend::Postgres, ask)).await;
    row.unwrap().unwrap().try_get("", "waiting").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_writers_all_wait_says_that_it_lives() {
    let lab = Lab::bare(1).await;
    let db = Db::open(&lab.backend.database(), Keyring::new([0; 32])).await.unwrap();
    let beats = async || nodes::beats(db.reader()).await.unwrap()[0].1;
    let under_way = db.begin().await.unwrap();
    let bodies: Vec<Value> =
        (0..12).map(|n| json!({"name": format!("site {n}"), "time_zone": "UTC"})).collect();
    let changes = futures::future::join_all(bodies.iter().map(|body| lab.post("/sites", body)));
    let watched = async {
        lab.wait_until("every writer waits", async |_: &Lab| waiting(&db).await >= 4).await;
        let before = beats().await;
        let lives = lab.wait_until("it lives", async |_: &Lab| beats().await >= before + 3);
        // Before the database ends a transaction in which nothing happens.
        let said = tokio::time::timeout(Duration::from_secs(4), lives).await;
        under_way.commit().await.unwrap();
        assert!(said.is_ok(), "its sign of life waits behind them");
    };
    let (replies, ()) = futures::join!(changes, watched);
    for reply in replies {
        reply.ok();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_one_servers_alone() {
    let lab = Lab::bare(1).await;
    let folder = tempfile::TempDir::new().unwrap();
    std::fs::copy(lab.backend.folder().join("master.key"), folder.path().join("master.key")).unwrap();
    let mut second = Command::new(rackhand_tests::binary("rackhand"));
    second.args(["serve", "--listen", "127.0.0.1:0", "--node", "node1", "--data-dir"]).arg(folder.path());
    let refused = second.args(["--database-url", &lab.backend.database()]).output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("--node"), "{said}");
}

/// Runs `rackhand`; gives what it printed, or what it said instead.
fn rackhand(words: &[&str], input: &str) -> Result<String, String> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), input).unwrap();
    let mut command = Command::new(rackhand_tests::binary("rackhand"));
    command.args(words).stdin(std::fs::File::open(file.path()).unwrap());
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_installation_moves_from_sqlite_to_postgresql() {
    let folder = tempfile::TempDir::new().unwrap();
    let data = folder.path().to_str().unwrap();
    rackhand(&["user", "add", "--name", "ada", "--data-dir", data], PASSWORD).unwrap();
    rackhand(&["token", "add", "--user", "ada", "--data-dir", data], "").unwrap();
    let (from, to) = (format!("sqlite://{data}/rackhand.db"), rackhand_tests::database().unwrap());
    let copied = rackhand(&["db", "copy", &from, &to, "--json"], "").unwrap();
    let copied: Value = serde_json::from_str(&copied).unwrap();
    let rows = |name: &str| {
        let tables = copied["tables"].as_array().unwrap();
        tables.iter().find(|table| table["name"] == name).unwrap()["rows"].clone()
    };
    assert_eq!((rows("user"), rows("token"), rows("server")), (1.into(), 1.into(), 0.into()));
    let there = ["--data-dir", data, "--database-url", &to];
    let users = rackhand(&[&["user", "list", "--json"], &there[..]].concat(), "").unwrap();
    assert!(users.contains("ada"), "{users}");
    rackhand(&[&["audit", "verify"], &there[..]].concat(), "").unwrap();
    let again = rackhand(&["db", "copy", &from, &to], "").unwrap_err();
    assert!(again.contains("already"), "{again}");
    let missing = rackhand(&["db", "copy", "sqlite:///no/such/file.db", &to], "").unwrap_err();
    assert!(missing.contains("there is none"), "{missing}");
    // What is served may change while it is copied.
    let lab = Lab::bare(1).await;
    let served = rackhand(&["db", "copy", &lab.backend.database(), &rackhand_tests::database().unwrap()], "");
    assert!(served.unwrap_err().contains("stop that"), "a database in use was copied");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_installation_goes_on_where_it_was_copied_to() {
    let mut lab = Lab::embedded(2).await;
    let agent = Agent::start(&lab, "site-a", lab.backend.port()).await;
    lab.wire(&json!({"agent_id": agent.id})).await;
    let job = lab.power("srv-01", json!({"action": "cycle"})).await;
    assert_eq!(state(&job), ("succeeded", "done"), "{job:#}");
    let kept = async |lab: &Lab| {
        let mut kept = Vec::new();
        let connections = format!("/servers/{}/connections", lab.id("srv-02"));
        let paths =
            ["/users", "/tokens", "/sites", "/agents", "/servers", "/endpoints", &connections, "/settings"];
        for path in paths {
            let list = lab.get(path).await.ok();
            let names = |item: &Value| {
                json!([item["id"], item["name"], item["label"], item["kind"], item["features"]])
            };
            let items = list["items"].as_array().map(|items| items.iter().map(names).collect::<Vec<_>>());
            kept.push(items.map_or_else(|| list["installation"].clone(), Value::from));
        }
        kept.push(lab.get(&format!("/jobs/{}", job["id"].as_str().unwrap())).await.ok());
        kept
    };
    let before = kept(&lab).await;
    lab.backend.stop();
    let to = rackhand_tests::database().unwrap();
    rackhand(&["db", "copy", &lab.backend.database(), &to], "").unwrap();
    lab.backend.move_to(to);
    lab.backend.start_again();
    assert_eq!(kept(&lab).await, before);

    // Its agent is who it was, and the credentials of the devices can be read.
    agent.online(&lab).await;
    let machine = lab.machine("srv-02");
    let cycled = lab.power("srv-02", json!({"action": "cycle"})).await;
    assert_eq!(state(&cycled), ("succeeded", "done"), "{cycled:#}");
    assert_eq!(transitions(&machine), (1, 1, 0));
    let folder = lab.backend.folder().to_str().unwrap();
    let there = ["audit", "verify", "--data-dir", folder, "--database-url", &lab.backend.database()];
    rackhand(&there, "").unwrap();
}

/// Runs a command of the stage that runs these tests.
fn control(variable: &str) {
    let words = std::env::var(variable).expect("run these tests by: cargo xtask verify --only postgres");
    let words: Vec<String> = serde_json::from_str(&words).unwrap();
    let status = Command::new(&words[0]).args(&words[1..]).status().unwrap();
    assert!(status.success(), "{words:?}: {status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_away_loses_nothing_that_was_accepted() {
    let pair = Pair::new(2).await;
    let machine = pair.lab.machine("srv-01");
    let job = pair.lab.start_power("srv-01", json!({"action": "cycle"})).await;
    pair.felt("srv-01", |machine| transitions(machine).0 > 0).await;
    control("RACKHAND_TEST_POSTGRES_STOP");
    let stopped = Instant::now();
    let path = format!("/servers/{}/power", pair.lab.id("srv-02"));
    let mut refused = 0;
    while stopped.elapsed() < Duration::from_secs(20) {
        let reply = pair.lab.post(&path, &json!({"action": "reset"})).await;
        assert_eq!(reply.status, 503, "{}", reply.body);
        let ready = format!("http://127.0.0.1:{}/readyz", pair.lab.backend.port());
        let ready = rackhand_tests::client().get(ready).send().await.unwrap();
        assert_eq!(ready.status().as_u16(), 503, "nobody is sent here meanwhile");
        refused += 1;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert!(refused > 0);
    control("RACKHAND_TEST_POSTGRES_START");
    let back = Instant::now();
    while pair.lab.get("/servers").await.status != 200 {
        assert!(back.elapsed() < Duration::from_secs(10), "it does not come back");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let done = pair.lab.finish(job["id"].as_str().unwrap()).await;
    assert_eq!(state(&done), ("succeeded", "done"), "{done:#}");
    assert_eq!(transitions(&machine), (1, 1, 0));
    assert_eq!(transitions(&pair.lab.machine("srv-02")), (0, 0, 0), "what was refused was done all the same");
    let again = pair.lab.power("srv-02", json!({"action": "reset"})).await;
    assert_eq!(state(&again).0, "succeeded", "{again:#}");
}
