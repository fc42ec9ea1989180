//! A leader's checkpoints: digests of its views as of one record.

use littoral_model::{
    catalogue::Catalogue,
    digest::{Checkpoint, Digest, ViewDigest},
    hlc::Hlc,
    position::Lsn,
    view::ViewId,
};
use littoral_replica::Table;
use std::collections::BTreeSet;

/// Returns the digests of every view that is not suspect. Exactly the records up to `lsn` must be applied to the table.
#[must_use]
pub fn checkpoint(
    table: &Table,
    catalogue: &Catalogue,
    lsn: Lsn,
    at: Hlc,
    is_suspect: impl Fn(ViewId) -> bool,
) -> Checkpoint {
    let mut views = table.digests();
    // A view that never had a row has a digest too: it is empty.
    let known: BTreeSet<ViewId> = views.iter().map(|view| view.view).collect();
    let empty = |view| ViewDigest { view, rows: 0, digest: Digest::default() };
    views.extend(catalogue.views().map(|view| view.id).filter(|view| !known.contains(view)).map(empty));
    views.retain(|view| !is_suspect(view.view));
    Checkpoint { lsn, at, views }
}
