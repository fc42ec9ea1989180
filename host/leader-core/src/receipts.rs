//! Idempotency keys and the writes that they stand for. Bounded by number and age; durable as records and in snapshots.

use crate::{commit::CommandEffect, outranked_rows::OutrankedRows, published::Records};
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

/// The result of looking up a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyLookup {
    /// The key is unknown or expired.
    New,
    /// The same write was accepted before.
    Same(Lsn, Lsn),
    /// Another write was accepted under this key.
    Other,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    content: u64,
    first: Lsn,
    last: Lsn,
    hlc: Hlc,
}

/// Keys and the writes that they stand for.
#[derive(Debug)]
pub struct Receipts {
    by_key: HashMap<Arc<str>, Entry>,
    /// In order of arrival. The LSN distinguishes an entry from a later one with the same key.
    order: VecDeque<(Arc<str>, Lsn)>,
    /// The outranked rows of writes with keys, by the last record of the write, if there are any.
    outranked: HashMap<Lsn, Outranked>,
    keys_max: usize,
    age_ms_max: u64,
}

impl Receipts {
    /// Creates an empty set of at most `keys_max` keys, each kept for at most `age_ms_max` milliseconds.
    #[must_use]
    pub fn new(keys_max: usize, age_ms_max: u64) -> Self {
        Self { by_key: HashMap::new(), order: VecDeque::new(), outranked: HashMap::new(), keys_max, age_ms_max }
    }

    /// Looks up a key for a write with this content.
    #[must_use]
    pub fn look(&self, key: &str, content: u64, now_ms: u64) -> KeyLookup {
        match self.by_key.get(key) {
            Some(entry) if self.is_old(entry.hlc, now_ms) => KeyLookup::New,
            Some(entry) if entry.content == content => KeyLookup::Same(entry.first, entry.last),
            Some(_) => KeyLookup::Other,
            None => KeyLookup::New,
        }
    }

    /// Makes the key stand for the write with these records, and evicts the oldest keys beyond the bounds.
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

    /// Removes a key if it stands for the write that ended with `last`.
    pub fn remove(&mut self, key: &str, last: Lsn) {
        if self.is_live(key, last) {
            self.by_key.remove(key);
            self.outranked.remove(&last);
        }
        // Usually the newest entries are removed, because their batch has failed. Remove them from the order too: a
        // disk that fails for hours must not leave entries behind.
        while self.order.back().is_some_and(|(key, last)| !self.is_live(key, *last)) {
            self.order.pop_back();
        }
    }

    /// Returns whether an entry in the order is the current one of its key.
    fn is_live(&self, key: &str, last: Lsn) -> bool {
        self.by_key.get(key).is_some_and(|entry| entry.last == last)
    }

    /// Removes the keys of writes that end after `after`, because their records were removed from the log.
    pub fn cut(&mut self, after: Lsn) {
        self.by_key.retain(|_, entry| entry.last <= after);
        self.order.retain(|(_, last)| *last <= after);
        self.outranked.retain(|last, _| *last <= after);
    }

    /// Sets the outranked rows of the write with a key that ended with `last`. A retry's receipt includes them.
    pub fn set_outranked(&mut self, last: Lsn, outranked: Outranked) {
        if !outranked.is_none() {
            self.outranked.insert(last, outranked);
        }
    }

    /// Returns the outranked rows of a write that was just applied, or of the earlier write that a retry has found.
    pub fn outranked(&mut self, effect: &CommandEffect, outranked_rows: &OutrankedRows) -> Outranked {
        let Records { first, last, duplicate } = effect.records();
        if duplicate {
            return self.outranked_before(last);
        }
        let outranked = outranked_rows.of(first, last);
        if matches!(effect, CommandEffect::Rows { request, .. } if request.idempotency_key.is_some()) {
            self.set_outranked(last, outranked.clone());
        }
        outranked
    }

    /// Returns the outranked rows of an earlier write with a key.
    #[must_use]
    pub fn outranked_before(&self, last: Lsn) -> Outranked {
        self.outranked.get(&last).cloned().unwrap_or_default()
    }

    /// Returns the receipts of writes up to `as_of`, oldest first.
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
            // The entry is obsolete: its key was removed or stands for a later write.
            _ => true,
        })
    }
}

/// Hashes the content of a write, which must be equal in a retry. Event times that the writer did not give are
/// excluded.
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

/// Hashes encoded records, which must be equal if a merge is repeated.
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
    fn only_event_times_of_the_writer_count_as_content() {
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
    fn a_key_stands_for_its_write_until_it_expires_or_is_displaced() {
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
    fn a_failed_write_is_forgotten_and_its_key_may_be_reused() {
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
    fn failed_writes_leave_no_entries() {
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
    fn keys_of_removed_records_are_free_again() {
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
        assert_eq!(receipts.look("a", 7, 10), KeyLookup::Same(Lsn(1), Lsn(2)), "removed keys do not count");
        assert_eq!(receipts.through(Lsn(9)).len(), 3);
    }
}
