//! The connection to one other region's leader, for the rest of the leader.

use arc_swap::ArcSwapOption;
use littoral_feed::client::CallClient;
use littoral_model::{position::Position, region::Region, status::RegionStatus, write::WriteError};
use parking_lot::Mutex;
use std::{sync::Arc, time::Instant};
use tokio::sync::{Notify, oneshot};

/// How many requests for a whole snapshot may wait for the follower at once.
const SNAPSHOT_REQUESTS_MAX: usize = 64;

/// Answers a request for a whole snapshot of the region.
pub(crate) type SnapshotRequest = oneshot::Sender<Result<(), WriteError>>;

#[derive(Debug, Default)]
pub(crate) struct Link {
    calls: ArcSwapOption<CallClient>,
    /// Notified when a request for a whole snapshot waits.
    pub(crate) snapshot_requested: Notify,
    snapshot_requests: Mutex<Vec<SnapshotRequest>>,
    progress: Mutex<Progress>,
}

#[derive(Debug, Default)]
struct Progress {
    trouble: Option<String>,
    applied: Position,
    head: Position,
    /// The last time at which every record of the other leader was applied here.
    level_at: Option<Instant>,
}

impl Link {
    /// Makes the region's follower request a whole snapshot. Rejects the request if too many wait.
    pub(crate) fn request_snapshot(&self) -> oneshot::Receiver<Result<(), WriteError>> {
        let (done, answer) = oneshot::channel();
        let mut requests = self.snapshot_requests.lock();
        requests.retain(|request| !request.is_closed());
        if requests.len() < SNAPSHOT_REQUESTS_MAX {
            requests.push(done);
            self.snapshot_requested.notify_one();
        } else {
            // The requester may have stopped waiting.
            let _ = done.send(Err(WriteError::Overloaded));
        }
        answer
    }

    /// Removes and returns the requests that wait.
    pub(crate) fn take_snapshot_requests(&self) -> Vec<SnapshotRequest> {
        std::mem::take(&mut self.snapshot_requests.lock())
    }

    /// Notes that the stream is open: calls are possible from now on.
    pub(crate) fn connected(&self, calls: CallClient) {
        self.calls.store(Some(Arc::new(calls)));
        self.progress.lock().trouble = None;
    }

    /// Notes that the stream has ended.
    pub(crate) fn lost(&self, reason: String) {
        self.calls.store(None);
        self.progress.lock().trouble = Some(reason);
    }

    /// Notes that everything up to this position is in this log and applied.
    pub(crate) fn applied_to(&self, applied: Position) {
        self.progress.lock().applied = applied;
    }

    pub(crate) fn applied(&self) -> Position {
        self.progress.lock().applied
    }

    /// Notes the other leader's head when it sent the records that are applied now.
    pub(crate) fn heard(&self, head: Position) {
        let mut progress = self.progress.lock();
        progress.head = head;
        if progress.applied == head {
            progress.level_at = Some(Instant::now());
        }
    }

    pub(crate) fn calls(&self) -> Option<CallClient> {
        self.calls.load().as_ref().filter(|calls| calls.is_connected()).map(|calls| CallClient::clone(calls))
    }

    /// Returns why there is no connection.
    pub(crate) fn trouble(&self) -> String {
        self.progress.lock().trouble.clone().unwrap_or_else(|| "no connection yet".to_owned())
    }

    pub(crate) fn status(&self, region: Region) -> RegionStatus {
        let connected = self.calls().is_some();
        let progress = self.progress.lock();
        let waiting = || "no connection yet".to_owned();
        let trouble = if connected { String::new() } else { progress.trouble.clone().unwrap_or_else(waiting) };
        let behind_ms = progress.level_at.map(|at| at.elapsed().as_millis() as u64);
        RegionStatus {
            region,
            connected,
            trouble,
            applied: progress.applied,
            head: progress.head,
            behind_ms,
            taken: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_that_wait_are_bounded_and_abandoned_ones_make_room() {
        let link = Link::default();
        let mut waiting: Vec<_> = (0..SNAPSHOT_REQUESTS_MAX).map(|_| link.request_snapshot()).collect();
        let mut rejected = link.request_snapshot();
        assert_eq!(rejected.try_recv(), Ok(Err(WriteError::Overloaded)));
        waiting.pop();
        let mut accepted = link.request_snapshot();
        assert!(accepted.try_recv().is_err());
        assert_eq!(link.take_snapshot_requests().len(), SNAPSHOT_REQUESTS_MAX);
    }
}
