use std::time::Duration;

/// What is under way: the transmissions of one step and when it is time to do something about them.
#[derive(Default)]
pub(super) struct Flight {
    sent: Vec<(u8, Duration)>,
    rounds: u32,
    began: Duration,
    until: Duration,
}

impl Flight {
    /// Starts a step: answers to what was sent before count no longer.
    pub fn reset(&mut self, now: Duration) {
        self.sent.clear();
        self.rounds = 0;
        self.began = now;
    }

    /// Starts counting rounds again, while late answers still count.
    pub fn reset_rounds(&mut self) {
        self.rounds = 0;
        // A tag comes round after 64 transmissions; what is older than half of that can be no answer.
        let surplus = self.sent.len().saturating_sub(32);
        self.sent.drain(..surplus);
    }

    pub fn note(&mut self, tag: u8, now: Duration) {
        self.sent.push((tag, now));
    }

    pub fn wait(&mut self, until: Duration) {
        self.rounds += 1;
        self.until = until;
    }

    pub fn hasten(&mut self, until: Duration) {
        self.until = self.until.min(until);
    }

    pub fn until(&self) -> Duration {
        self.until
    }

    pub fn began(&self) -> Duration {
        self.began
    }

    pub fn rounds(&self) -> u32 {
        self.rounds
    }

    /// When the transmission that `tag` answers was sent; `None` when it answers nothing of this step.
    pub fn sent_at(&self, tag: u8) -> Option<Duration> {
        self.sent.iter().rev().find(|(sent, _)| *sent == tag).map(|(_, at)| *at)
    }
}
