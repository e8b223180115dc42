//! The sentences in which a run ends.

use rackhand_wire::{
    Fault, PowerAction, PowerValue,
    api::{
        job::{JobState, Proof},
        power::Via,
    },
    power::RestorePolicy,
};

use super::{
    controller::Goal,
    effect::Verdict,
    feeds,
    plan::{Plan, Refusal},
};

pub(super) fn reached(
    plan: &Plan,
    action: PowerAction,
    goal: Goal,
    written: bool,
    dead: &[usize],
) -> Verdict {
    let (value, what) = match goal {
        Goal::On => (PowerValue::On, "on"),
        Goal::Off | Goal::Shutdown => (PowerValue::Off, "off"),
        Goal::Reset | Goal::Nmi => (PowerValue::On, "on after the reset"),
    };
    let summary = match (action, written) {
        (PowerAction::Cycle, true) => "Off was proven, then on: the controller reads on.".to_owned(),
        (_, true) => format!("The controller reads {what}."),
        (_, false) => format!("It was {what} already; nothing was sent."),
    };
    if dead.is_empty() {
        return Verdict::new(JobState::Succeeded, "done", summary).proof(Proof::Controller, value);
    }
    let summary = format!("{summary} {} could not be switched on: redundancy is lost.", labels(plan, dead));
    Verdict::new(JobState::SucceededDegraded, "feed_missing", summary).proof(Proof::Controller, value).alarm()
}

pub(super) fn acknowledged(label: &str) -> Verdict {
    Verdict::new(
        JobState::Succeeded,
        "acknowledged",
        format!("{label} accepted it; there is no state to read."),
    )
    .proof(Proof::Acknowledged, PowerValue::On)
}

pub(super) fn is_off(action: PowerAction) -> Verdict {
    let summary = format!("The server is off, so “{}” does nothing.", action.title());
    Verdict { value: Some(PowerValue::Off), ..Verdict::new(JobState::Failed, "server_is_off", summary) }
}

pub(super) fn soft_timeout(deadline_ms: u64) -> Verdict {
    let summary = format!(
        "The operating system did not shut down within {} s. The server still runs.",
        deadline_ms.div_ceil(1000)
    );
    Verdict { value: Some(PowerValue::On), ..Verdict::new(JobState::Failed, "soft_timeout", summary) }
}

pub(super) fn failed(label: &str, goal: Goal, fault: &Fault, sent: Sent) -> Verdict {
    let (state, summary) = match sent {
        Sent::Nothing => (unsent(fault), format!("{label}: {fault}. Nothing was sent.")),
        // Whatever is refused now, a copy before it may have been carried out.
        Sent::Goal(_) => {
            (JobState::Indeterminate, format!("{label} failed after “{}” was sent: {fault}.", word(goal)))
        }
        Sent::Before(_) => (JobState::Failed, format!("{label}: {fault}.")),
        Sent::Earlier(_) | Sent::Feeds => (
            JobState::Failed,
            format!("{label}: {fault}. “{}” was not sent; what came before stands.", word(goal)),
        ),
    };
    Verdict::new(state, fault.code.code(), summary).fault(fault)
}

/// What becomes of a verdict when the off of a cycle was proven before: the server is left off, which is neither
/// nothing nor all.
pub(super) fn after_off(verdict: Verdict) -> Verdict {
    let (state, value, alarm, head) = match verdict.state {
        JobState::Failed | JobState::Expired => {
            let head = "Off was proven, but on did not follow: the server is off.";
            (JobState::FailedPartial, Some(PowerValue::Off), true, head)
        }
        JobState::Indeterminate => {
            let head = "Off was proven; whether on followed is not known.";
            (JobState::Indeterminate, verdict.value, true, head)
        }
        JobState::Queued
        | JobState::Running
        | JobState::Succeeded
        | JobState::SucceededDegraded
        | JobState::FailedPartial
        | JobState::Cancelled => return verdict,
    };
    Verdict { state, value, alarm, summary: format!("{head} {}", verdict.summary), ..verdict }
}

pub(super) fn no_effect(label: &str, goal: Goal) -> Verdict {
    let (summary, value) = match goal {
        Goal::On => ("acknowledged “on”, but the server stays off", PowerValue::Off),
        Goal::Off | Goal::Shutdown => ("acknowledged “off”, but the server stays on", PowerValue::On),
        Goal::Reset | Goal::Nmi => ("acknowledged the reset, but the server is off", PowerValue::Off),
    };
    let verdict = Verdict::new(JobState::Failed, "no_effect", format!("{label} {summary}."));
    Verdict { value: Some(value), ..verdict }
}

