//! A snapshot on its way to one subscriber: rows are taken from the source as the subscriber takes them.

use bytes::Bytes;
use littoral_model::row::Row;
use littoral_wire::{records::ViewFilter, rows};
use tokio::sync::mpsc;

/// Blocks that are made ahead of the subscriber.
const BLOCKS_AHEAD: usize = 2;

/// Rows, encoded.
pub(crate) struct Block {
    pub(crate) rows: u32,
    pub(crate) bytes: Bytes,
}

/// Encodes rows on a thread for blocking work, as copying a shard of a large table takes long for a task. It stops when
/// the receiver is dropped. The channel ends with an error when a row cannot be encoded.
pub(crate) fn start(
    chunks: Box<dyn Iterator<Item = Vec<Row>> + Send>,
    filter: ViewFilter,
    bytes: usize,
) -> mpsc::Receiver<Result<Block, littoral_wire::Error>> {
    let (sender, receiver) = mpsc::channel(BLOCKS_AHEAD);
    tokio::task::spawn_blocking(move || {
        let mut block = Vec::with_capacity(bytes + bytes / 8);
        let mut count = 0;
        for row in chunks.flatten().filter(|row| filter.wants_row(row)) {
            if let Err(error) = rows::push(&mut block, Some(&row)) {
                // Nobody to tell when the session is over.
                let _ = sender.blocking_send(Err(error));
                return;
            }
            count += 1;
            if block.len() >= bytes {
                let full = std::mem::replace(&mut block, Vec::with_capacity(bytes + bytes / 8));
                if sender.blocking_send(Ok(Block { rows: count, bytes: Bytes::from(full) })).is_err() {
                    return;
                }
                count = 0;
            }
        }
        if count > 0 {
            let _ = sender.blocking_send(Ok(Block { rows: count, bytes: Bytes::from(block) }));
        }
    });
    receiver
}
