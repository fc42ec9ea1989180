//! What a leader vouches for: digests of its views as of one record.

use littoral_model::{
    catalogue::Catalogue,
    digest::{Checkpoint, Digest, ViewDigest},
    hlc::Hlc,
    position::Lsn,
    view::ViewId,
};
use littoral_replica::Table;
use std::collections::BTreeSet;

/// The digests of every view that is vouched for. Everything up to `lsn` is applied to the table, and nothing more.
#[must_use]
pub fn checkpoint(
    table: &Table,
    catalogue: &Catalogue,
    lsn: Lsn,
    at: Hlc,
    is_suspect: impl Fn(ViewId) -> bool,
) -> Checkpoint {
    let mut views = table.digests();
    // A view that never had a row is vouched for too: it is empty.
    let known: BTreeSet<ViewId> = views.iter().map(|view| view.view).collect();
    let empty = |view| ViewDigest { view, rows: 0, digest: Digest::default() };
    views.extend(catalogue.views().map(|view| view.id).filter(|view| !known.contains(view)).map(empty));
    views.retain(|view| !is_suspect(view.view));
    Checkpoint { lsn, at, views }
}
