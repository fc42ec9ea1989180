//! The records that a relay publishes to its subscribers: the newest ones as received, so that a
//! subscriber that was briefly disconnected need not install a snapshot. Bounded in bytes; older
//! records are trimmed, as in a leader's log.

use crate::{holdings::Holding, replica::Replica};
use bytes::Bytes;
use littoral_model::{
    lineage::RegionLineages,
    ports::{FeedReadError, RecordBlock, SnapshotSource},
    position::{Lsn, Position},
    record::ChainHash,
};
use littoral_protocol::{frame::Resume, subscriber::Block};
use littoral_wire::records;
use parking_lot::Mutex;
use std::collections::VecDeque;

/// The newest records, and where they end.
#[derive(Debug)]
pub struct Relay {
    /// Zero if the edge is not a relay.
    bytes_max: usize,
    tail: Mutex<Tail>,
}

#[derive(Debug, Default)]
struct Tail {
    blocks: VecDeque<Block>,
    bytes: usize,
    /// The end of the last block, or of the snapshot before the first block.
    end: Option<Resume>,
}

impl Relay {
    /// Creates a relay that keeps this many bytes of records; zero if the edge is not a relay.
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        Self { bytes_max, tail: Mutex::default() }
    }

    /// Resets to another replica, whose records begin after `at`.
    pub fn restart(&self, at: Resume) {
        if self.bytes_max > 0 {
            *self.tail.lock() = Tail { end: Some(at), ..Tail::default() };
        }
    }

    /// Adds a block that is applied up to `position`. The caller publishes the position
    /// afterwards, because subscribers then request its records.
    pub fn applied(&self, block: &Block, position: Position) {
        if self.bytes_max == 0 {
            return;
        }
        let mut tail = self.tail.lock();
        tail.bytes += block.bytes.len();
        tail.blocks.push_back(block.clone());
        tail.end = Some(Resume { position, chain: block.chain_after });
        while tail.bytes > self.bytes_max
            && let Some(oldest) = tail.blocks.pop_front()
        {
            tail.bytes -= oldest.bytes.len();
        }
    }

    /// Returns the hash of a record; see `FeedLog::chain_at`.
    #[must_use]
    pub fn chain_at(&self, lsn: Lsn) -> Option<ChainHash> {
        let tail = self.tail.lock();
        if let Some(end) = tail.end.filter(|end| end.position.lsn == lsn) {
            return Some(end.chain);
        }
        let block = tail.blocks.iter().find(|block| block.first.0 <= lsn.0 + 1 && lsn <= block.last)?;
        if lsn < block.first {
            return Some(block.chain_before);
        }
        let records = records::iter(&block.bytes);
        records.flatten().find(|record| record.lsn == lsn).map(|record| record.chain)
    }

    /// Returns records from `from` on; see `FeedLog::records`.
    ///
    /// # Errors
    /// [`FeedReadError::Trimmed`] if the records are no longer kept.
    pub fn records(&self, from: Lsn, bytes_max: usize) -> Result<RecordBlock, FeedReadError> {
        let tail = self.tail.lock();
        if tail.end.is_none_or(|end| from > end.position.lsn) {
            return Ok(RecordBlock::default());
        }
        let at = tail.blocks.partition_point(|block| block.last < from);
        let Some(block) = tail.blocks.get(at).filter(|block| block.first <= from) else {
            let end = tail.end.map_or(Lsn::NONE, |end| end.position.lsn.next());
            return Err(FeedReadError::Trimmed { from, oldest: tail.blocks.front().map_or(end, |block| block.first) });
        };
        let block = block.clone();
        drop(tail);
        cut(&block, from, bytes_max)
    }
}

/// Returns a snapshot for subscribers. It must contain every row, so it fails if a view did not
/// fit here.
pub fn snapshot(replica: &Replica, rows_per_chunk: usize) -> Result<SnapshotSource, FeedReadError> {
    // Read the position before the rows: rows may be newer than it, never older.
    let point = replica.point.load_full();
    // The publisher's residency check rejects subscribers that may hold rows which this relay may not.
    let is_held = |holding| matches!(holding, Holding::Full | Holding::Outside);
    if replica.routes.load().values().any(|route| !is_held(route.holding)) {
        return Err(FeedReadError::NotHeld("a view does not fit this relay's full_bytes_max".to_owned()));
    }
    Ok(SnapshotSource {
        as_of: point.resume.position,
        chain: point.resume.chain,
        watermark: point.portable_watermark.clone(),
        lineages: RegionLineages::clone(&point.lineages),
        mixed: point.mixed,
        catalogue: point.catalogue.clone(),
        rows_estimate: replica.table.len() as u64,
        chunks: Box::new(replica.table.chunks(rows_per_chunk)),
    })
}

