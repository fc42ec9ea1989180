//! Idempotency keys: which writes they stand for. Bounded by number and age; durable by records and snapshots.

use crate::{commit::Durable, outranked_rows::OutrankedRows};
use littoral_model::{
    hlc::Hlc,
    mutation::{Mutation, active},
    outranked::Outranked,
    position::Lsn,
    receipt::Receipt,
    write::WriteRequest,
};
use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};
use xxhash_rust::xxh3::Xxh3;

/// What became of a write with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyLookup {
    /// The key is new, or forgotten.
    New,
    /// The same write was taken before.
    Same(Lsn, Lsn),
    /// Another write was taken under this key.
    Other,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    content: u64,
    first: Lsn,
    last: Lsn,
    hlc: Hlc,
}

/// Keys, and the writes that they stand for.
#[derive(Debug)]
pub struct Receipts {
    by_key: HashMap<Arc<str>, Entry>,
    /// In the order in which they came, with what tells an entry from a later one of its key.
    order: VecDeque<(Arc<str>, Lsn)>,
    /// What became of the rows of writes with keys, by their last record, where some changed nothing.
    outranked: HashMap<Lsn, Outranked>,
    keys_max: usize,
    age_ms_max: u64,
}

impl Receipts {
    /// No keys; at most so many are kept, each for at most so many milliseconds.
    #[must_use]
    pub fn new(keys_max: usize, age_ms_max: u64) -> Self {
        Self { by_key: HashMap::new(), order: VecDeque::new(), outranked: HashMap::new(), keys_max, age_ms_max }
    }

    /// What is known of a write with this key and content.
    #[must_use]
    pub fn look(&self, key: &str, content: u64, now_ms: u64) -> KeyLookup {
        match self.by_key.get(key) {
            Some(entry) if self.is_old(entry.hlc, now_ms) => KeyLookup::New,
            Some(entry) if entry.content == content => KeyLookup::Same(entry.first, entry.last),
            Some(_) => KeyLookup::Other,
            None => KeyLookup::New,
        }
    }

    /// The key stands for the write from its first record to its last from now on.
    pub fn insert(&mut self, key: &str, content: u64, (first, last): (Lsn, Lsn), hlc: Hlc) {
        let key: Arc<str> = key.into();
        if let Some(before) = self.by_key.insert(key.clone(), Entry { content, first, last, hlc }) {
            self.outranked.remove(&before.last);
        }
        self.order.push_back((key, last));
        while self.by_key.len() > self.keys_max || self.oldest_is_old(hlc.physical_ms()) {
            let Some((key, last)) = self.order.pop_front() else { break };
            self.remove(&key, last);
        }
    }

    /// Forgets a key that stands for the write that ended with `last`.
    pub fn remove(&mut self, key: &str, last: Lsn) {
        if self.is_live(key, last) {
            self.by_key.remove(key);
            self.outranked.remove(&last);
        }
        // What is removed is nearly always what came last, as its batch has failed: a disk that refuses writes for hours must
        // leave nothing behind.
        while self.order.back().is_some_and(|(key, last)| !self.is_live(key, *last)) {
            self.order.pop_back();
        }
    }

    /// Whether a place in the order is that of a key's entry.
    fn is_live(&self, key: &str, last: Lsn) -> bool {
        self.by_key.get(key).is_some_and(|entry| entry.last == last)
    }

    /// Forgets the keys of writes that end after `after`: their records were given up.
    pub fn cut(&mut self, after: Lsn) {
        self.by_key.retain(|_, entry| entry.last <= after);
        self.order.retain(|(_, last)| *last <= after);
        self.outranked.retain(|last, _| *last <= after);
    }

    /// The rows that changed nothing of the write with a key that ended with `last`: a retry is told of them too.
    pub fn set_outranked(&mut self, last: Lsn, outranked: Outranked) {
        if !outranked.is_none() {
            self.outranked.insert(last, outranked);
        }
    }

    /// The rows that changed nothing of what has just been applied, or of the write that a retry has found.
    pub fn outranked(&mut self, durable: &Durable, outranked_rows: &OutrankedRows) -> Outranked {
        let (first, last, duplicate) = durable.range();
        if duplicate {
            return self.outranked_before(last);
        }
        let outranked = outranked_rows.of(first, last);
        if matches!(durable, Durable::Rows { request, .. } if request.idempotency_key.is_some()) {
            self.set_outranked(last, outranked.clone());
        }
        outranked
    }

    /// The rows that changed nothing of an earlier write with a key.
    #[must_use]
    pub fn outranked_before(&self, last: Lsn) -> Outranked {
        self.outranked.get(&last).cloned().unwrap_or_default()
    }

    /// What stands for writes up to `as_of`, oldest first.
    #[must_use]
    pub fn through(&self, as_of: Lsn) -> Vec<Receipt> {
        if active(Mutation::SnapshotWithoutReceipts) {
            return Vec::new();
        }
        (self.order.iter())
            .filter_map(|(key, last)| {
                let entry = self.by_key.get(key).filter(|entry| entry.last == *last && entry.last <= as_of)?;
                Some(Receipt {
                    idempotency_key: key.to_string(),
                    content: entry.content,
                    first: entry.first,
                    last: entry.last,
                    hlc: entry.hlc,
                    outranked: self.outranked_before(*last),
                })
            })
            .collect()
    }

    fn is_old(&self, hlc: Hlc, now_ms: u64) -> bool {
        now_ms.saturating_sub(hlc.physical_ms()) > self.age_ms_max
    }

