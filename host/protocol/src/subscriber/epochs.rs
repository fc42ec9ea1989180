//! The newest epochs seen, by log. A replaced leader is rejected even if another log was followed
//! in between.

use super::Violation;
use littoral_model::{
    lineage::Lineage,
    position::{Epoch, Incarnation},
};

/// The maximum number of logs remembered, the most recently followed ones. A region's log never
/// has more concurrent copies than this.
const LOGS_MAX: usize = 16;

/// The newest epochs seen, by life, and the lineages of the followed logs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Epochs {
    newest: Vec<(Incarnation, Epoch)>,
    followed: Vec<Lineage>,
    /// The last life whose publisher was rejected because a later life had been seen.
    ended: Option<Incarnation>,
}

impl Epochs {
    /// Returns the newest epoch seen of this life.
    #[must_use]
    pub fn newest(&self, log: Incarnation) -> Option<Epoch> {
        self.newest.iter().find(|(seen, _)| *seen == log).map(|(_, epoch)| *epoch)
    }

    /// Notes that a log with this lineage is followed now. Copies of it that continued separately
    /// stay remembered, because one of their lives may still be served.
    pub fn note_followed(&mut self, lineage: &Lineage) {
        self.followed.retain(|known| !lineage.lists(known.current()));
        if self.followed.len() >= LOGS_MAX {
            self.followed.remove(0);
        }
        self.followed.push(lineage.clone());
    }

    /// Returns whether a followed log has a later life than this lineage's last one. If so, the
    /// publisher was replaced, or its log was rolled back.
    #[must_use]
    pub fn continued_after(&self, lineage: &Lineage) -> bool {
        self.followed.iter().any(|known| lineage.is_past_of(known))
    }

    /// Notes that a publisher was rejected for this violation.
    pub fn note_rejected(&mut self, violation: &Violation) {
        if let Violation::PastLife { life } = violation {
            self.ended = Some(*life);
        }
    }

    /// Returns the last life whose publisher was rejected. Its leader, if it still leads, must
    /// begin another life.
    #[must_use]
    pub const fn ended(&self) -> Option<Incarnation> {
        self.ended
    }

    /// Notes that this epoch was seen in this life.
    pub fn note_seen(&mut self, log: Incarnation, epoch: Epoch) {
        if let Some((last, newest)) = self.newest.last_mut()
            && *last == log
        {
            *newest = epoch.max(*newest);
            return;
        }
        let epoch = self.newest(log).unwrap_or_default().max(epoch);
        self.newest.retain(|(seen, _)| *seen != log);
        if self.newest.len() >= LOGS_MAX {
            self.newest.remove(0);
        }
        self.newest.push((log, epoch));
    }
}

impl From<Option<(Incarnation, Epoch)>> for Epochs {
    fn from(seen: Option<(Incarnation, Epoch)>) -> Self {
        Self { newest: seen.into_iter().collect(), ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_only_grow_and_the_most_recent_logs_are_remembered() {
        let log = |number| Incarnation(number);
        let mut epochs = Epochs::from(Some((log(1), Epoch(3))));
        epochs.note_seen(log(1), Epoch(2));
        epochs.note_seen(log(2), Epoch(1));
        assert_eq!((epochs.newest(log(1)), epochs.newest(log(2))), (Some(Epoch(3)), Some(Epoch(1))));
        epochs.note_seen(log(1), Epoch(4));
        for number in 10..10 + LOGS_MAX as u64 - 1 {
            epochs.note_seen(log(number), Epoch(1));
        }
        assert_eq!((epochs.newest(log(1)), epochs.newest(log(2))), (Some(Epoch(4)), None));
    }
}
