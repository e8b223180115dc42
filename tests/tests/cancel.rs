//! Cancelling at every boundary between two steps: the feeds are never mixed, and the job says how things stand.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a broken bench stops the test")]
#![expect(clippy::indexing_slicing, reason = "JSON values answer null where nothing is")]

use rackhand_simulators::world::{ChassisCommand, EffectKind, Machine};
use rackhand_tests::{Lab, mute, rack_of, state, unmute};
use serde_json::{Value, json};
use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

/// Servers that are cancelled at the same time, each at a boundary of its own.
const AT_ONCE: usize = 6;
/// Enough for a fresh one after each automatic cut, of which a server gets one within ten minutes; and so many
/// that [`AT_ONCE`] silent BMCs do not look like a broken switch.
const SERVERS: u16 = 60;
/// A step may be over before the wish to stop arrives; then it is tried again.
const TRIES: usize = 20;

/// Answers take so long, so that there is time to act between two packets.
const SLOW: Duration = Duration::from_millis(10);

/// What does the work.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    Controller,
    /// The BMC is silent until the first feed is cut.
    Fallback,
    Forced,
}

/// Where the wish to stop was heard.
#[derive(Debug, PartialEq)]
enum Heard {
    /// At the end of the step that was meant.
    There,
    /// Another step had begun by then.
    Later,
    /// The job was over before.
    TooLate,
}

/// What physically happened to a machine so far.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Happened {
    off: usize,
    on: usize,
    cuts: usize,
}

impl Happened {
    fn to(machine: &Machine) -> Self {
        let count = |counted: fn(&EffectKind) -> bool| {
            machine.effects().iter().filter(|effect| counted(&effect.what)).count()
        };
        Self {
            off: count(|what| *what == EffectKind::PoweredOff),
            on: count(|what| *what == EffectKind::PoweredOn),
            cuts: count(|what| matches!(what, EffectKind::FeedCut { .. })),
        }
    }

    fn since(self, before: Self) -> Self {
        Self { off: self.off - before.off, on: self.on - before.on, cuts: self.cuts - before.cuts }
    }
}

struct Bench {
    lab: Lab,
    /// Servers that had their automatic cut.
    used: AtomicUsize,
}

struct Case<'a> {
    lab: &'a Lab,
    action: &'static str,
    way: Way,
    server: String,
}

impl Case<'_> {
    fn machine(&self) -> Machine {
        self.lab.machine(&self.server)
    }

    fn path(&self) -> String {
        format!("/servers/{}", self.lab.id(&self.server))
    }

    /// Cancels after a step, and compares what the job says with what happened.
    async fn cancel_after(&self, step: usize) -> Heard {
        self.prepare().await;
        let before = Happened::to(&self.machine());
        let (heard, job) = self.run(step).await;
        self.check(&job, before).await;
        self.recover().await;
        heard
    }

    async fn prepare(&self) {
        self.machine().change_bmc_faults(|faults| faults.link.delay = SLOW);
        if self.action == "on" {
            self.machine().chassis(ChassisCommand::Down).unwrap();
        }
        if self.way == Way::Fallback {
            // A rack of its own, so that the limit per rack does not come first.
            self.lab.patch(&self.path(), &json!({"rack": self.server})).await.ok();
            mute(&self.machine());
        }
    }

    async fn run(&self, step: usize) -> (Heard, Value) {
        let mut body = json!({"action": self.action});
        if self.way == Way::Forced {
            body["via"] = "outlets".into();
            body["confirm_name"] = self.server.as_str().into();
        }
        let cuts = Happened::to(&self.machine()).cuts;
        let job = self.lab.start_power(&self.server, body).await;
        let path = format!("/jobs/{}", job["id"].as_str().unwrap());
        let reached = loop {
            let seen = self.lab.get(&path).await.ok();
            if Happened::to(&self.machine()).cuts > cuts {
                unmute(&self.machine());
            }
            if seen["steps"].as_array().unwrap().len() > step {
                break seen["finished_at"].is_null();
            }
            if !seen["finished_at"].is_null() {
                break false;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        };
        let heard = if reached { self.cancel(&path, step).await } else { Heard::TooLate };
        unmute(&self.machine());
        (heard, self.lab.finish(job["id"].as_str().unwrap()).await)
    }

    async fn cancel(&self, path: &str, step: usize) -> Heard {
        if self.lab.post(&format!("{path}/cancel"), &json!({})).await.status != 202 {
            return Heard::TooLate;
        }
        let seen = self.lab.get(path).await.ok();
        let steps = seen["steps"].as_array().unwrap();
        if steps.len() == step + 1 { Heard::There } else { Heard::Later }
    }

    /// The job is over: what it says is what happened.
    async fn check(&self, job: &Value, before: Happened) {
        let dark = self.machine().feeds().len() - self.lab.feeds_on(&self.server);
        let off_by_feeds = state(job) == ("succeeded", "done_by_outlets") && self.action == "off";
        let wanted = if off_by_feeds { self.machine().feeds().len() } else { 0 };
        assert_eq!(dark, wanted, "{} {:?}: feeds that are off: {job:#}", self.action, self.way);

        let machine = self.machine();
        self.lab
            .wait_until("the machine has settled", async |_: &Lab| {
                if off_by_feeds { !machine.is_on() } else { machine.bmc_answers() }
            })
            .await;
        let found = (Happened::to(&machine).since(before), machine.is_on());
        self.judge(job, found);
        let shown = if machine.is_on() { "on" } else { "off" };
        self.lab.post(&format!("{}/power/refresh", self.path()), &json!({})).await.ok();
        self.lab
            .wait_until("what is shown is so", async |lab: &Lab| {
                lab.get(&format!("{}/power", self.path())).await.ok()["value"] == shown
            })
            .await;
    }

    /// Compares the words with what happened: how often it went off and on, and whether it runs.
    fn judge(&self, job: &Value, (happened, runs): (Happened, bool)) {
        let Happened { off, on, cuts } = happened;
        let summary = job["summary"].as_str().unwrap();
        let began_on = self.action != "on";
        let fits = match (job["state"].as_str().unwrap(), self.action) {
            ("succeeded", "off") => (off, on, runs) == (1, 0, false),
            ("succeeded", "on") => (off, on, runs) == (0, 1, true),
            ("succeeded", _) => (off, on, runs) == (1, 1, true) && job["proof"] == "controller",
            ("cancelled", _) => match summary {
                "Stopped before anything was sent." => (off, on, cuts, runs) == (0, 0, 0, began_on),
                "Stopped after off was proven; the server is off."
                | "Stopped after “off” was sent; its effect was not awaited." => {
                    (off, on, runs) == (1, 0, false)
                }
                "Stopped after off was proven and “on” was sent; its effect was not awaited." => {
                    (off, on, runs) == (1, 1, true)
                }
                "Stopped after “on” was sent; its effect was not awaited." => {
                    (off, on, runs) == (0, 1, true)
                }
                "Stopped by a person. Every feed is on again." => (off, on, runs) == (0, 0, true),
                // Some supplies bridge a gap as short as that.
                "Stopped by a person. Every feed is on again. The server may have lost power meanwhile." => {
                    cuts == 2 && off == on && runs
                }
                _ if summary
                    .starts_with("Stopped by a person. Both feeds were cut and switched on again.") =>
                {
                    (off, on, cuts, runs) == (1, 1, 2, true)
                }
                _ => false,
            },
            _ => false,
        };
        assert!(fits, "{} {:?}: {happened:?}, it runs: {runs}: {job:#}", self.action, self.way);
    }

    /// Everything as it was before.
    async fn recover(&self) {
        let machine = self.machine();
        if self.lab.feeds_on(&self.server) == 0 {
            let job = self.lab.power(&self.server, json!({"action": "on"})).await;
            assert_eq!(state(&job).0, "succeeded", "{job:#}");
        }
        machine.chassis(ChassisCommand::Up).unwrap();
        machine.change_bmc_faults(|faults| faults.link.delay = Duration::ZERO);
        assert!(self.lab.fully_fed(&self.server));
    }
}

