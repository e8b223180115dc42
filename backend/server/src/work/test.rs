//! Tries an endpoint before or after it is saved.

use rackhand_domain::stages::{Heard, stages};
use rackhand_store::{Result, fresh_id, jobs, steps};
use rackhand_wire::{
    Answer, Command, Fault, FaultCode, Operation, Reason, Role, Secrets,
    api::{
        endpoint::TestResult,
        job::{JobState, StepOutcome},
        live::Object,
    },
    command::{EndpointSpec, Urgency},
    id::{CommandId, EndpointId, JobId, TenantId},
    power::Switch,
};
use serde_json::Value;
use std::time::Instant;
use tokio::sync::watch;

use super::lock;
use crate::{
    agents::{Earlier, Route, Stage, Via},
    app::App,
};

/// What is tried. It holds credentials, so it lives in memory only: a restart ends the test.
pub struct Trial {
    /// A saved endpoint.
    pub endpoint: Option<EndpointId>,
    /// Its integration.
    pub kind: String,
    /// Parameters, checked.
    pub params: Value,
    /// Credentials.
    pub secrets: Secrets,
    /// Agent that tries.
    pub via: Via,
    /// A server's place on it.
    pub target: Option<Value>,
}

/// Performs a test.
pub async fn perform(app: &App, work: &jobs::Work) -> Result<()> {
    let job = work.job.id;
    let trial = lock(&app.engine.trials).remove(&job);
    let Some(trial) = trial else {
        let fault = Fault::new(FaultCode::Exec, Reason::Interrupted, "start the test again");
        return end(app, job, Err((fault, Heard::Nothing)), 0).await;
    };
    let progress = jobs::Progress { state: Some(JobState::Running), begins: true, ..Default::default() };
    jobs::progress(app.db.writer(), job, app.peers.id(), progress).await?;
    app.live.tell(Object::Job, job);
    let begun = Instant::now();
    let found = look(app, job, (work.tenant, &trial)).await?;
    let took = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    if found.is_ok() {
        // One that had refused us is looked at again.
        app.engine.look_now(trial.endpoint);
    }
    end(app, job, found, took).await
}

#[derive(Default)]
struct Found {
    identity: Option<rackhand_wire::operation::Identity>,
    outlets: Vec<rackhand_wire::power::OutletReading>,
    reading: Option<String>,
    unproven: Option<String>,
}

/// A fault, and whether the device had answered before.
type Missed = (Fault, Heard);

async fn look(
    app: &App,
    job: JobId,
    (tenant, trial): (TenantId, &Trial),
) -> Result<std::result::Result<Found, Missed>> {
    let mut found = Found::default();
    match ask(app, job, 1, (tenant, trial), Operation::Identify, "Ask the device what it is").await? {
        Ok(Answer::Identity(identity)) => found.identity = Some(identity),
        Ok(_) => {}
        Err(fault) => return Ok(Err((fault, Heard::Nothing))),
    }
    let kind = rackhand_agent::catalogue::find(&trial.kind);
    let feeds = kind.is_some_and(|kind| kind.descriptor().role == Role::Feed);
    found.unproven = kind.and_then(|kind| kind.descriptor().unproven.clone());
    let (operation, title) = match (feeds, &trial.target) {
        (true, None) => (Operation::ReadOutlets, "Read its outlets"),
        (true, Some(_)) => (Operation::ReadOutlet, "Read the outlet"),
        (false, _) => (Operation::ReadPower, "Read the power"),
    };
    match ask(app, job, 2, (tenant, trial), operation, title).await? {
        Ok(Answer::Outlets { outlets }) => found.outlets = outlets,
        Ok(Answer::Outlet(outlet)) => {
            let watts = outlet.watts.map(|watts| format!(", {watts} W")).unwrap_or_default();
            found.reading = Some(format!("{:?}{watts}", outlet.state).to_lowercase().replace(" w", " W"));
        }
        Ok(Answer::Power(reading)) => {
            found.reading = Some(match reading.power {
                Switch::On => "on".into(),
                Switch::Off => "off".into(),
            });
        }
        Ok(_) => {}
        Err(fault) => return Ok(Err((fault, Heard::Before))),
    }
    Ok(Ok(found))
}

async fn ask(
    app: &App,
    job: JobId,
    seq: u32,
    (tenant, trial): (TenantId, &Trial),
    operation: Operation,
    title: &str,
) -> Result<std::result::Result<Answer, Fault>> {
    let intent = steps::Intent {
        job,
        seq,
        phase: "Test".into(),
        title: title.into(),
        reason: String::new(),
        path: None,
        command: None,
        wait_ms: None,
    };
    let step = steps::begin(app.db.writer(), intent).await?;
    app.live.tell(Object::Job, job);
    let command = Command {
        id: CommandId(fresh_id()),
        endpoint: EndpointSpec {
            id: None,
            kind: trial.kind.clone(),
            params: trial.params.clone(),
            pinned: None,
        },
        target: trial.target.clone().unwrap_or_else(|| serde_json::json!({})),
        operation,
        expires_in_ms: u64::try_from(app.timings().command_expiry.as_millis()).ok(),
        restore_after_ms: None,
        fence: 1,
        leased: false,
        urgency: Urgency::Awaited,
    };
    // Nothing is written, so that any agent of a group will do, and none takes the device for it.
    let endpoint = trial.endpoint.unwrap_or(EndpointId(command.id.0));
    let route = match app.route(tenant, (endpoint, &trial.kind), &trial.via).await? {
        Some(Route::Group { members, .. }) => {
            members.into_iter().find(|member| app.roster.is_here(*member)).map(Route::Agent)
        }
        route => route,
    };
    let answer = match route {
        Some(route) => {
            let stage = watch::channel(Stage::Waiting).0;
            app.roster.execute(&route, command, trial.secrets.clone(), Earlier::Nobody, &stage).await.result
        }
        None => Err(Fault::new(FaultCode::Exec, Reason::AgentOffline, "no agent serves this")),
    };
    let outcome = match &answer {
        Ok(_) => steps::Outcome { outcome: StepOutcome::Ok, fault: None, detail: String::new() },
        Err(fault) => steps::Outcome {
            outcome: StepOutcome::Failed,
            fault: Some(fault.code),
            detail: fault.to_string(),
        },
    };
    steps::end(app.db.writer(), step, outcome).await?;
    Ok(answer)
}

async fn end(app: &App, job: JobId, found: std::result::Result<Found, Missed>, took_ms: u64) -> Result<()> {
    let (state, reason, summary) = match &found {
        Ok(_) => (JobState::Succeeded, "done".to_owned(), "The device answered.".to_owned()),
        Err((fault, _)) => (JobState::Failed, fault.code.code().to_owned(), format!("{fault}.")),
    };
    let result = match found {
        Ok(found) => TestResult {
            identity: found.identity,
            outlets: found.outlets,
            reading: found.reading,
            fault: None,
            unproven: found.unproven,
            stages: stages(Ok(()), Heard::Before),
            took_ms,
        },
        Err((fault, heard)) => TestResult {
            stages: stages(Err(&fault), heard),
            identity: None,
            outlets: Vec::new(),
            reading: None,
            fault: Some(fault),
            unproven: None,
            took_ms,
        },
    };
    let ending = jobs::Ending {
        state,
        reason,
        summary,
        proof: None,
        result: Some(serde_json::to_value(result)?),
        alarm: false,
    };
    let tx = app.db.begin().await?;
    jobs::end(&tx, job, app.peers.id(), ending).await?;
    tx.commit().await?;
    app.live.tell(Object::Job, job);
    Ok(())
}
