//! Random worlds against the machine, and the published table of states.
//!
//! The world is physics with a seed: it switches, loses answers, goes silent, sticks. What it counts is
//! compared with what the machine claims.

use super::{
    Action, Effect, Path, Plan, Rhythm, Run, Signal,
    effect::OutletSeen,
    plan::Refusal,
    state::{Context, fed_again, forget_until, weigh},
};
use chrono::{DateTime, TimeDelta, Utc};
use rackhand_wire::{
    Fault, FaultCode, OutletState, PowerAction, PowerValue, Reason, Role, Timings,
    api::{
        job::{JobState, Proof},
        power::Via,
    },
    id::{ConnectionId, EndpointId},
    power::{Confidence, Native, PathEvidence, PathState, PowerFlag, PowerReading, ServerPower, Switch},
};

mod lost;
mod scenarios;

/// A small generator: repeatable from its seed, which the failing assertion prints.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[usize::try_from(self.roll(from.len() as u64)).unwrap()]
    }

    fn one_in(&mut self, sides: u64) -> bool {
        self.roll(sides) == 0
    }
}

struct World {
    dice: Dice,
    on: bool,
    ran: bool,
    /// Why it started last, as a BMC tells it: another word each time.
    cause: Option<u32>,
    outlets: Vec<bool>,
    began: Vec<bool>,
    stuck: Vec<bool>,
    dead_pdu: Vec<bool>,
    /// Which controllers say nothing now.
    silent: [bool; 2],
    /// What was heard and is carried out only after the next look.
    late: Option<Native>,
    /// How often it went off.
    offs: u32,
    nasty: bool,
    resets: u32,
    wrote_outlet: bool,
    cut_outlet: bool,
    read_since_write: bool,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        let outlets = usize::try_from(dice.roll(5)).unwrap();
        let nasty = dice.one_in(2);
        let feeds: Vec<bool> = match dice.roll(8) {
            0 => vec![false; outlets],
            1 => (0..outlets).map(|_| dice.one_in(2)).collect(),
            _ => vec![true; outlets],
        };
        let fed = outlets == 0 || feeds.contains(&true);
        let each = |dice: &mut Dice, sides| (0..outlets).map(|_| dice.one_in(sides)).collect();
        let on = fed && dice.one_in(2);
        Self {
            on,
            ran: on,
            cause: (!dice.one_in(3)).then_some(0),
            stuck: each(&mut dice, if nasty { 6 } else { 1000 }),
            dead_pdu: each(&mut dice, if nasty { 8 } else { 1000 }),
            began: feeds.clone(),
            outlets: feeds,
            silent: [dice.one_in(2), dice.one_in(2)],
            late: None,
            offs: 0,
            nasty,
            resets: 0,
            wrote_outlet: false,
            cut_outlet: false,
            read_since_write: true,
            dice,
        }
    }

    fn fed(&self) -> bool {
        self.outlets.is_empty() || self.outlets.iter().any(|on| *on)
    }

    fn loses(&mut self) -> bool {
        self.nasty && self.dice.one_in(5)
    }

    fn answer(&mut self, effect: &Effect) -> Signal {
        match effect {
            Effect::Read { controller } => Signal::Read(self.read(*controller)),
            Effect::Command { controller, command } => Signal::Commanded(self.command(*controller, *command)),
            Effect::ReadOutlet { outlet } => Signal::Outlet(self.read_outlet(*outlet)),
            Effect::SwitchOutlet { outlet, to, restore_after_ms } => {
                assert_eq!(restore_after_ms.is_some(), *to == Switch::Off, "every cut has a time limit");
                Signal::Switched(self.switch(*outlet, *to))
            }
            Effect::KeepOff if self.nasty && self.dice.one_in(6) => {
                Signal::Kept(Err(Fault::new(FaultCode::Exec, Reason::AgentOffline, "")))
            }
            Effect::KeepOff => Signal::Kept(Ok(())),
            Effect::CheckGates => Signal::Gates(if self.dice.one_in(4) {
                Err(Refusal::new("path_unproven", "closed"))
            } else {
                Ok(())
            }),
            Effect::Wait { .. } => Signal::Waited,
            Effect::Finish(_) => unreachable!("the run is over"),
        }
    }

    fn away(&mut self) -> Result<(), Fault> {
        let is_away = self.nasty && self.dice.one_in(12);
        if is_away { Err(Fault::new(FaultCode::Exec, Reason::AgentOffline, "")) } else { Ok(()) }
    }

    fn makes_sense(&mut self) -> Result<(), Fault> {
        if self.nasty && self.dice.one_in(8) { Err(garbled()) } else { Ok(()) }
    }

    /// Whether a controller hears anything. Some fall silent in the middle, and some come back.
    fn hears(&mut self, controller: usize) -> bool {
        if self.nasty && self.dice.one_in(10) {
            self.silent[controller] = !self.silent[controller];
        }
        self.fed() && !self.silent[controller]
    }

    fn read(&mut self, controller: usize) -> Result<PowerReading, Fault> {
        self.away()?;
        if !self.hears(controller) {
            return Err(Fault::unreachable(""));
        }
        if self.loses() {
            return Err(Fault::lost(""));
        }
        self.makes_sense()?;
        self.read_since_write = true;
        let power = if self.on { Switch::On } else { Switch::Off };
        if let Some(late) = self.late.take() {
            self.obey(late);
            self.read_since_write = true;
        }
        // Some BMCs tell the cause only now and then.
        let told = self.cause.filter(|_| !self.nasty || !self.dice.one_in(4));
        Ok(PowerReading { power, restore_policy: None, restart_cause: told.map(|cause| cause.to_string()) })
    }

    fn command(&mut self, controller: usize, command: Native) -> Result<(), Fault> {
        self.away()?;
        if !self.hears(controller) {
            return Err(Fault::unreachable(""));
        }
        if self.nasty && self.dice.one_in(8) {
            let code = self.dice.pick(&[
                FaultCode::Busy,
                FaultCode::State,
                FaultCode::Unsupported,
                FaultCode::Auth,
                FaultCode::Config,
                FaultCode::Updating,
                FaultCode::Exec,
                FaultCode::Proto,
            ]);
            // An agent that broke off, or an answer that made no sense: the device may have heard.
            if matches!(code, FaultCode::Exec | FaultCode::Proto) && self.dice.one_in(2) {
                self.obey(command);
            }
            return Err(Fault::new(code, Reason::Busy, ""));
        }
        if matches!(command, Native::On | Native::Off) && self.loses() && self.dice.one_in(2) {
            self.late = Some(command);
            return Err(Fault::lost(""));
        }
        let arrives = !self.loses();
        if arrives {
            self.obey(command);
        }
        if !arrives || self.loses() { Err(Fault::lost("")) } else { Ok(()) }
    }

    fn obey(&mut self, command: Native) {
        let was_on = self.on;
        self.follow(command);
        self.offs += u32::from(was_on && !self.on);
    }

    fn follow(&mut self, command: Native) {
        self.read_since_write = false;
        match command {
            Native::On if !self.on => {
                self.on = true;
                self.cause = self.cause.map(|cause| cause + 1);
            }
            Native::On | Native::Nmi => {}
            Native::Off => self.on = false,
            Native::Reset => {
                self.resets += 1;
                self.cause = self.cause.map(|cause| cause + 1);
            }
            Native::Shutdown => self.on &= self.dice.one_in(3),
            Native::Cycle => panic!("the machine never uses the native cycle"),
        }
    }

    fn read_outlet(&mut self, outlet: usize) -> Result<OutletSeen, Fault> {
        self.away()?;
        if self.dead_pdu[outlet] || self.loses() {
            return Err(Fault::unreachable(""));
        }
        self.makes_sense()?;
        self.read_since_write = true;
        let state = if self.outlets[outlet] { OutletState::On } else { OutletState::Off };
        Ok(OutletSeen { state, locked: None })
    }

    fn switch(&mut self, outlet: usize, to: Switch) -> Result<(), Fault> {
        self.wrote_outlet = true;
        self.cut_outlet |= to == Switch::Off;
        self.away()?;
        self.read_since_write = false;
        if self.dead_pdu[outlet] {
            return Err(Fault::lost(""));
        }
        if !self.stuck[outlet] {
            self.outlets[outlet] = to == Switch::On;
        }
        // Someone on site plugs a feed in again while the others are being cut.
        if self.nasty && to == Switch::Off && outlet > 0 && self.dice.one_in(10) {
            let again = usize::try_from(self.dice.roll(outlet as u64)).unwrap();
            self.outlets[again] = true;
        }
        if !self.fed() {
            self.on = false;
        }
        if self.loses() { Err(Fault::lost("")) } else { Ok(()) }
    }
}

