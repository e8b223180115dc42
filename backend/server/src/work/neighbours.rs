//! What the devices beside an unreachable controller say of the line to it.

use futures::{StreamExt, stream};
use rackhand_driver::look_up;
use rackhand_store::{Result, Scope, agents::LOCAL, endpoints, now, watches};
use rackhand_wire::{
    Fault, FaultCode, Operation,
    api::{
        endpoint::{Endpoint, EndpointState},
        page::ListQuery,
    },
    id::{AgentId, EndpointId},
};
use std::{collections::HashMap, net::IpAddr, time::Duration};

use super::command::{self, Destination};
use crate::{
    agents::{Via, may_reach},
    app::App,
};

/// Other devices that are asked at most, when no controller answers.
const OTHERS: usize = 8;
/// Controllers that are asked at most; a /24 has no more.
const CONTROLLERS: usize = 254;
/// Questions under way at a time.
const AT_ONCE: usize = 64;
/// A device is asked for so long at least: one that is alive may be slow on a busy machine, and many silent ones close
/// the gate.
const LEAST_PATIENCE: Duration = Duration::from_secs(1);
/// Longest wait for the name of a device.
const RESOLVER: Duration = Duration::from_secs(1);

/// What was found.
pub struct Neighbourhood {
    /// One of them answered, so the agent's line stands.
    pub answered: bool,
    /// Controllers of the same kind, without the one in question.
    pub controllers: usize,
    /// Those of them that are silent now.
    pub silent: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    Answered,
    Silent,
    /// The agent could not ask.
    Nothing,
}

/// Asks around `own` through the agent that met its silence: whether another one has a way says nothing of that. What
/// was heard since its silence began counts; older words do not, because a switch that has just died leaves every
/// status as it was.
///
/// # Errors
/// When the database fails.
pub async fn ask(app: &App, own: &Destination) -> Result<Neighbourhood> {
    let all = located(everything(app).await?).await;
    let silent = all.iter().find(|(endpoint, _)| endpoint.id == own.endpoint);
    let (Some((silent, Some(place))), Some(agent)) = (silent, command::asked_by(app, own).await?) else {
        return Ok(Neighbourhood { answered: false, controllers: 0, silent: 0 });
    };
    let asker = Asker::of(app, agent, own.via.clone().or(Via::from(silent))).await?;
    let mut near = Vec::new();
    for (other, at) in &all {
        let is_near = other.id != own.endpoint && at.as_ref() == Some(place) && asker.reaches(app, other);
        // Another tenant's group may have the same name.
        if is_near && (asker.via.group.is_none() || may_reach(app, asker.agent, other.id).await?) {
            near.push(other);
        }
    }
    let (controllers, mut others): (Vec<&Endpoint>, Vec<&Endpoint>) =
        near.into_iter().partition(|other| other.kind == silent.kind);
    let words = words(app, &asker, controllers.into_iter().take(CONTROLLERS)).await;
    let count = |word| words.iter().filter(|said| **said == word).count();
    let lately = |other: &&Endpoint| asker.told_of(app, other) && lately(app, other);
    let mut answered = count(Word::Answered) > 0 || others.iter().any(lately);
    if !answered {
        // Those that answered last time are the likeliest to answer now.
        others.sort_by_key(|other| other.status.state != EndpointState::Ok);
        let said = self::words(app, &asker, others.into_iter().take(OTHERS)).await;
        answered = said.contains(&Word::Answered);
    }
    Ok(Neighbourhood { answered, controllers: words.len(), silent: count(Word::Silent) })
}

/// The agent that met a silence.
struct Asker {
    agent: AgentId,
    /// As whom it was asked.
    via: Via,
    /// Whom the connections to a controller name.
    places: HashMap<EndpointId, Vec<Via>>,
    /// Others stand in for it: what is known of a device may have been found by one of them.
    is_shared: bool,
}

impl Asker {
    async fn of(app: &App, (agent, is_shared): (AgentId, bool), via: Via) -> Result<Self> {
        let mut places: HashMap<EndpointId, Vec<Via>> = HashMap::new();
        for place in watches::places(app.db.reader()).await? {
            places.entry(place.endpoint).or_default().push(Via { agent: place.agent, group: place.group });
        }
        Ok(Self { agent, via: known(app, via), places, is_shared })
    }

