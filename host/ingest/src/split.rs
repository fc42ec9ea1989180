//! Reads one file and splits its rows among the partitions, by entity key.

use crate::{Error, encode, files::Input, latest::Latest, reader::Batches, sender::Slice};
use std::sync::Arc;
use tokio::sync::mpsc;
use xxhash_rust::xxh3::xxh3_64;

/// The announcement of a chunk: how many rows it covers, and how many of its slices are not acknowledged yet.
pub(crate) struct Chunk {
    pub(crate) number: u64,
    pub(crate) rows: u64,
    pub(crate) superseded: u64,
    pub(crate) slices_left: usize,
}

/// Reads one file, on a blocking thread. A batch that was read is a *chunk*; it is split into a *slice* for each
/// partition, and each slice is encoded as one or more request bodies.
pub(crate) struct Split {
    pub(crate) inputs: Arc<Vec<Input>>,
    /// The index of the file among the inputs.
    pub(crate) at: usize,
    /// The number of the first row to read.
    pub(crate) from: u64,
    pub(crate) latest: Option<Arc<Latest>>,
    pub(crate) batch_rows: usize,
    pub(crate) body_bytes_max: usize,
    /// Whether rejected rows are left out.
    pub(crate) skip_refused: bool,
    /// The hash that distinguishes this load's idempotency keys from those of other loads.
    pub(crate) fingerprint: String,
}

impl Split {
    /// Reads the file. Ends early, without an error, when the partitions have ended.
    pub(crate) fn run(&self, slices: &[mpsc::Sender<Slice>], chunks: &mpsc::Sender<Chunk>) -> Result<(), Error> {
        let input = &self.inputs[self.at];
        let mut picked: Vec<Vec<u32>> = vec![Vec::new(); slices.len()];
        for (number, batch) in (0..).zip(Batches::rows(input, self.from, self.batch_rows)?) {
            let (first, rows) = batch?;
            picked.iter_mut().for_each(Vec::clear);
            rows.for_each_key(|row, key| {
                if self.latest.as_ref().is_none_or(|latest| latest.is_sent(self.at, first + row as u64)) {
                    let partition = xxh3_64(key) as usize % slices.len();
                    picked[partition].push(row as u32);
                }
            });
            let kept: usize = picked.iter().map(Vec::len).sum();
            let chunk = Chunk {
                number,
                rows: rows.rows() as u64,
                superseded: (rows.rows() - kept) as u64,
                slices_left: picked.iter().filter(|rows| !rows.is_empty()).count(),
            };
            if chunks.blocking_send(chunk).is_err() {
                return Ok(());
            }
            for (partition, picked) in picked.iter().enumerate().filter(|(_, rows)| !rows.is_empty()) {
                let wrong = |source| Error::Rows { path: input.path.clone(), source };
                let slice = rows.take(picked).map_err(wrong)?;
                let all = 0..slice.rows() as u32;
                let bodies = encode::bodies(&slice, all, self.body_bytes_max).map_err(wrong)?;
                // The same rows must always have the same key, and other rows another one. The file, the place, the
                // number of rows and the split determine the rows of a slice; the fingerprint covers everything else.
                let key = format!(
                    "{}-{:.16}-{first}+{}-{partition}/{}",
                    input.digest,
                    self.fingerprint,
                    rows.rows(),
                    slices.len()
                );
                let file_rows = picked.iter().map(|row| first + u64::from(*row)).collect();
                let rows = self.skip_refused.then(|| Arc::new(slice));
                let slice = Slice { chunk: number, key, bodies, file_rows, rows };
                if slices[partition].blocking_send(slice).is_err() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}
