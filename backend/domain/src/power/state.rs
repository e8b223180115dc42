//! What is shown, weighed from what the paths say.
//!
//! The published table (BMC × outlets) with two refinements: outlets that are on while nothing tells
//! of the machine show `fed`, never `on`; and a BMC that answers after its outlets were read off
//! proves a wrong mapping.

use chrono::{DateTime, TimeDelta, Utc};
use rackhand_wire::{
    FaultCode, PowerValue, Reason, Role,
    power::{Confidence, PathEvidence, PathState, PowerFlag, RestorePolicy, ServerPower},
};

/// What is known besides the evidence.
#[derive(Debug, Clone, Copy)]
pub struct Context {
    /// Now.
    pub now: DateTime<Utc>,
    /// A person said that the outlets feed all power supplies.
    pub feeds_complete: bool,
    /// Automatic fallback is allowed.
    pub fallback_enabled: bool,
    /// A wrong mapping was seen and nobody has confirmed the wiring since.
    pub mismatch_seen: bool,
    /// Evidence older than this counts for less.
    pub stale_after: TimeDelta,
    /// Supplies hold a BMC up for so long after a cut: answers within it prove nothing.
    pub hold_up: TimeDelta,
}

/// The group of outlets as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Feeds {
    None,
    AllOn,
    AllOff,
    Partial,
    Unknown,
}

/// Weighs the evidence. `before` gives `since` while the value stays.
#[must_use]
pub fn weigh(paths: Vec<PathEvidence>, context: &Context, before: &ServerPower) -> ServerPower {
    let feeds = group(&paths);
    let controller = controller(&paths);
    let mismatch = mismatch(&paths, feeds, context);
    let value = match (feeds, controller) {
        // The mapping is proven wrong: only the controller knows.
        (Feeds::AllOff, Some((value, _))) if mismatch && value == PowerValue::On => value,
        (Feeds::AllOff, _) if context.feeds_complete => PowerValue::Off,
        (_, Some((value, _))) => value,
        (Feeds::AllOn | Feeds::Partial, None) => PowerValue::Fed,
        (Feeds::AllOff | Feeds::Unknown | Feeds::None, None) => PowerValue::Unknown,
    };
    let flags = flags(&paths, feeds, value, mismatch, context);
    let checked_at =
        paths.iter().filter(|path| path.state.is_some()).filter_map(|path| path.checked_at).max();
    let confidence = confidence(&paths, value, mismatch, checked_at, context);
    let since =
        if value == before.value && before.since.is_some() { before.since } else { Some(context.now) };
    ServerPower { value, confidence, flags, since, checked_at, paths }
}

fn group(paths: &[PathEvidence]) -> Feeds {
    let feeds: Vec<_> = paths.iter().filter(|path| path.role == Role::Feed).collect();
    let count = |state| feeds.iter().filter(|path| path.state == Some(state)).count();
    let (on, off) = (count(PathState::FeedOn), count(PathState::FeedOff));
    match (feeds.len(), on, off) {
        (0, _, _) => Feeds::None,
        (all, on, _) if on == all => Feeds::AllOn,
        (all, _, off) if off == all => Feeds::AllOff,
        (_, 0, _) => Feeds::Unknown,
        (_, _, 0) => Feeds::AllOn,
        (_, _, _) => Feeds::Partial,
    }
}

/// The first controller that knows, with when it said so.
fn controller(paths: &[PathEvidence]) -> Option<(PowerValue, Option<DateTime<Utc>>)> {
    paths.iter().filter(|path| path.role == Role::Controller).find_map(|path| match path.state {
        Some(PathState::On) => Some((PowerValue::On, path.checked_at)),
        Some(PathState::Off) => Some((PowerValue::Off, path.checked_at)),
        Some(PathState::FeedOn | PathState::FeedOff | PathState::Unclear) | None => None,
    })
}

fn mismatch(paths: &[PathEvidence], feeds: Feeds, context: &Context) -> bool {
    if context.mismatch_seen {
        return true;
    }
    if feeds != Feeds::AllOff || !context.feeds_complete {
        return false;
    }
    let dark_since =
        paths.iter().filter(|path| path.role == Role::Feed).filter_map(|path| path.checked_at).max();
    let answered = controller(paths).and_then(|(_, at)| at);
    match (dark_since, answered) {
        (Some(dark), Some(answered)) => answered - dark >= context.hold_up,
        (None, _) | (_, None) => false,
    }
}

fn flags(
    paths: &[PathEvidence],
    feeds: Feeds,
    value: PowerValue,
    mismatch: bool,
    context: &Context,
) -> Vec<PowerFlag> {
    let mut flags = Vec::new();
    let one_dark = paths.iter().any(|path| path.state == Some(PathState::FeedOff));
    let degraded = one_dark && feeds != Feeds::AllOff && value != PowerValue::Off;
    if degraded || (feeds == Feeds::Partial && value != PowerValue::Off) {
        flags.push(PowerFlag::Degraded);
    }
    if mismatch {
        flags.push(PowerFlag::WiringMismatch);
    }
    let other = |path: &PathEvidence| {
        path.fault
            .as_ref()
            .is_some_and(|f| f.code == FaultCode::Config && f.reason == Reason::IdentityMismatch)
    };
    if paths.iter().any(other) {
        flags.push(PowerFlag::IdentityMismatch);
    }
    let stays_off = paths.iter().any(|path| path.restore_policy == Some(RestorePolicy::AlwaysOff));
    if stays_off && context.fallback_enabled && context.feeds_complete && feeds != Feeds::None {
        flags.push(PowerFlag::StaysOffAfterFeed);
    }
    flags
}

fn confidence(
    paths: &[PathEvidence],
    value: PowerValue,
    mismatch: bool,
    checked_at: Option<DateTime<Utc>>,
    context: &Context,
) -> Confidence {
    let fresh = checked_at.is_some_and(|at| context.now - at <= context.stale_after);
    if !fresh || mismatch || value == PowerValue::Unknown {
        return Confidence::Low;
    }
    let silent = paths.iter().any(|path| path.state.is_none() || path.fault.is_some());
    if silent || value == PowerValue::Fed { Confidence::Medium } else { Confidence::High }
}
