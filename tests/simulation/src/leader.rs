//! A leader: the product's log over a disk that fails, its table, and its sessions. What stands between them is here.

use crate::{
    history::{Commit, History},
    random::Random,
};
use bytes::Bytes;
use littoral_log::{
    Batch, Log,
    embedded::{Embedded, Options},
    storage::{Faults, Memory},
};
use littoral_model::{
    event_time::EventTime,
    hlc::{Hlc, HlcClock},
    merge::MergePolicy,
    position::{Epoch, Lsn, Position},
    record::{ChainHash, Payload, Record},
    region::Region,
    row::{Row, RowMeta},
    view::ViewId,
};
use littoral_replica::{Config, Mode, Table};
use littoral_wire::records;
use std::{sync::Arc, time::Duration};

/// A view that edges hold whole.
pub const FULL: ViewId = ViewId(1);
/// A view of which edges hold what was asked for.
pub const RESIDENT: ViewId = ViewId(2);
/// Keys of each view: few, so that they meet each other often.
pub const KEYS: u64 = 6;

/// One life of a leader's process.
pub struct Leader {
    /// Its disk.
    pub disk: Memory,
    /// Its log.
    pub log: Embedded,
    /// Its rows.
    pub table: Arc<Table>,
    /// Under which it appends.
    pub epoch: Epoch,
    clock: HlcClock,
}

/// The region of everything.
///
/// # Panics
/// Never: the name is good.
#[must_use]
pub fn region() -> Region {
    "east".parse().unwrap_or(Region::NONE)
}

impl Leader {
    /// Opens the log on `disk` and replays it.
    ///
    /// # Errors
    /// What was wrong, for people.
    pub fn open(disk: Memory, epoch: Epoch, entropy: u64) -> Result<Self, String> {
        let options = Options {
            region: region(),
            first_epoch: Epoch::FIRST,
            segment_bytes: 4 << 10,
            cache_bytes: 4 << 10,
            entropy,
        };
        let log = Embedded::open(Arc::new(disk.clone()), options).map_err(|error| error.to_string())?;
        let table = Arc::new(Table::new(Config { shards: 1, ..Config::default() }));
        let clock = HlcClock::after(log.bounds().hlc);
        let leader = Self { disk, log, table, epoch, clock };
        for commit in leader.read_all()? {
            leader.apply(&commit);
        }
        Ok(leader)
    }

    /// Everything in the log.
    ///
    /// # Errors
    /// What was wrong, for people.
    pub fn read_all(&self) -> Result<Vec<Commit>, String> {
        let (mut all, mut next) = (Vec::new(), Lsn::OLDEST);
        loop {
            let block = self.log.read(next, 1 << 20).map_err(|error| error.to_string())?;
            if block.bytes.is_empty() {
                return Ok(all);
            }
            for record in records::iter(&block.bytes) {
                let record = record.map_err(|error| error.to_string())?;
                all.extend(commit_of(&record));
            }
            next = block.last.next();
        }
    }

    /// Appends a write and, once it is durable, applies it.
    ///
    /// # Errors
    /// The write, which is not acknowledged and may come back after a crash, and why.
    pub fn write(&mut self, random: &mut Random, now: Duration) -> Result<Commit, (Commit, String)> {
        let bounds = self.log.bounds();
        let mut batch = Batch::after(&bounds, self.epoch, 256);
        let commit = Commit {
            lsn: batch.next_lsn(),
            view: if random.one_in(2) { FULL } else { RESIDENT },
            key: key(random.below(KEYS)),
            body: (!random.one_in(4)).then(|| random.any().to_le_bytes().to_vec()),
            // Some events come late.
            event_time: i64::try_from(now.as_millis()).unwrap_or(i64::MAX) - random.below(40) as i64,
            hlc: self.clock.tick(now.as_millis() as u64).0,
            at: now,
        };
        let (view, event_time, key) = (commit.view, EventTime(commit.event_time), &commit.key[..]);
        let payload = match &commit.body {
            Some(body) => Payload::Row { view, event_time, key, body },
            None => Payload::Tombstone { view, event_time, key },
        };
        let record = Record {
            lsn: commit.lsn,
            epoch: self.epoch,
            origin: region(),
            origin_lsn: commit.lsn,
            hlc: Hlc(commit.hlc),
            chain: ChainHash::GENESIS,
            payload,
        };
        let appended = batch.push(record).and_then(|()| self.log.append(batch));
        match appended {
            Ok(_) => {
                self.apply(&commit);
                Ok(commit)
            }
            Err(error) => Err((commit, error.to_string())),
        }
    }