pub(super) fn unclear(label: &str, goal: Goal, fault: &Fault) -> Verdict {
    let summary = format!(
        "“{}” was sent to {label}, but whether it happened could not be found out: {fault}.",
        word(goal)
    );
    Verdict::new(JobState::Indeterminate, "outcome_unknown", summary).fault(fault).alarm()
}

/// A person stopped it before it began.
#[must_use]
pub fn withdrawn() -> Verdict {
    cancelled(Sent::Nothing, false)
}

/// What had been sent when a person's wish to stop was heard.
#[derive(Clone, Copy)]
pub(super) enum Sent {
    Nothing,
    /// The command of the goal that was under way.
    Goal(Goal),
    /// The same to a controller before this one, which was read not to have carried it out and fell silent.
    Before(Goal),
    /// That of an earlier goal; none of the present one.
    Earlier(PowerAction),
    /// Missing feeds were switched on; the controller was sent nothing.
    Feeds,
}

pub(super) fn cancelled(sent: Sent, off_proven: bool) -> Verdict {
    let (summary, value) = match sent {
        Sent::Nothing => ("Stopped before anything was sent.".to_owned(), None),
        Sent::Goal(Goal::On) | Sent::Before(Goal::On) if off_proven => {
            ("Stopped after off was proven and “on” was sent; its effect was not awaited.".to_owned(), None)
        }
        Sent::Goal(Goal::Off) | Sent::Earlier(_) | Sent::Feeds if off_proven => {
            ("Stopped after off was proven; the server is off.".to_owned(), Some(PowerValue::Off))
        }
        Sent::Goal(goal) | Sent::Before(goal) => {
            (format!("Stopped after “{}” was sent; its effect was not awaited.", word(goal)), None)
        }
        Sent::Feeds => (
            "Stopped after missing feeds were told to switch on; the controller was sent nothing.".to_owned(),
            None,
        ),
        Sent::Earlier(action) => {
            (format!("Stopped after “{}” was sent; its effect was not awaited.", action.title()), None)
        }
    };
    Verdict { value, ..Verdict::new(JobState::Cancelled, "cancelled", summary) }
}

pub(super) fn no_path(plan: &Plan) -> Verdict {
    let summary = if plan.controllers.is_empty() && plan.outlets.is_empty() {
        "No connection of this server has power ticked."
    } else {
        "No path of this server can do this."
    };
    Verdict::new(JobState::Failed, "no_path", summary)
}

pub(super) fn outlets_cannot(action: PowerAction) -> Verdict {
    let summary = format!("Outlets cannot stand in for “{}”.", action.title());
    Verdict::new(JobState::Failed, "no_outlet_equivalent", summary)
}

pub(super) fn no_fallback(label: &str, fault: &Fault, refusal: &Refusal) -> Verdict {
    let summary = format!("{label}: {fault}. No fallback to the outlets: {}", refusal.sentence);
    Verdict::new(JobState::Failed, &refusal.code, summary).fault(fault)
}

/// What becomes of a verdict when a command was lost before: it was read that it was not carried out, but nobody can
/// look whether that is still so.
pub(super) fn may_come(verdict: Verdict, goal: Goal) -> Verdict {
    match verdict.state {
        JobState::Failed | JobState::Expired => {}
        JobState::Queued
        | JobState::Running
        | JobState::Succeeded
        | JobState::SucceededDegraded
        | JobState::FailedPartial
        | JobState::Indeterminate
        | JobState::Cancelled => return verdict,
    }
    let summary = format!(
        "{} “{}” was sent before, and its answer was lost: it was read as not done, and may be carried out yet.",
        verdict.summary,
        word(goal)
    );
    let (state, reason) = (JobState::Indeterminate, "outcome_unknown".to_owned());
    Verdict { state, reason, summary, value: None, alarm: true, ..verdict }
}

pub(super) fn cut_refused(refusal: &Refusal) -> Verdict {
    Verdict::new(JobState::Failed, &refusal.code, refusal.sentence.clone())
}

pub(super) fn already_fed(plan: &Plan) -> Verdict {
    let summary = match (plan.controllers.is_empty(), plan.action.via) {
        (true, _) => "Every outlet is on already.",
        (false, Via::Outlets) => {
            "Every outlet is on already: nothing was switched, and the controller was not asked."
        }
        (false, Via::Auto) => {
            "Every outlet is on already, and the controller does not answer. A power cycle would restart both."
        }
    };
    let state = if plan.controllers.is_empty() { JobState::Succeeded } else { JobState::Failed };
    let verdict = Verdict::new(state, "feeds_already_on", summary);
    if state == JobState::Succeeded { verdict.proof(Proof::Feeds, PowerValue::Fed) } else { verdict }
}

