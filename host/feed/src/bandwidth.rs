//! How much may be sent to the nodes of one region, and in which order: records before snapshots. Time is an argument.
//!
//! Two buckets hold a second's worth each. Everything that is sent takes from `all`, but only records take from
//! `records`. A snapshot's rows wait until `all` has something left, and records wait only for `records`. So a snapshot
//! uses what the records leave, and never delays them. Together they use the configured rate on average; a block of a
//! snapshot that was just admitted may come on top for a moment.

use littoral_runtime::Bucket;
use std::time::{Duration, Instant};

/// What was sent, and what may be sent.
#[derive(Debug)]
pub(crate) struct Bandwidth {
    per_s: u64,
    all: Bucket,
    records: Bucket,
}

impl Bandwidth {
    /// Creates a limit of this many bytes a second.
    pub(crate) fn new(per_s: u64) -> Self {
        Self { per_s, all: Bucket::default(), records: Bucket::default() }
    }

    /// Changes the limit.
    pub(crate) fn set(&mut self, per_s: u64) {
        self.per_s = per_s;
    }

    /// Returns the limit.
    pub(crate) fn per_s(&self) -> u64 {
        self.per_s
    }

    /// Returns how long records must wait.
    pub(crate) fn records_wait(&mut self, now: Instant) -> Duration {
        self.records.wait(self.per_s, now)
    }

    /// Returns how long a snapshot's rows must wait.
    pub(crate) fn snapshot_wait(&mut self, now: Instant) -> Duration {
        self.all.wait(self.per_s, now)
    }

    /// Notes that this many bytes were sent, of whatever kind.
    pub(crate) fn sent(&mut self, bytes: usize, now: Instant) {
        self.all.wait(self.per_s, now);
        self.all.take(bytes as u64);
    }

    /// Notes that this many of the bytes sent were records.
    pub(crate) fn records_sent(&mut self, bytes: usize, now: Instant) {
        self.records.wait(self.per_s, now);
        self.records.take(bytes as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: usize = 256 << 10;
    const PER_S: u64 = 1 << 20;

    /// Sends what may be sent for ten seconds: a snapshot, and this many bytes of records a second. Returns the bytes
    /// of each, and the longest time for which records waited.
    fn ten_seconds(records_per_s: usize) -> (usize, usize, Duration) {
        let (mut bandwidth, start) = (Bandwidth::new(PER_S), Instant::now());
        let (mut rows, mut records, mut due) = (0, 0, 0);
        let (mut waits_since, mut waited_max) = (None, Duration::ZERO);
        for ms in 0..10_000 {
            let now = start + Duration::from_millis(ms);
            due += records_per_s / 1_000;
            if due > 0 && bandwidth.records_wait(now).is_zero() {
                waited_max = waited_max.max(now - waits_since.take().unwrap_or(now));
                let block = due.min(BLOCK);
                bandwidth.sent(block, now);
                bandwidth.records_sent(block, now);
                (records, due) = (records + block, due - block);
            } else if due > 0 {
                waits_since.get_or_insert(now);
            }
            if bandwidth.snapshot_wait(now).is_zero() {
                bandwidth.sent(BLOCK, now);
                rows += BLOCK;
            }
        }
        (rows, records, waited_max)
    }

    /// The bytes of ten seconds, with the bucket that is full at the beginning and a last block.
    const ALL_MAX: usize = 11 * PER_S as usize + 2 * BLOCK;

    #[test]
    fn a_snapshot_alone_uses_the_rate() {
        let (rows, ..) = ten_seconds(0);
        assert!((10 * PER_S as usize..=ALL_MAX).contains(&rows), "{rows}");
    }

    #[test]
    fn a_snapshot_takes_what_the_records_leave_and_never_delays_them() {
        let records_per_s = PER_S as usize * 7 / 10;
        let (rows, records, waited_max) = ten_seconds(records_per_s);
        assert_eq!((records, waited_max), (records_per_s / 1_000 * 10_000, Duration::ZERO));
        assert!(rows > 2 * PER_S as usize && rows + records <= ALL_MAX, "{rows} and {records}");
    }

    #[test]
    fn records_beyond_the_rate_wait_and_leave_a_snapshot_nothing() {
        let (rows, records, waited_max) = ten_seconds(2 * PER_S as usize);
        assert!((10 * PER_S as usize..=ALL_MAX).contains(&records), "{records}");
        assert!(waited_max > Duration::from_millis(200), "{waited_max:?}");
        assert!(rows <= PER_S as usize + BLOCK, "{rows}: no more than the bucket held at the beginning");
    }
}
