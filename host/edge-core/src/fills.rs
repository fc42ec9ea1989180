//! Read-through: keys that are not held are asked of the leader, one flight per key, many keys per call. How calls travel
//! and who waits is the driver's matter; which keys a call carries, what of its answer is kept, and what is asked again is
//! decided here.

use crate::replica::{Holding, Replica};
use littoral_model::{
    entity_key::KeyBatch,
    position::Position,
    read::{ReadError, ViewRead},
    row::Row,
    view::ViewId,
};
use littoral_replica::{Filled, Numbering};
use std::collections::{HashMap, VecDeque, hash_map::Entry};

/// Keys per call.
pub const KEYS_PER_CALL: usize = 2_048;
/// How often a key is asked again when the feed has overtaken its answer. The answer is given out all the same: it is
/// as new as the question was; it is only not kept.
pub const ASKS_MAX: u8 = 5;
/// Waiters of one key among whom those who gave up are looked for.
const WAITERS_SWEPT_AT: usize = 64;

/// A key of a view.
pub type Key = (ViewId, Box<[u8]>);

/// What the leader has of a key, and as of which of its records.
#[derive(Clone, Debug)]
pub struct Answered {
    /// The row; `None` when there is none.
    pub row: Option<Row>,
    /// Everything up to here is in it.
    pub as_of: Position,
    /// Beside which replica the leader was asked: what it says cannot stand beside another's rows, not even of the same log,
    /// which may have been restored from a backup in between.
    pub beside: Option<Numbering>,
}

/// What became of a key.
pub type Outcome = Result<Answered, ReadError>;

/// Who waits for a key.
pub trait Waiter {
    /// Whether nobody waits any more.
    fn is_gone(&self) -> bool;
}

/// What asking for a key leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// The key is on its way already.
    Joined,
    /// A call that is out takes it along when it is back.
    Queued,
    /// Begin a call: take [`Flights::next_call`] until it gives nothing.
    Call,
}

/// A key on its way, and how often it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flight {
    /// The key.
    pub key: Key,
    asked: u8,
}

/// Keys on their way, and who waits for them.
#[derive(Debug)]
pub struct Flights<W> {
    waiting: HashMap<Key, Vec<W>>,
    queue: VecDeque<Flight>,
    calls: usize,
    waiting_max: usize,
    calls_max: usize,
}

impl<W: Waiter> Flights<W> {
    /// Nothing is asked. At most `waiting_max` keys are waited for at once, and as many wait for one key; at most
    /// `calls_max` calls are out.
    #[must_use]
    pub fn new(waiting_max: usize, calls_max: usize) -> Self {
        Self { waiting: HashMap::new(), queue: VecDeque::new(), calls: 0, waiting_max, calls_max }
    }

    /// Keys that are waited for.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Somebody waits for a key.
    ///
    /// # Errors
    /// [`ReadError::Overloaded`] when too many wait.
    pub fn ask(&mut self, view: ViewId, key: &[u8], waiter: W) -> Result<Asked, ReadError> {
        let max = self.waiting_max;
        let full = self.waiting.len() >= max;
        match self.waiting.entry((view, key.into())) {
            Entry::Occupied(mut flight) => {
                let waiting = flight.get_mut();
                // Those who gave up make room.
                if waiting.len() >= WAITERS_SWEPT_AT {
                    waiting.retain(|waiter| !waiter.is_gone());
                }
                if waiting.len() >= max {
                    return Err(ReadError::Overloaded(format!("{max} reads already wait for one key")));
                }
                waiting.push(waiter);
                return Ok(Asked::Joined);
            }
            Entry::Vacant(_) if full => {
                return Err(ReadError::Overloaded(format!("{max} keys are already being fetched from the leader")));
            }
            Entry::Vacant(flight) => {
                let key = flight.key().clone();
                flight.insert(vec![waiter]);
                self.queue.push_back(Flight { key, asked: 0 });
            }
        }
        if self.calls < self.calls_max {
            self.calls += 1;
            return Ok(Asked::Call);
        }
        Ok(Asked::Queued)
    }

    /// What the next call carries, by view; `None` ends the call. Keys that come while calls are out share the next.
    pub fn next_call(&mut self) -> Option<Vec<Flight>> {
        let count = self.queue.len().min(KEYS_PER_CALL);
        if count == 0 {
            self.calls -= 1;
            return None;
        }
        let mut flights: Vec<Flight> = self.queue.drain(..count).collect();
        flights.sort_by_key(|flight| flight.key.0);
        Some(flights)
    }

    /// The feed has overtaken the answer: the next call asks once more.
    pub fn again(&mut self, flight: Flight) {
        self.queue.push_back(Flight { asked: flight.asked + 1, ..flight });
    }

    /// The key's way is at its end: who waited for it. Whoever asks from now on begins another.
    pub fn land(&mut self, key: &Key) -> Vec<W> {
        self.waiting.remove(key).unwrap_or_default()
    }
}

/// The reads that ask for these keys, which are in the order of their views.
#[must_use]
pub fn reads(flights: &[Flight]) -> Vec<ViewRead> {
    let mut reads: Vec<ViewRead> = Vec::new();
    for Flight { key: (view, key), .. } in flights {
        if reads.last().is_none_or(|read| read.view != *view) {
            reads.push(ViewRead { view: *view, keys: KeyBatch::default() });
        }
        if let Some(read) = reads.last_mut() {
            read.keys.push(key);
        }
    }
    reads
}

/// What to do with a key whose answer is here.
#[derive(Clone, Debug)]
pub enum Judged {
    /// Hand this to those who wait.
    Land(Answered),
    /// Ask once more, with [`Flights::again`].
    Again,
}

/// Puts an answer into the replica, when it belongs there. `replica` is the one that served before the leader was asked:
/// its stripes have seen everything that went by since.
#[must_use]
pub fn judge(replica: Option<&Replica>, flight: &Flight, row: Option<Row>, as_of: Position) -> Judged {
    // A relay's rows may be newer than what it names. A row that this log has lost cannot stand beside the others.
    let newest = Position { lsn: row.as_ref().map_or(as_of.lsn, |row| row.header().lsn.max(as_of.lsn)), ..as_of };
    let as_of = match replica.map(|replica| keep(replica, &flight.key, row.as_ref(), (as_of, newest))) {
        Some(Kept::Overtaken) if flight.asked + 1 < ASKS_MAX => return Judged::Again,
        Some(Kept::OfAnotherLog) => newest,
        Some(Kept::Yes | Kept::Overtaken) | None => as_of,
    };
    let beside = replica.map(|replica| replica.numbering);
    Judged::Land(Answered { row: row.filter(|row| !row.is_tombstone()), as_of, beside })
}

/// What became of an answer.
enum Kept {
    /// It is kept, or need not be.
    Yes,
    /// The feed has overtaken it.
    Overtaken,
    /// It is of another log, or of what this one has lost.
    OfAnotherLog,
}

fn keep(replica: &Replica, (view, key): &Key, row: Option<&Row>, (as_of, newest): (Position, Position)) -> Kept {
    if !replica.may_take_in(newest) {
        return Kept::OfAnotherLog;
    }
    // A view that is not followed is answered and not kept: nothing would keep it fresh.
    if replica.routes.load().get(view).is_none_or(|route| route.holding != Holding::Resident) {
        return Kept::Yes;
    }
    match replica.table.fill_by(replica.numbering, *view, key, row.cloned(), as_of.lsn) {
        Filled::Overtaken { .. } => Kept::Overtaken,
        Filled::Taken | Filled::NotKept => Kept::Yes,
    }
}
