//! Letters between servers: a frame for an agent that is connected elsewhere, and what came back.

use rackhand_agent::Delivery;
use rackhand_store::letters::{self, Letter};
use rackhand_wire::{
    Answer, Fault, FaultCode, Reason, Secrets,
    agent::ToAgent,
    id::{AgentId, CommandId, NodeId},
};
use serde::{Deserialize, Serialize};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use uuid::Uuid;

use super::Peers;
use crate::{
    agents::{Awaited, Ended, Roster, Session},
    bus::Notice,
};

/// What a letter says.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Content {
    /// A frame for the agent; what is answered under the id is awaited. It was allowed by a renewal of the agent's
    /// lease, which must have been renewed in time ever since.
    Frame {
        frame: ToAgent,
        awaited: Option<CommandId>,
        #[serde(default)]
        ask: Uuid,
        #[serde(default)]
        renewal: Option<i64>,
    },
    /// Does the agent answer?
    Probe { within_ms: u64, number: u64 },
    /// It does.
    Alive { number: u64 },
    /// Its session ends.
    Close { code: u16 },
    /// What the agent answered to this asking, and what it had undone by itself before.
    Outcome {
        command: CommandId,
        #[serde(default)]
        ask: Uuid,
        result: Result<Answer, Fault>,
        undone: Vec<CommandId>,
    },
    /// That session is not here any more.
    Gone,
}

/// After so long a letter that could not be posted is posted again, then after twice as long, up to [`LONGEST`].
const AGAIN: Duration = Duration::from_millis(200);

/// A database that is back is noticed within this time.
const LONGEST: Duration = Duration::from_secs(2);

/// A session that another server holds.
#[derive(Clone)]
pub struct Address {
    peers: Arc<Peers>,
    agent: AgentId,
    node: NodeId,
    epoch: i64,
}

impl Address {
    /// Makes one.
    pub fn new(peers: Arc<Peers>, agent: AgentId, node: NodeId, epoch: i64) -> Self {
        Self { peers, agent, node, epoch }
    }

    /// Sends a frame with its credentials; says whether it was posted.
    pub async fn deliver(&self, delivery: Delivery, awaited: Option<Awaited>) -> bool {
        let ask = awaited.map(|awaited| awaited.ask).unwrap_or_default();
        let renewal = awaited.and_then(|awaited| awaited.renewal);
        let awaited = awaited.map(|awaited| awaited.command);
        let (begun, Delivery { mut frame, secrets }) = (Instant::now(), delivery);
        let content = || {
            frame.spend(begun.elapsed());
            Content::Frame { frame, awaited, ask, renewal }
        };
        self.post_with(content, Some(secrets)).await
    }

    /// Asks whether the agent answers.
    pub async fn probe(&self, within: Duration, number: u64) -> bool {
        let within_ms = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
        self.post(&Content::Probe { within_ms, number }).await
    }

    /// Ends the session there.
    pub fn close(&self, code: u16) {
        let address = self.clone();
        tokio::spawn(async move { address.post(&Content::Close { code }).await });
    }

    async fn post(&self, content: &Content) -> bool {
        self.post_with(|| content, None).await
    }

    async fn post_with<C: Serialize>(&self, content: impl FnOnce() -> C, secrets: Option<Secrets>) -> bool {
        let write = || {
            Ok(Letter {
                id: 0,
                to: self.node,
                from: self.peers.id(),
                agent: self.agent,
                epoch: self.epoch,
                content: serde_json::to_value(content())?,
                secrets,
                age: Duration::ZERO,
            })
        };
        if let Err(error) = letters::post(&self.peers.db, write).await {
            tracing::warn!(%error, agent = %self.agent, "a letter to another server could not be posted");
            return false;
        }
        self.peers.bus.tell(Notice::Letter(self.node));
        true
    }
}

/// Reads the letters that are there and deals with them, with each once: what was refused to one of its readers must
/// not have been handed over by another.
///
/// # Errors
/// When the database fails.
pub async fn deal(peers: &Arc<Peers>, roster: &Arc<Roster>) -> rackhand_store::Result<()> {
    let mut dealt = peers.dealt.lock().await;
    loop {
        let read = letters::read(&peers.db, peers.id()).await?;
        if read.is_empty() {
            return Ok(());
        }
        let ids: Vec<i64> = read.iter().map(|letter| letter.id).collect();
        for letter in read.into_iter().filter(|letter| dealt.insert(letter.id)) {
            let back = Address::new(Arc::clone(peers), letter.agent, letter.from, letter.epoch);
            match serde_json::from_value(letter.content) {
                Ok(mut content) => {
                    if let Content::Frame { frame, .. } = &mut content {
                        frame.spend(letter.age);
                    }
                    one(roster, back, content, letter.secrets.unwrap_or_default());
                }
                Err(error) => {
                    tracing::warn!(%error, "another server wrote what this one does not understand");
                }
            }
        }
        letters::burn(peers.db.writer(), ids.iter().copied()).await?;
        dealt.retain(|id| !ids.contains(id));
    }
}

