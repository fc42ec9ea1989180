//! Reading snapshots.

use super::{
    BLOCK_HEADER_LEN, End, FORMAT, HEADER_LEN, Head, KIND_CONFLICTS, KIND_END, KIND_HEAD, KIND_LIVES, KIND_ORIGINS,
    KIND_ORIGINS_V1, KIND_OUTRANKED, KIND_RECEIPTS, KIND_ROWS, MAGIC, RECEIVED, name, older::OriginsV1, parse_name,
};
use crate::{
    error::OpenError,
    storage::{File, Storage},
};
use littoral_model::{
    conflict::Conflict, lineage::RegionLineages, origin::Origins, outranked::Outranked, position::Lsn,
    receipt::Receipt, row::Row,
};
use littoral_wire::rows;
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_64;

/// Returns the records as of which there are snapshots, newest first.
///
/// # Errors
/// [`OpenError::Io`].
pub fn newest(storage: &dyn Storage) -> Result<Vec<Lsn>, OpenError> {
    let names = storage.list().map_err(|error| OpenError::io(storage.name(), error))?;
    let mut all: Vec<Lsn> = names.iter().filter_map(|name| parse_name(name)).collect();
    all.sort_unstable_by(|a, b| b.cmp(a));
    Ok(all)
}

/// A section of a snapshot.
#[derive(Debug)]
pub enum Section {
    /// Rows and tombstones.
    Rows(Vec<Row>),
    /// Idempotency keys, oldest first.
    Receipts(Vec<Receipt>),
    /// How far other regions' records are applied in the snapshot.
    Origins(Origins),
    /// The lineages of the regions' logs.
    Lineage(RegionLineages),
    /// Conflicts between regions, oldest first.
    Conflicts(Vec<Conflict>),
}

/// A section whose rows are not decoded yet, so that several threads can decode them.
#[derive(Debug)]
pub enum RawSection {
    /// Rows and tombstones.
    Rows(RawRows),
    /// Any other section, decoded.
    Section(Section),
}

/// Encoded rows.
#[derive(Debug)]
pub struct RawRows {
    name: Arc<str>,
    offset: u64,
    payload: Vec<u8>,
}

impl RawRows {
    /// Decodes the rows.
    ///
    /// # Errors
    /// [`OpenError::Damaged`].
    pub fn rows(&self) -> Result<Vec<Row>, OpenError> {
        let malformed = |reason: String| damaged(&self.name, self.offset, &reason);
        let rows = rows::iter(&self.payload).map(|row| {
            let row = row.map_err(|error| malformed(error.to_string()))?;
            Ok(row.ok_or_else(|| malformed("it holds an empty row".to_owned()))?.to_row())
        });
        rows.collect()
    }
}

/// Reads a snapshot section by section.
#[derive(Debug)]
pub struct Reader {
    name: Arc<str>,
    file: Arc<dyn File>,
    len: u64,
    at: u64,
    rows: u64,
    receipts: u64,
    /// The offset and the content of the end block.
    end: Option<(u64, End)>,
    /// The head of the snapshot.
    pub head: Head,
}

