//! Writing and pruning snapshots.

use super::{
    BLOCK_HEADER_LEN, End, FORMAT, HEADER_LEN, Head, KEPT, KIND_CONFLICTS, KIND_END, KIND_HEAD, KIND_LIVES,
    KIND_ORIGINS, KIND_OUTRANKED, KIND_RECEIPTS, KIND_ROWS, MAGIC, Remembered, name, parse_name,
};
use crate::storage::{File, Room, Storage, TEMPORARY};
use littoral_model::{lineage::RegionLineages, origin::Origins, outranked::Outranked, position::Lsn, row::Row};
use littoral_wire::rows;
use serde::Serialize;
use std::{io, sync::Arc};
use xxhash_rust::xxh3::xxh3_64;

/// A block of rows ends when it reaches this many bytes.
const BLOCK_LEN: usize = 4 << 20;
/// The number of receipts in one block.
const RECEIPTS_PER_BLOCK: usize = 1_024;
/// The number of conflicts in one block: each may hold two of the largest rows.
const CONFLICTS_PER_BLOCK: usize = 16;

/// The file is synced after this many bytes, so that the log's own fsyncs never wait for a large one.
const SYNC_EVERY: u64 = 1 << 20;

/// The size of a written snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Rows and tombstones.
    pub rows: u64,
    /// The size of the file in bytes.
    pub bytes: u64,
}

/// Writes a snapshot durably. If it fails, no file remains, except that a crash may leave a temporary file, which the
/// next start removes.
///
/// # Errors
/// A disk error.
pub fn write(
    storage: &dyn Storage,
    head: &Head,
    chunks: impl Iterator<Item = Vec<Row>>,
    remembered: &Remembered,
) -> io::Result<Written> {
    let (name, temporary) = (name(head.as_of), format!("{}{TEMPORARY}", name(head.as_of)));
    let written: io::Result<_> = (|| {
        let mut out = Out { file: storage.create(&temporary, Room::None)?, at: 0, synced: 0, block: Vec::new() };
        out.header()?;
        out.value(KIND_HEAD, head)?;
        let mut total = 0;
        for chunk in chunks {
            out.begin();
            for row in &chunk {
                // Readers allocate memory for one block at a time, so blocks are bounded even if rows are large.
                if out.block.len() >= BLOCK_LEN {
                    out.end(KIND_ROWS)?;
                    out.begin();
                }
                rows::push(&mut out.block, Some(row)).map_err(io::Error::other)?;
            }
            out.end(KIND_ROWS)?;
            total += chunk.len() as u64;
        }
        for part in remembered.receipts.chunks(RECEIPTS_PER_BLOCK) {
            out.value(KIND_RECEIPTS, &part)?;
            // The outranked rows of the block's receipts, by their index in it.
            let outranked = (0u32..).zip(part).filter(|(_, receipt)| !receipt.outranked.is_none());
            let outranked: Vec<(u32, &Outranked)> = outranked.map(|(at, receipt)| (at, &receipt.outranked)).collect();
            if !outranked.is_empty() {
                out.value(KIND_OUTRANKED, &outranked)?;
            }
        }
        if remembered.origins != Origins::default() {
            out.value(KIND_ORIGINS, &remembered.origins)?;
        }
        if remembered.lineages != RegionLineages::default() {
            out.value(KIND_LIVES, &remembered.lineages)?;
        }
        for part in remembered.conflicts.chunks(CONFLICTS_PER_BLOCK) {
            out.value(KIND_CONFLICTS, &part)?;
        }
        out.value(KIND_END, &End { rows: total, receipts: remembered.receipts.len() as u64 })?;
        out.file.sync()?;
        storage.rename(&temporary, &name)?;
        Ok(Written { rows: total, bytes: out.at })
    })();
    if written.is_err() {
        // Best effort. It matters most on a full disk, which needs the space.
        let _ = storage.remove(&temporary);
    }
    let written = written?;
    storage.sync()?;
    Ok(written)
}

/// Removes all but the newest [`KEPT`] snapshots. Returns the record up to which the oldest remaining one reaches: the
/// log may be trimmed through it. Returns [`Lsn::NONE`] while there are fewer than [`KEPT`].
///
/// # Errors
/// A disk error.
pub fn prune(storage: &dyn Storage) -> io::Result<Lsn> {
    let mut all: Vec<Lsn> = storage.list()?.iter().filter_map(|name| parse_name(name)).collect();
    all.sort_unstable_by(|a, b| b.cmp(a));
    let mut removed = false;
    for old in all.iter().skip(KEPT) {
        storage.remove(&name(*old))?;
        removed = true;
    }
    if removed {
        storage.sync()?;
    }
    Ok(all.get(KEPT - 1).copied().unwrap_or(Lsn::NONE))
}

struct Out {
    file: Arc<dyn File>,
    at: u64,
    synced: u64,
    block: Vec<u8>,
}

impl Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_at(self.at, bytes)?;
        self.at += bytes.len() as u64;
        if self.at - self.synced >= SYNC_EVERY {
            self.file.sync()?;
            self.synced = self.at;
        }
        Ok(())
    }

    fn header(&mut self) -> io::Result<()> {
        let mut header = [0; HEADER_LEN];
        header[..8].copy_from_slice(MAGIC);
        header[8..12].copy_from_slice(&FORMAT.to_le_bytes());
        self.write(&header)
    }

    fn begin(&mut self) {
        self.block.clear();
        self.block.resize(BLOCK_HEADER_LEN, 0);
    }

    fn end(&mut self, kind: u32) -> io::Result<()> {
        let len = u32::try_from(self.block.len() - BLOCK_HEADER_LEN).map_err(io::Error::other)?;
        let sum = xxh3_64(&self.block[BLOCK_HEADER_LEN..]);
        self.block[..4].copy_from_slice(&kind.to_le_bytes());
        self.block[4..8].copy_from_slice(&len.to_le_bytes());
        self.block[8..16].copy_from_slice(&sum.to_le_bytes());
        let block = std::mem::take(&mut self.block);
        let written = self.write(&block);
        self.block = block;
        written
    }

    fn value(&mut self, kind: u32, value: &impl Serialize) -> io::Result<()> {
        let bytes = postcard::to_allocvec(value).map_err(io::Error::other)?;
        self.begin();
        self.block.extend_from_slice(&bytes);
        self.end(kind)
    }
}