fn garbled() -> Fault {
    Fault::new(FaultCode::Proto, Reason::Malformed, "")
}

fn path(n: u128, label: &str) -> Path {
    let id = uuid(n);
    Path { connection: ConnectionId(id), endpoint: EndpointId(id), label: label.into() }
}

fn uuid(n: u128) -> uuid::Uuid {
    uuid::Uuid::from_u128(n)
}

fn plan(what: PowerAction, outlets: usize) -> Plan {
    Plan {
        action: Action { what, via: Via::Auto, on_if_off: false, escalate: false },
        controllers: vec![path(1, "IPMI")],
        outlets: (0..outlets).map(|n| path(100 + n as u128, &format!("outlet {n}"))).collect(),
        fallback_refusal: None,
        switch_refusal: None,
        cut_refusal: None,
        feeds_missing: false,
        feeds_dark: false,
        restore_policy: None,
        draw_known: false,
        rhythm: Rhythm::from(&Timings::default()),
    }
}

/// Runs one script to its end; every step goes through storage, as a restart would.
fn play(seed: u64) -> (World, Run, super::Verdict) {
    let mut world = World::new(seed);
    let what = world.dice.pick(&PowerAction::ALL);
    let mut plan = plan(what, world.outlets.len());
    plan.feeds_missing = world.outlets.contains(&false);
    plan.feeds_dark = !world.outlets.contains(&true);
    if world.dice.one_in(6) {
        plan.action.via = Via::Outlets;
    }
    match world.dice.roll(8) {
        0 => plan.controllers.clear(),
        1..4 => plan.controllers.push(path(2, "AMT")),
        _ => {}
    }
    if world.dice.one_in(10) {
        plan.cut_refusal = Some(Refusal::new("feeds_incomplete", ""));
    }
    plan.action.escalate = world.dice.one_in(4);
    plan.action.on_if_off = world.dice.one_in(2);
    let mut run = Run::start(plan, 0);
    let cancel_at = world.dice.roll(60);
    let mut now = 0;
    for step in 0..2000 {
        if world.nasty && step == cancel_at {
            run.cancel();
        }
        let effect = run.pending().effect.clone();
        if let Effect::Finish(verdict) = effect {
            return (world, run, verdict);
        }
        now += if let Effect::Wait { ms } = effect { ms } else { 10 };
        let signal = world.answer(&effect);
        run.step(&signal, now);
        let stored = serde_json::to_string(&run).unwrap();
        run = serde_json::from_str(&stored).unwrap();
    }
    panic!("seed {seed}: no end in sight at {:?}", run.pending());
}

