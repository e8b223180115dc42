//! The end of a power job: what is stored, told and audited, and whom it sets free.

use rackhand_domain::power::Verdict;
use rackhand_store::{Result, events, jobs, locks};
use rackhand_wire::{
    FaultCode, PowerAction,
    api::{event::Severity, job::JobState, live::Object},
    id::EndpointId,
};

use super::Worker;
use crate::work::{keep, weigh};

impl Worker<'_> {
    /// Devices whose own pages would be older than what the job has met. A controller that refused to let us
    /// in is not among them: many lock the account after a few tries.
    fn worth_a_look(&self, verdict: &Verdict) -> Vec<EndpointId> {
        let refused = matches!(verdict.fault, Some(FaultCode::Auth | FaultCode::Config));
        let plan = &self.blueprint.plan;
        let controllers = plan.controllers.iter().filter(|_| !refused);
        controllers.chain(&plan.outlets).map(|path| path.endpoint).collect()
    }

    /// Ends the job as the machine decided.
    pub(super) async fn finish(&self, verdict: &Verdict) -> Result<()> {
        let work = jobs::work(self.app.db.reader(), self.job).await?;
        let severity = match verdict.state {
            _ if verdict.alarm => Severity::Alarm,
            JobState::Failed | JobState::FailedPartial | JobState::Indeterminate => Severity::Alarm,
            JobState::Succeeded | JobState::Cancelled => Severity::Info,
            JobState::SucceededDegraded | JobState::Expired | JobState::Queued | JobState::Running => {
                Severity::Warning
            }
        };
        let name = self.blueprint.server.name.clone();
        let event = events::New {
            kind: format!("job.{}", verdict.state.code()),
            severity: Some(severity),
            message: format!("{}: {}", work.job.deed(), verdict.summary),
            actor: Some(work.job.requested_by.clone()),
            server: Some((self.server, name.clone())),
            job_id: Some(self.job),
            ..Default::default()
        };
        let detail = serde_json::json!({
            "job": self.job, "state": verdict.state, "reason": verdict.reason, "summary": verdict.summary,
            "proof": verdict.proof, "requested_by": work.job.requested_by,
        });
        let ending = jobs::Ending {
            state: verdict.state,
            reason: verdict.reason.clone(),
            summary: verdict.summary.clone(),
            proof: verdict.proof,
            result: None,
            alarm: verdict.alarm,
        };
        let tx = self.app.db.begin().await?;
        let next = jobs::end(&tx, self.job, self.app.peers.id(), ending).await?;
        locks::release(&tx, self.job).await?;
        if self.stored.cuts.is_empty() {
            jobs::give_cut_up(&tx, self.job).await?;
        }
        let event = events::add(&tx, work.tenant, event).await?;
        let object = ("server", self.server, name.as_str());
        crate::audit::by_system(&tx, work.tenant, "server.power.result", object, detail.clone()).await?;
        for other in self.blueprint.shared_with.iter().filter(|_| !self.stored.cuts.is_empty()) {
            // They lost power with this one, whoever decided it.
            let object = ("server", other.id, other.name.as_str());
            crate::audit::by_system(&tx, work.tenant, "server.power.result", object, detail.clone()).await?;
        }
        tx.commit().await?;
        if let Some(next) = next {
            crate::work::launch(self.app, next);
        }
        keep::forget(self.app, &self.stored.hands).await;
        self.app.live.tell(Object::Event, event.id);
        self.app.engine.look_now(self.worth_a_look(verdict));
        let plan = &self.blueprint.plan;
        if !plan.outlets.is_empty() && matches!(plan.action.what, PowerAction::On | PowerAction::Cycle) {
            let starting: Vec<_> = plan.controllers.iter().map(|path| path.endpoint).collect();
            self.app.engine.watch.look_while_they_start(&starting, self.app.timings().bmc_warm_up);
        }
        weigh::server(self.app, self.server).await?;
        self.app.live.tell(Object::Job, self.job);
        self.app.live.tell(Object::Server, self.server);
        tracing::info!(job = %self.job, state = verdict.state.code(), reason = verdict.reason, "job over");
        Ok(())
    }
}
