//! `kill -9` of a working server, of its agent or of both, and a cut line, at moments nobody chose.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a broken bench stops the test")]
#![expect(clippy::indexing_slicing, reason = "JSON values answer null where nothing is")]

use rackhand_simulators::{
    farm::FarmConfig,
    world::{EffectKind, Machine},
};
use rackhand_tests::{Lab, Line, Relay, agent::Agent, mute, rack_of, unmute};
use serde_json::{Value, json};
use std::{
    cell::RefCell,
    time::{Duration, SystemTime},
};

/// Servers that are worked on at the same time.
const SERVERS: [&str; 8] = ["srv-01", "srv-02", "srv-03", "srv-04", "srv-05", "srv-06", "srv-07", "srv-08"];

/// Chance that repeats itself from its seed; says the seed when the test breaks.
struct Dice {
    seed: u64,
    state: u64,
}

impl Dice {
    /// `RACKHAND_SEED`, else the clock.
    fn new() -> Self {
        let clock = || {
            let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos();
            u64::try_from(now % u128::from(u32::MAX)).unwrap()
        };
        let seed = std::env::var("RACKHAND_SEED").map_or_else(|_| clock(), |seed| seed.parse().unwrap());
        Self { seed, state: seed }
    }

    /// A number below `end` (splitmix64).
    fn below(&mut self, end: u64) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }

    fn pick<T: Copy>(&mut self, among: &[T]) -> T {
        among[usize::try_from(self.below(among.len() as u64)).unwrap()]
    }

    fn millis(&mut self, end: u64) -> Duration {
        Duration::from_millis(self.below(end))
    }
}

impl Drop for Dice {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("RACKHAND_SEED={} rolls the same again", self.seed);
        }
    }
}

/// What is asked of one server in one round, one request after the other.
struct Wish {
    server: &'static str,
    requests: Vec<(Duration, Value)>,
}

impl Wish {
    fn new(dice: &mut Dice, server: &'static str) -> Self {
        let count = 1 + dice.below(3);
        let requests = (0..count).map(|at| {
            let action = dice.pick(&["cycle", "off", "reset", "on", "cycle"]);
            let mut body = json!({"action": action, "on_if_off": true, "queue": at > 0});
            if ["cycle", "off"].contains(&action) && dice.below(3) == 0 {
                body["via"] = "outlets".into();
                body["confirm_name"] = server.into();
            }
            (dice.millis(600), body)
        });
        Self { server, requests: requests.collect() }
    }

    /// Asks; what was accepted is noted the moment that the server has said so.
    async fn ask(&self, lab: &Lab, accepted: &RefCell<Vec<Value>>) {
        for (pause, body) in &self.requests {
            tokio::time::sleep(*pause).await;
            let job = lab.start_power(self.server, body.clone()).await;
            accepted.borrow_mut().push(job["id"].clone());
        }
    }
}

/// How often something happened, and whether it runs.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Story {
    off: usize,
    on: usize,
    resets: usize,
    runs: bool,
}

impl Story {
    fn of(machine: &Machine) -> Self {
        Self {
            off: machine.count(&EffectKind::PoweredOff),
            on: machine.count(&EffectKind::PoweredOn),
            resets: machine.count(&EffectKind::Reset),
            runs: machine.is_on(),
        }
    }
}

/// What may have happened to one server in one round, as its jobs tell it.
#[derive(Debug)]
struct Told {
    least: Story,
    most: Story,
    runs: bool,
    /// All feeds are off, on purpose.
    dark: bool,
    /// A job said that the server may have lost power: what follows is only bounded.
    unsure: bool,
}

impl Told {
    fn from(before: Story, feeds_on: usize) -> Self {
        Self { least: before, most: before, runs: before.runs, dark: feeds_on == 0, unsure: false }
    }

    /// Went off, if it ran.
    fn goes_off(&mut self) {
        self.least.off += usize::from(self.runs);
        self.most.off += usize::from(self.runs);
        self.runs = false;
    }

    /// Came on, if it did not run.
    fn comes_on(&mut self) {
        self.least.on += usize::from(!self.runs);
        self.most.on += usize::from(!self.runs);
        (self.runs, self.dark) = (true, false);
    }