#[test]
fn no_script_makes_the_machine_lie_or_leave_mixed_feeds() {
    let scripts = std::env::var("RACKHAND_SCRIPTS").map_or(2000, |count| count.parse().unwrap());
    for seed in 1..=scripts {
        let (world, run, verdict) = play(seed);
        let what = run.plan().action.what;
        let all_on = world.began.iter().zip(&world.outlets).all(|(began, on)| *on || !*began);
        assert!(world.resets <= 1, "seed {seed}: {} resets", world.resets);
        assert!(world.offs <= 1, "seed {seed}: its controllers switched it off {} times", world.offs);
        match (verdict.state, what) {
            (JobState::Succeeded, PowerAction::Off | PowerAction::Shutdown) => {
                assert!(!world.on, "seed {seed}: claims off while it runs");
            }
            (JobState::Succeeded, PowerAction::On | PowerAction::Cycle) => {
                assert!(world.on || verdict.value == Some(PowerValue::Fed), "seed {seed}: {verdict:?}");
            }
            _ => {}
        }
        if verdict.state == JobState::Failed {
            let said = verdict.reason == "no_effect" || verdict.reason == "server_is_off";
            assert!(
                world.on == world.ran || said,
                "seed {seed}: “failed”, and the server has changed: {verdict:?}"
            );
            assert_eq!(world.resets, 0, "seed {seed}: “failed”, and it was reset: {verdict:?}");
        }
        if verdict.state == JobState::Expired || verdict.summary.contains("before anything was sent") {
            let changed = (world.on, world.resets, &world.outlets) != (world.ran, 0, &world.began);
            assert!(!changed, "seed {seed}: it has changed: {verdict:?}");
        }
        if verdict.summary.contains("Every feed is on again") {
            assert!(all_on, "seed {seed}: {verdict:?} {:?}", world.outlets);
        }
        if verdict.state == JobState::Succeeded && what == PowerAction::Reset {
            // What was off was switched on instead, if that was asked for.
            let became_on = run.plan().action.on_if_off && !world.ran;
            assert_eq!(world.resets, u32::from(!became_on), "seed {seed}: {verdict:?}");
            assert!(world.on || verdict.value == Some(PowerValue::Fed), "seed {seed}: {verdict:?}");
        }
        if verdict.state == JobState::Succeeded {
            if what == PowerAction::Off && verdict.proof == Some(Proof::Feeds) {
                assert!(!world.outlets.contains(&true), "seed {seed}: claims dark with a feed on");
            }
            let blind = what == PowerAction::Nmi;
            assert!(
                world.read_since_write || blind,
                "seed {seed}: success without a read after the write: {verdict:?} {what:?}"
            );
        }
        let dark_on_purpose = verdict.state == JobState::Succeeded && what == PowerAction::Off;
        let told = matches!(verdict.state, JobState::FailedPartial | JobState::SucceededDegraded);
        assert!(
            all_on || dark_on_purpose || told || verdict.reason == "nothing_feeds",
            "seed {seed}: {verdict:?} {:?}",
            world.outlets
        );
        if matches!(what, PowerAction::Shutdown | PowerAction::Reset | PowerAction::Nmi) {
            assert!(!world.cut_outlet, "seed {seed}: {what:?} cut an outlet");
            // A reset of a server that is off becomes an on, which may feed it.
            let may_feed = run.plan().action.is_on_when_off();
            assert!(may_feed || !world.wrote_outlet, "seed {seed}: {what:?} touched an outlet");
        }
    }
}