    fn apply(&self, commit: &Commit) {
        self.table.apply(row_of(commit), MergePolicy::LatestEvent, Mode::InsertAll);
    }

    /// The last record.
    pub fn head(&self) -> Position {
        Position { incarnation: self.log.identity().incarnation, lsn: self.log.bounds().tail }
    }

    /// The rows of a snapshot, as they travel, with the record and the hash that they stand for.
    pub fn snapshot(&self) -> (Position, ChainHash, Vec<(u32, Bytes)>) {
        let chunks = self.table.chunks(4).map(|rows| {
            let mut block = Vec::new();
            let pushed = rows.iter().filter(|row| littoral_wire::rows::push(&mut block, Some(row)).is_ok()).count();
            (pushed as u32, Bytes::from(block))
        });
        (self.head(), self.log.bounds().chain, chunks.collect())
    }

    /// What goes wrong with the disk from now on.
    pub fn fail(&self, random: &mut Random) -> Faults {
        let faults = match random.below(3) {
            0 => Faults { sync_fails_after: Some(random.below(3) as u32), ..Faults::default() },
            1 => Faults { write_fails_after: Some(random.below(300)), ..Faults::default() },
            _ => Faults { capacity: Some(random.below(8 << 10)), ..Faults::default() },
        };
        self.disk.set_faults(faults);
        faults
    }
}

/// A key by number.
#[must_use]
pub fn key(number: u64) -> Vec<u8> {
    format!("key-{number}").into_bytes()
}

/// The row that a write makes.
#[must_use]
pub fn row_of(commit: &Commit) -> Row {
    let version = littoral_model::version::Version { hlc: Hlc(commit.hlc), region: region() };
    let meta = RowMeta { view: commit.view, event_time: EventTime(commit.event_time), version, lsn: commit.lsn };
    Row::new(meta, &commit.key, commit.body.as_deref())
}

/// The write that a record of a row or tombstone speaks of.
#[must_use]
pub fn commit_of(record: &Record<'_>) -> Option<Commit> {
    let (view, event_time, key, body) = match &record.payload {
        Payload::Row { view, event_time, key, body } => (*view, *event_time, *key, Some(body.to_vec())),
        Payload::Tombstone { view, event_time, key } => (*view, *event_time, *key, None),
        _ => return None,
    };
    let (lsn, hlc) = (record.lsn, record.hlc.0);
    Some(Commit { lsn, view, key: key.to_vec(), body, event_time: event_time.0, hlc, at: Duration::ZERO })
}

/// No acknowledged write is lost, and what comes back unacknowledged is whole.
///
/// # Errors
/// What is missing or different.
pub fn no_acknowledged_write_is_lost(
    found: &[Commit],
    history: &mut History,
    pending: Option<&Commit>,
    now: Duration,
) -> Result<(), String> {
    for (index, acknowledged) in history.commits.iter().enumerate() {
        let same =
            found.get(index).is_some_and(|found| Commit { at: acknowledged.at, ..found.clone() } == *acknowledged);
        if !same {
            return Err(format!("acknowledged record {} is lost or changed after a crash", acknowledged.lsn));
        }
    }
    for extra in found.iter().skip(history.commits.len()) {
        let extra = Commit { at: now, ..extra.clone() };
        if pending.is_none_or(|pending| Commit { at: now, ..pending.clone() } != extra) {
            return Err(format!("record {} came out of nowhere after a crash", extra.lsn));
        }
        history.push(extra);
    }
    Ok(())
}
