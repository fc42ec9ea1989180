//! The judge: every acknowledged write in order, in plain maps, written without a line of the product's merging.

use littoral_model::{position::Lsn, view::ViewId};
use std::{collections::BTreeMap, time::Duration};

/// A write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Its record.
    pub lsn: Lsn,
    /// The view.
    pub view: ViewId,
    /// The key.
    pub key: Vec<u8>,
    /// The values; `None` for a deletion.
    pub body: Option<Vec<u8>>,
    /// When its event happened.
    pub event_time: i64,
    /// The leader's clock reading.
    pub hlc: u64,
    /// When it was acknowledged, in the world's time.
    pub at: Duration,
}

/// The writes of one life of the log.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// By record, dense from the first.
    pub commits: Vec<Commit>,
    /// Which commit has won a key, from which record on.
    winners: BTreeMap<(u32, Vec<u8>), Vec<usize>>,
}

impl History {
    /// Another write.
    pub fn push(&mut self, commit: Commit) {
        let index = self.commits.len();
        let winners = self.winners.entry((commit.view.0, commit.key.clone())).or_default();
        let wins = winners.last().is_none_or(|last| {
            let last = &self.commits[*last];
            (commit.event_time, commit.hlc) > (last.event_time, last.hlc)
        });
        if wins {
            winners.push(index);
        }
        self.commits.push(commit);
    }

    /// The last record.
    #[must_use]
    pub fn head(&self) -> Lsn {
        self.commits.last().map_or(Lsn::NONE, |commit| commit.lsn)
    }

    /// What a key is as of a record.
    #[must_use]
    pub fn at(&self, view: ViewId, key: &[u8], lsn: Lsn) -> Option<&Commit> {
        let winners = self.winners.get(&(view.0, key.to_vec()))?;
        winners.iter().rev().map(|index| &self.commits[*index]).find(|commit| commit.lsn <= lsn)
    }

    /// What a key has been since it was what it is as of `lsn`, oldest first.
    pub fn since(&self, view: ViewId, key: &[u8], lsn: Lsn) -> Vec<Option<&Commit>> {
        let mut states = vec![self.at(view, key, lsn)];
        if let Some(winners) = self.winners.get(&(view.0, key.to_vec())) {
            states.extend(winners.iter().map(|index| &self.commits[*index]).filter(|c| c.lsn > lsn).map(Some));
        }
        states
    }

    /// The last record that was acknowledged before `time`.
    #[must_use]
    pub fn acknowledged_before(&self, time: Duration) -> Lsn {
        let count = self.commits.partition_point(|commit| commit.at < time);
        count.checked_sub(1).map_or(Lsn::NONE, |index| self.commits[index].lsn)
    }
}