#[test]
fn only_silence_falls_back() {
    for code in [
        FaultCode::Auth,
        FaultCode::Config,
        FaultCode::Updating,
        FaultCode::Exec,
        FaultCode::Unsupported,
        FaultCode::State,
    ] {
        for what in [PowerAction::On, PowerAction::Off, PowerAction::Cycle] {
            let mut run = Run::start(plan(what, 2), 0);
            run.step(&Signal::Read(Err(Fault::new(code, Reason::WrongPassword, ""))), 10);
            let Effect::Finish(verdict) = &run.pending().effect else { panic!("{code:?} {what:?} goes on") };
            assert_eq!(verdict.state, JobState::Failed);
        }
    }
    let mut run = Run::start(plan(PowerAction::Off, 2), 0);
    run.step(&Signal::Read(Err(Fault::unreachable(""))), 10);
    assert_eq!(run.pending().effect, Effect::CheckGates);
}

#[test]
fn dark_outlets_prove_off_without_a_write_and_make_a_cycle_an_on() {
    let off = || Signal::Outlet(Ok(OutletSeen { state: OutletState::Off, locked: None }));
    let mut dark = plan(PowerAction::Off, 2);
    dark.feeds_dark = true;
    let mut run = Run::start(dark.clone(), 0);
    assert_eq!(run.pending().effect, Effect::ReadOutlet { outlet: 0 });
    run.step(&off(), 10);
    run.step(&off(), 20);
    assert_eq!(run.pending().effect, Effect::KeepOff, "an earlier job's cut must not be restored");
    run.step(&Signal::Kept(Ok(())), 30);
    let Effect::Finish(verdict) = &run.pending().effect else { panic!("{:?}", run.pending()) };
    assert_eq!((verdict.state, verdict.proof), (JobState::Succeeded, Some(Proof::Feeds)));

    dark.action.what = PowerAction::Cycle;
    let mut run = Run::start(dark.clone(), 0);
    run.step(&off(), 10);
    run.step(&off(), 20);
    assert_eq!(run.pending().effect, Effect::ReadOutlet { outlet: 0 }, "an agent may still restore them");
    run.step(&off(), 40);
    run.step(&off(), 50);
    let on = Effect::SwitchOutlet { outlet: 0, to: Switch::On, restore_after_ms: None };
    assert_eq!(run.pending().effect, on, "nothing is cut: the feeds come back");

    let mut run = Run::start(dark, 0);
    run.step(&off(), 10);
    run.step(&Signal::Outlet(Ok(OutletSeen { state: OutletState::On, locked: None })), 20);
    assert_eq!(run.pending().effect, Effect::Read { controller: 0 }, "one feeds: the controller knows");
}

