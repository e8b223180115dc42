//! Stores what looks found: a batch in one transaction, then the servers that it touches.

use chrono::{DateTime, TimeDelta, Utc};
use rackhand_agent::catalogue;
use rackhand_store::{
    Result, endpoints, events,
    readings::{self, Reading},
    watches, weighed,
};
use rackhand_wire::{
    Role,
    agent::{Entry, Sample},
    api::{event::Severity, live::Object},
    id::{AgentId, ConnectionId, EndpointId, ServerId, TenantId},
    power::PathState,
};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use uuid::Uuid;

use super::plan::generation;
use crate::{
    agents::may_reach,
    app::App,
    work::{
        findings::{Findings, findings},
        status, weigh,
    },
};

/// What an agent tells at once.
pub struct Batch {
    /// Where the numbers count.
    pub spool: Uuid,
    /// Number of the first entry.
    pub first: u64,
    /// The entries.
    pub entries: Vec<Entry>,
    /// When they came.
    pub received: DateTime<Utc>,
}

/// A sample with its time by this clock.
#[derive(Clone)]
pub struct Heard {
    /// When the device was asked.
    pub at: DateTime<Utc>,
    /// What was found.
    pub sample: Sample,
}

/// Up to where the samples of an agent are stored with a transaction.
struct Mark {
    agent: AgentId,
    spool: Uuid,
    through: u64,
}

/// Stores a batch; gives up to which number everything is stored. What was stored before is passed over.
///
/// # Errors
/// When the database fails.
pub async fn batch(app: &App, agent: AgentId, batch: &Batch) -> Result<u64> {
    let stored = watches::stored(app.db.reader(), agent).await?;
    let before = stored.filter(|(spool, _)| *spool == batch.spool).map_or(0, |(_, through)| through);
    let mut round = Round::default();
    let mut through = before;
    let missing = batch.first.saturating_sub(before.saturating_add(1));
    if missing > 0 {
        round.news.push(dropped(agent, missing));
    }
    let mut allowed: HashMap<EndpointId, bool> = HashMap::new();
    for (number, entry) in (batch.first..).zip(&batch.entries).filter(|(number, _)| *number > before) {
        match entry {
            Entry::Sample(sample) => {
                let may = match allowed.get(&sample.endpoint) {
                    Some(may) => *may,
                    None => may(app, agent, sample.endpoint).await?,
                };
                allowed.insert(sample.endpoint, may);
                let heard = Heard { at: dated(batch.received, sample.age_ms), sample: sample.clone() };
                if may && let Some(heard) = round.put(heard) {
                    // In the order in which it was, with everything that is told of it.
                    round.store(app, Some(Mark { agent, spool: batch.spool, through })).await?;
                    round = Round::default();
                    round.put(heard);
                }
            }
            Entry::RestartedAlone { devices, lasted_ms, age_ms } => {
                let at = dated(batch.received, *age_ms);
                round.news.push(restarted_alone(agent, *devices, *lasted_ms, at));
            }
        }
        through = number;
    }
    if through > before {
        round.store(app, Some(Mark { agent, spool: batch.spool, through })).await?;
    }
    Ok(through)
}

/// Leaves a batch out that cannot be stored though the database answers, and says so.
///
/// # Errors
/// When the database fails.
pub async fn leave_out(app: &App, agent: AgentId, batch: &Batch) -> Result<u64> {
    let through = batch.first.saturating_add(batch.entries.len() as u64).saturating_sub(1);
    let news = vec![dropped(agent, batch.entries.len() as u64)];
    let mark = Mark { agent, spool: batch.spool, through };
    Round { news, ..Round::default() }.store(app, Some(mark)).await?;
    Ok(through)
}

/// Stores one sample that was had by a command.
///
/// # Errors
/// When the database fails.
pub async fn one(app: &App, heard: Heard) -> Result<()> {
    let mut round = Round::default();
    round.put(heard);
    round.store(app, None).await
}

