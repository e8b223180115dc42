//! Performs a power job: asks the machine, stores the step, does it, stores what came of it.

mod ending;

use rackhand_domain::power::{Effect, Path, Run, Signal, Step, effect::Phase, leaves_untouched};
use rackhand_store::{
    Result, Scope, jobs, locks, now,
    readings::{self, Reading},
    steps,
};
use rackhand_wire::{
    Answer, Fault, FaultCode, Reason,
    api::{job::JobState, live::Object, power::StartPower},
    id::{AgentId, CommandId, JobId, ServerId, StepId},
    operation::Operation,
    power::{Native, Switch},
};
use serde::{Deserialize, Serialize};
use std::{sync::Arc, time::Duration};
use tokio::{sync::watch, time::Instant};

use super::{
    command::{self, Order},
    gates, keep,
    neighbours::is_silence,
    patience::{self, Asked, Leave, Wait},
    plan,
    reading::{controller_reading, outlet_reading, outlet_seen, power},
    weigh, words,
};
use crate::{
    agents::{Done, Earlier, Keeper, Stage},
    app::App,
};

/// The machine with what the worker must remember beside it.
#[derive(Serialize, Deserialize)]
struct Stored {
    run: Run,
    /// Commands that cut an outlet.
    cuts: Vec<CommandId>,
    /// Which agent may have begun a write.
    #[serde(default)]
    hands: Vec<(CommandId, AgentId)>,
    /// An agent has begun a command: the job cannot expire any more.
    #[serde(default)]
    begun: bool,
    /// The gates let it go on: its cuts are automatic ones.
    #[serde(default)]
    let_through: bool,
    locked: bool,
    /// Who had the device of the present step when that was intended.
    #[serde(default)]
    keeper: Option<Keeper>,
}

struct Worker<'a> {
    app: &'a Arc<App>,
    job: JobId,
    server: ServerId,
    blueprint: plan::Blueprint,
    stored: Stored,
    seq: u32,
    /// Milliseconds of the run that passed before this process took it up.
    before: u64,
    since: Instant,
    limit: Option<Limit>,
    cancel: watch::Receiver<bool>,
}

/// The time within which a job must begin.
#[derive(Clone, Copy)]
struct Limit {
    whole: Duration,
    /// What had passed when this process took the job up.
    passed: Duration,
}

/// A step that is done now.
#[derive(Clone, Copy)]
struct Doing {
    step: StepId,
    command: CommandId,
    asked: Asked,
    /// How long ago it was begun, in milliseconds.
    passed: u64,
}

/// Performs a power job from where it stands.
pub async fn perform(app: &Arc<App>, work: jobs::Work, cancel: watch::Receiver<bool>) -> Result<()> {
    let Some(server) = work.job.server.as_ref().map(|server| server.id) else {
        return super::queue::end_without_server(app, work.job.id).await;
    };
    let request: StartPower = serde_json::from_value(work.request)?;
    let blueprint = match plan::blueprint(app, &Scope::provider(), server, &request).await {
        Err(rackhand_store::Error::NotFound) => {
            return super::queue::end_without_server(app, work.job.id).await;
        }
        blueprint => blueprint?,
    };
    let (stored, before) = match work.run {
        Some(run) => {
            let passed = work.job.started_at.map_or(0, |at| (now() - at).num_milliseconds().max(0));
            (serde_json::from_value(run)?, u64::try_from(passed).unwrap_or_default())
        }
        None => (
            Stored {
                run: Run::start(blueprint.plan.clone(), 0),
                cuts: Vec::new(),
                hands: Vec::new(),
                begun: false,
                let_through: false,
                locked: false,
                keeper: None,
            },
            0,
        ),
    };
    let job = work.job.id;
    let seq = steps::last_seq(app.db.reader(), job).await?;
    let limit = request.expires_in_ms.map(|ms| Limit {
        whole: Duration::from_millis(ms).mul_f64(app.config.time_scale),
        passed: app.engine.age(work.job.id, work.job.created_at),
    });
    let mut worker =
        Worker { app, job, server, blueprint, stored, seq, before, since: Instant::now(), limit, cancel };
    if work.job.cancel_requested {
        app.engine.cancel(job);
    }
    if work.job.state == JobState::Queued {
        worker.begin().await?;
    }
    worker.run().await
}