#[test]
fn an_outlet_that_comes_on_again_while_the_others_are_cut_undoes_the_cut() {
    for again in 0..3 {
        let mut forced = plan(PowerAction::Off, 3);
        forced.action.via = Via::Outlets;
        let mut run = Run::start(forced, 0);
        let mut outlets = [true; 3];
        let mut now = 0;
        let verdict = loop {
            now += 10;
            let signal = match run.pending().effect.clone() {
                Effect::ReadOutlet { outlet } => {
                    let state = if outlets[outlet] { OutletState::On } else { OutletState::Off };
                    Signal::Outlet(Ok(OutletSeen { state, locked: None }))
                }
                Effect::SwitchOutlet { outlet, to, .. } => {
                    outlets[outlet] = to == Switch::On;
                    Signal::Switched(Ok(()))
                }
                Effect::Wait { ms } => {
                    now += ms;
                    Signal::Waited
                }
                Effect::Finish(verdict) => break verdict,
                Effect::KeepOff => Signal::Kept(Ok(())),
                effect @ (Effect::Read { .. } | Effect::Command { .. } | Effect::CheckGates) => {
                    panic!("outlets alone were asked for: {effect:?}")
                }
            };
            run.step(&signal, now);
            // It was read off by itself; now somebody plugs it in elsewhere.
            if run.pending().effect == (Effect::ReadOutlet { outlet: 0 }) && outlets == [false; 3] {
                outlets[again] = true;
            }
        };
        let told = verdict.state == JobState::FailedPartial && verdict.summary.contains("lost power");
        assert!(told && outlets == [true; 3], "outlet {again}: {verdict:?}");
    }
}

fn evidence(role: Role, state: Option<PathState>, at: DateTime<Utc>) -> PathEvidence {
    PathEvidence {
        connection_id: ConnectionId(uuid(1)),
        label: String::new(),
        role,
        state,
        fault: None,
        checked_at: Some(at),
        watts: None,
        restore_policy: None,
        agent_away: false,
        outdated: false,
    }
}

/// A server that was vouched for, polled every minute.
fn context(now: DateTime<Utc>) -> Context {
    Context {
        now,
        feeds_complete: true,
        fallback_enabled: true,
        mismatch_seen: false,
        stale_after: TimeDelta::seconds(180),
        firmware_update: TimeDelta::hours(1),
        hold_up: TimeDelta::seconds(10),
    }
}

