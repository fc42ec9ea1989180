//! Read-through: keys that are not held are asked of the leader, one flight per key, many keys per call.

use crate::{
    replica::{Holding, Replica},
    shared::Shared,
};
use littoral_feed::client::LeaderRows;
use littoral_model::{
    entity_key::KeyBatch,
    freshness::Consistency,
    position::Position,
    read::{ReadError, ViewRead},
    row::Row,
    view::ViewId,
};
use littoral_replica::Filled;
use parking_lot::Mutex;
use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    sync::Arc,
};
use tokio::sync::oneshot;

/// Keys per call.
const KEYS_PER_CALL: usize = 2_048;
/// How often a key is asked again when the feed has overtaken its answer. The answer is given out all the same: it is
/// as new as the question was; it is only not kept.
const ASKS_MAX: u8 = 5;

type Key = (ViewId, Box<[u8]>);

/// What the leader has of a key, and as of which of its records.
#[derive(Clone, Debug)]
pub(crate) struct Answered {
    pub(crate) row: Option<Row>,
    pub(crate) as_of: Position,
}

pub(crate) type Outcome = Result<Answered, ReadError>;

/// Keys on their way.
#[derive(Debug, Default)]
pub(crate) struct Fills(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    flights: HashMap<Key, Vec<oneshot::Sender<Outcome>>>,
    queue: VecDeque<(Key, u8)>,
    calls: usize,
}

impl Fills {
    /// Keys that are waited for.
    pub(crate) fn waiting(&self) -> usize {
        self.0.lock().flights.len()
    }
}

/// Asks the leader for a key, or joins who already has.
pub(crate) fn ask(shared: &Arc<Shared>, view: ViewId, key: &[u8]) -> Result<oneshot::Receiver<Outcome>, ReadError> {
    let (sender, receiver) = oneshot::channel();
    let max = shared.config.fills_waiting_max;
    let mut state = shared.fills.0.lock();
    let full = state.flights.len() >= max;
    match state.flights.entry((view, key.into())) {
        Entry::Occupied(mut flight) => {
            let waiting = flight.get_mut();
            // Those who gave up make room.
            if waiting.len() >= 64 {
                waiting.retain(|sender| !sender.is_closed());
            }
            if waiting.len() >= max {
                return Err(ReadError::Overloaded(format!("{max} reads already wait for one key")));
            }
            waiting.push(sender);
            metrics::counter!("littoral_edge_fills_joined_total").increment(1);
            return Ok(receiver);
        }
        Entry::Vacant(_) if full => {
            return Err(ReadError::Overloaded(format!("{max} keys are already being fetched from the leader")));
        }
        Entry::Vacant(flight) => {
            let key = flight.key().clone();
            flight.insert(vec![sender]);
            state.queue.push_back((key, 0));
        }
    }
    if state.calls < shared.config.fill_calls_max {
        state.calls += 1;
        drop(state);
        tokio::spawn(drain(shared.clone()));
    }
    Ok(receiver)
}

/// Fetches queued keys until there are none. Keys that come while the calls are out share the next.
async fn drain(shared: Arc<Shared>) {
    loop {
        let keys: Vec<(Key, u8)> = {
            let mut state = shared.fills.0.lock();
            let count = state.queue.len().min(KEYS_PER_CALL);
            if count == 0 {
                state.calls -= 1;
                return;
            }
            state.queue.drain(..count).collect()
        };
        metrics::counter!("littoral_edge_fill_calls_total").increment(1);
        metrics::counter!("littoral_edge_fills_total").increment(keys.len() as u64);
        // The replica as it is before the leader reads: its stripes have seen everything that went by since.
        let replica = shared.replica.load_full();
        let (reads, keys) = by_view(keys);
        let read = match shared.link.calls() {
            Ok(calls) => calls.read(reads, Consistency::Replica).await,
            Err(reason) => Err(ReadError::LeaderUnavailable(reason)),
        };
        resolve(&shared, replica.as_deref(), keys, read);
    }
}

fn by_view(mut keys: Vec<(Key, u8)>) -> (Vec<ViewRead>, Vec<(Key, u8)>) {
    keys.sort_by_key(|((view, _), _)| *view);
    let mut reads: Vec<ViewRead> = Vec::new();
    for ((view, key), _) in &keys {
        if reads.last().is_none_or(|read| read.view != *view) {
            reads.push(ViewRead { view: *view, keys: KeyBatch::default() });
        }
        if let Some(read) = reads.last_mut() {
            read.keys.push(key);
        }
    }
    (reads, keys)
}

fn resolve(shared: &Shared, replica: Option<&Replica>, keys: Vec<(Key, u8)>, read: Result<LeaderRows, ReadError>) {
    let read = match read {
        Ok(read) => read,
        Err(error) => {
            metrics::counter!("littoral_edge_fill_errors_total").increment(1);
            for (key, _) in keys {
                land(shared, &key, &Err(error.clone()));
            }
            return;
        }
    };
    let as_of = read.as_of;
    // Rows that the leader left out are asked for by nobody: the client has checked that there is one entry a key.
    let mut rows = read.rows.into_iter().flatten();
    for (key, asked) in keys {
        let row = rows.next().flatten();
        if keep(replica, &key, row.as_ref(), as_of) == Filled::Taken || asked + 1 >= ASKS_MAX {
            land(shared, &key, &Ok(Answered { row: row.filter(|row| !row.is_tombstone()), as_of }));
            continue;
        }
        metrics::counter!("littoral_edge_fills_overtaken_total").increment(1);
        shared.fills.0.lock().queue.push_back((key, asked + 1));
    }
}

/// Puts an answer into the replica, when it belongs there.
fn keep(replica: Option<&Replica>, (view, key): &Key, row: Option<&Row>, as_of: Position) -> Filled {
    let Some(replica) = replica.filter(|replica| replica.position().incarnation == as_of.incarnation) else {
        return Filled::Taken;
    };
    let Some(route) = replica.routes.load().get(view).copied() else { return Filled::Taken };
    // A view that is not followed is answered and not kept: nothing would keep it fresh.
    if route.holding != Holding::Resident {
        return Filled::Taken;
    }
    match replica.table.fill(*view, key, row.cloned(), as_of.lsn, route.merge) {
        Filled::Overtaken { needs } => Filled::Overtaken { needs },
        Filled::Taken | Filled::NotKept => Filled::Taken,
    }
}

fn land(shared: &Shared, key: &Key, outcome: &Outcome) {
    let waiting = shared.fills.0.lock().flights.remove(key);
    for sender in waiting.into_iter().flatten() {
        // Whoever asked may have given up; the row is kept all the same.
        let _ = sender.send(outcome.clone());
    }
}
