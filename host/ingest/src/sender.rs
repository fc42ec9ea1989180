//! Sends one partition's batches, one after another, so that the order of each key's rows holds.

use crate::encode::Body;
use littoral_client::{Client, RowsReceipt};
use tokio::sync::mpsc;

/// A chunk's part for one partition.
#[derive(Debug)]
pub(crate) struct Part {
    /// The chunk.
    pub(crate) chunk: u64,
    /// The beginning of its bodies' idempotency keys.
    pub(crate) key: String,
    pub(crate) bodies: Vec<Body>,
}

/// What a partition reports.
#[derive(Debug)]
pub(crate) enum Sent {
    /// A body was acknowledged.
    Body { rows: u64, bytes: u64, receipt: RowsReceipt },
    /// Every body of a chunk's part was.
    Part { chunk: u64 },
    /// One was not; the partition has ended.
    Failed(littoral_client::Error),
}

/// Sends parts until there are no more or one fails.
pub(crate) async fn run(client: Client, view: String, mut parts: mpsc::Receiver<Part>, sent: mpsc::Sender<Sent>) {
    while let Some(part) = parts.recv().await {
        for body in part.bodies {
            let key = format!("{}-{}", part.key, body.at);
            let bytes = body.stream.len() as u64;
            let report = match client.write_arrow(&view, body.stream, Some(&key)).await {
                Ok(receipt) => Sent::Body { rows: body.rows, bytes, receipt },
                Err(error) => Sent::Failed(error),
            };
            let failed = matches!(report, Sent::Failed(_));
            if sent.send(report).await.is_err() || failed {
                return;
            }
        }
        if sent.send(Sent::Part { chunk: part.chunk }).await.is_err() {
            return;
        }
    }
}
