//! Deletes the objects that nobody needs any more. Whoever holds the lease does so, beside its renewals.

use super::shelf::Shelf;
use crate::clock::Clock;
use littoral_model::position::Epoch;
use parking_lot::Mutex;
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// Objects deleted after one renewal, at most.
const DELETES_MAX: usize = 16;

/// What is to be deleted, and when.
pub(super) struct Sweep {
    shelf: Arc<Shelf>,
    clock: Clock,
    keep: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Objects that have a successor, and when that was first known here.
    superseded: BTreeMap<u64, Duration>,
    /// The epoch at whose beginning the objects of holders before were last looked for.
    listed: Option<Epoch>,
    running: bool,
}

impl Sweep {
    pub(super) fn new(shelf: Arc<Shelf>, clock: Clock, keep: Duration) -> Self {
        Self { shelf, clock, keep, state: Mutex::default() }
    }

    /// This process has just put `slot` there. Deletes what is due, in the background and one sweep at a time: deleting is
    /// never worth a delay of a renewal.
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

    /// Learns of objects that others have left.
    fn list(&self, below: u64) -> bool {
        let Ok(slots) = self.shelf.list() else { return false };
        let now = (self.clock)();
        let mut state = self.state.lock();
        for slot in slots.into_iter().filter(|slot| *slot < below) {
            state.superseded.entry(slot).or_insert(now);
        }
        true
    }

    fn delete(&self) {
        let now = (self.clock)();
        let due: Vec<u64> = {
            let state = self.state.lock();
            let due = state.superseded.iter().filter(|(_, at)| now.saturating_sub(**at) > self.keep);
            due.map(|(slot, _)| *slot).take(DELETES_MAX).collect()
        };
        for slot in due {
            // What could not be deleted stays in the list, and so is tried again.
            if self.shelf.delete(slot).is_err() {
                return;
            }
            self.state.lock().superseded.remove(&slot);
        }
    }
}
