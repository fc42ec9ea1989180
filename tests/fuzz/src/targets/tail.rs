//! A detached tail, the records that a member had to remove, with arbitrary changes.

use super::{check_words, choice};
use crate::{Target, seal};
use littoral_log::{
    Batch, Bounds, Log, detached,
    embedded::{Embedded, Options},
    storage::{Memory, Room, Storage},
};
use littoral_model::{
    event_time::EventTime,
    hlc::Hlc,
    ports::RecordBlock,
    position::{Epoch, Incarnation, Lsn},
    record::{ChainHash, Payload, Record},
    region::Region,
    view::ViewId,
};
use std::sync::Arc;

pub(super) const TARGET: Target = Target { name: "tail", run: read, seeds, memory: (2 << 20, 256) };

const NAME: &str = "detached-00000000000000000002-00000000000000000002-00000000000000000006.tail";

/// A tail loads as dense and chained records, or is rejected with the file's name.
fn read(input: &[u8]) {
    let (sealed, _, short) = choice(input);
    let storage = Memory::new();
    let file = storage.create(NAME, Room::None).expect("memory stores a file");
    file.write_at(0, &seal::tail(short, incarnation().to_le_bytes(), sealed)).expect("memory stores bytes");
    let listed = match detached::list(&storage) {
        Ok(listed) => listed,
        Err(error) => return rejected(&error.to_string()),
    };
    let reader = match detached::read(&storage, NAME) {
        Ok(reader) => reader,
        Err(error) => panic!("it was listed, but does not open: {error}"),
    };
    assert_eq!(listed, std::slice::from_ref(&reader.detached));
    let tail = reader.detached.clone();
    let (mut next, mut chain) = (tail.first, None);
    for block in reader {
        let block = match block {
            Ok(block) => block,
            Err(error) => return rejected(&error.to_string()),
        };
        for record in littoral_wire::records::iter(&block.bytes) {
            let record = record.expect("a block holds records");
            assert_eq!(record.lsn, next);
            assert!(chain.is_none_or(|before| record.chain_after(before) == record.chain), "record {next}");
            (chain, next) = (Some(record.chain), next.next());
        }
        assert_eq!(block.last.next(), next);
    }
    assert_eq!((next.0 - 1, next.0 - tail.first.0), (tail.last.0, tail.records));
}

fn rejected(words: &str) {
    check_words(words);
    assert!(words.contains(NAME), "{words} does not name the file");
}

fn options() -> Options {
    let region = "eu".parse().unwrap_or(Region::NONE);
    Options { region, first_epoch: Epoch::FIRST, segment_bytes: 16 << 10, cache_bytes: 0, entropy: 7 }
}

fn record(lsn: Lsn, epoch: Epoch) -> Record<'static> {
    let payload = match lsn.0 % 3 {
        0 => Payload::Tombstone { view: ViewId(1), event_time: EventTime(lsn.0 as i64), key: b"key" },
        1 => {
            let [life, after] = [7, 6].map(Incarnation);
            Payload::Begin { life, after, shared: Lsn(lsn.0 - 1) }
        }
        _ => Payload::Row { view: ViewId(1), event_time: EventTime(lsn.0 as i64), key: b"key", body: b"body" },
    };
    let (origin, hlc) = (options().region, Hlc::new(1_000 + lsn.0, 0));
    Record { lsn, epoch, origin, origin_lsn: lsn, hlc, chain: ChainHash::GENESIS, payload }
}

/// Returns records of an epoch that follow `bounds`.
fn run(bounds: &Bounds, epoch: Epoch, records: u64) -> RecordBlock {
    let mut batch = Batch::after(bounds, epoch, 0);
    let start = batch.mark();
    for _ in 0..records {
        batch.push(record(batch.next_lsn(), epoch)).expect("it is the next record");
    }
    let last = Lsn(batch.next_lsn().0 - 1);
    RecordBlock { first: bounds.tail.next(), last, bytes: batch.since(start).to_vec().into() }
}

/// Returns a log of two epochs that was cut after its first record.
fn written() -> Memory {
    let storage = Memory::new();
    let log = Embedded::open(Arc::new(storage.reopened()), options()).expect("an empty directory is a new log");
    for (epoch, records) in [(1, 3), (2, 3)] {
        log.append_block(&run(&log.bounds(), Epoch(epoch), records)).expect("memory stores it");
    }
    log.cut(Lsn(1)).expect("memory stores it").expect("there is something to remove");
    storage
}

fn incarnation() -> u64 {
    let entropy = options().entropy;
    xxhash_rust::xxh3::xxh3_64_with_seed(b"incarnation", entropy)
}

fn seeds() -> Vec<(String, Vec<u8>)> {
    let bytes = written().bytes(NAME).unwrap_or_default();
    let len = bytes.get(12).map_or(0, |len| usize::from(*len));
    let (head, frames) = (&bytes[..16 + len], &bytes[512..]);
    let short = |first: u8, frames: &[u8]| [&[first], head, frames].concat();
    vec![
        ("two-epochs".into(), short(1, frames)),
        ("sealed".into(), short(0, frames)),
        ("torn".into(), short(1, &frames[..frames.len() - 20])),
        ("empty".into(), short(0, &[])),
    ]
}
