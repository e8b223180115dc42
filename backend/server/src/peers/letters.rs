//! Letters between servers: a frame for an agent that is connected elsewhere, and what came back.

use rackhand_agent::Delivery;
use rackhand_store::letters::{self, Letter};
use rackhand_wire::{
    Answer, Fault, Secrets,
    agent::ToAgent,
    id::{AgentId, CommandId, NodeId},
};
use serde::{Deserialize, Serialize};
use std::{sync::Arc, time::Duration};

use super::Peers;
use crate::{
    agents::{Roster, Session},
    bus::Notice,
};

/// What a letter says.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Content {
    /// A frame for the agent; what is answered under the id is awaited.
    Frame { frame: ToAgent, awaited: Option<CommandId> },
    /// Does the agent answer?
    Probe { within_ms: u64, number: u64 },
    /// It does.
    Alive { number: u64 },
    /// Its session ends.
    Close { code: u16 },
    /// What the agent answered, and what it had undone by itself before.
    Outcome { command: CommandId, result: Result<Answer, Fault>, undone: Vec<CommandId> },
    /// That session is not here any more.
    Gone,
}

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
    pub async fn deliver(&self, delivery: Delivery, awaited: Option<CommandId>) -> bool {
        let content = Content::Frame { frame: delivery.frame, awaited };
        self.post(&content, Some(delivery.secrets)).await
    }

    /// Asks whether the agent answers.
    pub async fn probe(&self, within: Duration, number: u64) -> bool {
        let within_ms = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
        self.post(&Content::Probe { within_ms, number }, None).await
    }

    /// Ends the session there.
    pub fn close(&self, code: u16) {
        let address = self.clone();
        tokio::spawn(async move { address.post(&Content::Close { code }, None).await });
    }

    async fn post(&self, content: &Content, secrets: Option<Secrets>) -> bool {
        let posted = async {
            let letter = Letter {
                id: 0,
                to: self.node,
                from: self.peers.id(),
                agent: self.agent,
                epoch: self.epoch,
                content: serde_json::to_value(content)?,
                secrets,
            };
            letters::post(&self.peers.db, letter).await
        };
        if let Err(error) = posted.await {
            tracing::warn!(%error, agent = %self.agent, "a letter to another server could not be posted");
            return false;
        }
        self.peers.bus.tell(Notice::Letter(self.node));
        true
    }
}

/// Reads the letters that are there and deals with them.
///
/// # Errors
/// When the database fails.
pub async fn deal(peers: &Arc<Peers>, roster: &Arc<Roster>) -> rackhand_store::Result<()> {
    loop {
        let read = letters::read(&peers.db, peers.id()).await?;
        if read.is_empty() {
            return Ok(());
        }
        let ids: Vec<i64> = read.iter().map(|letter| letter.id).collect();
        for letter in read {
            let back = Address::new(Arc::clone(peers), letter.agent, letter.from, letter.epoch);
            match serde_json::from_value(letter.content) {
                Ok(content) => one(roster, back, content, letter.secrets.unwrap_or_default()),
                Err(error) => {
                    tracing::warn!(%error, "another server wrote what this one does not understand");
                }
            }
        }
        letters::burn(peers.db.writer(), ids).await?;
    }
}

/// Deals with a letter; what takes time goes on beside the others.
fn one(roster: &Arc<Roster>, back: Address, content: Content, secrets: Secrets) {
    let Some(session) = roster.sitting(back.agent).filter(|session| session.epoch() == back.epoch) else {
        if matches!(content, Content::Frame { .. } | Content::Probe { .. }) {
            tokio::spawn(async move { back.post(&Content::Gone, None).await });
        }
        return;
    };
    match content {
        Content::Frame { frame, awaited } => {
            let roster = Arc::clone(roster);
            tokio::spawn(carry(roster, session, back, Delivery { frame, secrets }, awaited));
        }
        Content::Probe { within_ms, number } => {
            tokio::spawn(async move {
                if session.answers(Duration::from_millis(within_ms)).await {
                    back.post(&Content::Alive { number }, None).await;
                }
            });
        }
        Content::Alive { number } => session.is_alive(number),
        Content::Close { code } => session.close(code),
        Content::Outcome { command, result, undone } => {
            roster.note_undone(&undone);
            session.answer(command, &result);
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
    awaited: Option<CommandId>,
) {
    if let ToAgent::Acknowledge { commands } = &delivery.frame {
        roster.forget_undone(commands);
    }
    let Some(command) = awaited else {
        session.deliver(delivery).await;
        return;
    };
    let said = match session.ask(command, delivery).await {
        Ok(result) => Content::Outcome { command, result, undone: roster.all_undone() },
        Err(_) => Content::Gone,
    };
    back.post(&said, None).await;
}
