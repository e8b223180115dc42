//! What agents undid by themselves, known before anything that they say afterwards.

use rackhand_wire::id::CommandId;
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Cuts that agents undid. The database tells of them as soon as they are stored there; here they are known until then.
pub struct Undone {
    /// With the moment in which another server told so; none when an agent of this one did.
    cuts: Mutex<HashMap<CommandId, Option<Instant>>>,
    /// What another server told is known for so long: it tells again while it has not stored it.
    keep: Duration,
}

impl Undone {
    /// Knows nothing yet.
    pub fn new(keep: Duration) -> Self {
        Self { cuts: Mutex::default(), keep }
    }

    /// Notes what an agent of this server undid, until it is stored.
    pub fn note(&self, cut: CommandId) {
        self.cuts().insert(cut, None);
    }

    /// Notes what another server heard of its agents.
    pub fn note_told(&self, told: &[CommandId]) {
        let (mut cuts, now) = (self.cuts(), Instant::now());
        cuts.retain(|_, at| at.is_none_or(|at| now - at < self.keep));
        for cut in told {
            let known = cuts.entry(*cut).or_insert(Some(now));
            *known = known.map(|_| now);
        }
    }

    /// Lists what agents of this server undid and what is not stored yet.
    pub fn all(&self) -> Vec<CommandId> {
        self.cuts().iter().filter(|(_, at)| at.is_none()).map(|(cut, _)| *cut).collect()
    }

    /// Forgets what is stored, or what a job has dealt with.
    pub fn forget(&self, commands: &[CommandId]) {
        self.cuts().retain(|cut, _| !commands.contains(cut));
    }

    /// Says whether an agent undid one of these cuts by itself.
    pub fn has(&self, cuts: &[CommandId]) -> bool {
        let undone = self.cuts();
        cuts.iter().any(|cut| undone.contains_key(cut))
    }

    fn cuts(&self) -> MutexGuard<'_, HashMap<CommandId, Option<Instant>>> {
        self.cuts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(number: u128) -> CommandId {
        CommandId(uuid::Uuid::from_u128(number))
    }

    #[test]
    fn what_another_server_told_long_ago_is_forgotten_and_what_is_to_be_stored_is_not() {
        let undone = Undone::new(Duration::ZERO);
        undone.note(cut(1));
        for number in 2..1000 {
            undone.note_told(&[cut(number), cut(1)]);
        }
        assert!(undone.has(&[cut(1)]) && undone.has(&[cut(7), cut(999)]) && !undone.has(&[cut(998)]));
        assert_eq!(undone.all(), [cut(1)], "what came from elsewhere goes nowhere");
        undone.forget(&[cut(1)]);
        assert!(!undone.has(&[cut(1)]) && undone.all().is_empty());
    }
}
