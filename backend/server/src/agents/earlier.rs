//! What became of a write may be known by one agent alone: by the journal of whoever got it.

use rackhand_store::{
    Db,
    agent_groups::Lease,
    agents::{self, Identified},
};
use rackhand_wire::{Fault, FaultCode, Reason, id::AgentId};
use serde::{Deserialize, Serialize};
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{
    roster,
    route::{self, Holder},
};

/// Who has a device, and with which identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keeper {
    /// The lease.
    pub lease: Lease,
    /// The holder's identity.
    pub identified: Identified,
}

/// Who may have got a command already, from a server that ended before it stored what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Earlier {
    /// Nobody: it is fresh.
    Nobody,
    /// At most the one who had the device then.
    Only(Keeper),
    /// Nobody can say who.
    Anybody,
}

impl Earlier {
    /// Says whether a holder can be asked without beginning a second time what another one has begun.
    #[must_use]
    pub fn may_ask(&self, holder: Holder) -> bool {
        match self {
            Self::Nobody => true,
            Self::Only(Keeper { lease, .. }) => (lease.agent, lease.epoch) == (holder.agent, holder.epoch),
            Self::Anybody => false,
        }
    }

    /// What is told when nothing was handed over because the database did not answer: nor was anything begun, unless
    /// it was earlier.
    #[must_use]
    pub fn unsent(&self, fault: Fault) -> Fault {
        if fault.reason == Reason::Internal && *self == Self::Nobody {
            return Fault::new(FaultCode::Exec, Reason::Expired, fault.detail);
        }
        fault
    }

    /// Finds who may have begun it.
    #[must_use]
    pub fn agent(&self) -> Option<AgentId> {
        match self {
            Self::Only(keeper) => Some(keeper.lease.agent),
            Self::Nobody | Self::Anybody => None,
        }
    }
}

/// Whose journal answers for a write. A copy of an agent, and what is enrolled in its place, have its id and not its
/// journal.
pub struct Journal<'a> {
    writes: &'a Writes,
    of: Option<(AgentId, Identified)>,
    /// Counted for as long as this is kept.
    open: Vec<Write<'a>>,
}

impl<'a> Journal<'a> {
    /// The one that is known from before.
    pub fn of(earlier: &Earlier, writes: &'a Writes) -> Self {
        let of = match earlier {
            Earlier::Only(keeper) => Some((keeper.lease.agent, keeper.identified.clone())),
            Earlier::Nobody | Earlier::Anybody => None,
        };
        Self { writes, open: of.iter().map(|(agent, _)| writes.begin(*agent)).collect(), of }
    }

    /// Notes that an agent is asked.
    ///
    /// # Errors
    /// When it is not the one any more that was asked first, or the database fails.
    pub async fn is_of(&mut self, db: &Db, agent: AgentId) -> Result<(), Fault> {
        let present = agents::identified(db.reader(), agent).await.map_err(|error| route::failed(&error))?;
        if let Some((_, identified)) = self.of.as_ref().filter(|(known, _)| *known == agent) {
            return if *identified == present { Ok(()) } else { Err(roster::interrupted()) };
        }
        self.of = Some((agent, present));
        self.open.push(self.writes.begin(agent));
        Ok(())
    }
}

/// How many writes each agent has, or may have begun when its line was lost.
#[derive(Default)]
pub struct Writes(Mutex<HashMap<AgentId, usize>>);

impl Writes {
    /// Counts one of an agent until it is over.
    pub fn begin(&self, agent: AgentId) -> Write<'_> {
        *self.counts().entry(agent).or_default() += 1;
        Write { writes: self, agent }
    }

    /// Says whether an agent has none.
    pub fn is_idle(&self, agent: AgentId) -> bool {
        !self.counts().contains_key(&agent)
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<AgentId, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A write that may be under way.
pub struct Write<'a> {
    writes: &'a Writes,
    agent: AgentId,
}

impl Drop for Write<'_> {
    fn drop(&mut self) {
        let mut counts = self.writes.counts();
        if let Some(count) = counts.get_mut(&self.agent) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.agent);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rackhand_store::fresh_id;

    #[test]
    fn an_agent_is_idle_once_its_last_write_is_over() {
        let (writes, one, two) = (Writes::default(), AgentId(fresh_id()), AgentId(fresh_id()));
        let first = writes.begin(one);
        let second = writes.begin(one);
        drop(first);
        assert!(!writes.is_idle(one) && writes.is_idle(two));
        drop(second);
        assert!(writes.is_idle(one));
    }
}
