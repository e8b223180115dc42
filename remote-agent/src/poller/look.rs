//! One look at one device, through the queue that all its commands pass.

use rackhand_wire::{
    Answer, Command, Fault, FaultCode, Operation, Reason, Secrets,
    agent::{Answered, Found, Look},
    command::Urgency,
    id::CommandId,
    operation::Identity,
};
use serde_json::{Value, json};
use std::time::Instant;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use super::schedule::Outcome;
use crate::worker::{Purpose, Task};

/// A way to ask a device.
pub trait Way: Sync {
    /// Asks one thing.
    fn ask(
        &self,
        look: &Look,
        target: &Value,
        operation: Operation,
    ) -> impl Future<Output = Result<Answer, Fault>> + Send;
}

/// Looks at a device; nothing is found when it was not asked.
pub async fn look(look: &Look, way: &impl Way) -> (Outcome, Option<Found>) {
    let mut identity: Option<Identity> = None;
    if look.identify {
        match way.ask(look, &json!({}), Operation::Identify).await {
            Ok(Answer::Identity(told)) => identity = Some(told),
            Ok(_) => {}
            Err(fault) if fault.code == FaultCode::Exec => return (Outcome::NotAsked, None),
            Err(fault) => return (failed(&fault), Some(Found::Nothing { fault })),
        }
    }
    let mut answers = Vec::new();
    let (mut outcome, mut silent) = (Outcome::Answered, None::<Fault>);
    for read in &look.reads {
        let result = match &silent {
            Some(fault) => Err(fault.clone()),
            None => way.ask(look, &read.target, read.operation.clone()).await,
        };
        if let Err(fault) = &result {
            if fault.code == FaultCode::Exec {
                outcome = Outcome::NotAsked;
                break;
            }
            outcome = failed(fault);
            // It would be as silent about its other targets, each as long; and refuse as often.
            let ends = matches!(fault.code, FaultCode::Unreach | FaultCode::Auth);
            silent = Some(fault.clone()).filter(|_| ends);
        }
        answers.push(Answered { target: read.target.clone(), result });
    }
    let is_empty = answers.is_empty() && identity.is_none() && outcome == Outcome::NotAsked;
    (outcome, (!is_empty).then_some(Found::Answers { identity, answers }))
}

/// Many devices lock the account after a few refusals.
fn failed(fault: &Fault) -> Outcome {
    if fault.code == FaultCode::Auth { Outcome::Refused } else { Outcome::Failed }
}

/// Through the queue of the device.
pub struct Queued {
    /// To the queues.
    pub desk: mpsc::Sender<Task>,
    /// The device's credentials.
    pub secrets: Secrets,
}

impl Way for Queued {
    async fn ask(&self, look: &Look, target: &Value, operation: Operation) -> Result<Answer, Fault> {
        let (answer, answered) = oneshot::channel();
        let (secrets, purpose) = (self.secrets.clone(), Purpose::Look(answer));
        let command = command(look, target, operation);
        let task = Task { command, secrets, received: Instant::now(), purpose };
        let stops = || Fault::new(FaultCode::Exec, Reason::Interrupted, "the agent stops");
        self.desk.send(task).await.map_err(|_| stops())?;
        answered.await.unwrap_or_else(|_| Err(stops()))
    }
}

/// What a look asks as a command.
#[must_use]
pub fn command(look: &Look, target: &Value, operation: Operation) -> Command {
    Command {
        id: CommandId(Uuid::new_v4()),
        endpoint: look.spec(),
        target: target.clone(),
        operation,
        expires_in_ms: None,
        restore_after_ms: None,
        fence: 0,
        leased: false,
        urgency: Urgency::Background,
    }
}

#[cfg(test)]
mod tests {
    use rackhand_wire::{agent::Read, id::EndpointId};
    use std::sync::Mutex;

    use super::*;

    fn device(identify: bool, targets: u32) -> Look {
        let read = |n| Read { target: json!({ "n": n }), operation: Operation::ReadPower };
        Look {
            endpoint: EndpointId(Uuid::from_u128(1)),
            kind: "ipmi".into(),
            params: json!({}),
            pinned: None,
            identify,
            reads: (0..targets).map(read).collect(),
            every_ms: 1,
            generation: String::new(),
            mark: String::new(),
            needs_secrets: false,
        }
    }

    /// Says one thing after the other.
    struct Says(Mutex<Vec<Result<Answer, Fault>>>);

    impl Way for Says {
        async fn ask(&self, _: &Look, _: &Value, _: Operation) -> Result<Answer, Fault> {
            self.0.lock().unwrap().remove(0)
        }
    }

    /// Looks at a device that says these things; gives also how often it was asked.
    async fn asked(device: &Look, says: Vec<Result<Answer, Fault>>) -> (Outcome, Option<Found>, usize) {
        let count = says.len();
        let says = Says(Mutex::new(says));
        let (outcome, found) = look(device, &says).await;
        (outcome, found, count - says.0.into_inner().unwrap().len())
    }

    #[tokio::test]
    async fn what_the_agent_could_not_ask_says_nothing_of_the_device() {
        let gave_way = || Err(Fault::new(FaultCode::Exec, Reason::GaveWay, ""));
        assert_eq!(asked(&device(true, 1), vec![gave_way()]).await, (Outcome::NotAsked, None, 1));
        assert_eq!(asked(&device(false, 1), vec![gave_way()]).await, (Outcome::NotAsked, None, 1));
        let (outcome, found, _) = asked(&device(false, 2), vec![Ok(Answer::Done), gave_way()]).await;
        let Some(Found::Answers { answers, .. }) = found else { unreachable!("one answer was had") };
        assert_eq!((outcome, answers.len()), (Outcome::NotAsked, 1));
    }

    #[tokio::test]
    async fn a_silent_device_is_not_asked_for_each_of_its_targets() {
        let silent = Fault::unreachable("x");
        let (outcome, found, asked_for) = asked(&device(false, 3), vec![Err(silent.clone())]).await;
        let Some(Found::Answers { answers, .. }) = found else { unreachable!("three faults were had") };
        assert_eq!((outcome, answers.len(), asked_for), (Outcome::Failed, 3, 1));
        let (outcome, found, asked_for) = asked(&device(true, 3), vec![Err(silent.clone())]).await;
        assert_eq!((outcome, found, asked_for), (Outcome::Failed, Some(Found::Nothing { fault: silent }), 1));
    }

    #[tokio::test]
    async fn refused_credentials_are_offered_once() {
        let refused = Fault::new(FaultCode::Auth, Reason::WrongPassword, "");
        for identify in [false, true] {
            let (outcome, _, asked_for) = asked(&device(identify, 3), vec![Err(refused.clone())]).await;
            assert_eq!((outcome, asked_for), (Outcome::Refused, 1));
        }
    }
}
