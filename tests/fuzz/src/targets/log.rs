//! A log's segment with arbitrary changes.

use super::{check_words, choice};
use crate::{Target, seal};
use littoral_log::{
    Batch, Log,
    embedded::{Embedded, Options},
    storage::{Memory, Room, Storage},
};
use littoral_model::{
    event_time::EventTime,
    hlc::Hlc,
    position::{Epoch, Lsn},
    record::{ChainHash, Payload, Record},
    view::ViewId,
};
use std::sync::Arc;

pub(super) const TARGET: Target = Target { name: "log", run: log, seeds, memory: (2 << 20, 256) };

const SEGMENT: u64 = 16 << 10;

/// Whatever the segment contains, the log opens with dense, chained records, or is rejected with the file's name.
fn log(input: &[u8]) {
    let (sealed, _, short) = choice(input);
    let (storage, name) = written();
    let file = storage.create(&name, Room::None).expect("memory stores a file");
    file.write_at(0, &seal::segment(short, sealed)).expect("memory stores bytes");
    match Embedded::open(Arc::new(storage), options()) {
        Err(error) => check_words(&error.to_string()),
        Ok(log) => {
            let bounds = log.bounds();
            let mut next = bounds.oldest;
            let mut chain = log.chain_at(Lsn(next.0.saturating_sub(1))).ok().flatten().unwrap_or(ChainHash::GENESIS);
            while next <= bounds.tail {
                let block = match log.read(next, 3_000) {
                    Ok(block) => block,
                    Err(error) => return check_words(&error.to_string()),
                };
                assert!(!block.bytes.is_empty(), "a record before the tail is read");
                for record in littoral_wire::records::iter(&block.bytes) {
                    let record = record.expect("a log that opened holds records");
                    assert_eq!(record.lsn, next);
                    assert_eq!(record.chain, record.chain_after(chain), "record {next:?}");
                    chain = record.chain;
                    next = next.next();
                }
            }
            assert_eq!(chain, bounds.chain);
            let mut batch = Batch::after(&bounds, bounds.epoch, 0);
            if batch.push(record(batch.next_lsn(), bounds.epoch)).is_ok() {
                log.append(batch).expect("a log that opened accepts records");
            }
        }
    }
}

fn options() -> Options {
    let region = "eu".parse().unwrap_or(littoral_model::region::Region::NONE);
    Options { region, first_epoch: Epoch::FIRST, segment_bytes: SEGMENT, cache_bytes: 0, entropy: 7 }
}

fn record(lsn: Lsn, epoch: Epoch) -> Record<'static> {
    let payload = match lsn.0 % 3 {
        0 => Payload::Tombstone { view: ViewId(1), event_time: EventTime(lsn.0 as i64), key: b"key" },
        1 => Payload::Row { view: ViewId(1), event_time: EventTime(lsn.0 as i64), key: b"key", body: b"body" },
        _ => Payload::Receipt { idempotency_key: "once", content: 7, first: lsn, last: lsn },
    };
    Record {
        lsn,
        epoch,
        origin: options().region,
        origin_lsn: lsn,
        hlc: Hlc::new(1_000 + lsn.0, 0),
        chain: ChainHash::GENESIS,
        payload,
    }
}

/// Returns a log of three batches, and the name of its segment.
fn written() -> (Memory, String) {
    let storage = Memory::new();
    {
        let log = Embedded::open(Arc::new(storage.clone()), options()).expect("an empty directory is a new log");
        for records in [1, 3, 2] {
            let bounds = log.bounds();
            let mut batch = Batch::after(&bounds, bounds.epoch, 0);
            for _ in 0..records {
                batch.push(record(batch.next_lsn(), bounds.epoch)).expect("it is the next record");
            }
            log.append(batch).expect("memory stores it");
        }
    }
    let names = storage.list().expect("memory lists its files");
    let name = names.into_iter().find(|name| name.ends_with(".seg")).expect("a log has a segment");
    (storage.reopened(), name)
}

fn seeds() -> Vec<(String, Vec<u8>)> {
    let (storage, name) = written();
    let bytes = storage.bytes(&name).unwrap_or_default();
    let frames = bytes.get(4_096..).unwrap_or_default();
    let end = frames.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let head = &bytes[..seal::SEGMENT_HEAD.min(bytes.len())];
    let short = |first: u8, frames: &[u8]| [&[first], head, frames].concat();
    vec![
        ("three-batches".into(), short(1, &frames[..end])),
        ("sealed".into(), short(0, &frames[..end])),
        ("torn".into(), short(1, &frames[..end - 20])),
        ("empty".into(), short(0, &[])),
    ]
}