/// Returns the records of a dense block from `from` on, about `bytes_max` bytes.
fn cut(block: &Block, from: Lsn, bytes_max: usize) -> Result<RecordBlock, FeedReadError> {
    let damaged = || {
        FeedReadError::Io(format!("the records {} to {} in this relay's memory are damaged", block.first, block.last))
    };
    let (mut begin, mut end, mut last) = (0, 0, None);
    for lsn in block.first.0..=block.last.0 {
        if lsn == from.0 {
            begin = end;
        }
        let length = block.bytes.get(end..end + 4).and_then(|bytes| bytes.try_into().ok()).ok_or_else(damaged)?;
        end += 4 + u32::from_le_bytes(length) as usize;
        if lsn >= from.0 {
            last = Some(Lsn(lsn));
            if end - begin >= bytes_max {
                break;
            }
        }
    }
    let last = last.filter(|_| end <= block.bytes.len()).ok_or_else(damaged)?;
    let bytes: Bytes = block.bytes.slice(begin..end);
    Ok(RecordBlock { first: from, last, bytes })
}

#[cfg(test)]
mod tests {
    use super::*;
    use littoral_model::{
        hlc::Hlc,
        position::{Epoch, Incarnation},
        record::{Payload, Record},
    };

    /// Creates a block of arbitrary records; the hash of each is its LSN.
    fn block(first: u64, last: u64) -> Block {
        let mut bytes = Vec::new();
        for lsn in first..=last {
            let payload =
                Payload::Receipt { idempotency_key: "a key of some length", content: 0, first: Lsn(1), last: Lsn(1) };
            let origin = "east".parse().unwrap();
            let (lsn, chain) = (Lsn(lsn), ChainHash(lsn.into()));
            let record = Record { lsn, epoch: Epoch(1), origin, origin_lsn: lsn, hlc: Hlc(1), chain, payload };
            records::push(&mut bytes, &record).unwrap();
        }
        Block {
            first: Lsn(first),
            last: Lsn(last),
            chain_before: ChainHash((first - 1).into()),
            chain_after: ChainHash(last.into()),
            dense: true,
            epoch_min: Epoch(1),
            bytes: bytes.into(),
        }
    }

    fn at(lsn: u64) -> Position {
        Position { incarnation: Incarnation(1), lsn: Lsn(lsn) }
    }

    fn numbers(block: &RecordBlock) -> Vec<u64> {
        records::iter(&block.bytes).map(|record| record.unwrap().lsn.0).collect()
    }

    #[test]
    fn records_can_be_read_from_any_kept_position() {
        let relay = Relay::new(1 << 20);
        relay.restart(Resume { position: at(10), chain: ChainHash(10) });
        assert_eq!(relay.chain_at(Lsn(10)), Some(ChainHash(10)));
        assert_eq!(relay.records(Lsn(11), 1).unwrap(), RecordBlock::default());
        relay.applied(&block(11, 13), at(13));
        relay.applied(&block(14, 20), at(20));
        for lsn in 10..=20 {
            assert_eq!(relay.chain_at(Lsn(lsn)), Some(ChainHash(lsn.into())), "{lsn}");
        }
        assert_eq!(relay.chain_at(Lsn(9)), None);
        assert_eq!(relay.chain_at(Lsn(21)), None);
        assert_eq!(numbers(&relay.records(Lsn(11), usize::MAX).unwrap()), [11, 12, 13]);
        assert_eq!(numbers(&relay.records(Lsn(12), usize::MAX).unwrap()), [12, 13]);
        let one = relay.records(Lsn(15), 1).unwrap();
        assert_eq!((numbers(&one), one.first, one.last), (vec![15], Lsn(15), Lsn(15)));
        assert_eq!(numbers(&relay.records(Lsn(20), 1).unwrap()), [20]);
        assert!(matches!(relay.records(Lsn(10), 1), Err(FeedReadError::Trimmed { oldest: Lsn(11), .. })));
    }

    #[test]
    fn records_beyond_the_bound_are_trimmed_and_reported() {
        let each = block(11, 20).bytes.len();
        let relay = Relay::new(each * 2);
        relay.restart(Resume { position: at(10), chain: ChainHash(10) });
        for first in [11, 21, 31] {
            relay.applied(&block(first, first + 9), at(first + 9));
        }
        assert!(matches!(relay.records(Lsn(20), 1), Err(FeedReadError::Trimmed { oldest: Lsn(21), .. })));
        assert_eq!(relay.chain_at(Lsn(19)), None);
        assert_eq!(relay.chain_at(Lsn(20)), Some(ChainHash(20)), "the record before the oldest");
        assert_eq!(numbers(&relay.records(Lsn(21), 1).unwrap()), [21]);
        relay.restart(Resume { position: at(90), chain: ChainHash(90) });
        assert!(matches!(relay.records(Lsn(41), 1), Err(FeedReadError::Trimmed { oldest: Lsn(91), .. })));
        assert_eq!(relay.records(Lsn(91), 1).unwrap(), RecordBlock::default());
    }
}
