//! Blocks of rows and of records, as in feed, log and snapshots.

use super::{check_words, frames::payloads};
use crate::Target;
use bytes::Bytes;
use littoral_model::{catalogue::Catalogue, region::Region};
use littoral_protocol::frame::Views;
use littoral_wire::{
    records::{self, ViewFilter},
    rows,
};

pub(super) const ROWS: Target = Target { name: "rows", run: rows, seeds: row_blocks, memory: (1 << 20, 64) };
pub(super) const RECORDS: Target =
    Target { name: "records", run: records, seeds: record_blocks, memory: (1 << 20, 256) };

fn rows(block: &[u8]) {
    let mut again = Vec::new();
    for row in rows::iter(block) {
        match row {
            Err(error) => return check_words(&error.to_string()),
            Ok(row) => {
                rows::push(&mut again, row.map(|row| row.to_row()).as_ref()).expect("a row that was read is written")
            }
        }
    }
    let read: Vec<_> = rows::iter(block).flatten().collect();
    let read_again: Vec<_> = rows::iter(&again).flatten().collect();
    assert_eq!(read, read_again);
}

fn records(block: &[u8]) {
    let (mut again, mut first, mut last, mut dense) = (Vec::new(), None, None, true);
    let shared = Bytes::copy_from_slice(block);
    let filtered =
        ViewFilter::new(&Views::Names(vec!["route".into()]), &Catalogue::default(), Region::NONE).apply(&shared);
    for record in records::iter(block) {
        match record {
            Err(error) => {
                check_words(&error.to_string());
                assert!(filtered.is_err(), "a filter accepted an invalid block");
                assert!(records::check_dense(block, first.unwrap_or(1), last.unwrap_or(1)).is_err());
                return;
            }
            Ok(record) => {
                let lsn = record.lsn.0;
                dense &= last.is_none_or(|last: u64| last.checked_add(1) == Some(lsn));
                first = first.or(Some(lsn));
                last = Some(lsn);
                let _ = record.chain_after(record.chain);
                records::push(&mut again, &record).expect("a record that was read is written");
            }
        }
    }
    let filtered = filtered.expect("a valid block is filtered");
    assert!(filtered.len() <= block.len());
    if let (Some(first), Some(last)) = (first, last) {
        assert_eq!(records::check_dense(block, first, last).is_ok(), dense, "{first}..={last}");
        let chain = records::iter(block).flatten().last().map(|record| record.chain);
        assert_eq!(records::last_chain(block).ok().flatten(), chain);
    }
    let read: Vec<_> = records::iter(block).flatten().collect();
    let read_again: Vec<_> = records::iter(&again).flatten().collect();
    assert_eq!(read, read_again);
}

fn row_blocks() -> Vec<(String, Vec<u8>)> {
    blocks("downstream-2", 2)
}

fn record_blocks() -> Vec<(String, Vec<u8>)> {
    blocks("downstream-4", 4)
}

/// Returns the block at the end of a golden message, by its own length.
fn blocks(name: &str, variant: u8) -> Vec<(String, Vec<u8>)> {
    use littoral_protocol::frame::Downstream;
    (payloads(name).into_iter())
        .filter_map(|(name, payload)| match littoral_wire::feed::downstream(&payload.into()) {
            Ok(Downstream::SnapshotRows { bytes, .. }) if variant == 2 => Some((name, bytes.to_vec())),
            Ok(Downstream::Records { bytes, .. }) if variant == 4 => Some((name, bytes.to_vec())),
            _ => None,
        })
        .collect()
}