/// Deals with a letter; what takes time goes on beside the others.
fn one(roster: &Arc<Roster>, back: Address, content: Content, secrets: Secrets) {
    let Some(session) = roster.sitting(back.agent).filter(|session| session.epoch() == back.epoch) else {
        if matches!(content, Content::Frame { .. } | Content::Probe { .. }) {
            tokio::spawn(async move { back.post(&Content::Gone).await });
        }
        return;
    };
    match content {
        Content::Frame { frame, awaited, ask, renewal } => {
            let roster = Arc::clone(roster);
            let awaited = awaited.map(|command| Awaited { command, ask, renewal });
            tokio::spawn(carry(roster, session, back, Delivery { frame, secrets }, awaited));
        }
        Content::Probe { within_ms, number } => {
            tokio::spawn(async move {
                if session.answers(Duration::from_millis(within_ms)).await {
                    back.post(&Content::Alive { number }).await;
                }
            });
        }
        Content::Alive { number } => session.is_alive(number),
        Content::Close { code } => session.close(code),
        Content::Outcome { command, ask, result, undone } => {
            roster.undone.note_told(&undone);
            // A server of the version before does not say which asking it answers.
            if ask.is_nil() {
                session.answer(command, &result);
            } else {
                session.answer_to(command, ask, &result);
            }
        }
        Content::Gone => session.close(rackhand_wire::agent::close::GOING_AWAY),
    }
}

/// Hands a frame of another server to an agent that is connected here, and tells what it answered.
async fn carry(
    roster: Arc<Roster>,
    session: Arc<Session>,
    back: Address,
    delivery: Delivery,
    awaited: Option<Awaited>,
) {
    if let ToAgent::Acknowledge { commands } = &delivery.frame {
        roster.undone.forget(commands);
    }
    let Some(Awaited { command, ask, renewal }) = awaited else {
        session.deliver(delivery).await;
        return;
    };
    let may = || roster.may_hand_over(back.agent, renewal);
    let result = match session.ask(command, delivery, None, may).await {
        Ok(result) => Some(result),
        Err(Ended::Before) if !session.is_closed() => {
            let why = "it may not be handed over any more";
            Some(Err(Fault::new(FaultCode::Exec, Reason::LeaseLost, why)))
        }
        Err(Ended::Before | Ended::After) => None,
    };
    // What the agent undid while the letter could not be posted is told with it.
    let said = || match result.clone() {
        Some(result) => Content::Outcome { command, ask, result, undone: roster.undone.all() },
        None => Content::Gone,
    };
    let mut pause = AGAIN;
    // Whoever asked waits for this letter for as long as the session lasts, however long the database is away.
    while !back.post_with(said, None).await && !session.is_closed() {
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST);
    }
}

#[cfg(test)]
mod tests {
    use rackhand_agent::Link;
    use rackhand_store::{Db, fresh_id, nodes};
    use rackhand_wire::{
        Command, Operation, Timings,
        agent::ToBackend,
        command::{EndpointSpec, Urgency},
        power::Switch,
    };
    use sea_orm_migration::prelude::ConnectionTrait as _;
    use serde_json::{Value, json};
    use tokio::sync::mpsc;

    use super::*;
    use crate::{
        agents::{
            Told,
            bench::{database, hello},
        },
        bus::Alone,
        peers::Life,
    };

    async fn enter(db: &Db, name: &str) -> nodes::Node {
        let tx = db.begin().await.unwrap();
        let node = nodes::enter(&tx, NodeId(fresh_id()), name, Duration::from_mins(1), false).await.unwrap();
        tx.commit().await.unwrap();
        node
    }

    fn cut() -> Command {
        Command {
            id: CommandId(fresh_id()),
            endpoint: EndpointSpec { id: None, kind: "snmp_pdu".into(), params: json!({}), pinned: None },
            target: json!({}),
            operation: Operation::SetOutlet { to: Switch::Off },
            expires_in_ms: Some(60_000),
            restore_after_ms: None,
            fence: 1,
            leased: true,
            urgency: Urgency::Awaited,
        }
    }

    const ASK: Uuid = Uuid::from_u128(7);

