//! A partition of the entity keys: sends its slices of all chunks in order, one request at a time.

use crate::encode::{self, Body};
use littoral_client::{Client, Error, RowsReceipt};
use littoral_columnar::Checked;
use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};
use tokio::sync::mpsc;

/// A chunk's slice for one partition.
#[derive(Debug)]
pub(crate) struct Slice {
    /// The chunk.
    pub(crate) chunk: u64,
    /// The prefix of its bodies' idempotency keys.
    pub(crate) key: String,
    pub(crate) bodies: Vec<Body>,
    /// The number of each of its rows in the file.
    pub(crate) file_rows: Vec<u64>,
    /// Its rows, if rejected rows are left out: what remains of a body is then encoded again.
    pub(crate) rows: Option<Arc<Checked>>,
}

/// A report of a partition.
#[derive(Debug)]
pub(crate) enum Sent {
    /// A body was acknowledged.
    Body { rows: u64, bytes: u64, receipt: RowsReceipt },
    /// A row was rejected and left out.
    Rejected { row: u64, reason: String },
    /// All bodies of a chunk's slice were acknowledged, except for rows that were left out.
    Slice { chunk: u64 },
    /// A body was not acknowledged, and the partition has ended. `row` is the number of the rejected row, if there is
    /// one.
    Failed { error: Error, row: Option<u64> },
}

/// Sends the slices of one partition. The partitions of a file are clones, which share this state.
#[derive(Clone)]
pub(crate) struct Sender {
    pub(crate) client: Client,
    pub(crate) view: String,
    pub(crate) body_bytes_max: usize,
    /// Set when a partition has failed: the others end after their current requests.
    pub(crate) stopped: Arc<AtomicBool>,
    pub(crate) sent: mpsc::Sender<Sent>,
}

impl Sender {
    /// Sends slices until there are no more, one fails, or another partition has failed.
    pub(crate) async fn run(self, mut slices: mpsc::Receiver<Slice>) {
        while let Some(slice) = slices.recv().await {
            let chunk = slice.chunk;
            let done = self.slice(slice).await;
            if !done || self.sent.send(Sent::Slice { chunk }).await.is_err() {
                return;
            }
        }
    }

    /// Sends a slice. Returns whether all of it was acknowledged or left out.
    async fn slice(&self, slice: Slice) -> bool {
        let mut waiting: VecDeque<_> = slice.bodies.into_iter().map(|body| (body, false)).collect();
        while let Some((body, is_rest)) = waiting.pop_front() {
            if self.stopped.load(Relaxed) {
                return false;
            }
            let key = format!("{}-{}", slice.key, place(&body, is_rest));
            let (rows, bytes) = (body.rows.len() as u64, body.stream.len() as u64);
            let error = match self.client.write_arrow(&self.view, body.stream.clone(), Some(&key)).await {
                Ok(receipt) => {
                    if self.sent.send(Sent::Body { rows, bytes, receipt }).await.is_err() {
                        return false;
                    }
                    continue;
                }
                Err(error) => error,
            };
            let at =
                error.row().and_then(|row| u32::try_from(row).ok()).filter(|row| (*row as usize) < body.rows.len());
            let row = at.and_then(|at| slice.file_rows.get((body.rows.start + at) as usize)).copied();
            let (Some(at), Some(row), Some(all)) = (at, row, &slice.rows) else {
                self.stopped.store(true, Relaxed);
                let _ = self.sent.send(Sent::Failed { error, row }).await;
                return false;
            };
            match self.around(all, &body, at).await {
                Ok(bodies) => bodies.into_iter().rev().for_each(|body| waiting.push_front((body, true))),
                Err(reason) => {
                    self.stopped.store(true, Relaxed);
                    let error = Error::Request(reason);
                    let _ = self.sent.send(Sent::Failed { error, row: Some(row) }).await;
                    return false;
                }
            }
            if self.sent.send(Sent::Rejected { row, reason: error.to_string() }).await.is_err() {
                return false;
            }
        }
        true
    }

    /// Encodes a body's rows again, without the rejected one.
    async fn around(&self, slice: &Arc<Checked>, body: &Body, at: u32) -> Result<Vec<Body>, String> {
        let (slice, rows, bytes_max) = (slice.clone(), body.rows.clone(), self.body_bytes_max);
        let refused = rows.start + at;
        let encoded = tokio::task::spawn_blocking(move || {
            let mut bodies = encode::bodies(&slice, rows.start..refused, bytes_max)?;
            bodies.extend(encode::bodies(&slice, refused + 1..rows.end, bytes_max)?);
            Ok::<_, littoral_columnar::Error>(bodies)
        });
        encoded.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
    }
}

/// Returns what distinguishes a body from the others of its slice: where its rows begin, and, if it is the rest of a
/// body with a rejected row, where they end. A body that is no rest has the same key whether or not rejected rows are
/// left out, so that the node recognises the bodies that an earlier run has sent.
fn place(body: &Body, is_rest: bool) -> String {
    match is_rest {
        false => body.rows.start.to_string(),
        true => format!("{}..{}", body.rows.start, body.rows.end),
    }
}
