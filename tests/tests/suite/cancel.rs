//! Cancelling at every boundary between two steps: the feeds are never mixed, and the job says how things stand.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a broken bench stops the test")]
#![expect(clippy::indexing_slicing, reason = "JSON values answer null where nothing is")]

use chrono::DateTime;
use rackhand_simulators::world::{ChassisCommand, EffectKind, Machine, OutletCommand, WorldTimings};
use rackhand_tests::{Lab, SCALE, mute, rack_of, state, unmute};
use rackhand_wire::Timings;
use serde_json::{Value, json};
use std::{collections::BTreeSet, time::Duration};

/// Servers that are cancelled at the same time, each at a boundary of its own.
const AT_ONCE: usize = 4;
/// So many silent BMCs are no broken switch yet.
const SILENT: usize = 2;
/// Servers beside which a silent one is tried. Each gets one automatic cut within ten minutes.
const SERVERS: u16 = 8;
/// A step may be over before the wish to stop arrives; then it is tried again.
const TRIES: usize = 20;

/// What is said when nothing happened.
const UNTOUCHED: &str = "Stopped before anything was sent.";

/// More than any run has.
const MOST_STEPS: usize = 60;

/// Answers take so long, so that there is time to act between two packets.
const SLOW: Duration = Duration::from_millis(10);

