//! The tasks for fills, which call the leader while keys are queued. [`littoral_edge_core::fills`]
//! decides what is requested, kept and requested again.

use crate::{replica::Replica, shared::Shared};
use littoral_edge_core::fills::{self, Fill, Fills, Key, Outcome, Requested, Verdict};
use littoral_feed::client::LeaderRows;
use littoral_model::{freshness::Consistency, read::ReadError, view::ViewId};
use littoral_runtime::trace::{self, Kind, Span, TraceContext};
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::sync::oneshot;

/// A read that waits for a key.
#[derive(Debug)]
struct Waiter {
    sender: oneshot::Sender<Outcome>,
    /// The trace of the read, if it is sampled.
    context: Option<Box<TraceContext>>,
}

impl fills::Waiter for Waiter {
    fn is_gone(&self) -> bool {
        self.sender.is_closed()
    }
}

/// The fills in progress.
#[derive(Debug)]
pub(crate) struct FillQueue(Mutex<Fills<Waiter>>);

impl FillQueue {
    pub(crate) fn new(waiting_max: usize, calls_max: usize) -> Self {
        Self(Mutex::new(Fills::new(waiting_max, calls_max)))
    }

    /// Returns the number of keys being filled.
    pub(crate) fn waiting(&self) -> usize {
        self.0.lock().waiting()
    }
}

/// Requests a key from the leader, or joins a fill in progress.
pub(crate) fn request(shared: &Arc<Shared>, view: ViewId, key: &[u8]) -> Result<oneshot::Receiver<Outcome>, ReadError> {
    let (sender, receiver) = oneshot::channel();
    let context = trace::current().filter(|context| context.sampled).map(Box::new);
    let requested = shared.fills.0.lock().request(view, key, Waiter { sender, context })?;
    match requested {
        Requested::Joined => metrics::counter!("littoral_edge_fills_joined_total").increment(1),
        Requested::Queued => {}
        Requested::Call => drop(tokio::spawn(drain(shared.clone()))),
    }
    Ok(receiver)
}

/// Fetches queued keys until there are none.
async fn drain(shared: Arc<Shared>) {
    loop {
        let Some(fills) = shared.fills.0.lock().next_call() else { return };
        metrics::counter!("littoral_edge_fill_calls_total").increment(1);
        metrics::counter!("littoral_edge_fills_total").increment(fills.len() as u64);
        let mut batches = vec![fills];
        while let Some(mut fills) = batches.pop() {
            // Use the replica from before the leader reads: its stripes include every record
            // applied since.
            let replica = shared.replica.load_full();
            let read = match shared.link.calls() {
                Ok(calls) => {
                    let span = span(&shared, &fills);
                    trace::within(span.context(), calls.read(fills::reads(&fills), Consistency::Replica)).await
                }
                Err(reason) => Err(ReadError::LeaderUnavailable(reason)),
            };
            // The keys belong to unrelated reads. Their rows are too large together, which is no
            // read's fault.
            if matches!(read, Err(ReadError::TooLarge(_))) && fills.len() > 1 {
                batches.push(fills.split_off(fills.len() / 2));
                batches.push(fills);
                continue;
            }
            resolve(&shared, replica.as_deref(), fills, read);
        }
    }
}

/// Begins the span of a call for these keys, within the trace of a read that waits for one of them. The reads of other
/// traces are linked.
fn span(shared: &Shared, fills: &[Fill]) -> Span {
    if !trace::is_on() {
        return Span::none();
    }
    let queue = shared.fills.0.lock();
    let mut causes =
        fills.iter().flat_map(|fill| queue.waiters(&fill.key)).filter_map(|waiter| waiter.context.as_deref());
    let Some(first) = causes.next() else { return Span::none() };
    let mut span = Span::child_of(Some(first), "fill call", Kind::Internal);
    span.set("littoral.keys", fills.len());
    causes.filter(|cause| *cause != first).for_each(|cause| span.link(cause.clone()));
    span
}

fn resolve(shared: &Shared, replica: Option<&Replica>, fills: Vec<Fill>, read: Result<LeaderRows, ReadError>) {
    let read = match read {
        Ok(read) => read,
        Err(error) => {
            metrics::counter!("littoral_edge_fill_errors_total").increment(1);
            for fill in fills {
                finish(shared, &fill.key, &Err(error.clone()));
            }
            return;
        }
    };
    // The client has checked that the reply contains one entry per key.
    let mut rows = read.rows.into_iter().flatten();
    for fill in fills {
        match fills::settle(replica, &fill, rows.next().flatten(), read.as_of) {
            Verdict::Finish(answered) => finish(shared, &fill.key, &Ok(answered)),
            Verdict::Again => {
                metrics::counter!("littoral_edge_fills_overtaken_total").increment(1);
                shared.fills.0.lock().again(fill);
            }
        }
    }
}

fn finish(shared: &Shared, key: &Key, outcome: &Outcome) {
    let waiting = shared.fills.0.lock().finish(key);
    for waiter in waiting {
        // The read may have been abandoned; the row is kept anyway.
        let _ = waiter.sender.send(outcome.clone());
    }
}