impl Worker<'_> {
    fn elapsed(&self) -> u64 {
        self.before + u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    async fn begin(&self) -> Result<()> {
        let run = Some(serde_json::to_value(&self.stored)?);
        let progress = jobs::Progress { state: Some(JobState::Running), run, begins: true };
        jobs::progress(self.app.db.writer(), self.job, self.app.peers.id(), progress).await?;
        self.app.live.tell(Object::Job, self.job);
        self.app.live.tell(Object::Server, self.server);
        Ok(())
    }

    async fn run(&mut self) -> Result<()> {
        // Only the first step of a job that was taken up can be open already.
        let mut open = steps::find_open(self.app.db.reader(), self.job).await?;
        loop {
            self.hear_cancel();
            if let (Some(limit), Some(Duration::ZERO), None) = (self.limit, self.left(), &open) {
                self.stored.run.expire(u64::try_from(limit.whole.as_millis()).unwrap_or(u64::MAX));
            }
            let step = self.stored.run.pending().clone();
            if let Effect::Finish(verdict) = &step.effect {
                return self.finish(verdict).await;
            }
            let doing = match open.take() {
                Some(open) => Doing {
                    step: open.id,
                    command: open.command.unwrap_or_else(fresh_command),
                    asked: Asked::BeforeRestart,
                    passed: u64::try_from(rackhand_store::millis(now()) - open.started_at).unwrap_or(0),
                },
                None => self.intend(&step).await?,
            };
            reached("intended", &step);
            let signal = self.act(&step, doing).await?;
            reached("performed", &step);
            self.hear_cancel();
            self.stored.begun |= words::has_begun(&signal);
            self.forget_untouched(doing, &signal);
            let now = self.elapsed();
            self.stored.run.step(&signal, now);
            self.record(doing.step, &step, &signal).await?;
            reached("recorded", &step);
        }
    }

    /// How long it may still wait before it begins; nothing when it has begun or may wait for ever.
    fn left(&self) -> Option<Duration> {
        let limit = self.limit.filter(|_| !self.stored.begun)?;
        Some(limit.whole.saturating_sub(limit.passed + self.since.elapsed()))
    }

    fn hear_cancel(&mut self) {
        if *self.cancel.borrow_and_update() {
            self.stored.run.cancel();
        }
    }

    /// Stores what is about to be done, and the machine as it asked for it.
    async fn intend(&mut self, step: &Step) -> Result<Doing> {
        self.seq += 1;
        let command = fresh_command();
        if matches!(step.effect, Effect::SwitchOutlet { to: Switch::Off, .. }) {
            self.stored.cuts.push(command);
        }
        self.stored.keeper = match words::device(&self.stored.run, &step.effect) {
            Some(path) => command::keeper(self.app, path.endpoint).await?,
            None => None,
        };
        let told = words::step(&self.stored.run, &step.effect, self.elapsed());
        let intent = steps::Intent {
            job: self.job,
            seq: self.seq,
            phase: step.phase.title().into(),
            title: told.title,
            reason: step.reason.clone(),
            path: told.path,
            command: Some(command),
            wait_ms: told.wait_ms,
        };
        let tx = self.app.db.begin().await?;
        let id = steps::begin(&tx, intent).await?;
        let run = Some(serde_json::to_value(&self.stored)?);
        let progress = jobs::Progress { run, ..Default::default() };
        jobs::progress(&tx, self.job, self.app.peers.id(), progress).await?;
        tx.commit().await?;
        self.app.live.tell(Object::Job, self.job);
        Ok(Doing { step: id, command, asked: Asked::Now, passed: 0 })
    }

    async fn act(&mut self, step: &Step, doing: Doing) -> Result<Signal> {
        let asked = now(); // An answer may be long under way: what it tells is as old as the question.
        Ok(match &step.effect {
            Effect::Read { controller } => {
                let path = self.stored.run.controller(*controller).cloned();
                let answer = self.send(doing, path.as_ref(), Operation::ReadPower, None).await.result;
                let answer = answer.and_then(power);
                let fault = answer.as_ref().err();
                // One that lost its standby power with the feeds starts anew: its silence says nothing until then.
                let is_starting = !self.stored.cuts.is_empty() && fault.is_some_and(is_silence);
                if let Some(path) = path.as_ref().filter(|_| !is_starting) {
                    // The device's own state counts in the gates of other jobs, and is shown beside this one.
                    super::status::answered(self.app, &path.label, path.endpoint, fault).await?;
                }
                self.note(path, controller_reading(&answer, asked)).await?;
                Signal::Read(answer)
            }
            Effect::Command { controller, command } => {
                let operation = Operation::SetPower { command: *command };
                let path = self.stored.run.controller(*controller);
                let done = self.send(doing, path, operation, None).await;
                Signal::Commanded(self.took(doing.command, done).map(|_| ()))
            }
            Effect::ReadOutlet { outlet } => {
                // Nobody else switches what was read until the job is over.
                if let Err(fault) = self.lock().await? {
                    return Ok(Signal::Outlet(Err(fault)));
                }
                let path = self.stored.run.outlet(*outlet).cloned();
                let answer = self.send(doing, path.as_ref(), Operation::ReadOutlet, None).await.result;
                self.note(path, outlet_reading(&answer, asked)).await?;
                Signal::Outlet(answer.and_then(outlet_seen))
            }
            Effect::SwitchOutlet { outlet, to, restore_after_ms } => {
                if let Err(fault) = self.lock().await? {
                    return Ok(Signal::Switched(Err(fault)));
                }
                if *to == Switch::Off && !self.keep_distance(doing).await? {
                    return Ok(Signal::Switched(Err(patience::not_wanted())));
                }
                if *to == Switch::Off && self.is_undone(doing.command).await? {
                    return Ok(Signal::Switched(Err(undone(doing.asked))));
                }
                let operation = Operation::SetOutlet { to: *to };
                let path = self.stored.run.outlet(*outlet);
                let done = self.send(doing, path, operation, *restore_after_ms).await;
                Signal::Switched(self.took(doing.command, done).map(|_| ()))
            }
            Effect::KeepOff => {
                let Stored { cuts, hands, .. } = &self.stored;
                Signal::Kept(keep::off(self.app, &self.blueprint, cuts, hands).await)
            }
            Effect::CheckGates => {
                let checked = gates::check(self.app, (self.job, doing.step), &self.blueprint);
                let decision = tokio::select! {
                    biased;
                    decision = checked => decision?,
                    // It ends, whatever they would say.
                    () = patience::stopped(&mut self.cancel) => Ok(()),
                };
                self.stored.let_through = decision.is_ok();
                Signal::Gates(decision)
            }
            Effect::Wait { ms } => {
                self.wait(step.phase, ms.saturating_sub(doing.passed)).await;
                Signal::Waited
            }
            Effect::Finish(_) => Signal::Waited,
        })
    }

    /// A cut that certainly was not made is none.
    fn forget_untouched(&mut self, doing: Doing, signal: &Signal) {
        let Signal::Switched(Err(fault)) = signal else { return };
        if doing.asked == Asked::Now && leaves_untouched(fault) {
            self.stored.cuts.retain(|cut| *cut != doing.command);
        }
    }

    /// Waits for the turn of an automatic cut; says whether it is still wanted then. One that was asked for before a
    /// restart may have been made: a person who stops it stops what follows.
    async fn keep_distance(&mut self, doing: Doing) -> Result<bool> {
        if !self.stored.let_through {
            return Ok(true);
        }
        // What was cut first comes on again after a while: the rest gives way to others only so long.
        let is_in_the_middle = self.stored.cuts.len() > 1;
        let (begun, longest) = (Instant::now(), self.app.timings().cut_spacing * 5);
        let mut is_told = false;
        loop {
            let is_late = is_in_the_middle && begun.elapsed() >= longest;
            let turn = gates::take_turn(self.app, self.job, &self.blueprint, is_late).await?;
            if is_told != turn.is_some() {
                is_told = turn.is_some();
                let detail = if is_told { gates::TURN } else { "" };
                patience::note(self.app, self.job, doing.step, detail).await;
            }
            let Some(left) = turn else { return Ok(true) };
            tokio::select! {
                biased;
                () = patience::stopped(&mut self.cancel), if doing.asked == Asked::Now => return Ok(false),
                () = tokio::time::sleep(left) => {}
            }
        }
    }

    /// Says whether the agent switched on again what an earlier step cut: then nothing more is cut, however
    /// long ago the line went away.
    async fn is_undone(&self, present: CommandId) -> Result<bool> {
        let earlier: Vec<_> = self.stored.cuts.iter().copied().filter(|cut| *cut != present).collect();
        if self.app.roster.has_undone(&earlier) {
            return Ok(true);
        }
        steps::has_restored(self.app.db.reader(), &earlier).await
    }

    async fn send(
        &self,
        doing: Doing,
        path: Option<&Path>,
        operation: Operation,
        restore_after_ms: Option<u64>,
    ) -> Done {
        let Some(to) = path.and_then(|path| self.blueprint.destinations.get(&path.connection)) else {
            let fault = Fault::config(Reason::NoSuchTarget, "the connection was removed during the job");
            return Done { by: None, result: Err(fault) };
        };
        let usual = Order::new(self.app, operation.clone());
        // A write that was handed over before a restart does not get its time once more.
        let spent = Duration::from_millis(if operation.is_write() { doing.passed } else { 0 });
        let usual_left = usual.expiry.map(|expiry| expiry.saturating_sub(spent));
        let expiry = self.left().or(usual_left).map(|expiry| expiry.max(self.patience(&operation)));
        let is_repeated = doing.asked == Asked::BeforeRestart && operation.is_write();
        let had = self.stored.keeper.clone().map_or(Earlier::Anybody, Earlier::Only);
        let earlier = if is_repeated { had } else { Earlier::Nobody };
        let order = Order { id: doing.command, restore_after_ms, expiry, earlier, ..usual };
        let stage = watch::channel(Stage::Waiting).0;
        let leave = Leave::at(&self.stored.run, &operation, doing.asked);
        let wait = Wait { app: self.app, job: self.job, step: doing.step, to, leave };
        let done = tokio::select! {
            biased;
            done = command::send(self.app, order, to, &stage) => done,
            done = wait.given_up(self.cancel.clone(), stage.subscribe()) => done,
            done = patience::others_come_first(self.app, stage.subscribe()), if self.stored.run.others_wait() => done,
        };
        if is_repeated { patience::begun(done) } else { done }
    }

    /// What a run has begun must be brought to an end: a look at what was written, and the way back on, wait for
    /// an agent that starts anew in the middle of it.
    fn patience(&self, operation: &Operation) -> Duration {
        let back = matches!(operation, Operation::SetPower { command: Native::On });
        let has_begun = !self.stored.hands.is_empty();
        if has_begun && (back || !operation.is_write()) {
            self.app.timings().agent_patience
        } else {
            Duration::ZERO
        }
    }

    /// Remembers who may have begun a write.
    fn took(&mut self, id: CommandId, done: Done) -> std::result::Result<Answer, Fault> {
        self.stored.hands.extend(done.by.map(|agent| (id, agent)));
        done.result
    }

    /// Takes the locks of every outlet before the first one is read.
    async fn lock(&mut self) -> Result<std::result::Result<(), Fault>> {
        if self.stored.locked {
            return Ok(Ok(()));
        }
        let keys: Vec<String> = self
            .blueprint
            .plan
            .outlets
            .iter()
            .filter_map(|path| self.blueprint.destinations.get(&path.connection))
            .map(|to| format!("{}/{}", to.endpoint, to.target))
            .collect();
        let patience = self.app.timings().busy_budget;
        let begun = Instant::now();
        loop {
            let tx = self.app.db.begin().await?;
            let holder = locks::take(&tx, self.job, &keys).await?;
            tx.commit().await?;
            match holder {
                None => {
                    self.stored.locked = true;
                    return Ok(Ok(()));
                }
                Some(other) if begun.elapsed() >= patience => {
                    let detail = format!("job {other} is switching it");
                    return Ok(Err(Fault::new(FaultCode::State, Reason::Locked, detail)));
                }
                Some(_) => tokio::time::sleep(self.app.timings().outlet_poll).await,
            }
        }
    }

    /// Waits; a person who asks to stop is heard at once where nothing depends on the time.
    async fn wait(&mut self, phase: Phase, ms: u64) {
        let sleep = tokio::time::sleep(Duration::from_millis(ms));
        let interruptible = matches!(phase, Phase::Verify | Phase::Controller);
        if interruptible && !*self.cancel.borrow() {
            tokio::select! {
                () = sleep => {}
                changed = self.cancel.changed() => {
                    // The sender lives as long as the job is registered.
                    changed.ok();
                }
            }
        } else {
            sleep.await;
        }
    }

    /// Shows what a path said. What no agent has begun says nothing of it.
    async fn note(&self, path: Option<Path>, reading: Reading) -> Result<()> {
        let is_word = !reading.fault.as_ref().is_some_and(Fault::never_begun);
        if let Some(path) = path.filter(|_| is_word) {
            readings::store(self.app.db.writer(), &[path.connection], &reading).await?;
            weigh::server(self.app, self.server).await?;
        }
        Ok(())
    }

    async fn record(&self, id: StepId, step: &Step, signal: &Signal) -> Result<()> {
        let tx = self.app.db.begin().await?;
        steps::end(&tx, id, words::outcome(signal)).await?;
        let run = Some(serde_json::to_value(&self.stored)?);
        let progress = jobs::Progress { run, ..Default::default() };
        jobs::progress(&tx, self.job, self.app.peers.id(), progress).await?;
        tx.commit().await?;
        tracing::debug!(job = %self.job, effect = ?step.effect, "step done");
        self.app.live.tell(Object::Job, self.job);
        Ok(())
    }
}

/// Lets a test end the process around a step: before it is done, before its outcome is stored, after.
fn reached(place: &str, step: &Step) {
    let what = match step.effect {
        Effect::Command { .. } => "command",
        Effect::SwitchOutlet { to: Switch::Off, .. } => "cut",
        Effect::SwitchOutlet { to: Switch::On, .. } => "feed",
        Effect::KeepOff => "keep-off",
        Effect::Read { .. } | Effect::ReadOutlet { .. } | Effect::CheckGates | Effect::Wait { .. } => "look",
        Effect::Finish(_) => return,
    };
    if cfg!(debug_assertions) {
        rackhand_agent::failpoint::reach(&format!("server-{what}-{place}"));
    }
}

/// Nothing more is cut once a cut was undone. One that was asked for before a restart may have been made as well,
/// and undone with the others.
fn undone(asked: Asked) -> Fault {
    let code = match asked {
        Asked::Now => FaultCode::State,
        Asked::BeforeRestart => FaultCode::Exec,
    };
    Fault::new(code, Reason::Undone, "")
}

fn fresh_command() -> CommandId {
    CommandId(rackhand_store::fresh_id())
}