#[test]
fn the_published_table_holds() {
    let now = DateTime::from_timestamp(1_000_000, 0).unwrap();
    let context = context(now);
    let (feed_on, feed_off) = (Some(PathState::FeedOn), Some(PathState::FeedOff));
    let (on, off) = (Some(PathState::On), Some(PathState::Off));
    for (feed, bmc, published) in [
        (feed_off, on, PowerValue::Off),
        (feed_off, off, PowerValue::Off),
        (feed_off, None, PowerValue::Off),
        (feed_on, on, PowerValue::On),
        (feed_on, off, PowerValue::Off),
        (feed_on, None, PowerValue::Unknown),
        (None, on, PowerValue::On),
        (None, off, PowerValue::Off),
        (None, None, PowerValue::Unknown),
    ] {
        // Read at the same moment: the supplies may still hold the BMC up.
        let paths = vec![
            evidence(Role::Controller, bmc, now),
            evidence(Role::Feed, feed, now),
            evidence(Role::Feed, feed, now),
        ];
        let power = weigh(paths, &context, &ServerPower::default());
        // `fed` is the table's unknown with what was read besides: outlets are on, and the BMC is silent.
        let (is_fed, only_feeds_tell) = (power.value == PowerValue::Fed, feed == feed_on && bmc.is_none());
        assert_eq!(is_fed, only_feeds_tell, "{feed:?} {bmc:?}");
        let shown = if is_fed { PowerValue::Unknown } else { power.value };
        assert_eq!(shown, published, "{feed:?} {bmc:?}");
        assert!(!power.flags.contains(&PowerFlag::WiringMismatch));
    }
    // The one case that is refined: outlets off, and a BMC that answers too late to live from what they left it.
    let dark = ServerPower {
        value: PowerValue::Off,
        dark_since: Some(now - TimeDelta::seconds(60)),
        ..ServerPower::default()
    };
    let later = |feed_read: i64| {
        vec![
            evidence(Role::Controller, on, now - TimeDelta::seconds(30)),
            evidence(Role::Feed, feed_off, now - TimeDelta::seconds(feed_read)),
        ]
    };
    let power = weigh(later(40), &context, &dark);
    assert!(
        !power.flags.contains(&PowerFlag::WiringMismatch),
        "the outlets may have come on before it answered"
    );
    let power = weigh(later(20), &context, &dark);
    assert_eq!(power.value, PowerValue::On);
    assert!(power.flags.contains(&PowerFlag::WiringMismatch), "it answers long after its outlets were off");
    let proven = Context { mismatch_seen: true, ..context };
    // Outlets that feed something else prove nothing: neither that it is off, nor that it is fed.
    for feeds in [feed_off, feed_on, None] {
        for (bmc, shown) in [(on, PowerValue::On), (off, PowerValue::Off), (None, PowerValue::Unknown)] {
            let paths = vec![evidence(Role::Controller, bmc, now), evidence(Role::Feed, feeds, now)];
            let power = weigh(paths, &proven, &dark);
            assert_eq!((power.value, power.confidence), (shown, Confidence::Low), "{feeds:?} {bmc:?}");
            assert_eq!(power.flags, [PowerFlag::WiringMismatch], "{feeds:?} {bmc:?}");
        }
    }
    let unread = ServerPower { dark_since: Some(now - TimeDelta::seconds(600)), ..dark.clone() };
    let between = weigh(later(181), &context, &unread);
    let power = weigh(later(20), &context, &between);
    assert!(!power.flags.contains(&PowerFlag::WiringMismatch), "nobody saw whether they came on in between");
    let off_by_bmc = ServerPower { since: dark.dark_since, dark_since: None, ..dark };
    let power = weigh(later(20), &context, &off_by_bmc);
    assert!(!power.flags.contains(&PowerFlag::WiringMismatch), "it was off before, but fed when it answered");
    assert_eq!(power.dark_since, Some(now - TimeDelta::seconds(20)));
    let partial = vec![
        evidence(Role::Controller, on, now),
        evidence(Role::Feed, feed_on, now),
        evidence(Role::Feed, feed_off, now),
    ];
    assert!(weigh(partial, &context, &ServerPower::default()).flags.contains(&PowerFlag::Degraded));
}

#[test]
fn a_metered_feed_tells_a_running_machine_once_its_idle_draw_is_learnt() {
    let now = DateTime::from_timestamp(1_000_000, 0).unwrap();
    let context = context(now);
    let look = |controller: Option<PathState>, watts: f64, before: &ServerPower| {
        let feed = PathEvidence { watts: Some(watts), ..evidence(Role::Feed, Some(PathState::FeedOn), now) };
        weigh(vec![evidence(Role::Controller, controller, now), feed.clone(), feed], &context, before)
    };
    let on = Some(PathState::On);
    let fresh = ServerPower { since: Some(now), value: PowerValue::On, ..ServerPower::default() };
    assert_eq!(look(on, 4.0, &fresh).idle_watts, None, "its meter may still show it off");
    let settled = ServerPower { since: Some(now - TimeDelta::seconds(200)), ..fresh };
    let learnt = look(on, 100.0, &settled);
    assert_eq!(learnt.idle_watts, Some(200.0));
    let busy = look(on, 300.0, &learnt).idle_watts.unwrap();
    assert!((200.0..201.0).contains(&busy), "a busy machine does not idle higher: {busy}");
    assert_eq!(look(None, 90.0, &learnt).value, PowerValue::On);
    assert_eq!(look(None, 4.0, &learnt).value, PowerValue::Fed, "standby power proves nothing");
    assert_eq!(look(None, 90.0, &settled).value, PowerValue::Fed, "nothing was learnt yet");
    assert_eq!(
        look(Some(PathState::Off), 90.0, &learnt).value,
        PowerValue::Off,
        "the controller knows better"
    );
}

