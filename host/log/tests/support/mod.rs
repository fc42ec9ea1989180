//! Shorthands for logs in tests.

#![allow(dead_code, reason = "each test file uses some of it")]

pub mod failing;

use littoral_log::{
    AppendError, Batch, Bounds, Log,
    embedded::{Embedded, Options},
    storage::Storage,
};
use littoral_model::{
    event_time::EventTime,
    hlc::Hlc,
    ports::RecordBlock,
    position::{Epoch, Lsn},
    record::{ChainHash, Payload, Record},
    view::ViewId,
};
use std::sync::Arc;

pub const SEGMENT: u64 = 64 << 10;

pub fn options() -> Options {
    Options {
        region: "eu".parse().unwrap(),
        first_epoch: Epoch::FIRST,
        segment_bytes: SEGMENT,
        cache_bytes: 0,
        entropy: 7,
    }
}

pub fn open(storage: &Arc<dyn Storage>) -> Embedded {
    Embedded::open(storage.clone(), options()).unwrap()
}

/// Builds a batch of `records` records of about `bytes` bytes each that follows the log.
pub fn batch(log: &dyn Log, records: u64, bytes: usize) -> Batch {
    let bounds = log.bounds();
    let mut batch = Batch::after(&bounds, bounds.epoch, 0);
    for _ in 0..records {
        let lsn = batch.next_lsn();
        batch.push(record(lsn, batch.epoch(), &vec![lsn.0 as u8; bytes])).unwrap();
    }
    batch
}

pub fn record(lsn: Lsn, epoch: Epoch, body: &[u8]) -> Record<'_> {
    Record {
        lsn,
        epoch,
        origin: "eu".parse().unwrap(),
        origin_lsn: lsn,
        hlc: Hlc::new(1_000 + lsn.0, 0),
        chain: ChainHash::GENESIS,
        payload: Payload::Row { view: ViewId(1), event_time: EventTime(lsn.0 as i64), key: b"key", body },
    }
}

pub fn append(log: &dyn Log, records: u64, bytes: usize) -> Result<RecordBlock, AppendError> {
    log.append(batch(log, records, bytes))
}

/// Builds a block that follows `bounds`, as another member's log would return it, with this many records of each epoch.
pub fn block(bounds: &Bounds, runs: &[(u64, u64)], bytes: usize) -> RecordBlock {
    let mut after = *bounds;
    let mut out = Vec::new();
    for (epoch, records) in runs {
        let mut batch = Batch::after(&after, Epoch(*epoch), 0);
        let start = batch.mark();
        for _ in 0..*records {
            let lsn = batch.next_lsn();
            batch.push(record(lsn, Epoch(*epoch), &vec![(lsn.0 ^ epoch) as u8; bytes])).unwrap();
        }
        out.extend_from_slice(batch.since(start));
        after.tail = Lsn(batch.next_lsn().0 - 1);
        after.chain = littoral_wire::records::last_chain(&out).unwrap().unwrap();
    }
    RecordBlock { first: bounds.tail.next(), last: after.tail, bytes: out.into() }
}

/// Returns the epoch and chain hash of every record in a block.
pub fn content(block: &RecordBlock) -> Vec<(Epoch, ChainHash)> {
    let records = littoral_wire::records::iter(&block.bytes);
    records.map(|record| record.map(|record| (record.epoch, record.chain)).unwrap()).collect()
}

/// SplitMix64.
pub fn chance(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Returns every record of the log, after checking that they are dense and chained from the record before the oldest.
pub fn all(log: &dyn Log) -> Vec<Lsn> {
    let bounds = log.bounds();
    let mut next = bounds.oldest;
    let mut chain = log.chain_at(Lsn(next.0 - 1)).unwrap().unwrap_or(ChainHash::GENESIS);
    let mut seen = Vec::new();
    loop {
        let block = log.read(next, 3_000).unwrap();
        if block.bytes.is_empty() {
            break;
        }
        assert_eq!(block.first, next);
        for record in littoral_wire::records::iter(&block.bytes) {
            let record = record.unwrap();
            assert_eq!(record.lsn, next);
            assert_eq!(record.chain, record.chain_after(chain));
            chain = record.chain;
            seen.push(record.lsn);
            next = next.next();
        }
        assert_eq!(block.last.next(), next);
    }
    assert_eq!(next, bounds.tail.next());
    assert_eq!(chain, bounds.chain);
    seen
}
