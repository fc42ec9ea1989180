//! Deletes superseded claims. The holder of the lease does so after its renewals.

use super::claim_dir::ClaimDir;
use crate::clock::Clock;
use littoral_model::position::Epoch;
use parking_lot::Mutex;
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// How many files are deleted after one renewal.
const DELETES_MAX: usize = 16;

/// The files to delete, and when.
pub(super) struct Sweep {
    claims: Arc<ClaimDir>,
    clock: Clock,
    keep: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Files that have a successor, and when this process first knew that.
    superseded: BTreeMap<u64, Duration>,
    /// The epoch at whose beginning the files of earlier holders were last listed.
    listed: Option<Epoch>,
    running: bool,
}

impl Sweep {
    pub(super) fn new(claims: Arc<ClaimDir>, clock: Clock, keep: Duration) -> Self {
        Self { claims, clock, keep, state: Mutex::default() }
    }

    /// Notes that this process has just created `slot`. Deletes files that are due, in the background and one sweep at
    /// a time, so that deleting never delays a renewal.
    pub(super) fn superseded(sweep: &Arc<Self>, slot: u64, epoch: Epoch, now: Duration) {
        let list_below = {
            let mut state = sweep.state.lock();
            state.superseded.insert(slot.saturating_sub(1), now);
            if state.running {
                return;
            }
            state.running = true;
            (state.listed != Some(epoch)).then_some(slot)
        };
        let sweep = sweep.clone();
        tokio::task::spawn_blocking(move || {
            if let Some(below) = list_below
                && sweep.list(below)
            {
                sweep.state.lock().listed = Some(epoch);
            }
            sweep.delete();
            sweep.state.lock().running = false;
        });
    }

    /// Adds the files that earlier holders have left. Returns whether the directory could be listed.
    fn list(&self, below: u64) -> bool {
        let Ok(slots) = self.claims.list() else { return false };
        let now = (self.clock)();
        let mut state = self.state.lock();
        for slot in slots.into_iter().filter(|slot| *slot < below) {
            state.superseded.entry(slot).or_insert(now);
        }
        true
    }

    /// Deletes files that are due, up to a bound.
    fn delete(&self) {
        let now = (self.clock)();
        let due: Vec<u64> = {
            let state = self.state.lock();
            let due = state.superseded.iter().filter(|(_, at)| now.saturating_sub(**at) > self.keep);
            due.map(|(slot, _)| *slot).take(DELETES_MAX).collect()
        };
        for slot in due {
            // A file that could not be deleted stays in the list, so this is retried.
            if self.claims.delete(slot).is_err() {
                return;
            }
            self.state.lock().superseded.remove(&slot);
        }
    }
}