    /// Takes the verdict of the next job.
    fn hear(&mut self, job: &Value) {
        match (job["state"].as_str().unwrap(), job["action"].as_str().unwrap()) {
            ("succeeded", "off") => {
                self.goes_off();
                self.dark |= job["proof"] == "feeds";
            }
            ("succeeded", "cycle") => {
                assert_eq!(job["proof"], "controller", "every BMC answers again: {job:#}");
                self.goes_off();
                self.comes_on();
            }
            ("succeeded", "reset") if self.runs => {
                self.least.resets += 1;
                self.most.resets += 1;
            }
            ("succeeded", "on" | "reset") => self.comes_on(),
            // Sent, and the server was killed before it heard what came of it: never sent again.
            ("indeterminate", "reset") => self.most.resets += 1,
            // The agent undid its cut while nobody could tell it to go on.
            ("failed" | "failed_partial", _) if job["reason"] == "feeds_restored" => {
                self.most.off += 1;
                self.most.on += 1;
                (self.unsure, self.dark) = (true, false);
            }
            ("failed", _) => assert!(did_nothing(job), "what has it done? {job:#}"),
            // Its agent did not come in time.
            ("expired", _) => {}
            _ => panic!("no end for a job whose devices all work: {job:#}"),
        }
    }

    fn check(&self, lab: &Lab, server: &str, jobs: &[Value]) {
        let found = Story::of(&lab.machine(server));
        let slack = if self.unsure { jobs.len() } else { 0 };
        let within = |least: usize, found: usize, most: usize| (least..=most).contains(&found);
        let fits = within(self.least.off.saturating_sub(slack), found.off, self.most.off + slack)
            && within(self.least.on.saturating_sub(slack), found.on, self.most.on + slack)
            && within(self.least.resets.saturating_sub(slack), found.resets, self.most.resets)
            && (found.runs == self.runs || self.unsure);
        assert!(fits, "{server}: {found:?} is not what was told: {self:?}: {jobs:#?}");
        let feeds = if self.dark { 0 } else { lab.machine(server).feeds().len() };
        assert_eq!(lab.feeds_on(server), feeds, "{server}: feeds that are on: {self:?}: {jobs:#?}");
    }
}

/// A gate was closed, or the BMC was silent and outlets could not stand in.
fn did_nothing(job: &Value) -> bool {
    let reasons =
        ["rack_limit", "subnet_breaker", "path_unproven", "no_outlet_equivalent", "feeds_already_on"];
    reasons.iter().any(|reason| job["reason"] == *reason)
}

/// The jobs of a server without those that are known, in the order in which they ran.
async fn jobs_of(lab: &Lab, server: &str, known: &[Value]) -> Vec<Value> {
    let path = format!("/jobs?q=kind:power server:{}&limit=20", lab.id(server));
    let mut jobs = lab.get(&path).await.ok()["items"].as_array().unwrap().clone();
    jobs.retain(|job| !known.contains(&job["id"]));
    jobs.reverse();
    jobs
}

/// How many jobs there were, and how many of them the kill met.
#[derive(Debug, Default)]
struct Tally {
    jobs: usize,
    running: usize,
    queued: usize,
    /// Automatic fallbacks that cut and came to their end.
    fallbacks: usize,
}

impl Tally {
    async fn meet(&mut self, lab: &Lab) {
        let count = async |state: &str| {
            let found = lab.get(&format!("/jobs?q=kind:power state:{state}&limit=100")).await.ok();
            found["items"].as_array().unwrap().len()
        };
        self.running += count("running").await;
        self.queued += count("queued").await;
    }
}

/// Asks until the moment of the kill; gives what was accepted.
async fn work(lab: &Lab, dice: &mut Dice) -> Vec<Value> {
    let wishes: Vec<Wish> = SERVERS.into_iter().map(|server| Wish::new(dice, server)).collect();
    let accepted = RefCell::new(Vec::new());
    let moment = tokio::time::sleep(dice.millis(2500));
    tokio::pin!(moment);
    tokio::select! {
        _ = futures::future::join_all(wishes.iter().map(|wish| wish.ask(lab, &accepted))) => moment.await,
        () = &mut moment => {}
    }
    accepted.into_inner()
}

/// What is far from the server, and can go away too.
struct Far {
    agent: Agent,
    line: Relay,
}

/// Something goes away in the middle of everything, and comes back.
async fn disaster(lab: &mut Lab, far: Option<&mut Far>, dice: &mut Dice) {
    let Some(far) = far else { return lab.backend.kill_and_restart() };
    let what = dice.pick(&["server", "agent", "both", "line"]);
    if what == "line" {
        far.line.set(Line::Cut);
        tokio::time::sleep(dice.millis(800)).await;
        far.line.set(Line::Whole);
    }
    if what == "agent" || what == "both" {
        far.agent.kill();
    }
    if what == "server" || what == "both" {
        lab.backend.kill_and_restart();
    }
    if what == "agent" || what == "both" {
        far.agent.run();
    }
    far.agent.online(lab).await;
}