    fn oldest_is_old(&self, now_ms: u64) -> bool {
        self.order.front().is_some_and(|(key, last)| match self.by_key.get(key) {
            Some(entry) if entry.last == *last => self.is_old(entry.hlc, now_ms),
            // Left over from a key that was removed or given to a later write.
            _ => true,
        })
    }
}

/// Hash of a write's content: what must be equal for a retry to be one. Times that the writer has not given do not count.
#[must_use]
pub fn content_hash(request: &WriteRequest) -> u64 {
    let rows = &request.rows;
    let mut hash = Xxh3::new();
    hash.update(request.part.as_ref().map_or(&[], |part| part.name_bytes()));
    for row in rows.iter() {
        hash.update(&row.view.0.to_le_bytes());
        hash.update(&rows.given_time(&row).map_or(i64::MIN, |time| time.0).to_le_bytes());
        hash.update(&(row.key.len() as u32).to_le_bytes());
        hash.update(row.key);
        hash.update(&(row.body.map_or(u32::MAX, |body| body.len() as u32)).to_le_bytes());
        hash.update(row.body.unwrap_or_default());
    }
    hash.digest()
}

/// Hash of records as they are: what must be equal for a merge to be the same again.
#[must_use]
pub fn bytes_hash(bytes: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use littoral_model::{
        event_time::EventTime,
        view::ViewId,
        write::{RowBatch, RowWrite},
    };

    #[test]
    fn times_of_the_doors_clock_are_no_content_and_the_writers_are() {
        let hash = |time: i64, stamped: Option<i64>| {
            let mut rows = RowBatch::default();
            rows.push(RowWrite { view: ViewId(1), event_time: EventTime(time), key: b"k", body: Some(b"b") });
            stamped.into_iter().for_each(|at| rows.stamp(EventTime(at)));
            content_hash(&WriteRequest { rows, ..WriteRequest::default() })
        };
        assert_eq!(hash(1, Some(1)), hash(2, Some(2)));
        assert_ne!(hash(1, Some(9)), hash(2, Some(9)));
        assert_ne!(hash(1, None), hash(1, Some(1)));
    }

    fn at(ms: u64) -> Hlc {
        Hlc::new(ms, 0)
    }

    #[test]
    fn a_key_answers_for_its_write_until_it_is_too_old_or_pushed_out() {
        let mut receipts = Receipts::new(2, 1_000);
        receipts.insert("a", 7, (Lsn(1), Lsn(2)), at(100));
        assert_eq!(receipts.look("a", 7, 200), KeyLookup::Same(Lsn(1), Lsn(2)));
        assert_eq!(receipts.look("a", 8, 200), KeyLookup::Other);
        assert_eq!(receipts.look("a", 7, 1_101), KeyLookup::New);
        receipts.insert("b", 1, (Lsn(3), Lsn(3)), at(200));
        receipts.insert("c", 1, (Lsn(4), Lsn(4)), at(300));
        assert_eq!(receipts.look("a", 7, 300), KeyLookup::New);
        assert_eq!(receipts.look("b", 1, 300), KeyLookup::Same(Lsn(3), Lsn(3)));
        assert_eq!(receipts.through(Lsn(3)).len(), 1);
    }

    #[test]
    fn a_write_that_failed_is_forgotten_and_its_key_may_be_used_again() {
        let mut receipts = Receipts::new(10, 1_000);
        receipts.insert("a", 7, (Lsn(1), Lsn(2)), at(100));
        receipts.remove("a", Lsn(2));
        assert_eq!(receipts.look("a", 7, 100), KeyLookup::New);
        receipts.insert("a", 9, (Lsn(1), Lsn(1)), at(101));
        receipts.remove("a", Lsn(2));
        assert_eq!(receipts.look("a", 9, 101), KeyLookup::Same(Lsn(1), Lsn(1)));
        assert_eq!(receipts.through(Lsn(9)).len(), 1);
    }

    #[test]
    fn writes_that_fail_leave_nothing_behind_a_key_that_stays() {
        let mut receipts = Receipts::new(1_000, 1_000);
        receipts.insert("stays", 7, (Lsn(1), Lsn(1)), at(100));
        for batch in 0..1_000 {
            let keys: Vec<_> = (0..3_u64).map(|at| (format!("{batch}-{}", at % 2), Lsn(2 + at))).collect();
            keys.iter().for_each(|(key, last)| receipts.insert(key, 7, (*last, *last), at(101)));
            keys.iter().for_each(|(key, last)| receipts.remove(key, *last));
        }
        assert_eq!((receipts.order.len(), receipts.by_key.len()), (1, 1));
    }

    #[test]
    fn keys_of_records_that_were_given_up_are_free_again() {
        let mut receipts = Receipts::new(3, 1_000);
        for (key, at) in [("a", 1), ("b", 3), ("c", 5)] {
            receipts.insert(key, 7, (Lsn(at), Lsn(at + 1)), self::at(at));
        }
        // The write that "b" stands for lost its last record.
        receipts.cut(Lsn(3));
        assert_eq!(receipts.look("a", 7, 10), KeyLookup::Same(Lsn(1), Lsn(2)));
        assert_eq!((receipts.look("b", 7, 10), receipts.look("c", 7, 10)), (KeyLookup::New, KeyLookup::New));
        receipts.insert("b", 9, (Lsn(3), Lsn(3)), at(10));
        receipts.insert("d", 9, (Lsn(4), Lsn(4)), at(10));
        assert_eq!(receipts.look("a", 7, 10), KeyLookup::Same(Lsn(1), Lsn(2)), "what was cut takes no room");
        assert_eq!(receipts.through(Lsn(9)).len(), 3);
    }
}