/// An agent tells of the devices that it serves, and of no other.
async fn may(app: &App, agent: AgentId, endpoint: EndpointId) -> Result<bool> {
    let is_planned = {
        let plans = app.engine.watch.plans.borrow();
        plans.of(agent).is_some_and(|plan| plan.looks.contains_key(&endpoint))
    };
    if is_planned {
        return Ok(true);
    }
    let may = may_reach(app, agent, endpoint).await?;
    if !may {
        tracing::warn!(%agent, %endpoint, "an agent tells of a device that it does not serve");
    }
    Ok(may)
}

fn dated(received: DateTime<Utc>, age_ms: u64) -> DateTime<Utc> {
    let age = i64::try_from(age_ms).ok().and_then(TimeDelta::try_milliseconds);
    age.and_then(|age| received.checked_sub_signed(age)).unwrap_or(DateTime::UNIX_EPOCH)
}

fn dropped(agent: AgentId, samples: u64) -> events::New {
    let message = format!(
        "{samples} samples of its devices are missing: the oldest were dropped, because its disk keeps no more."
    );
    events::New {
        kind: "agent.samples_dropped".into(),
        severity: Some(Severity::Warning),
        message,
        agent_id: Some(agent),
        ..Default::default()
    }
}

fn restarted_alone(agent: AgentId, devices: u64, lasted_ms: u64, at: DateTime<Utc>) -> events::New {
    let seconds = lasted_ms.div_ceil(1000);
    let message = format!(
        "The agent restarted alone: {devices} device(s) were not looked at for {seconds} s, because credentials are \
         never on its disk."
    );
    events::New {
        kind: "agent.restarted_alone".into(),
        severity: Some(Severity::Warning),
        message,
        agent_id: Some(agent),
        at: Some(at),
        ..Default::default()
    }
}

/// Samples of which each device has one, stored at once.
#[derive(Default)]
struct Round {
    heard: Vec<Heard>,
    place: HashMap<EndpointId, usize>,
    news: Vec<events::New>,
}

impl Round {
    /// Takes a sample in; gives it back when the device had said something else in this round. What it says again
    /// is only younger.
    fn put(&mut self, heard: Heard) -> Option<Heard> {
        let id = heard.sample.endpoint;
        let before = self.place.get(&id).and_then(|place| self.heard.get_mut(*place));
        match before {
            None => {
                self.place.insert(id, self.heard.len());
                self.heard.push(heard);
                None
            }
            Some(before) if is_same(&before.sample, &heard.sample) => {
                before.at = before.at.max(heard.at);
                None
            }
            Some(_) => Some(heard),
        }
    }