    /// A server that has an agent, and another one that writes to it.
    struct Bench {
        db: Db,
        #[expect(dead_code, reason = "the database lives in it")]
        folder: tempfile::TempDir,
        peers: Arc<Peers>,
        roster: Arc<Roster>,
        other: NodeId,
        session: Arc<Session>,
        inbox: mpsc::Receiver<Delivery>,
        out: mpsc::UnboundedSender<ToBackend>,
        #[expect(dead_code, reason = "the session tells as long as somebody hears")]
        heard: mpsc::Receiver<Told>,
        agent: AgentId,
    }

    impl Bench {
        async fn new() -> Self {
            let (db, folder) = database().await;
            let (own, other) = (enter(&db, "a").await, enter(&db, "b").await.id);
            let life = Life::new(Instant::now(), Duration::from_mins(1));
            let peers = Arc::new(Peers::new(db.clone(), own, Arc::new(Alone), life));
            let roster = Arc::new(Roster::new(&Timings::default(), Arc::clone(&peers)));
            let (to_agent, inbox) = mpsc::channel(4);
            let (out, from_agent) = mpsc::unbounded_channel();
            let (told, heard) = mpsc::channel(4);
            let agent = AgentId(fresh_id());
            let session = roster.join(hello(agent), Link { to_agent, from_agent }, told).await.unwrap();
            Self { db, folder, peers, roster, other, session, inbox, out, heard, agent }
        }

        /// Has the other server ask for a cut.
        async fn ask(&self, renewal: Option<i64>, waits: Duration) -> CommandId {
            let command = cut();
            let (id, frame) = (command.id, ToAgent::Execute(command));
            let content = Content::Frame { frame, awaited: Some(id), ask: ASK, renewal };
            let content = serde_json::to_value(content).unwrap();
            let (to, from, epoch) = (self.peers.id(), self.other, self.session.epoch());
            let (agent, age) = (self.agent, Duration::ZERO);
            let letter = Letter { id: 0, to, from, agent, epoch, content, secrets: None, age };
            letters::post(&self.db, || Ok(letter)).await.unwrap();
            tokio::time::sleep(waits).await;
            deal(&self.peers, &self.roster).await.unwrap();
            id
        }

        async fn asked(&mut self) -> ToAgent {
            self.inbox.recv().await.unwrap().frame
        }

        /// What the other server gets.
        async fn answer(&self) -> Value {
            loop {
                if let Some(letter) = letters::read(&self.db, self.other).await.unwrap().pop() {
                    return letter.content;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }

    #[tokio::test]
    async fn what_a_lease_before_this_one_allowed_goes_back_as_not_begun() {
        let mut bench = Bench::new().await;
        bench.out.send(ToBackend::Hold { number: 1 }).unwrap();
        assert!(matches!(bench.asked().await, ToAgent::Held { .. }));
        let present = bench.roster.leases().standing(bench.agent).await.renewal.unwrap();
        bench.ask(Some(present - 1), Duration::ZERO).await;
        let answer = bench.answer().await;
        assert_eq!(answer["outcome"]["result"]["Err"]["reason"], "lease_lost", "{answer}");
        assert!(bench.inbox.try_recv().is_err(), "the agent got it all the same");
        bench.ask(Some(present), Duration::ZERO).await;
        assert!(matches!(bench.asked().await, ToAgent::Execute(_)));
    }

    #[tokio::test]
    async fn an_outcome_is_told_however_long_the_database_is_away() {
        let mut bench = Bench::new().await;
        let id = bench.ask(None, Duration::ZERO).await;
        assert!(matches!(bench.asked().await, ToAgent::Execute(_)));
        let away = "CREATE TRIGGER away BEFORE INSERT ON letter BEGIN SELECT RAISE(ABORT, 'away'); END";
        bench.db.writer().execute_unprepared(away).await.unwrap();
        bench.out.send(ToBackend::Finished { command: id, result: Ok(Answer::Done), took_ms: 1 }).unwrap();
        tokio::time::sleep(AGAIN * 3).await;
        assert!(letters::read(&bench.db, bench.other).await.unwrap().is_empty());
        bench.db.writer().execute_unprepared("DROP TRIGGER away").await.unwrap();
        let answer = tokio::time::timeout(Duration::from_secs(20), bench.answer()).await.unwrap();
        assert_eq!(answer["outcome"]["command"], json!(id), "{answer}");
        assert_eq!(answer["outcome"]["ask"], json!(ASK), "{answer}");
        assert!(answer["outcome"]["result"]["Ok"] == json!(Answer::Done), "{answer}");
    }
    #[tokio::test]
    async fn an_order_has_less_time_by_what_its_letter_waited() {
        let mut bench = Bench::new().await;
        bench.ask(None, Duration::from_millis(40)).await;
        let ToAgent::Execute(command) = bench.asked().await else { panic!("something else is asked") };
        assert!(command.expires_in_ms.unwrap() <= 59_960, "{:?}", command.expires_in_ms);
    }
}