impl Bench {
    async fn start() -> Self {
        let lab = Lab::wired(rack_of(SERVERS)).await;
        for pdu in lab.farm.world().pdus() {
            pdu.change_faults(|faults| faults.link.delay = SLOW);
        }
        Self { lab, used: AtomicUsize::new(0) }
    }

    /// Cancels after every step, several runs at a time; says how many steps there were.
    async fn sweep(&self, action: &'static str, way: Way) -> usize {
        for first in (0..).step_by(AT_ONCE) {
            let runs = (0..AT_ONCE).map(|at| self.cancel_after(first + at, at, action, way));
            let heard = futures::future::join_all(runs).await;
            if let Some(end) = heard.iter().position(|heard| *heard == Heard::TooLate) {
                return first + end;
            }
        }
        unreachable!("a run has an end")
    }

    /// Cancels after one step until the wish was heard right there, or the job has no such step.
    async fn cancel_after(&self, step: usize, at: usize, action: &'static str, way: Way) -> Heard {
        for _ in 0..TRIES {
            let number = if way == Way::Fallback { self.used.fetch_add(1, Ordering::Relaxed) } else { at };
            assert!(number < SERVERS.into(), "{action} {way:?}: no server is left for step {step}");
            let case = Case { lab: &self.lab, action, way, server: format!("srv-{:02}", number + 1) };
            let heard = case.cancel_after(step).await;
            if heard != Heard::Later {
                return heard;
            }
        }
        panic!("{action} {way:?}: step {step} was never met in {TRIES} tries");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_by_the_controller_says_how_far_it_came() {
    let bench = Bench::start().await;
    for (action, least) in [("off", 4), ("on", 4), ("cycle", 9)] {
        let steps = bench.sweep(action, Way::Controller).await;
        assert!(steps >= least, "{action} has more steps than {steps}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fallback_leaves_no_mixed_feeds() {
    let bench = Bench::start().await;
    for (action, least) in [("cycle", 15), ("off", 9)] {
        let steps = bench.sweep(action, Way::Fallback).await;
        assert!(steps >= least, "{action} has more steps than {steps}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forced_run_leaves_no_mixed_feeds() {
    let bench = Bench::start().await;
    for (action, least) in [("cycle", 13), ("off", 7)] {
        let steps = bench.sweep(action, Way::Forced).await;
        assert!(steps >= least, "{action} has more steps than {steps}");
    }
}
