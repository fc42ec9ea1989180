//! Merges a tail's rows back into the log that has lost them.

use super::{
    Kept, KeptTails,
    file::{self, Head},
    remove, unusable,
};
use crate::{row_file::Error, shared::Shared};
use bytes::Bytes;
use littoral_at_rest::Encryption;
use littoral_model::{
    record::{ChainHash, Payload, Record},
    tail::{TailMerged, TailPiece, check_log, check_view},
    view::{FeatureView, ViewId},
    write::WriteError,
};
use littoral_wire::{records, rows::RowRef};
use std::{collections::BTreeMap, ops::ControlFlow, path::Path, sync::Arc};
use tokio::sync::mpsc;
use xxhash_rust::xxh3::xxh3_64;

/// The size in bytes at which the rows of one view are sent. For each view at most this much is
/// buffered.
const PIECE_LEN: usize = 256 << 10;
/// The number of pieces read ahead.
const AHEAD: usize = 2;

/// Rows of one view, encoded.
struct Piece {
    view: ViewId,
    rows: u64,
    records: Vec<u8>,
}

/// Sends the tail piece by piece, each after the previous one is durable, then removes the file.
/// After an interruption, the next attempt repeats pieces without effect, because a piece is named
/// by its content.
pub(super) async fn merge(shared: Arc<Shared>, name: String) -> Result<TailMerged, WriteError> {
    let kept = KeptTails(shared.clone());
    let find = move || kept.find(&name);
    let Kept { path, head, status, .. } = tokio::task::spawn_blocking(find).await.map_err(failed)??;
    let calls = shared.link.calls().map_err(WriteError::LeaderUnavailable)?;
    check(&shared, &head)?;
    let (sender, mut pieces) = mpsc::channel(AHEAD);
    let reading = tokio::task::spawn_blocking({
        let (path, head, encryption) = (path.clone(), head.clone(), shared.config.encryption.clone());
        move || read(&path, &encryption, &head, &sender)
    });
    let mut merged = TailMerged::default();
    while let Some(piece) = pieces.recv().await {
        let rows = piece.rows;
        let Some(piece) = addressed(&head, piece) else {
            merged.without_view += rows;
            continue;
        };
        match calls.merge(piece).await {
            Ok(receipt) => {
                merged.rows += rows;
                merged.last = merged.last.max(receipt.position.lsn);
            }
            Err(WriteError::UnknownView(_)) => merged.without_view += rows,
            Err(error) => return Err(error),
        }
    }
    merged.of_other_regions = reading.await.map_err(failed)?.map_err(|error| unusable(&error))?;
    let TailMerged { rows, of_other_regions, without_view, .. } = merged;
    tracing::info!(tail = status.name, rows, of_other_regions, without_view, "merged a detached tail");
    if without_view == 0 {
        let removed = tokio::task::spawn_blocking(move || remove(&shared, &path)).await.map_err(failed)?;
        removed.map_err(|error| unusable(&error))?;
    }
    Ok(merged)
}

/// Rejects a tail that cannot be merged before any of it is sent. The leader checks each piece
/// again.
fn check(shared: &Shared, head: &Head) -> Result<(), WriteError> {
    let Some(replica) = shared.replica.load_full() else {
        return Err(WriteError::LeaderUnavailable("this edge does not follow a leader yet".to_owned()));
    };
    let point = replica.point.load_full();
    check_log((head.region, head.log), (point.region, point.log()))?;
    for view in &head.views {
        match check_view(view, &point.catalogue) {
            Ok(()) | Err(WriteError::UnknownView(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Reads a tail's rows in pieces. Returns the number of rows skipped because other regions had
/// accepted them.
fn read(path: &Path, encryption: &Encryption, head: &Head, pieces: &mpsc::Sender<Piece>) -> Result<u64, Error> {
    let mut waiting: BTreeMap<ViewId, Piece> = BTreeMap::new();
    let (mut of_other_regions, mut fault) = (0, None);
    file::read(path, encryption, |row| {
        if row.version.region != head.region {
            of_other_regions += 1;
            return ControlFlow::Continue(());
        }
        let view = row.view;
        let piece = waiting.entry(view).or_insert_with(|| Piece { view, rows: 0, records: Vec::new() });
        if let Err(error) = records::push(&mut piece.records, &record(head, &row)) {
            fault = Some(error.to_string());
            return ControlFlow::Break(());
        }
        piece.rows += 1;
        if piece.records.len() < PIECE_LEN {
            return ControlFlow::Continue(());
        }
        match waiting.remove(&view).map(|piece| pieces.blocking_send(piece)) {
            // The receiver has stopped.
            Some(Err(_)) => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    })?;
    if let Some(reason) = fault {
        return Err(Error::Damaged { path: path.to_owned(), reason });
    }
    for piece in waiting.into_values() {
        if pieces.blocking_send(piece).is_err() {
            break;
        }
    }
    Ok(of_other_regions)
}

/// Creates the record of a row, as far as merging needs it.
fn record<'a>(head: &Head, row: &RowRef<'a>) -> Record<'a> {
    let RowRef { view, event_time, version, lsn, key, body } = *row;
    let payload = match body {
        Some(body) => Payload::Row { view, event_time, key, body },
        None => Payload::Tombstone { view, event_time, key },
    };
    let (epoch, chain) = (head.epoch, ChainHash::GENESIS);
    Record { lsn, epoch, origin: version.region, origin_lsn: lsn, hlc: version.hlc, chain, payload }
}

/// Addresses a piece for sending; `None` if its view's definition is unknown.
fn addressed(head: &Head, piece: Piece) -> Option<TailPiece> {
    let Head { region, log, life, lost_from, views, .. } = head;
    let Piece { view, records, .. } = piece;
    let definition: &FeatureView = views.iter().find(|known| known.id == view)?;
    // Tails of several edges may have the same life and record, but different rows.
    let name = format!("tail/{log}/{life}/{lost_from}/{view}/{:016x}", xxh3_64(&records));
    let records = Bytes::from(records);
    Some(TailPiece { name, region: *region, log: *log, view: definition.clone(), records })
}

fn failed(error: tokio::task::JoinError) -> WriteError {
    WriteError::Invalid(format!("the detached tail could not be read: {error}"))
}
