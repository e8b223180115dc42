//! What a measurement comes to.

use serde_json::{Value, json};

/// One row of the table.
pub struct Figure {
    /// What was measured.
    pub name: String,
    /// Unit of ours, the peer's and the target's.
    pub unit: &'static str,
    /// Median of our runs.
    pub ours: f64,
    /// The peer, the median of its runs, and the median of the runs' ratios of theirs to ours.
    pub peer: Option<(&'static str, f64, f64)>,
    /// What it should be, for people.
    pub target: String,
    /// Whether it is; absent where nothing was promised.
    pub met: Option<bool>,
    /// What else one should know.
    pub note: String,
}

impl Figure {
    /// A figure that may be at most `target`.
    pub fn at_most(name: impl Into<String>, unit: &'static str, ours: &[f64], target: f64) -> Self {
        let ours = median(ours);
        let met = Some(ours <= target);
        Self {
            name: name.into(),
            unit,
            ours,
            peer: None,
            target: format!("≤ {target} {unit}"),
            met,
            note: String::new(),
        }
    }

    /// A figure that nothing was promised of.
    pub fn told(name: impl Into<String>, unit: &'static str, ours: &[f64]) -> Self {
        Self {
            name: name.into(),
            unit,
            ours: median(ours),
            peer: None,
            target: "–".into(),
            met: None,
            note: String::new(),
        }
    }

    /// Puts a peer beside it; `ours` and `theirs` are the runs, in the same order.
    pub fn beside(mut self, peer: &'static str, ours: &[f64], theirs: &[f64]) -> Self {
        let ratios: Vec<f64> = ours.iter().zip(theirs).map(|(ours, theirs)| theirs / ours).collect();
        self.peer = Some((peer, median(theirs), median(&ratios)));
        self
    }

    /// Asks for less than the peer takes, beside what is asked already.
    pub fn below_peer(mut self) -> Self {
        let Some((peer, _, ratio)) = self.peer else { return self };
        let word = format!("below {peer}");
        self.target = if self.met.is_some() { format!("{} and {word}", self.target) } else { word };
        self.met = Some(self.met.unwrap_or(true) && ratio > 1.0);
        self
    }

    /// Adds a note.
    pub fn noting(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }

    /// For the task that asked.
    pub fn json(&self) -> Value {
        let peer =
            self.peer.map(|(name, value, ratio)| json!({"name": name, "value": value, "ratio": ratio}));
        json!({
            "name": self.name, "unit": self.unit, "ours": self.ours, "peer": peer, "target": self.target,
            "met": self.met, "note": self.note,
        })
    }
}

/// The middle value; of an even count, the mean of the two in the middle.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { f64::midpoint(sorted[middle - 1], sorted[middle]) }
}

/// The value that `percent` of all do not exceed.
pub fn percentile(values: &[f64], percent: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rank within the list")]
    let rank = (percent / 100.0 * sorted.len() as f64).ceil() as usize;
    sorted[rank.clamp(1, sorted.len()) - 1]
}

/// The runs, from least to most, for a note.
pub fn spread(values: &[f64], digits: usize) -> String {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    format!("{least:.digits$} to {most:.digits$}")
}
