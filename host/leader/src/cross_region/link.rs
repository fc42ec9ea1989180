//! The connection to one other region's leader, as the rest of the leader uses it.

use arc_swap::ArcSwapOption;
use littoral_feed::client::CallClient;
use littoral_model::{position::Position, region::Region, status::RegionStatus, write::WriteError};
use parking_lot::Mutex;
use std::{sync::Arc, time::Instant};
use tokio::sync::{Notify, oneshot};

/// Requests for a whole snapshot that may wait for the follower at once.
const ASKS_MAX: usize = 64;

/// Answers a request for a whole snapshot of the region.
pub(crate) type Ask = oneshot::Sender<Result<(), WriteError>>;

#[derive(Debug, Default)]
pub(crate) struct Link {
    calls: ArcSwapOption<CallClient>,
    /// Notified when a request for a whole snapshot waits.
    pub(crate) asked: Notify,
    asks: Mutex<Vec<Ask>>,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    trouble: Option<String>,
    applied: Position,
    head: Position,
    /// The last time at which everything that the other leader had was here.
    level_at: Option<Instant>,
}

impl Link {
    /// Has the region's follower request a whole snapshot. Rejects the request if too many wait.
    pub(crate) fn ask_for_all(&self) -> oneshot::Receiver<Result<(), WriteError>> {
        let (done, answer) = oneshot::channel();
        let mut asks = self.asks.lock();
        asks.retain(|ask| !ask.is_closed());
        if asks.len() < ASKS_MAX {
            asks.push(done);
            self.asked.notify_one();
        } else {
            // A requester that is gone needs no answer.
            let _ = done.send(Err(WriteError::Overloaded));
        }
        answer
    }

    /// Removes and returns the requests that wait.
    pub(crate) fn asks(&self) -> Vec<Ask> {
        std::mem::take(&mut self.asks.lock())
    }

    /// Makes calls possible: the stream is open.
    pub(crate) fn connected(&self, calls: CallClient) {
        self.calls.store(Some(Arc::new(calls)));
        self.seen.lock().trouble = None;
    }

    pub(crate) fn lost(&self, reason: String) {
        self.calls.store(None);
        self.seen.lock().trouble = Some(reason);
    }

    /// Records that everything up to here is in our log and applied.
    pub(crate) fn applied_to(&self, applied: Position) {
        self.seen.lock().applied = applied;
    }

    pub(crate) fn applied(&self) -> Position {
        self.seen.lock().applied
    }

    /// Records the other leader's head when it sent what is now applied.
    pub(crate) fn heard(&self, head: Position) {
        let mut seen = self.seen.lock();
        seen.head = head;
        if seen.applied == head {
            seen.level_at = Some(Instant::now());
        }
    }

    pub(crate) fn calls(&self) -> Option<CallClient> {
        self.calls.load().as_ref().filter(|calls| calls.is_connected()).map(|calls| CallClient::clone(calls))
    }

    pub(crate) fn trouble(&self) -> String {
        self.seen.lock().trouble.clone().unwrap_or_else(|| "no connection yet".to_owned())
    }

    pub(crate) fn status(&self, region: Region) -> RegionStatus {
        let connected = self.calls().is_some();
        let seen = self.seen.lock();
        let waiting = || "no connection yet".to_owned();
        let trouble = if connected { String::new() } else { seen.trouble.clone().unwrap_or_else(waiting) };
        let behind_ms = seen.level_at.map(|at| at.elapsed().as_millis() as u64);
        RegionStatus { region, connected, trouble, applied: seen.applied, head: seen.head, behind_ms, taken: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_that_wait_are_bounded_and_abandoned_ones_make_room() {
        let link = Link::default();
        let mut waiting: Vec<_> = (0..ASKS_MAX).map(|_| link.ask_for_all()).collect();
        let mut rejected = link.ask_for_all();
        assert_eq!(rejected.try_recv(), Ok(Err(WriteError::Overloaded)));
        waiting.pop();
        let mut accepted = link.ask_for_all();
        assert!(accepted.try_recv().is_err());
        assert_eq!(link.asks().len(), ASKS_MAX);
    }
}
