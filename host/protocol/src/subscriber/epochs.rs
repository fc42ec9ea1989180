//! The newest epochs that were seen, by log: who was replaced is refused, also after another log was followed in between.

use super::Violation;
use littoral_model::{
    lives::Lives,
    position::{Epoch, Incarnation},
};

/// Logs that are remembered: those that were followed last. More lives of a region's log than this do not go on at once.
const LOGS_MAX: usize = 16;

/// The newest epochs that were seen, by life, and the histories of the logs that were followed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Epochs {
    newest: Vec<(Incarnation, Epoch)>,
    followed: Vec<Lives>,
    /// The life whose publisher was refused last, as a later one had been seen.
    ended: Option<Incarnation>,
}

impl Epochs {
    /// The newest that was seen of this log.
    #[must_use]
    pub fn newest(&self, log: Incarnation) -> Option<Epoch> {
        self.newest.iter().find(|(seen, _)| *seen == log).map(|(_, epoch)| *epoch)
    }

    /// A log with this history is followed now. Copies of it that went on apart are remembered too: one of their lives may be served
    /// still.
    pub fn followed(&mut self, lives: &Lives) {
        self.followed.retain(|known| !lives.lists(known.current()));
        if self.followed.len() >= LOGS_MAX {
            self.followed.remove(0);
        }
        self.followed.push(lives.clone());
    }

    /// Whether a log that was followed went on after the life that this one ends with: whoever serves it was replaced, or put back.
    #[must_use]
    pub fn went_on_after(&self, lives: &Lives) -> bool {
        self.followed.iter().any(|known| lives.is_past_of(known))
    }

    /// A publisher was refused for this.
    pub fn refused(&mut self, violation: &Violation) {
        if let Violation::PastLife { life } = violation {
            self.ended = Some(*life);
        }
    }

    /// The life whose publisher was refused last: its leader, if it leads still, must begin another.
    #[must_use]
    pub const fn ended(&self) -> Option<Incarnation> {
        self.ended
    }

    /// This epoch was seen of the log that is followed now.
    pub fn seen(&mut self, log: Incarnation, epoch: Epoch) {
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
    fn epochs_only_grow_and_the_logs_followed_last_are_remembered() {
        let log = |number| Incarnation(number);
        let mut epochs = Epochs::from(Some((log(1), Epoch(3))));
        epochs.seen(log(1), Epoch(2));
        epochs.seen(log(2), Epoch(1));
        assert_eq!((epochs.newest(log(1)), epochs.newest(log(2))), (Some(Epoch(3)), Some(Epoch(1))));
        epochs.seen(log(1), Epoch(4));
        for number in 10..10 + LOGS_MAX as u64 - 1 {
            epochs.seen(log(number), Epoch(1));
        }
        assert_eq!((epochs.newest(log(1)), epochs.newest(log(2))), (Some(Epoch(4)), None));
    }
}
