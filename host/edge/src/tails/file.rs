//! The file of a detached tail. It is named `tail-LIFE-LSN.rows`, after the newest life that was
//! held and the first lost record. Further files with the same life and record end with `-2` and
//! so on. The rows ascend by LSN.

use crate::row_file::{BLOCK_LEN, Error, Kind, ROWS_PER_BLOCK, Reader, Writer};
use littoral_at_rest::{Encryption, FileKind};
use littoral_model::{
    position::{Epoch, Incarnation, Lsn},
    region::Region,
    row::Row,
    view::{FeatureView, ViewId},
};
use littoral_wire::rows::{self, RowRef};
use serde::{Deserialize, Serialize};
use std::{fs, io, ops::ControlFlow, path::Path};

/// The oldest format has no residency rules in its head.
pub(crate) const KIND: Kind =
    Kind { magic: b"LITTTAIL", version: 2, version_min: 1, name: "detached tail", file: FileKind::DetachedTail };

/// The head of a tail's file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Head {
    /// The region whose log has lost the rows.
    pub(super) region: Region,
    /// The name of that log.
    pub(super) log: Incarnation,
    /// The newest held life of that log.
    pub(super) life: Incarnation,
    /// The newest epoch seen.
    pub(super) epoch: Epoch,
    /// The first lost record.
    pub(super) lost_from: Lsn,
    /// The record of the first row.
    pub(super) first: Lsn,
    /// The record of the last row.
    pub(super) last: Lsn,
    /// The views of the rows, as of the loss.
    pub(super) views: Vec<FeatureView>,
    /// The residency rules of these views, and of dropped ones: the regions that may hold their rows.
    pub(super) rules: Vec<(ViewId, Vec<Region>)>,
}

/// The head of format 1, from before there were residency rules.
#[derive(Deserialize)]
struct HeadV1 {
    region: Region,
    log: Incarnation,
    life: Incarnation,
    epoch: Epoch,
    lost_from: Lsn,
    first: Lsn,
    last: Lsn,
    views: Vec<FeatureView>,
}

impl From<HeadV1> for Head {
    fn from(old: HeadV1) -> Self {
        let HeadV1 { region, log, life, epoch, lost_from, first, last, views } = old;
        Self { region, log, life, epoch, lost_from, first, last, views, rules: Vec::new() }
    }
}

/// Returns the common start of the names of tails with one life and record.
pub(super) fn stem(life: Incarnation, lost_from: Lsn) -> String {
    format!("tail-{life}-{lost_from}")
}

/// Returns the name of a tail's file; `copy` distinguishes tails with the same stem.
pub(super) fn name(stem: &str, copy: u32) -> String {
    if copy > 1 { format!("{stem}-{copy}.rows") } else { format!("{stem}.rows") }
}

/// Returns whether this is the name of a tail's file.
pub(crate) fn is_name(name: &str) -> bool {
    name.starts_with("tail-") && name.ends_with(".rows")
}

/// Writes a tail, whole or not at all. The rows must ascend by LSN.
pub(super) fn write(path: &Path, encryption: &Encryption, head: &Head, lost: &[Row]) -> Result<(), Error> {
    let mut writer = Writer::create(KIND, path, encryption)?;
    writer.head(head)?;
    let mut block = Vec::new();
    for (at, row) in lost.iter().enumerate() {
        if block.len() >= BLOCK_LEN || (at > 0 && at.is_multiple_of(ROWS_PER_BLOCK)) {
            writer.rows(&block)?;
            block.clear();
        }
        rows::push(&mut block, Some(row)).map_err(|error| writer.damaged(error.to_string()))?;
    }
    writer.rows(&block)?;
    writer.finish(lost.len() as u64)
}

/// Reads the head of a tail.
pub(super) fn head(path: &Path, encryption: &Encryption) -> Result<Head, Error> {
    read_head(&mut open(path, encryption)?)
}

fn read_head(reader: &mut Reader) -> Result<Head, Error> {
    if reader.version() == KIND.version { reader.head() } else { reader.head::<HeadV1>().map(Head::from) }
}

/// Passes each row to `each`, in order, until it breaks.
pub(super) fn read(
    path: &Path,
    encryption: &Encryption,
    mut each: impl FnMut(RowRef<'_>) -> ControlFlow<()>,
) -> Result<(), Error> {
    let mut reader = open(path, encryption)?;
    read_head(&mut reader)?;
    let mut total = 0;
    while let Some(block) = reader.rows()? {
        for row in rows::iter(&block) {
            let row = row.map_err(|error| reader.damaged(error.to_string()))?;
            let Some(row) = row else { return Err(reader.damaged("it contains an empty row".to_owned())) };
            if each(row).is_break() {
                return Ok(());
            }
            total += 1;
        }
    }
    reader.finish(total)
}

/// Removes a tail; a missing file is not an error.
pub(super) fn remove(path: &Path) -> Result<(), Error> {
    let removed = match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    };
    removed.map_err(|source| Error::Io { path: path.to_owned(), source })
}

fn open(path: &Path, encryption: &Encryption) -> Result<Reader, Error> {
    let gone = || Error::Io { path: path.to_owned(), source: io::ErrorKind::NotFound.into() };
    Reader::open(KIND, path, encryption)?.ok_or_else(gone)
}