/// A server that nothing but its outlets can tell of.
pub(super) fn by_feeds(plan: &Plan, action: PowerAction, dead: &[usize]) -> Verdict {
    let head = done_by_outlets(plan, action, dead);
    let summary = format!("{head} The server is fed; whether it runs cannot be asked.");
    degraded_or(dead, summary).proof(Proof::Feeds, PowerValue::Fed)
}

/// What is known of the server at the moment when its outlets were cut.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Was {
    /// The controller had read off.
    Off,
    NotKnown,
}

/// The outlets did it and the controller does not tell what became of the server.
pub(super) fn fed_alone(
    plan: &Plan,
    action: PowerAction,
    dead: &[usize],
    was: Was,
    fault: Option<&Fault>,
) -> Verdict {
    let head = done_by_outlets(plan, action, dead);
    let silence = match fault {
        None => "The controller is still silent".to_owned(),
        Some(fault) => format!("The controller cannot be asked ({fault})"),
    };
    let remains = remains(plan, was);
    let proven = if was == Was::Off { "Off was proven. " } else { "" };
    let summary = format!(
        "{proven}{head} {silence}: the server is fed, whether it runs is not known.{}",
        remains.sentence
    );
    let verdict = degraded_or(dead, summary).proof(Proof::Feeds, PowerValue::Fed);
    if remains.likely_off { verdict.alarm() } else { verdict }
}

/// What is left for a person when feeds returned and the controller does not tell what came of it.
struct Remains {
    sentence: String,
    /// Nothing is known to start the server.
    likely_off: bool,
}

fn remains(plan: &Plan, was: Was) -> Remains {
    let (likely_off, what) = match (plan.restore_policy, was) {
        (Some(RestorePolicy::AlwaysOn), _) => (false, "Its restore policy starts it."),
        (Some(RestorePolicy::AlwaysOff), _) => {
            (true, "Its restore policy keeps it off when its feeds return: press its power button.")
        }
        (Some(RestorePolicy::Previous), Was::Off) => {
            (true, "It was off before, and its restore policy leaves it so: press its power button.")
        }
        (None, Was::Off) => {
            (true, "It was off before: unless its restore policy starts it, press its power button.")
        }
        (Some(RestorePolicy::Previous), Was::NotKnown) => {
            (false, "If it was off before, its restore policy leaves it so: press its power button.")
        }
        (None, Was::NotKnown) => (false, "If its restore policy is to stay off, press its power button."),
    };
    let metered = if plan.draw_known {
        " Its outlets are metered: it shows on once it draws what it draws while it runs."
    } else {
        ""
    };
    Remains { sentence: format!(" {what}{metered}"), likely_off }
}

/// The controller is back and could not bring the server on.
pub(super) fn fed_and_off(plan: &Plan, action: PowerAction, dead: &[usize]) -> Verdict {
    let head = done_by_outlets(plan, action, dead);
    let summary = format!("{head} The controller is back and was told “on”, but the server stays off.");
    let state = if action == PowerAction::On { JobState::Failed } else { JobState::FailedPartial };
    Verdict { value: Some(PowerValue::Off), ..Verdict::new(state, "no_effect", summary).alarm() }
}

pub(super) fn fed_and_on(plan: &Plan, action: PowerAction, dead: &[usize]) -> Verdict {
    let summary = format!("{} The controller is back and reads on.", done_by_outlets(plan, action, dead));
    degraded_or(dead, summary).proof(Proof::Controller, PowerValue::On)
}

/// A person did not want to wait for the controller; the feeds are on again as far as they can be.
pub(super) fn stopped_starting(plan: &Plan, action: PowerAction, dead: &[usize], was: Was) -> Verdict {
    let head = done_by_outlets(plan, action, dead);
    let remains = remains(plan, was).sentence;
    let summary = format!(
        "Stopped by a person. {head} The controller was not awaited: whether it runs is not known.{remains}"
    );
    let verdict = match dead {
        [] => Verdict::new(JobState::Cancelled, "cancelled", summary),
        _ => Verdict::new(JobState::SucceededDegraded, "feed_missing", summary).alarm(),
    };
    verdict.proof(Proof::Feeds, PowerValue::Fed)
}

fn degraded_or(dead: &[usize], summary: String) -> Verdict {
    if dead.is_empty() {
        Verdict::new(JobState::Succeeded, "done_by_outlets", summary)
    } else {
        Verdict::new(JobState::SucceededDegraded, "feed_missing", summary).alarm()
    }
}

fn done_by_outlets(plan: &Plan, action: PowerAction, dead: &[usize]) -> String {
    let all = plan.outlets.len();
    let what = match action {
        PowerAction::Cycle => "cut and switched on again",
        PowerAction::On
        | PowerAction::Off
        | PowerAction::Shutdown
        | PowerAction::Reset
        | PowerAction::Nmi => "switched on",
    };
    if dead.is_empty() {
        return format!("{} {what}.", all_feeds(all));
    }
    format!("{} of {all} feeds are on; {} is not: redundancy is lost.", all - dead.len(), names(plan, dead))
}