/// One round: requests to all servers, and a disaster somewhere among them.
async fn round(lab: &mut Lab, far: Option<&mut Far>, dice: &mut Dice, tally: &mut Tally) {
    let mut before = Vec::new();
    for server in SERVERS {
        let known: Vec<Value> = jobs_of(lab, server, &[]).await.iter().map(|job| job["id"].clone()).collect();
        before.push((known, Told::from(Story::of(&lab.machine(server)), lab.feeds_on(server))));
    }
    // Two silent ones are no broken switch.
    let silent = [0; 2].map(|_| lab.machine(dice.pick(&SERVERS)));
    silent.iter().for_each(mute);
    let mut lost = work(lab, dice).await;
    if dice.below(2) == 0 {
        tally.meet(lab).await;
    }
    disaster(lab, far, dice).await;
    tokio::time::sleep(dice.millis(1500)).await;
    silent.iter().for_each(unmute);
    for (server, (known, mut told)) in SERVERS.into_iter().zip(before) {
        let mut jobs = Vec::new();
        for job in jobs_of(lab, server, &known).await {
            jobs.push(lab.finish(job["id"].as_str().unwrap()).await);
        }
        lost.retain(|id| !jobs.iter().any(|job| job["id"] == *id));
        for job in &jobs {
            told.hear(job);
        }
        let machine = lab.machine(server);
        lab.wait_until("the supplies are empty, or the BMC is up", async |_: &Lab| {
            if told.dark { !machine.is_on() } else { machine.bmc_answers() }
        })
        .await;
        told.check(lab, server, &jobs);
        tally.jobs += jobs.len();
        let by_itself = |job: &&Value| job["via"] == "auto" && job["reason"] == "done_by_outlets";
        tally.fallbacks += jobs.iter().filter(by_itself).count();
    }
    assert!(lost.is_empty(), "accepted and not there any more: {lost:?}");
}

/// How many rounds there shall be, told by `RACKHAND_KILLS`.
fn asked() -> usize {
    std::env::var("RACKHAND_KILLS").map_or(20, |count| count.parse().unwrap())
}

/// Installations side by side where many rounds are asked for: each waits more than it works.
const SIDE_BY_SIDE: usize = 3;

/// Shares the rounds out among installations.
fn shares(rounds: usize) -> Vec<usize> {
    let lanes = if rounds < 100 { 1 } else { SIDE_BY_SIDE };
    (0..lanes).map(|lane| rounds / lanes + usize::from(lane < rounds % lanes)).collect()
}

async fn rounds(lab: &mut Lab, mut far: Option<&mut Far>, rounds: usize) -> Tally {
    let mut dice = Dice::new();
    for server in SERVERS {
        // Racks of their own, so that the limit per rack seldom comes first.
        lab.patch(&format!("/servers/{}", lab.id(server)), &json!({"rack": server})).await.ok();
    }
    let mut tally = Tally::default();
    for _ in 0..rounds {
        round(lab, far.as_deref_mut(), &mut dice, &mut tally).await;
    }
    tally
}

/// Tells what there was, and sees that the rounds met work.
fn sum(tallies: Vec<Tally>, rounds: usize) {
    let mut sum = Tally::default();
    for Tally { jobs, running, queued, fallbacks } in tallies {
        sum.jobs += jobs;
        sum.running += running;
        sum.queued += queued;
        sum.fallbacks += fallbacks;
    }
    let Tally { jobs, running, queued, fallbacks } = &sum;
    eprintln!(
        "measured: {rounds} rounds, {jobs} jobs; in those of which it was counted, {running} ran and {queued} waited when \
         it happened; {fallbacks} fell back to the outlets by themselves"
    );
    assert!(sum.jobs >= rounds * 4, "there was a lot to do: {sum:?}");
    assert!(sum.running >= rounds / 2 && sum.queued >= rounds / 4, "the kills met work: {sum:?}");
}

/// Whoever is killed leaves a session at every BMC. A BMC drops it after a minute, which is twenty here: it has room
/// for as many more.
fn rack() -> FarmConfig {
    let mut farm = rack_of(8);
    farm.bmc_account.most_sessions *= 20;
    farm
}

#[tokio::test(flavor = "multi_thread")]
async fn killing_the_server_loses_no_job_repeats_none_and_leaves_no_feed_off() {
    let lanes = shares(asked()).into_iter().map(|share| async move {
        let mut lab = Lab::wired(rack()).await;
        rounds(&mut lab, None, share).await
    });
    sum(futures::future::join_all(lanes).await, asked());
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_does_the_end_of_the_agent_or_of_both_or_of_their_line() {
    let lanes = shares(asked()).into_iter().map(|share| async move {
        let (mut lab, agent, line) = Lab::behind_an_agent(rack()).await;
        rounds(&mut lab, Some(&mut Far { agent, line }), share).await
    });
    sum(futures::future::join_all(lanes).await, asked());
}