impl Reader {
    /// Opens the snapshot as of `lsn`.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(storage: &dyn Storage, lsn: Lsn) -> Result<Self, OpenError> {
        let reader = Self::of(storage, name(lsn))?;
        if reader.head.as_of != lsn {
            return Err(damaged(&reader.name, HEADER_LEN as u64, "the file was renamed: it is as of another record"));
        }
        Ok(reader)
    }

    /// Opens the snapshot that was received from another member.
    pub(crate) fn received(storage: &dyn Storage) -> Result<Self, OpenError> {
        Self::of(storage, RECEIVED.to_owned())
    }

    /// Opens the snapshot in a file.
    pub(super) fn of(storage: &dyn Storage, name: String) -> Result<Self, OpenError> {
        let io = |error| OpenError::io(&name, error);
        let file = storage.open(&name).map_err(io)?;
        let len = file.size().map_err(io)?;
        let mut header = [0; HEADER_LEN];
        if len < HEADER_LEN as u64 {
            return Err(damaged(&name, 0, "the file ends within its header"));
        }
        file.read_at(0, &mut header).map_err(io)?;
        if &header[..8] != MAGIC {
            return Err(damaged(&name, 0, "it is not a snapshot: its first bytes differ"));
        }
        let format = header[8..].first_chunk().map_or(0, |raw| u32::from_le_bytes(*raw));
        if format > FORMAT {
            return Err(OpenError::Format { file: name, found: format, known: FORMAT });
        }
        let mut at = HEADER_LEN as u64;
        let (kind, payload) = block(&name, &*file, len, &mut at)?;
        if kind != KIND_HEAD {
            return Err(damaged(&name, HEADER_LEN as u64, "its head is missing"));
        }
        let head: Head =
            postcard::from_bytes(&payload).map_err(|error| damaged(&name, HEADER_LEN as u64, &error.to_string()))?;
        Ok(Self { name: name.into(), file, len, at, rows: 0, receipts: 0, end: None, head })
    }

    /// Returns the next section; `None` at the end, which is checked.
    ///
    /// # Errors
    /// [`OpenError`]. Discard everything read before.
    pub fn next_section(&mut self) -> Result<Option<Section>, OpenError> {
        match self.next_raw_section()? {
            Some(RawSection::Rows(raw)) => {
                let rows = raw.rows()?;
                self.rows += rows.len() as u64;
                Ok(Some(Section::Rows(rows)))
            }
            Some(RawSection::Section(section)) => Ok(Some(section)),
            None => self.check_end(0).map(|()| None),
        }
    }

    /// Returns the next section without decoding rows; `None` at the end. Call [`Self::check_end`] then.
    ///
    /// # Errors
    /// [`OpenError`]. Discard everything read before.
    pub fn next_raw_section(&mut self) -> Result<Option<RawSection>, OpenError> {
        let offset = self.at;
        let (kind, payload) = block(&self.name, &*self.file, self.len, &mut self.at)?;
        let malformed = |error: &dyn std::fmt::Display| damaged(&self.name, offset, &error.to_string());
        let section = match kind {
            KIND_ROWS => return Ok(Some(RawSection::Rows(RawRows { name: self.name.clone(), offset, payload }))),
            KIND_RECEIPTS => {
                let mut receipts: Vec<Receipt> = postcard::from_bytes(&payload).map_err(|error| malformed(&error))?;
                self.receipts += receipts.len() as u64;
                for (at, outranked) in self.outranked()? {
                    let receipt = receipts.get_mut(at as usize);
                    receipt
                        .ok_or_else(|| damaged(&self.name, offset, "it names a receipt that does not exist"))?
                        .outranked = outranked;
                }
                Section::Receipts(receipts)
            }
            KIND_LIVES => Section::Lineage(postcard::from_bytes(&payload).map_err(|error| malformed(&error))?),
            KIND_ORIGINS_V1 => {
                let old: OriginsV1 = postcard::from_bytes(&payload).map_err(|error| malformed(&error))?;
                Section::Origins(old.into())
            }
            KIND_ORIGINS => Section::Origins(postcard::from_bytes(&payload).map_err(|error| malformed(&error))?),
            KIND_CONFLICTS => Section::Conflicts(postcard::from_bytes(&payload).map_err(|error| malformed(&error))?),
            KIND_END => {
                self.end = Some((offset, postcard::from_bytes(&payload).map_err(|error| malformed(&error))?));
                return Ok(None);
            }
            _ => return Err(malformed(&"a block of an unknown kind")),
        };
        Ok(Some(RawSection::Section(section)))
    }

    /// Checks, after the last section, that the snapshot has what its end block states; `rows` were decoded from
    /// [`RawSection::Rows`].
    ///
    /// # Errors
    /// [`OpenError::Damaged`].
    pub fn check_end(&self, rows: u64) -> Result<(), OpenError> {
        let whole = self.end.as_ref().is_some_and(|(_, end)| {
            (end.rows, end.receipts) == (self.rows + rows, self.receipts) && self.at == self.len
        });
        let offset = self.end.as_ref().map_or(self.at, |(offset, _)| *offset);
        if whole { Ok(()) } else { Err(damaged(&self.name, offset, "its contents do not match its end block")) }
    }

    /// Reads the outranked rows of the receipts read last, if a block lists them.
    fn outranked(&mut self) -> Result<Vec<(u32, Outranked)>, OpenError> {
        let (offset, mut next) = (self.at, self.at);
        let (kind, payload) = block(&self.name, &*self.file, self.len, &mut next)?;
        if kind != KIND_OUTRANKED {
            return Ok(Vec::new());
        }
        self.at = next;
        postcard::from_bytes(&payload).map_err(|error| damaged(&self.name, offset, &error.to_string()))
    }
}

fn block(name: &str, file: &dyn File, len: u64, at: &mut u64) -> Result<(u32, Vec<u8>), OpenError> {
    let offset = *at;
    let io = |error| OpenError::io(name, error);
    let early = || damaged(name, offset, "the file ends before its end block");
    let mut header = [0; BLOCK_HEADER_LEN];
    if len - offset < BLOCK_HEADER_LEN as u64 {
        return Err(early());
    }
    file.read_at(offset, &mut header).map_err(io)?;
    let u32_at = |at: usize| header[at..].first_chunk().map_or(0, |raw| u32::from_le_bytes(*raw));
    let (kind, size) = (u32_at(0), u32_at(4) as usize);
    let sum = header[8..].first_chunk().map_or(0, |raw| u64::from_le_bytes(*raw));
    // The checksum does not cover the length: compare it with the file's length before allocating memory.
    if size as u64 > len - offset - BLOCK_HEADER_LEN as u64 {
        return Err(early());
    }
    let mut payload = vec![0; size];
    file.read_at(offset + BLOCK_HEADER_LEN as u64, &mut payload).map_err(io)?;
    if xxh3_64(&payload) != sum {
        return Err(damaged(name, offset, "a block's checksum does not match"));
    }
    *at = offset + (BLOCK_HEADER_LEN + size) as u64;
    Ok((kind, payload))
}

fn damaged(name: &str, offset: u64, reason: &str) -> OpenError {
    OpenError::damaged(name, offset, reason)
}