    async fn store(self, app: &App, mark: Option<Mark>) -> Result<()> {
        let tx = app.db.begin().await?;
        let ids: Vec<EndpointId> = self.heard.iter().map(|heard| heard.sample.endpoint).collect();
        let known = watches::known(&tx, &ids).await?;
        let paths = watches::paths(&tx, &ids).await?;
        let mut told = Told::default();
        let role = |heard: &Heard| {
            let kind = known.get(&heard.sample.endpoint).map(|device| device.kind.as_str());
            kind.and_then(catalogue::find).map(|integration| integration.descriptor().role)
        };
        // What outlets say explains why a controller says nothing.
        let (feeds, others): (Vec<_>, Vec<_>) =
            self.heard.into_iter().partition(|heard| role(heard) == Some(Role::Feed));
        for Heard { at, sample } in feeds.into_iter().chain(others) {
            let id = sample.endpoint;
            // What was read of an earlier address says nothing of the device at this one.
            let Some(device) =
                known.get(&id).filter(|device| generation(&device.kind, &device.params) == sample.generation)
            else {
                continue;
            };
            let paths = paths.get(&id).map(Vec::as_slice).unwrap_or_default();
            let role = catalogue::find(&device.kind)
                .map_or(Role::Controller, |integration| integration.descriptor().role);
            let Some(found) = findings(role, sample.found, paths, &device.name, at) else { continue };
            let Findings { mut identity, outlets, readings } = found;
            if role == Role::Controller
                && let Err(fault) = identity
            {
                identity = Err(weighed::explained(&tx, id, (fault, at), status::spans(app)).await?);
            }
            let fault = identity.as_ref().err().cloned();
            if endpoints::looked(&tx, id, endpoints::Look { identity, outlets, at }).await? {
                let event = status::turned(&device.name, id, fault.as_ref(), at);
                told.add(&tx, TenantId::PROVIDER, event).await?;
                told.endpoints.push(id);
            }
            for (reading, of) in alike(readings) {
                let ids: Vec<ConnectionId> = of.keys().copied().collect();
                for connection in readings::store(&tx, &ids, &reading).await? {
                    let before = paths.iter().find(|path| path.id == connection).and_then(|path| path.state);
                    let is_turn = before != reading.state;
                    if is_turn && told.endpoints.last() != Some(&id) {
                        told.endpoints.push(id);
                    }
                    if let Some(server) = of.get(&connection) {
                        if before == Some(PathState::FeedOff) && reading.state == Some(PathState::FeedOn) {
                            told.lit.insert(*server);
                        }
                        told.touch(*server, is_turn, at);
                    }
                }
            }
        }
        if let Some(Mark { agent, spool, through }) = mark {
            let tenant =
                rackhand_store::agents::get(&tx, &rackhand_store::Scope::provider(), agent).await?.tenant;
            for event in self.news {
                told.add(&tx, tenant, event).await?;
            }
            watches::set_stored(&tx, agent, spool, through).await?;
        }
        tx.commit().await?;
        for id in told.endpoints {
            app.live.tell(Object::Endpoint, id);
        }
        for id in told.events {
            app.live.tell(Object::Event, id);
        }
        if !told.lit.is_empty() {
            let starting = watches::controllers(app.db.reader(), told.lit).await?;
            app.engine.watch.look_while_they_start(&starting, app.timings().bmc_warm_up);
            app.engine.look_now(starting);
        }
        let turned = told.servers.iter().filter(|(_, (is_turn, _))| *is_turn);
        let turned: Vec<ServerId> = turned.map(|(id, _)| *id).collect();
        weigh::servers(app, told.servers.into_iter().map(|(id, (_, at))| (id, at)).collect()).await?;
        // A path that turned is news, whatever all of them say together.
        for id in turned {
            app.live.tell(Object::Server, id);
        }
        Ok(())
    }
}

/// Puts together which connections said the same: many outlets of a device do, and are stored at once.
fn alike(
    readings: Vec<(ConnectionId, ServerId, Reading)>,
) -> Vec<(Reading, BTreeMap<ConnectionId, ServerId>)> {
    let mut alike: Vec<(Reading, BTreeMap<ConnectionId, ServerId>)> = Vec::new();
    for (connection, server, reading) in readings {
        match alike.iter_mut().find(|(known, _)| *known == reading) {
            Some((_, of)) => drop(of.insert(connection, server)),
            None => alike.push((reading, BTreeMap::from([(connection, server)]))),
        }
    }
    alike
}

fn is_same(one: &Sample, other: &Sample) -> bool {
    one.found == other.found && one.generation == other.generation
}

/// What open pages hear after the commit.
#[derive(Default)]
struct Told {
    endpoints: Vec<EndpointId>,
    events: Vec<rackhand_wire::id::EventId>,
    /// Servers whose paths said something, whether it was something else than before, and when.
    servers: BTreeMap<ServerId, (bool, DateTime<Utc>)>,
    /// Servers with an outlet that was off and is on.
    lit: BTreeSet<ServerId>,
}

impl Told {
    /// Notes when a server is to be weighed: when a path of it turned, else when one said so last.
    fn touch(&mut self, server: ServerId, is_turn: bool, at: DateTime<Utc>) {
        let latest = self.servers.entry(server).or_insert((is_turn, at));
        *latest = (*latest).max((is_turn, at));
    }

    async fn add(&mut self, tx: &rackhand_store::Tx, tenant: TenantId, event: events::New) -> Result<()> {
        self.events.push(events::add(tx, tenant, event).await?.id);
        Ok(())
    }
}