/// What does the work.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    Controller,
    /// The BMC is silent until the first feed is cut.
    Fallback,
    /// The BMC falls silent once off is proven, until the first feed is cut.
    LateFallback,
    Forced,
    /// So many feeds are off when it is switched on: they come before the controller.
    Missing(usize),
    /// The operating system ignores the soft button, and is forced off in the end.
    Ignored,
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
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Happened {
    off: usize,
    on: usize,
    cuts: usize,
    resets: usize,
    presses: usize,
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
            resets: count(|what| *what == EffectKind::Reset),
            presses: count(|what| *what == EffectKind::SoftPressed),
        }
    }

    fn since(self, before: Self) -> Self {
        Self {
            off: self.off - before.off,
            on: self.on - before.on,
            cuts: self.cuts - before.cuts,
            resets: self.resets - before.resets,
            presses: self.presses - before.presses,
        }
    }
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
        let before = (Happened::to(&self.machine()), self.dark());
        let (heard, job) = self.run(step).await;
        let slow = was_too_slow(&job);
        self.check(&job, before).await;
        self.recover().await;
        if slow { Heard::Later } else { heard }
    }

    async fn prepare(&self) {
        self.machine().change_bmc_faults(|faults| faults.link.delay = SLOW);
        if self.action == "on" {
            self.machine().chassis(ChassisCommand::Down).unwrap();
        }
        if matches!(self.way, Way::Fallback | Way::LateFallback) {
            // A rack of its own, so that the limit per rack does not come first.
            self.lab.patch(&self.path(), &json!({"rack": self.server})).await.ok();
        }
        match self.way {
            Way::Fallback => mute(&self.machine()),
            Way::Missing(feeds) => self.switch_off(feeds).await,
            Way::Ignored => self.machine().change_bmc_faults(|faults| faults.ignore_soft = true),
            Way::Controller | Way::LateFallback | Way::Forced => {}
        }
        if self.action == "shutdown" {
            self.booted().await;
        }
    }

    /// Somebody switches feeds off at the PDUs, and the server notices.
    async fn switch_off(&self, feeds: usize) {
        // What was dark in the round before may still be shown, and a look from between the rounds still come.
        self.known_dark(0).await;
        for feed in self.machine().feeds().iter().take(feeds) {
            let pdu = self.lab.farm.world().pdu(feed.pdu()).unwrap();
            pdu.switch(feed.number(), OutletCommand::Off(Duration::ZERO)).unwrap();
        }
        self.known_dark(feeds).await;
    }

    async fn known_dark(&self, feeds: usize) {
        self.lab
            .wait_until("the dark feeds were noticed", async |lab: &Lab| {
                lab.post(&format!("{}/power/refresh", self.path()), &json!({})).await.ok();
                let power = lab.get(&format!("{}/power", self.path())).await.ok();
                let paths = power["paths"].as_array().unwrap();
                paths.iter().filter(|path| path["state"] == "feed_off").count() == feeds
            })
            .await;
    }

    /// A press during boot is lost.
    async fn booted(&self) {
        let effects = self.machine().effects();
        let mut started =
            effects.iter().rev().filter(|e| matches!(e.what, EffectKind::PoweredOn | EffectKind::Reset));
        let Some(at) = started.next().map(|effect| effect.at) else { return };
        let booted = async |_: &Lab| at.elapsed() > WorldTimings::quick().os_boot;
        self.lab.wait_until("the operating system has started", booted).await;
    }

    async fn run(&self, step: usize) -> (Heard, Value) {
        let mut body = json!({"action": self.action});
        if self.way == Way::Forced {
            body["via"] = "outlets".into();
            body["confirm_name"] = self.server.as_str().into();
        }
        if self.way == Way::Ignored {
            body["escalate"] = true.into();
            body["deadline_s"] = 30.into();
        }
        let cuts = Happened::to(&self.machine()).cuts;
        let job = self.lab.start_power(&self.server, body).await;
        let path = format!("/jobs/{}", job["id"].as_str().unwrap());
        let mut is_silenced = false;
        let reached = loop {
            let seen = self.lab.get(&path).await.ok();
            let holds = |step: &Value| step["phase"] == "Hold";
            if self.way == Way::LateFallback
                && !is_silenced
                && seen["steps"].as_array().unwrap().iter().any(holds)
            {
                mute(&self.machine());
                is_silenced = true;
            }
            if Happened::to(&self.machine()).cuts > cuts {
                unmute(&self.machine());
            }
            if seen["steps"].as_array().unwrap().len() > step {
                break seen["finished_at"].is_null();
            }
            if !seen["finished_at"].is_null() {
                break false;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
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

    /// Counts the feeds that are off.
    fn dark(&self) -> usize {
        self.machine().feeds().len() - self.lab.feeds_on(&self.server)
    }

    /// The job is over: what it says is what happened.
    async fn check(&self, job: &Value, (before, dark_before): (Happened, usize)) {
        let off_by_feeds = state(job) == ("succeeded", "done_by_outlets") && self.action == "off";
        let wanted = match job["summary"].as_str().unwrap() {
            _ if off_by_feeds => self.machine().feeds().len(),
            UNTOUCHED => dark_before,
            _ => 0,
        };
        assert_eq!(self.dark(), wanted, "{} {:?}: feeds that are off: {job:#}", self.action, self.way);

        let machine = self.machine();
        let is_dark = wanted == machine.feeds().len();
        let obeys = self.action == "shutdown" && self.way != Way::Ignored;
        self.lab
            .wait_until("the machine has settled", async |_: &Lab| {
                let is_shutting_down = obeys && Happened::to(&machine).presses > before.presses;
                if is_dark || is_shutting_down { !machine.is_on() } else { machine.bmc_answers() }
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
        let Happened { off, on, cuts, resets, presses } = happened;
        let summary = job["summary"].as_str().unwrap();
        let began_on = self.action != "on";
        let once = match self.action {
            "reset" => resets <= 1 && presses == 0,
            "shutdown" => presses <= 1 && resets == 0,
            _ => presses + resets == 0,
        };
        let fits = match (job["state"].as_str().unwrap(), self.action) {
            ("succeeded", "off" | "shutdown") => (off, on, runs) == (1, 0, false),
            ("succeeded", "on") => (off, on, runs) == (0, 1, true),
            ("succeeded", "reset") => (off, on, resets, runs) == (0, 0, 1, true),
            ("succeeded", _) => (off, on, runs) == (1, 1, true) && job["proof"] == "controller",
            ("cancelled", _) => match summary {
                UNTOUCHED => happened == Happened::default() && runs == began_on,
                "Stopped after “reset” was sent; its effect was not awaited." => {
                    (off, on, resets, runs) == (0, 0, 1, true)
                }
                "Stopped after “shut down” was sent; its effect was not awaited."
                | "Stopped after “Shut down” was sent; its effect was not awaited." => {
                    let obeyed = self.way != Way::Ignored;
                    (presses, off, on, runs) == (1, usize::from(obeyed), 0, !obeyed)
                }
                "Stopped after missing feeds were told to switch on; the controller was sent nothing." => {
                    (off, on, cuts, runs) == (0, 0, 0, false)
                }
                _ if summary.starts_with("Stopped by a person. Both feeds were switched on.") => {
                    (off, on, cuts, runs) == (0, 0, 0, false) && self.way == Way::Missing(2)
                }
                "Stopped after off was proven; the server is off."
                | "Stopped by a person after off was proven; the server is off. Every feed is on again."
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
                    // Where off was proven before, its restore policy alone starts it again.
                    cuts == 2 && ((off == on && runs) || self.way == Way::LateFallback)
                }
                _ if summary
                    .starts_with("Stopped by a person. Both feeds were cut and switched on again.") =>
                {
                    (off, on, cuts, runs) == (1, 1, 2, true)
                        || (self.way == Way::LateFallback && (off, cuts) == (1, 2))
                }
                _ => false,
            },
            _ if was_too_slow(job) => off == on && runs,
            _ => false,
        };
        assert!(fits && once, "{} {:?}: {happened:?}, it runs: {runs}: {job:#}", self.action, self.way);
    }

    /// Everything as it was before.
    async fn recover(&self) {
        let machine = self.machine();
        if self.lab.feeds_on(&self.server) == 0 {
            let job = self.lab.power(&self.server, json!({"action": "on"})).await;
            assert_eq!(state(&job).0, "succeeded", "{job:#}");
        }
        for feed in machine.feeds() {
            let pdu = self.lab.farm.world().pdu(feed.pdu()).unwrap();
            pdu.switch(feed.number(), OutletCommand::On(Duration::ZERO)).unwrap();
        }
        machine.chassis(ChassisCommand::Up).unwrap();
        machine.change_bmc_faults(|faults| {
            faults.link.delay = Duration::ZERO;
            faults.ignore_soft = false;
        });
        assert!(self.lab.fully_fed(&self.server));
    }
}

/// On a busy machine the neighbours of a silent BMC may answer too late, or the agent switches on again by
/// itself what has been off for longer than it was told.
fn was_too_slow(job: &Value) -> bool {
    let timings = Timings::default().scaled(SCALE);
    let steps = job["steps"].as_array().unwrap();
    let cut = steps.iter().find(|step| step["phase"] == "Cut feeds");
    let at = |text: &Value| DateTime::parse_from_rfc3339(text.as_str().unwrap()).unwrap();
    let took = cut.map(|cut| (at(&job["finished_at"]) - at(&cut["started_at"])).to_std().unwrap());
    match state(job) {
        ("failed", "subnet_breaker") => cut.is_none(),
        ("failed_partial" | "failed", "feeds_restored") => {
            took.is_some_and(|took| took >= timings.discharge + timings.restore_slack)
        }
        _ => false,
    }
}

/// A lab whose server looks at nothing of its own accord, so that the machine has time for the jobs.
async fn lab() -> Lab {
    let lab = Lab::wired(rack_of(SERVERS)).await;
    let mut installation = lab.get("/settings").await.ok()["installation"].clone();
    installation["poll_interval_s"] = 3600.into();
    lab.patch("/settings", &json!({"installation": installation})).await.ok();
    for pdu in lab.farm.world().pdus() {
        pdu.change_faults(|faults| faults.link.delay = SLOW);
    }
    lab
}

/// Says at which step a run was over before it could be cancelled there, if at any.
fn end(first: usize, heard: &[Heard]) -> Option<usize> {
    heard.iter().position(|heard| *heard == Heard::TooLate).map(|at| first + at)
}

/// Cancels after every step, several runs at a time; says how many steps there were.
async fn sweep(lab: &Lab, action: &'static str, way: Way) -> usize {
    for first in (0..).step_by(AT_ONCE) {
        let runs = (0..AT_ONCE).map(|at| async move {
            let case = Case { lab, action, way, server: format!("srv-{:02}", at + 1) };
            for _ in 0..TRIES {
                match case.cancel_after(first + at).await {
                    Heard::Later => {}
                    heard @ (Heard::There | Heard::TooLate) => return heard,
                }
            }
            panic!("{action} {way:?}: step {} was never met in {TRIES} tries", first + at);
        });
        if let Some(steps) = end(first, &futures::future::join_all(runs).await) {
            return steps;
        }
    }
    unreachable!("a run has an end")
}

/// The same through a fallback, each time on a server that has had none.
async fn sweep_fallback(action: &'static str, way: Way) -> usize {
    let mut todo: BTreeSet<usize> = (0..MOST_STEPS).collect();
    let mut over = MOST_STEPS;
    for labs in 0.. {
        if todo.is_empty() {
            break;
        }
        assert!(labs < TRIES, "{action}: the steps {todo:?} were never met");
        let lab = &lab().await;
        for first in (0..usize::from(SERVERS)).step_by(SILENT) {
            let steps: Vec<usize> = (0..SILENT).filter_map(|_| todo.pop_first()).collect();
            let runs = steps.iter().enumerate().map(|(at, step)| async move {
                let server = format!("srv-{:02}", first + at + 1);
                Case { lab, action, way, server }.cancel_after(*step).await
            });
            for (step, heard) in steps.iter().zip(futures::future::join_all(runs).await) {
                match heard {
                    Heard::There => {}
                    Heard::Later => {
                        todo.insert(*step);
                    }
                    Heard::TooLate => over = over.min(*step),
                }
            }
            todo.retain(|step| *step < over);
        }
    }
    assert!(over < MOST_STEPS, "{action}: a run has an end");
    over
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_by_the_controller_says_how_far_it_came() {
    let lab = lab().await;
    for (action, least) in [("off", 4), ("on", 4), ("cycle", 9)] {
        let steps = sweep(&lab, action, Way::Controller).await;
        assert!(steps >= least, "{action} has more steps than {steps}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fallback_leaves_no_mixed_feeds() {
    for (action, least) in [("cycle", 15), ("off", 9)] {
        let steps = sweep_fallback(action, Way::Fallback).await;
        assert!(steps >= least, "{action} has more steps than {steps}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forced_run_leaves_no_mixed_feeds() {
    let lab = lab().await;
    for (action, least) in [("cycle", 13), ("off", 7)] {
        let steps = sweep(&lab, action, Way::Forced).await;
        assert!(steps >= least, "{action} has more steps than {steps}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fallback_after_off_was_proven_says_that_it_was() {
    let steps = sweep_fallback("cycle", Way::LateFallback).await;
    assert!(steps >= 18, "a cycle has more steps than {steps}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_or_a_shutdown_that_is_stopped_says_whether_it_was_sent() {
    let lab = lab().await;
    // How often an ignored shutdown is looked at depends on how fast the database is: the bound is
    // what every machine reaches.
    for (action, way, least) in
        [("reset", Way::Controller, 4), ("shutdown", Way::Controller, 4), ("shutdown", Way::Ignored, 7)]
    {
        let steps = sweep(&lab, action, way).await;
        assert!(steps >= least, "{action} {way:?} has more steps than {steps}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn feeds_that_come_before_the_controller_are_all_on_or_as_they_were() {
    let lab = lab().await;
    for (feeds, least) in [(1, 8), (2, 10)] {
        let steps = sweep(&lab, "on", Way::Missing(feeds)).await;
        assert!(steps >= least, "{feeds} missing: there are more steps than {steps}");
    }
}
