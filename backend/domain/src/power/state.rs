//! What is shown, weighed from what the paths say.
//!
//! The published table (BMC × outlets): eight of its nine cases hold, one is refined. A BMC that answers
//! after its outlets were read off proves a wrong mapping: from then on the outlets prove nothing.
//!
//! Outlets that are on while nothing tells of the machine show `fed`, the table's "unknown" with what was
//! read besides; never `on`, unless they are metered, which the table knows nothing of, and the machine
//! draws what it never draws while it is off. Outlets that were read off long ago are unknown to a BMC that
//! answers now: they may be on since.
//!
//! The state is as old as what it rests on: a path that answers lends nothing to the word of another one.

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
    /// A BMC that fell silent while its firmware was written is taken to be writing for so long.
    pub firmware_update: TimeDelta,
    /// Supplies hold a BMC up for so long after a cut: answers within it prove nothing.
    pub hold_up: TimeDelta,
}

/// When an outlet was read on again after all were off: whatever a controller said until then is no word of the
/// present, since it lost its power meanwhile. Nothing where the outlets prove nothing of it.
#[must_use]
pub fn fed_again(power: &ServerPower, context: &Context) -> Option<DateTime<Utc>> {
    power.dark_since.filter(|_| context.feeds_complete && !context.mismatch_seen)?;
    told_at(&power.paths, Basis::Fed)
}

/// Takes back what controllers said until then.
pub fn forget_until(paths: &mut [PathEvidence], until: DateTime<Utc>) {
    for path in paths.iter_mut().filter(|path| path.role == Role::Controller) {
        if path.checked_at <= Some(until) {
            path.state = None;
        }
    }
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
    let known = controller(&paths);
    let read = group(&paths);
    let is_fresh = |at| is_fresh(at, context);
    let is_outlived =
        !is_fresh(told_at(&paths, Basis::Dark)) && known.is_some_and(|(_, answered)| is_fresh(answered));
    let dark_since = if is_outlived { None } else { dark_since(&paths, read, before) };
    let mismatch = mismatch(&paths, dark_since, context);
    // The mapping is proven wrong: only the controller knows.
    let feeds = if mismatch { Feeds::None } else { read };
    let (value, basis) = match (feeds, known) {
        (Feeds::AllOff, _) if context.feeds_complete && !is_outlived => (PowerValue::Off, Basis::Dark),
        (_, Some((value, at))) => (value, Basis::Controller(at)),
        (Feeds::AllOn | Feeds::Partial, None) if draws_as_if_on(&paths, before) => {
            (PowerValue::On, Basis::Draw)
        }
        (Feeds::AllOn | Feeds::Partial, None) => (PowerValue::Fed, Basis::Fed),
        (Feeds::AllOff | Feeds::Unknown | Feeds::None, None) => (PowerValue::Unknown, Basis::Nothing),
    };
    let updating_at = updating_at(&paths, context, before);
    let mut flags = flags(&paths, feeds, value, mismatch, context, before);
    flags.extend(updating_at.map(|_| PowerFlag::FirmwareUpdate));
    let checked_at = told_at(&paths, basis);
    let confidence = confidence(&paths, (value, basis), mismatch, checked_at, context);
    let since =
        if value == before.value && before.since.is_some() { before.since } else { Some(context.now) };
    let idle_watts = idle_watts(&paths, feeds, known.map(|(value, _)| value), context, before);
    ServerPower { value, confidence, flags, since, checked_at, idle_watts, dark_since, updating_at, paths }
}

/// What a value rests on.
#[derive(Debug, Clone, Copy)]
enum Basis {
    /// A controller said so then.
    Controller(Option<DateTime<Utc>>),
    /// Every outlet was read off.
    Dark,
    /// An outlet was read on.
    Fed,
    /// All that feed it together deliver what it draws while it runs.
    Draw,
    /// No path told of it.
    Nothing,
}

/// When the paths that the value rests on told so. Where it takes all of them, the oldest word counts.
fn told_at(paths: &[PathEvidence], basis: Basis) -> Option<DateTime<Utc>> {
    let of =
        |state| paths.iter().filter(move |path| path.state == Some(state)).filter_map(|path| path.checked_at);
    match basis {
        Basis::Controller(at) => at,
        Basis::Dark => of(PathState::FeedOff).min(),
        Basis::Fed => of(PathState::FeedOn).max(),
        Basis::Draw => of(PathState::FeedOn).min(),
        Basis::Nothing => {
            paths.iter().filter(|path| path.state.is_some()).filter_map(|path| path.checked_at).max()
        }
    }
}

/// A machine that is off draws its standby power only: far less than this part of what it idles at.
const RUNS_FROM: f64 = 0.6;

/// What was learnt too low (a meter's hiccup) is forgotten by this factor per look.
const FORGETTING: f64 = 1.001;

fn draws_as_if_on(paths: &[PathEvidence], before: &ServerPower) -> bool {
    let (drawn, _) = drawn(paths);
    before.idle_watts.is_some_and(|idle| drawn > idle * RUNS_FROM)
}

/// Adds up what the outlets that feed deliver; says whether each of them is metered.
fn drawn(paths: &[PathEvidence]) -> (f64, bool) {
    let feeding = || paths.iter().filter(|path| path.state == Some(PathState::FeedOn));
    (feeding().filter_map(|path| path.watts).sum(), feeding().all(|path| path.watts.is_some()))
}

