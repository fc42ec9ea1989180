//! Read-through as tasks: calls to the leader while keys wait. What is asked, kept and asked again is decided in
//! [`littoral_edge_core::fills`].

use crate::{replica::Replica, shared::Shared};
use littoral_edge_core::fills::{self, Asked, Flight, Flights, Judged, Key, Outcome};
use littoral_feed::client::LeaderRows;
use littoral_model::{freshness::Consistency, read::ReadError, view::ViewId};
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::sync::oneshot;

/// Who waits for a key: a read.
#[derive(Debug)]
struct Waiter(oneshot::Sender<Outcome>);

impl fills::Waiter for Waiter {
    fn is_gone(&self) -> bool {
        self.0.is_closed()
    }
}

/// Keys on their way.
#[derive(Debug)]
pub(crate) struct Fills(Mutex<Flights<Waiter>>);

impl Fills {
    pub(crate) fn new(waiting_max: usize, calls_max: usize) -> Self {
        Self(Mutex::new(Flights::new(waiting_max, calls_max)))
    }

    /// Keys that are waited for.
    pub(crate) fn waiting(&self) -> usize {
        self.0.lock().waiting()
    }
}

/// Asks the leader for a key, or joins who already has.
pub(crate) fn ask(shared: &Arc<Shared>, view: ViewId, key: &[u8]) -> Result<oneshot::Receiver<Outcome>, ReadError> {
    let (sender, receiver) = oneshot::channel();
    let asked = shared.fills.0.lock().ask(view, key, Waiter(sender))?;
    match asked {
        Asked::Joined => metrics::counter!("littoral_edge_fills_joined_total").increment(1),
        Asked::Queued => {}
        Asked::Call => drop(tokio::spawn(drain(shared.clone()))),
    }
    Ok(receiver)
}

/// Fetches queued keys until there are none.
async fn drain(shared: Arc<Shared>) {
    loop {
        let Some(flights) = shared.fills.0.lock().next_call() else { return };
        metrics::counter!("littoral_edge_fill_calls_total").increment(1);
        metrics::counter!("littoral_edge_fills_total").increment(flights.len() as u64);
        let mut parts = vec![flights];
        while let Some(mut flights) = parts.pop() {
            // The replica as it is before the leader reads: its stripes have seen everything that went by since.
            let replica = shared.replica.load_full();
            let read = match shared.link.calls() {
                Ok(calls) => calls.read(fills::reads(&flights), Consistency::Replica).await,
                Err(reason) => Err(ReadError::LeaderUnavailable(reason)),
            };
            // Keys of reads that have nothing to do with each other: their rows together are too much, and no fault of anybody.
            if matches!(read, Err(ReadError::TooLarge(_))) && flights.len() > 1 {
                parts.push(flights.split_off(flights.len() / 2));
                parts.push(flights);
                continue;
            }
            resolve(&shared, replica.as_deref(), flights, read);
        }
    }
}

fn resolve(shared: &Shared, replica: Option<&Replica>, flights: Vec<Flight>, read: Result<LeaderRows, ReadError>) {
    let read = match read {
        Ok(read) => read,
        Err(error) => {
            metrics::counter!("littoral_edge_fill_errors_total").increment(1);
            for flight in flights {
                land(shared, &flight.key, &Err(error.clone()));
            }
            return;
        }
    };
    // Rows that the leader left out are asked for by nobody: the client has checked that there is one entry a key.
    let mut rows = read.rows.into_iter().flatten();
    for flight in flights {
        match fills::judge(replica, &flight, rows.next().flatten(), read.as_of) {
            Judged::Land(answered) => land(shared, &flight.key, &Ok(answered)),
            Judged::Again => {
                metrics::counter!("littoral_edge_fills_overtaken_total").increment(1);
                shared.fills.0.lock().again(flight);
            }
        }
    }
}

fn land(shared: &Shared, key: &Key, outcome: &Outcome) {
    let waiting = shared.fills.0.lock().land(key);
    for waiter in waiting {
        // Whoever asked may have given up; the row is kept all the same.
        let _ = waiter.0.send(outcome.clone());
    }
}
