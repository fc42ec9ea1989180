//! Fills: keys that are not held are requested from the leader, with one fill per key and many
//! keys per call.
//!
//! This module decides which keys a call carries, what is kept of the reply, and which keys are
//! requested again. The driver sends the calls and wakes the waiters.

use crate::{holdings::Holding, replica::Replica};
use littoral_model::{
    entity_key::KeyBatch,
    position::Position,
    read::{ReadError, ViewRead},
    row::Row,
    view::ViewId,
};
use littoral_replica::{FillOutcome, Generation};
use std::collections::{HashMap, VecDeque, hash_map::Entry};

/// The maximum number of keys per call.
pub const KEYS_PER_CALL: usize = 2_048;
/// The maximum number of requests for a key when the feed overtakes its reply. After that the
/// reply is still returned, because it is as new as the request, but it is not kept.
pub const ATTEMPTS_MAX: u8 = 5;
/// The number of waiters of one key above which abandoned waiters are removed.
const WAITERS_SWEPT_AT: usize = 64;

/// A key of a view.
pub type Key = (ViewId, Box<[u8]>);

/// The leader's row for a key, with the position at which the leader read it.
#[derive(Clone, Debug)]
pub struct Filled {
    /// The row; `None` if there is none.
    pub row: Option<Row>,
    /// The row includes everything up to this position.
    pub as_of: Position,
    /// The replica that was current when the leader was called. The row must not be used with
    /// another replica, not even of the same log, which may have been restored from a backup in
    /// between.
    pub generation: Option<Generation>,
}

/// The result of a fill.
pub type Outcome = Result<Filled, ReadError>;

/// A read that waits for a key.
pub trait Waiter {
    /// Returns whether the read no longer waits.
    fn is_gone(&self) -> bool;
}

/// The result of a request for a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requested {
    /// A fill of the key is in progress already.
    Joined,
    /// The next call after a pending one will carry the key.
    Queued,
    /// The caller must start a call: send the keys of [`Fills::next_call`] until it returns
    /// `None`.
    Call,
}

/// A fill of one key, with the number of its requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fill {
    /// The key.
    pub key: Key,
    requested: u8,
}

/// The fills in progress, and the reads that wait for them.
#[derive(Debug)]
pub struct Fills<W> {
    waiting: HashMap<Key, Vec<W>>,
    queue: VecDeque<Fill>,
    calls: usize,
    waiting_max: usize,
    calls_max: usize,
}

impl<W: Waiter> Fills<W> {
    /// Creates an empty set. At most `waiting_max` keys are filled at once, at most as many reads
    /// wait for one key, and at most `calls_max` calls are pending.
    #[must_use]
    pub fn new(waiting_max: usize, calls_max: usize) -> Self {
        Self { waiting: HashMap::new(), queue: VecDeque::new(), calls: 0, waiting_max, calls_max }
    }

    /// Returns the number of keys being filled.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Registers a read that waits for a key.
    pub fn request(&mut self, view: ViewId, key: &[u8], waiter: W) -> Result<Requested, ReadError> {
        let max = self.waiting_max;
        let full = self.waiting.len() >= max;
        match self.waiting.entry((view, key.into())) {
            Entry::Occupied(mut fill) => {
                let waiting = fill.get_mut();
                // Abandoned waiters make room.
                if waiting.len() >= WAITERS_SWEPT_AT {
                    waiting.retain(|waiter| !waiter.is_gone());
                }
                if waiting.len() >= max {
                    return Err(ReadError::Overloaded(format!("{max} reads are already waiting for one key")));
                }
                waiting.push(waiter);
                return Ok(Requested::Joined);
            }
            Entry::Vacant(_) if full => {
                return Err(ReadError::Overloaded(format!("{max} keys are already being fetched from the leader")));
            }
            Entry::Vacant(fill) => {
                let key = fill.key().clone();
                fill.insert(vec![waiter]);
                self.queue.push_back(Fill { key, requested: 0 });
            }
        }
        if self.calls < self.calls_max {
            self.calls += 1;
            return Ok(Requested::Call);
        }
        Ok(Requested::Queued)
    }