/// Learns the least draw of the running machine. Not before it has run for a while: outlets are read less
/// often than the controller, and their watts may still be those of a machine that was off.
fn idle_watts(
    paths: &[PathEvidence],
    feeds: Feeds,
    controller: Option<PowerValue>,
    context: &Context,
    before: &ServerPower,
) -> Option<f64> {
    let known = before.idle_watts;
    let runs = controller == Some(PowerValue::On) && before.value == PowerValue::On;
    let settled = before.since.is_some_and(|since| context.now - since >= context.stale_after);
    let (watts, metered) = drawn(paths);
    if !(runs && settled && feeds == Feeds::AllOn && metered && watts > 0.0) {
        return known;
    }
    Some(known.map_or(watts, |idle| watts.min(idle * FORGETTING)))
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

fn feeds_read(paths: &[PathEvidence]) -> impl Iterator<Item = DateTime<Utc>> {
    paths.iter().filter(|path| path.role == Role::Feed).filter_map(|path| path.checked_at)
}

/// When the outlets were first read off together. A machine may have been off long before that.
fn dark_since(paths: &[PathEvidence], feeds: Feeds, before: &ServerPower) -> Option<DateTime<Utc>> {
    if feeds == Feeds::AllOff { before.dark_since.or(feeds_read(paths).max()) } else { None }
}

fn mismatch(paths: &[PathEvidence], dark_since: Option<DateTime<Utc>>, context: &Context) -> bool {
    if context.mismatch_seen {
        return true;
    }
    if !context.feeds_complete {
        return false;
    }
    // Dark when it answered, and dark still: outlets that came on in between prove nothing.
    let answered = controller(paths).and_then(|(_, at)| at);
    match (dark_since, answered, feeds_read(paths).min()) {
        (Some(dark), Some(answered), Some(still)) => answered - dark >= context.hold_up && still >= answered,
        (None, _, _) | (_, None, _) | (_, _, None) => false,
    }
}

fn flags(
    paths: &[PathEvidence],
    feeds: Feeds,
    value: PowerValue,
    mismatch: bool,
    context: &Context,
    before: &ServerPower,
) -> Vec<PowerFlag> {
    let mut flags = Vec::new();
    let one_dark = paths.iter().any(|path| path.state == Some(PathState::FeedOff));
    let feeds_on = !matches!(feeds, Feeds::None | Feeds::AllOff);
    if one_dark && feeds_on && value != PowerValue::Off {
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
    // Silence after another BMC answered does not make it the right one again.
    let unseen = before.flags.contains(&PowerFlag::IdentityMismatch) && controller(paths).is_none();
    if paths.iter().any(other) || unseen {
        flags.push(PowerFlag::IdentityMismatch);
    }
    let stays_off = paths.iter().any(|path| path.restore_policy == Some(RestorePolicy::AlwaysOff));
    if stays_off && context.fallback_enabled && context.feeds_complete && feeds != Feeds::None {
        flags.push(PowerFlag::StaysOffAfterFeed);
    }
    flags
}

/// When a controller last said that its firmware is being written. Silence and refusals are part of that: it ends
/// with a state that is read later, or after so long that the board must have died of it.
fn updating_at(paths: &[PathEvidence], context: &Context, before: &ServerPower) -> Option<DateTime<Utc>> {
    let controllers = || paths.iter().filter(|path| path.role == Role::Controller);
    let says_so =
        |path: &&PathEvidence| path.fault.as_ref().is_some_and(|fault| fault.code == FaultCode::Updating);
    let said = controllers().find(says_so).map(|path| path.checked_at.unwrap_or(context.now));
    // A path that refuses for a reason of its own tells nothing of the update; one that is silent may be in it.
    let is_silent = controllers().any(|path| {
        let code = path.fault.as_ref().map(|fault| fault.code);
        matches!(code, Some(FaultCode::Unreach | FaultCode::Lost | FaultCode::Busy))
    });
    let is_over = |at: DateTime<Utc>| {
        let later = |path: &PathEvidence| path.state.is_some() && path.checked_at > Some(at);
        !is_silent && controllers().any(|path| path.fault.is_none() && later(path))
    };
    let known = said.or(before.updating_at.filter(|at| !is_over(*at)));
    known.filter(|at| context.now - *at <= context.firmware_update)
}

fn confidence(
    paths: &[PathEvidence],
    (value, basis): (PowerValue, Basis),
    mismatch: bool,
    checked_at: Option<DateTime<Utc>>,
    context: &Context,
) -> Confidence {
    let fresh = |at| is_fresh(at, context);
    if !fresh(checked_at) || mismatch || value == PowerValue::Unknown {
        return Confidence::Low;
    }
    // A BMC without power cannot but be silent. One that refuses has power.
    let cannot_tell = |path: &PathEvidence| {
        let refuses = path.fault.as_ref().is_some_and(|fault| {
            !matches!(fault.code, FaultCode::Unreach | FaultCode::Lost | FaultCode::Exec)
        });
        matches!(basis, Basis::Dark) && path.role == Role::Controller && !refuses
    };
    let is_silent =
        |path: &PathEvidence| path.state.is_none() || path.fault.is_some() || !fresh(path.checked_at);
    let silent = paths.iter().any(|path| is_silent(path) && !cannot_tell(path));
    if silent || value == PowerValue::Fed { Confidence::Medium } else { Confidence::High }
}

fn is_fresh(at: Option<DateTime<Utc>>, context: &Context) -> bool {
    at.is_some_and(|at| context.now - at <= context.stale_after)
}