    /// By whom a device is read.
    fn ways(&self, app: &App, device: &Endpoint) -> Vec<Via> {
        let own = Via::from(device);
        match self.places.get(&device.id) {
            Some(places) => places.iter().map(|via| known(app, via.clone().or(own.clone()))).collect(),
            None => vec![known(app, own)],
        }
    }

    /// Says whether it is one of those who read a device.
    fn reaches(&self, app: &App, device: &Endpoint) -> bool {
        self.ways(app, device).contains(&self.via)
    }

    /// Says whether what is known of a device was found by this agent.
    fn told_of(&self, app: &App, device: &Endpoint) -> bool {
        !self.is_shared && self.ways(app, device).iter().all(|via| *via == self.via)
    }
}

/// Whom a device or a connection names; the embedded agent is the same with and without its name.
fn known(app: &App, via: Via) -> Via {
    let is_here = via.agent.is_some() && via.agent == app.embedded && !app.peers.may_be_many();
    if is_here || via.group.as_deref() == Some(LOCAL) { Via::default() } else { via }
}

async fn everything(app: &App) -> Result<Vec<Endpoint>> {
    let mut query = ListQuery { limit: Some(500), ..ListQuery::default() };
    let mut all = Vec::new();
    loop {
        let page = endpoints::list(app.db.reader(), &Scope::provider(), &query).await?;
        all.extend(page.items);
        match page.next {
            Some(next) => query.cursor = Some(next),
            None => return Ok(all),
        }
    }
}

async fn words<'a>(app: &App, asker: &Asker, all: impl Iterator<Item = &'a Endpoint>) -> Vec<Word> {
    let questions: Vec<_> = all.map(|endpoint| word(app, asker, endpoint)).collect();
    stream::iter(questions).buffer_unordered(AT_ONCE).collect().await
}

async fn word(app: &App, asker: &Asker, endpoint: &Endpoint) -> Word {
    let since = now() - chrono::TimeDelta::from_std(app.timings().unreachable_after).unwrap_or_default();
    if asker.told_of(app, endpoint) && endpoint.status.checked_at.is_some_and(|at| at >= since) {
        match (endpoint.status.state, &endpoint.status.fault) {
            (EndpointState::Ok, _) => return Word::Answered,
            (_, Some(fault)) if is_silence(fault) => return Word::Silent,
            (_, _) => {}
        }
    }
    let patience = (app.timings().unreachable_after / 5).max(LEAST_PATIENCE);
    match tokio::time::timeout(patience, command::look(app, asker.agent, endpoint.id, Operation::Identify))
        .await
    {
        Err(_) => Word::Silent,
        Ok(Err(fault)) if is_silence(&fault) => Word::Silent,
        Ok(Err(fault)) if fault.code == FaultCode::Exec => Word::Nothing,
        // A refusal is an answer too: the line is up.
        Ok(Ok(_) | Err(_)) => Word::Answered,
    }
}

/// A read over a session that stood before the silence began is "lost" rather than "unreachable".
pub fn is_silence(fault: &Fault) -> bool {
    matches!(fault.code, FaultCode::Unreach | FaultCode::Lost)
}

fn lately(app: &App, endpoint: &Endpoint) -> bool {
    let fresh = chrono::TimeDelta::from_std(app.timings().neighbour_fresh).unwrap_or_default();
    endpoint.status.state == EndpointState::Ok
        && endpoint.status.checked_at.is_some_and(|at| now() - at <= fresh)
}

/// Finds the subnet of each: /24, /64 or loopback. A name is looked up, as it is to reach the device.
async fn located(endpoints: Vec<Endpoint>) -> Vec<(Endpoint, Option<Vec<u8>>)> {
    stream::iter(endpoints.into_iter().map(locate)).buffered(AT_ONCE).collect().await
}

async fn locate(endpoint: Endpoint) -> (Endpoint, Option<Vec<u8>>) {
    let Some(host) = endpoint.params.get("host").and_then(serde_json::Value::as_str) else {
        return (endpoint, None);
    };
    let found = look_up(host, RESOLVER).await.unwrap_or_default();
    (endpoint, found.first().copied().map(subnet))
}

fn subnet(address: IpAddr) -> Vec<u8> {
    match address.to_canonical() {
        address if address.is_loopback() => vec![127],
        IpAddr::V4(v4) => v4.octets().into_iter().take(3).collect(),
        IpAddr::V6(v6) => v6.octets().into_iter().take(8).collect(),
    }
}