#[test]
fn a_server_that_would_stay_off_is_told_where_its_outlets_may_be_cut_by_themselves() {
    use rackhand_wire::power::RestorePolicy::{AlwaysOff, AlwaysOn, Previous};
    let now = DateTime::from_timestamp(1_000_000, 0).unwrap();
    for (policy, fallback_enabled, feeds_complete, told) in [
        (Some(AlwaysOff), true, true, true),
        (Some(AlwaysOff), false, true, false),
        (Some(AlwaysOff), true, false, false),
        (Some(Previous), true, true, false),
        (Some(AlwaysOn), true, true, false),
        (None, true, true, false),
    ] {
        let context = Context { feeds_complete, fallback_enabled, ..context(now) };
        // A BMC that has fallen silent since is still taken at its word.
        for state in [Some(PathState::On), Some(PathState::Off), None] {
            let bmc = PathEvidence { restore_policy: policy, ..evidence(Role::Controller, state, now) };
            let flagged = |paths| {
                let power = weigh(paths, &context, &ServerPower::default());
                power.flags.contains(&PowerFlag::StaysOffAfterFeed)
            };
            let feed = evidence(Role::Feed, Some(PathState::FeedOn), now);
            let said = (policy, fallback_enabled, feeds_complete, state);
            assert_eq!(flagged(vec![bmc.clone(), feed]), told, "{said:?}");
            assert!(!flagged(vec![bmc]), "{said:?}: it has no outlets to cut");
        }
    }
}

#[test]
fn a_state_is_as_old_as_the_word_of_the_path_that_it_rests_on() {
    let now = DateTime::from_timestamp(1_000_000, 0).unwrap();
    let context = context(now);
    let ago = |seconds| now - TimeDelta::seconds(seconds);
    let (feed_on, feed_off) = (Some(PathState::FeedOn), Some(PathState::FeedOff));
    let (on, off) = (Some(PathState::On), Some(PathState::Off));
    // Seconds since the controller and the outlets answered, and how old and how sure the state is.
    for (bmc, feeds, (value, age, confidence)) in [
        ((on, 20), (feed_on, [20, 30]), (PowerValue::On, 20, Confidence::High)),
        ((on, 10_000), (feed_on, [20, 20]), (PowerValue::On, 10_000, Confidence::Low)),
        ((off, 181), (feed_on, [20, 20]), (PowerValue::Off, 181, Confidence::Low)),
        ((on, 20), (feed_on, [20, 10_000]), (PowerValue::On, 20, Confidence::Medium)),
        ((None, 20), (feed_on, [40, 10_000]), (PowerValue::Fed, 40, Confidence::Medium)),
        ((None, 20), (feed_on, [181, 181]), (PowerValue::Fed, 181, Confidence::Low)),
        ((None, 20), (feed_off, [20, 40]), (PowerValue::Off, 40, Confidence::High)),
        ((None, 20), (feed_off, [20, 10_000]), (PowerValue::Off, 10_000, Confidence::Low)),
        // Outlets that went dark before the agent of their PDU went away may be on since.
        ((on, 20), (feed_off, [20, 181]), (PowerValue::On, 20, Confidence::Medium)),
        ((off, 20), (feed_off, [181, 181]), (PowerValue::Off, 20, Confidence::Medium)),
        ((on, 181), (feed_off, [181, 181]), (PowerValue::Off, 181, Confidence::Low)),
        ((on, 20), (feed_off, [20, 180]), (PowerValue::Off, 180, Confidence::High)),
    ] {
        let controller = evidence(Role::Controller, bmc.0, ago(bmc.1));
        let feed = |at| evidence(Role::Feed, feeds.0, ago(at));
        let paths = vec![controller, feed(feeds.1[0]), feed(feeds.1[1])];
        let power = weigh(paths, &context, &ServerPower::default());
        assert_eq!((power.value, power.checked_at), (value, Some(ago(age))), "{bmc:?} {feeds:?}");
        assert_eq!(power.confidence, confidence, "{bmc:?} {feeds:?}");
    }
}