fn all_feeds(count: usize) -> String {
    match count {
        1 => "The only feed was".into(),
        2 => "Both feeds were".into(),
        more => format!("All {more} feeds were"),
    }
}

pub(super) fn dark(count: usize) -> Verdict {
    Verdict::new(JobState::Succeeded, "done_by_outlets", format!("{} read off.", all_feeds(count)))
        .proof(Proof::Feeds, PowerValue::Off)
}

pub(super) fn nothing_feeds(goal: feeds::Goal) -> Verdict {
    let summary = "Not one outlet could be read on: they do not tell that the server has power.";
    let state = match goal {
        feeds::Goal::On | feeds::Goal::Look => JobState::Failed,
        feeds::Goal::Off | feeds::Goal::Cycle => JobState::FailedPartial,
    };
    Verdict::new(state, "nothing_feeds", summary).alarm()
}

pub(super) fn feeds_refused(
    plan: &Plan,
    outlet: usize,
    why: &str,
    fault: Option<&Fault>,
    written: bool,
) -> Verdict {
    let label = labels(plan, &[outlet]);
    let nothing = if written { "Nothing more was switched." } else { "Nothing was switched." };
    let summary = match fault {
        Some(fault) => format!("{label} was not switched because {why} ({fault}). {nothing}"),
        None => format!("{label} cannot be switched: {why}. {nothing}"),
    };
    let state = fault.filter(|_| !written).map_or(JobState::Failed, unsent);
    let verdict = Verdict::new(state, "outlet_not_ready", summary);
    match fault {
        Some(fault) => verdict.fault(fault),
        None => verdict,
    }
}

pub(super) fn restored(
    plan: &Plan,
    culprit: Option<usize>,
    why: &str,
    stranded: &[usize],
    cancelled: bool,
    is_off: bool,
) -> Verdict {
    let head = match culprit {
        Some(outlet) => format!("{} could not be cut: {why}.", labels(plan, &[outlet])),
        None if cancelled && is_off => {
            "Stopped by a person after off was proven; the server is off.".to_owned()
        }
        None if cancelled => "Stopped by a person.".to_owned(),
        None => format!("The cut could not be kept: {why}."),
    };
    if !stranded.is_empty() {
        let summary = format!("{head} {} could not be read on again.", labels(plan, stranded));
        return Verdict::new(JobState::FailedPartial, "feeds_stranded", summary).alarm();
    }
    let summary = format!("{head} Every feed is on again.");
    if cancelled {
        let value = is_off.then_some(PowerValue::Off);
        Verdict { value, ..Verdict::new(JobState::Cancelled, "cancelled", summary) }
    } else {
        Verdict::new(JobState::Failed, "feeds_restored", summary)
    }
}

/// All feeds were off for a while: whatever was put back, the server may have lost power.
pub(super) fn after_darkness(verdict: Verdict) -> Verdict {
    let state = if verdict.state == JobState::Failed { JobState::FailedPartial } else { verdict.state };
    let summary = format!("{} The server may have lost power meanwhile.", verdict.summary);
    Verdict { state, alarm: true, summary, ..verdict }
}

/// How a job ends of which nothing was sent: what waited too long for its agent has expired.
fn unsent(fault: &Fault) -> JobState {
    if fault.never_begun() { JobState::Expired } else { JobState::Failed }
}

/// It had to begin within a time.
#[must_use]
pub fn overdue(limit_ms: u64) -> Verdict {
    let limit = match limit_ms {
        ms if ms < 10_000 => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
        ms if ms % 60_000 == 0 => format!("{} min", ms / 60_000),
        ms => format!("{} s", ms / 1000),
    };
    let summary = format!("It had to begin within {limit} and could not. Nothing was sent.");
    Verdict::new(JobState::Expired, "expired", summary)
}

/// Names outlets at the beginning of a sentence.
fn labels(plan: &Plan, outlets: &[usize]) -> String {
    let mut names = names(plan, outlets);
    if let Some(first) = names.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    names
}

/// Names outlets.
fn names(plan: &Plan, outlets: &[usize]) -> String {
    let paths = outlets.iter().filter_map(|&outlet| plan.outlets.get(outlet));
    let labels: Vec<&str> = paths.map(|path| path.label.as_str()).collect();
    match labels.split_last() {
        None => String::new(),
        Some((last, [])) => (*last).to_owned(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
    }
}

fn word(goal: Goal) -> &'static str {
    match goal {
        Goal::On => "on",
        Goal::Off => "off",
        Goal::Reset => "reset",
        Goal::Nmi => "NMI",
        Goal::Shutdown => "shut down",
    }
}
