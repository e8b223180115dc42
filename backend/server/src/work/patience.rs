//! Waiting for an agent that is away: whom a job waits for is told, and a person need not wait to the end.

use rackhand_domain::power::Run;
use rackhand_store::{Scope, agents, steps};
use rackhand_wire::{
    Fault, FaultCode, Operation, Reason,
    api::live::Object,
    id::{JobId, StepId},
};
use tokio::{sync::watch, time::Instant};

use super::command::{self, Destination};
use crate::{
    agents::{Done, Route, Stage},
    app::App,
};

/// What may be left alone when a person does not want to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    /// Nothing: feeds depend on it.
    Nothing,
    /// What no agent has got.
    Unsent,
    /// Also what an agent may have begun: the job says so.
    Anything,
}

impl Leave {
    /// Decides by where the run stands. What was asked for before a restart may have been begun.
    pub fn at(run: &Run, operation: &Operation, asked: Asked) -> Self {
        let switches = matches!(operation, Operation::SetOutlet { .. });
        match (switches, asked) {
            _ if !run.may_stop_waiting() => Self::Nothing,
            (true, Asked::BeforeRestart) => Self::Nothing,
            (true, Asked::Now) => Self::Unsent,
            (false, _) => Self::Anything,
        }
    }
}

/// When a step was first tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// Just now.
    Now,
    /// By a process that ended before it stored what came of it.
    BeforeRestart,
}

/// A step that may have to wait for its agent.
pub struct Wait<'a> {
    pub app: &'a App,
    pub job: JobId,
    pub step: StepId,
    pub to: &'a Destination,
    pub leave: Leave,
}

impl Wait<'_> {
    /// Tells whom the step waits for while it does; returns when a person does not want to wait any more.
    pub async fn given_up(
        self,
        mut cancel: watch::Receiver<bool>,
        mut stage: watch::Receiver<Stage>,
    ) -> Done {
        // Agents that are there take a command at once.
        let moment = self.app.timings().outlet_poll / 4;
        let mut is_told = false;
        loop {
            let now = *stage.borrow_and_update();
            let may_leave = match now {
                Stage::Waiting => self.leave != Leave::Nothing,
                Stage::Left(_) => self.leave == Leave::Anything,
                Stage::Handed => false,
            };
            if now == Stage::Handed && is_told {
                self.note("").await;
                is_told = false;
            }
            tokio::select! {
                // What was handed over this very moment is not left for a stop that came just before.
                biased;
                // The sender lives as long as the step is performed.
                changed = stage.changed() => { changed.ok(); }
                () = stopped(&mut cancel), if may_leave && is_told => return left(now, not_wanted()),
                () = tokio::time::sleep(moment), if now != Stage::Handed && !is_told => {
                    let whom = self.whom().await;
                    self.note(&whom).await;
                    is_told = true;
                }
            }
        }
    }

    async fn whom(&self) -> String {
        let Ok((_, route)) = command::reached(self.app, self.to).await else { return String::new() };
        let ids = match route {
            Route::Agent(agent) => vec![agent],
            Route::Group { members, .. } => members,
        };
        let (mut here, mut away) = (Vec::new(), Vec::new());
        for id in ids {
            match agents::get(self.app.db.reader(), &Scope::provider(), id).await {
                Ok(agent) if self.app.roster.is_here(id) => here.push(agent.name),
                Ok(agent) => away.push(agent.name),
                Err(error) => tracing::warn!(%error, agent = %id, "an agent that is waited for is not known"),
            }
        }
        waiting(&here, &away)
    }

    async fn note(&self, detail: &str) {
        note(self.app, self.job, self.step, detail).await;
    }
}

/// Says what is waited for. Where one of a group is here, the one that is away may still have the device.
fn waiting(here: &[String], away: &[String]) -> String {
    let [present, absent] = [here, away].map(|names| names.join(" or "));
    match (here, away) {
        ([], _) => format!("waiting for agent {absent}, which is offline"),
        (_, []) => format!("waiting for agent {present}"),
        _ => format!("waiting for agent {present} to take over from {absent}, which is offline"),
    }
}

/// Tells beside a step what it waits for.
pub async fn note(app: &App, job: JobId, step: StepId, detail: &str) {
    match steps::note(app.db.writer(), step, detail).await {
        Ok(()) => app.live.tell(Object::Job, job),
        Err(error) => tracing::warn!(%error, %step, "cannot tell what a step waits for"),
    }
}

/// Returns once a person has asked to stop.
pub async fn stopped(cancel: &mut watch::Receiver<bool>) {
    if cancel.wait_for(|stop| *stop).await.is_err() {
        // Nobody can stop it any more.
        std::future::pending::<()>().await;
    }
}

/// Returns when an agent was away as long as commands usually wait, where other feeds can be switched on meanwhile:
/// this one is told again after them.
pub async fn others_come_first(app: &App, mut stage: watch::Receiver<Stage>) -> Done {
    let mut here = Instant::now();
    loop {
        let now = *stage.borrow_and_update();
        if now == Stage::Handed {
            here = Instant::now();
        }
        tokio::select! {
            biased;
            changed = stage.changed() => { changed.ok(); }
            () = tokio::time::sleep_until(here + app.timings().command_expiry), if now != Stage::Handed => {
                let fault = Fault::new(FaultCode::Exec, Reason::AgentOffline, "the other feeds come first");
                return left(now, fault);
            }
        }
    }
}

/// What is known of a command that is not waited for any more.
fn left(stage: Stage, fault: Fault) -> Done {
    let result = Err(fault);
    match stage {
        Stage::Waiting | Stage::Handed => Done { by: None, result },
        Stage::Left(agent) => begun(Done { by: Some(agent), result }),
    }
}

/// Why a command was not sent that a person did not want to wait for.
pub fn not_wanted() -> Fault {
    Fault::new(FaultCode::Exec, Reason::NotWanted, "")
}

/// An agent that does not come proves nothing of what it was asked before: it may have begun that.
pub fn begun(done: Done) -> Done {
    let result = done.result.map_err(|fault| {
        if matches!(fault.reason, Reason::AgentOffline | Reason::NotWanted) {
            return Fault::new(FaultCode::Lost, Reason::Interrupted, fault.detail);
        }
        fault
    });
    Done { result, ..done }
}

#[cfg(test)]
mod tests {
    use super::waiting;

    #[test]
    fn nobody_who_is_here_is_called_offline() {
        let [one, two] = ["one", "two"].map(|name| vec![name.to_owned()]);
        let both = [one.clone(), two.clone()].concat();
        assert_eq!(waiting(&[], &one), "waiting for agent one, which is offline");
        assert_eq!(waiting(&[], &both), "waiting for agent one or two, which is offline");
        assert_eq!(waiting(&two, &one), "waiting for agent two to take over from one, which is offline");
        assert_eq!(waiting(&both, &[]), "waiting for agent one or two");
    }
}