#[test]
fn what_a_bmc_said_before_its_feeds_were_cut_is_no_word_against_them() {
    let now = DateTime::from_timestamp(1_000_000, 0).unwrap();
    for (asked, dark, outdated) in [(30, true, true), (10, true, false), (30, false, false)] {
        let bmc = evidence(Role::Controller, Some(PathState::On), now - TimeDelta::seconds(asked));
        let state = if dark { PathState::FeedOff } else { PathState::FeedOn };
        let feed = evidence(Role::Feed, Some(state), now - TimeDelta::seconds(20));
        let mut power = weigh(vec![bmc, feed], &context(now), &ServerPower::default());
        power.mark_outdated();
        assert_eq!(power.paths[0].outdated, outdated, "asked {asked} s ago, dark: {dark}");
    }
}

#[test]
fn once_it_is_fed_again_a_controller_must_speak_anew() {
    let now = DateTime::from_timestamp(1_000_000, 0).unwrap();
    let ago = |seconds| now - TimeDelta::seconds(seconds);
    let said = |asked, fed| {
        let bmc = evidence(Role::Controller, Some(PathState::On), ago(asked));
        let state = if fed { PathState::FeedOn } else { PathState::FeedOff };
        vec![bmc, evidence(Role::Feed, Some(state), ago(20))]
    };
    let before = |paths| ServerPower { dark_since: Some(ago(50)), paths, ..ServerPower::default() };
    for (asked, fed, value) in
        [(90, true, PowerValue::Fed), (10, true, PowerValue::On), (90, false, PowerValue::Off)]
    {
        let before = before(said(asked, fed));
        let mut paths = before.paths.clone();
        if let Some(until) = fed_again(&before, &context(now)) {
            forget_until(&mut paths, until);
        }
        assert_eq!(weigh(paths, &context(now), &before).value, value, "asked {asked} s ago, fed: {fed}");
    }
    let unsure = Context { feeds_complete: false, ..context(now) };
    assert_eq!(fed_again(&before(said(90, true)), &unsure), None, "another supply may have kept it on");
}

#[test]
fn a_bmc_that_refuses_has_power_whatever_its_outlets_say() {
    let now = DateTime::from_timestamp(1_000_000, 0).unwrap();
    for (fault, sure) in [
        (Some(Fault::unreachable("")), Confidence::High),
        (None, Confidence::High),
        (Some(Fault::new(FaultCode::Auth, Reason::WrongPassword, "")), Confidence::Medium),
    ] {
        let silent = PathEvidence { fault: fault.clone(), ..evidence(Role::Controller, None, now) };
        let paths = vec![silent, evidence(Role::Feed, Some(PathState::FeedOff), now)];
        let power = weigh(paths, &context(now), &ServerPower::default());
        assert_eq!((power.value, power.confidence), (PowerValue::Off, sure), "{fault:?}");
    }
}

#[test]
fn an_update_of_firmware_is_over_with_the_next_state_that_is_read() {
    let now = DateTime::from_timestamp(1_000_000, 0).unwrap();
    let said = |fault| PathEvidence { fault: Some(fault), ..evidence(Role::Controller, None, now) };
    let updating = || Fault::new(FaultCode::Updating, Reason::Busy, "");
    let is_updating = |paths, before: &ServerPower| {
        let power = weigh(paths, &context(now), before);
        (power.flags.contains(&PowerFlag::FirmwareUpdate), power)
    };
    let (flagged, before) = is_updating(vec![said(updating())], &ServerPower::default());
    assert!(flagged);
    let later = now + TimeDelta::minutes(5);
    let silent = PathEvidence { checked_at: Some(later), ..said(Fault::unreachable("")) };
    let refusing = PathEvidence {
        checked_at: Some(later),
        ..said(Fault::new(FaultCode::Auth, Reason::WrongPassword, ""))
    };
    let on = |at| evidence(Role::Controller, Some(PathState::On), at);
    for (paths, flagged) in [
        (vec![silent.clone()], true),
        (vec![refusing.clone()], true),
        (vec![silent.clone(), on(now - TimeDelta::minutes(1))], true),
        (vec![silent, on(later)], true),
        (vec![on(later), refusing.clone()], false),
        (vec![said(updating()), on(later)], true),
    ] {
        assert_eq!(is_updating(paths.clone(), &before).0, flagged, "{paths:?}");
    }
}
