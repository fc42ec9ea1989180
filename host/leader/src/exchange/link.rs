//! The connection to one other region's leader, as others see it.

use arc_swap::ArcSwapOption;
use littoral_feed::client::CallClient;
use littoral_model::{position::Position, region::Region, status::RegionStatus, write::WriteError};
use parking_lot::Mutex;
use std::{sync::Arc, time::Instant};
use tokio::sync::{Notify, oneshot};

/// Who waits until all that the region has is asked for.
pub(crate) type Ask = oneshot::Sender<Result<(), WriteError>>;

#[derive(Debug, Default)]
pub(crate) struct Link {
    calls: ArcSwapOption<CallClient>,
    /// Told when somebody waits until all that the region has is asked for.
    pub(crate) asked: Notify,
    asks: Mutex<Vec<Ask>>,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    trouble: Option<String>,
    applied: Position,
    head: Position,
    /// When everything that the other leader had was here last.
    level_at: Option<Instant>,
}

impl Link {
    /// All that the region has is to be asked for, behind what was taken of it so far: its follower does that.
    pub(crate) fn ask_for_all(&self) -> oneshot::Receiver<Result<(), WriteError>> {
        let (done, answer) = oneshot::channel();
        self.asks.lock().push(done);
        self.asked.notify_one();
        answer
    }

    /// Who waits for that.
    pub(crate) fn asks(&self) -> Vec<Ask> {
        std::mem::take(&mut self.asks.lock())
    }

    /// The stream is open: calls can be made.
    pub(crate) fn connected(&self, calls: CallClient) {
        self.calls.store(Some(Arc::new(calls)));
        self.seen.lock().trouble = None;
    }

    pub(crate) fn lost(&self, reason: String) {
        self.calls.store(None);
        self.seen.lock().trouble = Some(reason);
    }

    /// Everything up to here is in our log and applied.
    pub(crate) fn applied_to(&self, applied: Position) {
        self.seen.lock().applied = applied;
    }

    pub(crate) fn applied(&self) -> Position {
        self.seen.lock().applied
    }

    /// The other leader had this much when it sent what is applied by now.
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