    /// Returns the keys of the next call, grouped by view; `None` ends the call. Keys that are
    /// requested while calls are pending share the next one.
    pub fn next_call(&mut self) -> Option<Vec<Fill>> {
        let count = self.queue.len().min(KEYS_PER_CALL);
        if count == 0 {
            self.calls -= 1;
            return None;
        }
        let mut fills: Vec<Fill> = self.queue.drain(..count).collect();
        fills.sort_by_key(|fill| fill.key.0);
        Some(fills)
    }

    /// Returns the reads that wait for a key.
    #[must_use]
    pub fn waiters(&self, key: &Key) -> &[W] {
        self.waiting.get(key).map_or(&[], Vec::as_slice)
    }

    /// Queues a fill again, because the feed has overtaken its reply.
    pub fn again(&mut self, fill: Fill) {
        self.queue.push_back(Fill { requested: fill.requested + 1, ..fill });
    }

    /// Ends a fill and returns its waiters. Later requests for the key start another fill.
    pub fn finish(&mut self, key: &Key) -> Vec<W> {
        self.waiting.remove(key).unwrap_or_default()
    }
}

/// Groups fills, which must be sorted by view, into reads.
#[must_use]
pub fn reads(fills: &[Fill]) -> Vec<ViewRead> {
    let mut reads: Vec<ViewRead> = Vec::new();
    for Fill { key: (view, key), .. } in fills {
        if reads.last().is_none_or(|read| read.view != *view) {
            reads.push(ViewRead { view: *view, keys: KeyBatch::default() });
        }
        if let Some(read) = reads.last_mut() {
            read.keys.push(key);
        }
    }
    reads
}

/// What to do with a key after its reply arrived.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// Finish the fill, and send this to its waiters.
    Finish(Filled),
    /// Request the key again, with [`Fills::again`].
    Again,
}

/// Puts a reply into the replica if it belongs there. `replica` is the one that served before the
/// leader was called, because its stripes include every record applied since.
#[must_use]
pub fn settle(replica: Option<&Replica>, fill: &Fill, row: Option<Row>, as_of: Position) -> Verdict {
    // A relay's rows may be newer than its position. A row that this log has lost must not be
    // combined with the others.
    let newest = Position { lsn: row.as_ref().map_or(as_of.lsn, |row| row.header().lsn.max(as_of.lsn)), ..as_of };
    let as_of = match replica.map(|replica| keep(replica, &fill.key, row.as_ref(), (as_of, newest))) {
        Some(Kept::Overtaken) if fill.requested + 1 < ATTEMPTS_MAX => return Verdict::Again,
        Some(Kept::OfAnotherLog) => newest,
        Some(Kept::Yes | Kept::Overtaken) | None => as_of,
    };
    let generation = replica.map(|replica| replica.generation);
    Verdict::Finish(Filled { row: row.filter(|row| !row.is_tombstone()), as_of, generation })
}

/// Whether a reply was kept.
enum Kept {
    /// It is kept, or need not be.
    Yes,
    /// The feed has overtaken it.
    Overtaken,
    /// It belongs to another log, or this log has lost it.
    OfAnotherLog,
}

fn keep(replica: &Replica, (view, key): &Key, row: Option<&Row>, (as_of, newest): (Position, Position)) -> Kept {
    if !replica.may_insert(newest) {
        return Kept::OfAnotherLog;
    }
    // A row of a view that is not followed is returned but not kept, because no feed keeps it
    // fresh.
    if replica.routes.load().get(view).is_none_or(|route| route.holding != Holding::Resident) {
        return Kept::Yes;
    }
    match replica.table.fill_in(replica.generation, *view, key, row.cloned(), as_of.lsn) {
        FillOutcome::Overtaken { .. } => Kept::Overtaken,
        FillOutcome::Inserted | FillOutcome::NotKept => Kept::Yes,
    }
}
