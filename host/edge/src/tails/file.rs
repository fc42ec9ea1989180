//! A detached tail's file: `tail-LIFE-LSN.rows`, of the newest life that was held and the first record that is lost. Another one of
//! the same life and record gets `-2` and so on behind it. Its rows ascend by their numbers.

use crate::row_file::{BLOCK_LEN, Error, Kind, ROWS_PER_BLOCK, Reader, Writer};
use littoral_model::{
    position::{Epoch, Incarnation, Lsn},
    region::Region,
    row::Row,
    view::FeatureView,
};
use littoral_wire::rows::{self, RowRef};
use serde::{Deserialize, Serialize};
use std::{fs, io, ops::ControlFlow, path::Path};

const KIND: Kind = Kind { magic: b"LITTTAIL", version: 1, version_min: 1, name: "detached tail" };

/// What a tail begins with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Head {
    /// The region whose log has lost the rows.
    pub(super) region: Region,
    /// The name of that log.
    pub(super) log: Incarnation,
    /// The newest life of it that was held.
    pub(super) life: Incarnation,
    /// The epoch of that.
    pub(super) epoch: Epoch,
    /// The first record that is lost.
    pub(super) lost_from: Lsn,
    /// The first row's record.
    pub(super) first: Lsn,
    /// The last row's.
    pub(super) last: Lsn,
    /// The views of the rows, as they were.
    pub(super) views: Vec<FeatureView>,
}

/// What tails of one life and record are called, without what tells them apart.
pub(super) fn stem(life: Incarnation, lost_from: Lsn) -> String {
    format!("tail-{life}-{lost_from}")
}

/// The name of such a tail; `copy` tells it from others.
pub(super) fn name(stem: &str, copy: u32) -> String {
    if copy > 1 { format!("{stem}-{copy}.rows") } else { format!("{stem}.rows") }
}

/// Whether a file of this name is a tail.
pub(super) fn is_name(name: &str) -> bool {
    name.starts_with("tail-") && name.ends_with(".rows")
}

/// Writes a tail, whole or not at all. The rows ascend by number.
pub(super) fn write(path: &Path, head: &Head, lost: &[Row]) -> Result<(), Error> {
    let mut writer = Writer::create(KIND, path)?;
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

/// What a tail begins with.
pub(super) fn head(path: &Path) -> Result<Head, Error> {
    open(path)?.head()
}

/// Gives each row to `each`, in order, until that breaks off.
pub(super) fn read(path: &Path, mut each: impl FnMut(RowRef<'_>) -> ControlFlow<()>) -> Result<(), Error> {
    let mut reader = open(path)?;
    let _: Head = reader.head()?;
    let mut total = 0;
    while let Some(block) = reader.rows()? {
        for row in rows::iter(&block) {
            let row = row.map_err(|error| reader.damaged(error.to_string()))?;
            let Some(row) = row else { return Err(reader.damaged("it holds an empty row".to_owned())) };
            if each(row).is_break() {
                return Ok(());
            }
            total += 1;
        }
    }
    reader.finish(total)
}

/// Removes a tail; one that is gone already is no error.
pub(super) fn remove(path: &Path) -> Result<(), Error> {
    let removed = match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    };
    removed.map_err(|source| Error::Io { path: path.to_owned(), source })
}

fn open(path: &Path) -> Result<Reader, Error> {
    let gone = || Error::Io { path: path.to_owned(), source: io::ErrorKind::NotFound.into() };
    Reader::open(KIND, path)?.ok_or_else(gone)
}
