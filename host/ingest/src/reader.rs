//! Reads the needed columns of a file in batches, beginning at a given row.

use crate::{
    Error,
    bounds::{self, BATCH_BYTES},
    files::{self, Input},
    int96::{self, Seconds},
    partition::Constant,
};
use arrow_array::RecordBatch;
use arrow_schema::Schema;
use littoral_columnar::{Checked, Limits, Plan};
use littoral_model::event_time::EventTime;
use parquet::arrow::{
    ProjectionMask,
    arrow_reader::{ArrowReaderMetadata, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder},
};
use std::{collections::VecDeque, ops::Range, path::PathBuf, sync::Arc};

/// Checked batches of one file.
pub(crate) struct Batches {
    path: PathBuf,
    plan: Plan,
    reader: ParquetRecordBatchReader,
    /// The second reading of INT96 columns, whose nanoseconds can overflow.
    seconds: Option<Seconds>,
    constants: Vec<Constant>,
    /// The current batch, and the runs of its rows that were not returned yet.
    read: Option<(RecordBatch, VecDeque<Range<usize>>)>,
    next_row: u64,
}

impl Batches {
    /// Reads all columns of the plan, from `from_row` on.
    pub(crate) fn rows(input: &Input, from_row: u64, batch_rows: usize) -> Result<Self, Error> {
        Self::open(input, &input.plan.used(), from_row, batch_rows)
    }

    /// Reads only the columns of the entity key and of the times: event timestamp and creation.
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
        let (in_file, of_folders): (Vec<usize>, Vec<usize>) = columns.iter().partition(|at| **at < input.columns());
        let constants = of_folders.iter().filter_map(|at| input.constants.get(at - input.columns())).cloned().collect();
        let columns = &in_file;
        let batch_rows = bounds::batch_rows(input.metadata.metadata(), columns, batch_rows);
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
        Ok(Self { path: input.path.clone(), plan, reader, seconds, constants, read: None, next_row: from_row })
    }
}

impl Batches {
    /// Returns the next run of rows.
    fn next_run(&mut self) -> Option<Result<RecordBatch, Error>> {
        loop {
            let run = self.read.as_mut().and_then(|(batch, runs)| {
                let run = runs.pop_front()?;
                Some(batch.slice(run.start, run.len()))
            });
            if let Some(run) = run {
                return Some(self.with_constants(&run));
            }
            self.read = None;
            let batch = match self.next_read()? {
                Ok(batch) => batch,
                Err(error) => return Some(Err(error)),
            };
            let runs = bounds::runs(&batch, BATCH_BYTES);
            self.read = Some((batch, runs.into()));
        }
    }

    /// Reads the next batch from the file.
    fn next_read(&mut self) -> Option<Result<RecordBatch, Error>> {
        let path = &self.path;
        let broken = |reason| Error::NotParquet { path: path.clone(), reason };
        let batch = self.reader.next()?.map_err(|error| broken(error.to_string()));
        Some(match (batch, &mut self.seconds) {
            (Ok(batch), Some(seconds)) => seconds.mend(batch, broken),
            (batch, _) => batch,
        })
    }

    /// Adds the columns from the file's folders to a batch.
    fn with_constants(&self, batch: &RecordBatch) -> Result<RecordBatch, Error> {
        if self.constants.is_empty() {
            return Ok(batch.clone());
        }
        let (mut fields, mut columns) = (batch.schema().fields().to_vec(), batch.columns().to_vec());
        for constant in &self.constants {
            let column = constant.column(batch.num_rows());
            columns.push(column.map_err(|reason| Error::Folder { path: self.path.clone(), reason })?);
            fields.push(Arc::new(constant.field()));
        }
        let made = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns);
        made.map_err(|error| Error::Folder { path: self.path.clone(), reason: error.to_string() })
    }
}

impl Iterator for Batches {
    /// Returns the next batch, and the number of its first row within the file.
    type Item = Result<(u64, Checked), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = match self.next_run()? {
            Ok(batch) => batch,
            Err(error) => return Some(Err(error)),
        };
        let first = self.next_row;
        self.next_row += batch.num_rows() as u64;
        // Runs are already bounded. Only a run of a single row may be larger, up to 1 GiB, because the file is the
        // user's own.
        let limits = Limits { rows_max: usize::MAX, bytes_max: 1 << 30 };
        let base = usize::try_from(first).unwrap_or(usize::MAX);
        let checked = self
            .plan
            .check(&batch, EventTime::EPOCH, limits)
            .map_err(|source| Error::Rows { path: self.path.clone(), source: source.offset_rows(base) });
        Some(checked.map(|checked| (first, checked)))
    }
}
