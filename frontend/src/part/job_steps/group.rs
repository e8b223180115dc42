//! Steps of one phase in a row read as one line with its effects below.

use rackhand_wire::api::job::{Step, StepOutcome};

use super::{effect_look, outcome_look};
use crate::part::{Tone, evidence::fault_word};

/// Consecutive steps of one phase that go through several paths.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// Position of the first.
    pub seq: u32,
    /// The phase, or the only step's title.
    pub title: String,
    steps: Vec<Step>,
}

/// Groups the steps on outlets by phase; the others stand alone, because each is a decision of its own.
pub fn grouped(steps: &[Step]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for step in steps {
        match groups.last_mut() {
            Some(group) if group.takes(step) => {
                group.steps.push(step.clone());
                group.title.clone_from(&step.phase);
            }
            Some(_) | None => {
                groups.push(Group { seq: step.seq, title: step.title.clone(), steps: vec![step.clone()] });
            }
        }
    }
    groups
}

impl Group {
    fn takes(&self, step: &Step) -> bool {
        // "Check feeds", "Cut feeds", "Restore feeds" are one act on several outlets.
        self.steps.last().is_some_and(|last| last.phase == step.phase)
            && step.phase.ends_with("feeds")
            && (step.path.is_some() || step.wait_ms.is_some())
    }

    /// When it began, in milliseconds since 1970.
    pub fn began(&self) -> i64 {
        self.steps.first().map_or(0, |step| step.started_at.timestamp_millis())
    }

    /// When all of it was over.
    pub fn ended(&self) -> Option<i64> {
        let ends: Option<Vec<_>> =
            self.steps.iter().map(|step| step.finished_at.map(|end| end.timestamp_millis())).collect();
        ends.and_then(|ends| ends.into_iter().max())
    }

    /// Until when it waits, while it does.
    pub fn wait(&self) -> Option<i64> {
        let step = self.steps.last().filter(|step| step.finished_at.is_none())?;
        step.wait_ms.map(|wait| step.started_at.timestamp_millis() + i64::try_from(wait).unwrap_or(i64::MAX))
    }

    /// Tone and shape: of what still runs, else of the worst.
    pub fn look(&self) -> (Option<Tone>, &'static str) {
        let worst =
            self.steps.iter().map(|step| step.outcome).max_by_key(|outcome| weight(*outcome)).flatten();
        // What was asked of a path last may have gone well and found that nothing has moved.
        let later =
            |step: &Step, at: usize| self.steps.iter().skip(at + 1).any(|other| other.path == step.path);
        let unmoved =
            self.steps.iter().enumerate().filter(|(at, step)| step.path.is_some() && !later(step, *at));
        let unmoved =
            unmoved.map(|(_, step)| effect_look(step)).find(|(tone, _)| *tone == Some(Tone::Degraded));
        unmoved.filter(|_| worst == Some(StepOutcome::Ok)).unwrap_or_else(|| outcome_look(worst))
    }

    /// What went wrong in the step that failed, in a word.
    pub fn fault(&self) -> Option<&'static str> {
        self.steps.iter().find_map(|step| step.fault).map(fault_word)
    }

    /// Why it was done, and for a step that stands alone what came back.
    pub fn why(&self) -> String {
        let mut words: Vec<&str> = Vec::new();
        words.extend(self.steps.first().map(|step| step.reason.as_str()));
        if let [only] = self.steps.as_slice() {
            words.push(&only.detail);
        }
        words.into_iter().filter(|word| !word.is_empty()).map(sentence).collect::<Vec<_>>().join(" ")
    }

    /// The steps as effects, when there are several. What was read again and again with the same answer
    /// is one effect, and the short waits between are none.
    pub fn effects(&self) -> Vec<Effect> {
        if self.steps.len() < 2 {
            return Vec::new();
        }
        let mut effects: Vec<Effect> = Vec::new();
        for step in self.steps.iter().filter(|step| step.wait_ms.is_none()) {
            match effects.last_mut() {
                Some(last) if last.repeats(step) => last.again(step),
                Some(_) | None => effects.push(Effect { step: step.clone(), times: 1 }),
            }
        }
        effects
    }
}

/// Something that was asked of one path, once or over and over.
#[derive(Debug, Clone, PartialEq)]
pub struct Effect {
    /// The first time, until the end of the last.
    pub step: Step,
    /// How often.
    pub times: usize,
}

impl Effect {
    fn repeats(&self, step: &Step) -> bool {
        let same = |step: &Step| (step.title.clone(), step.detail.clone(), step.outcome);
        same(&self.step) == same(step)
    }

    fn again(&mut self, step: &Step) {
        self.step.finished_at = step.finished_at;
        self.times += 1;
    }
}

fn sentence(words: &str) -> String {
    let mut letters = words.trim_end_matches('.').chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(letters).chain(['.']).collect()
}

fn weight(outcome: Option<StepOutcome>) -> u8 {
    match outcome {
        Some(StepOutcome::Ok) => 0,
        Some(StepOutcome::Unclear) => 1,
        Some(StepOutcome::Interrupted) => 2,
        Some(StepOutcome::Failed) => 3,
        None => 4,
    }
}
