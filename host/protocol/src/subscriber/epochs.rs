//! The newest epochs that were seen, by log: who was replaced is refused, also after another log was followed in between.

use littoral_model::position::{Epoch, Incarnation};

/// Logs that are remembered: those that were followed last. More lives of a region's log than this do not go on at once.
const LOGS_MAX: usize = 16;

/// The newest epochs that were seen, by log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Epochs(Vec<(Incarnation, Epoch)>);

impl Epochs {
    /// The newest that was seen of this log.
    #[must_use]
    pub fn newest(&self, log: Incarnation) -> Option<Epoch> {
        self.0.iter().find(|(seen, _)| *seen == log).map(|(_, epoch)| *epoch)
    }

    /// This epoch was seen of the log that is followed now.
    pub fn seen(&mut self, log: Incarnation, epoch: Epoch) {
        if let Some((last, newest)) = self.0.last_mut()
            && *last == log
        {
            *newest = epoch.max(*newest);
            return;
        }
        let epoch = self.newest(log).unwrap_or_default().max(epoch);
        self.0.retain(|(seen, _)| *seen != log);
        if self.0.len() >= LOGS_MAX {
            self.0.remove(0);
        }
        self.0.push((log, epoch));
    }
}

impl From<Option<(Incarnation, Epoch)>> for Epochs {
    fn from(seen: Option<(Incarnation, Epoch)>) -> Self {
        Self(seen.into_iter().collect())
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
