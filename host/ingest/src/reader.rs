//! Reads a file's rows in batches, from a row on, only the columns that are needed.

use crate::{
    Error,
    files::{self, Input},
    int96::{self, Seconds},
};
use littoral_columnar::{Checked, Limits, Plan};
use littoral_model::event_time::EventTime;
use parquet::arrow::{
    ProjectionMask,
    arrow_reader::{ArrowReaderMetadata, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder},
};
use std::path::PathBuf;

/// Checked batches of one file.
pub(crate) struct Batches {
    path: PathBuf,
    plan: Plan,
    reader: ParquetRecordBatchReader,
    /// INT96 columns once more; their nanoseconds wrap around.
    seconds: Option<Seconds>,
    next_row: u64,
}

impl Batches {
    /// All columns that the plan uses, from `from_row` on.
    pub(crate) fn rows(input: &Input, from_row: u64, batch_rows: usize) -> Result<Self, Error> {
        Self::open(input, &input.plan.used(), from_row, batch_rows)
    }

    /// Only the entity key's and the timestamp's columns.
    pub(crate) fn keys(input: &Input, batch_rows: usize) -> Result<Self, Error> {
        Self::open(input, &input.plan.used_by_keys(), 0, batch_rows)
    }

    fn open(input: &Input, columns: &[usize], from_row: u64, batch_rows: usize) -> Result<Self, Error> {
        let rows = |source| Error::Rows { path: input.path.clone(), source };
        let broken = |reason: parquet::errors::ParquetError| Error::NotParquet {
            path: input.path.clone(),
            reason: reason.to_string(),
        };
        let plan = input.plan.project(columns).map_err(rows)?;
        let read = |metadata: &ArrowReaderMetadata, columns: &[usize]| {
            let mask = ProjectionMask::roots(metadata.parquet_schema(), columns.iter().copied());
            let file = files::open_file(&input.path)?;
            ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata.clone())
                .with_projection(mask)
                .with_batch_size(batch_rows)
                .with_offset(usize::try_from(from_row).unwrap_or(usize::MAX))
                .build()
                .map_err(broken)
        };
        let seconds = match int96::in_seconds(&input.metadata).map_err(broken)? {
            None => None,
            Some(metadata) => {
                let mut int96 = int96::roots(metadata.parquet_schema());
                int96.retain(|column| columns.contains(column));
                let places = int96.iter().filter_map(|column| columns.iter().position(|read| read == column));
                Some(Seconds::new(places.collect(), read(&metadata, &int96)?))
            }
        };
        let reader = read(&input.metadata, columns)?;
        Ok(Self { path: input.path.clone(), plan, reader, seconds, next_row: from_row })
    }
}

impl Iterator for Batches {
    /// A batch and the number of its first row within the file.
    type Item = Result<(u64, Checked), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = match self.reader.next()? {
            Ok(batch) => batch,
            Err(error) => return Some(Err(Error::NotParquet { path: self.path.clone(), reason: error.to_string() })),
        };
        let path = &self.path;
        let broken = |reason| Error::NotParquet { path: path.clone(), reason };
        let batch = match &mut self.seconds {
            None => batch,
            Some(seconds) => match seconds.mend(batch, broken) {
                Ok(batch) => batch,
                Err(error) => return Some(Err(error)),
            },
        };
        let first = self.next_row;
        self.next_row += batch.num_rows() as u64;
        // The file is the user's own and a batch's rows are bounded by the reader; expansion of dictionaries is not.
        let limits = Limits { rows_max: usize::MAX, bytes_max: 1 << 30 };
        let base = usize::try_from(first).unwrap_or(usize::MAX);
        let checked = self
            .plan
            .check(&batch, EventTime::EPOCH, limits)
            .map_err(|source| Error::Rows { path: self.path.clone(), source: source.offset_rows(base) });
        Some(checked.map(|checked| (first, checked)))
    }
}
