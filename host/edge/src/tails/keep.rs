//! Saves the rows that the log has lost to a file, before a snapshot replaces them.

use super::file::{self, Head};
use crate::{
    config::Config,
    row_file::{Error, ROWS_PER_BLOCK},
    shared::Shared,
};
use littoral_at_rest::Encryption;
use littoral_edge_core::replica::Replica;
use littoral_model::{
    lineage::{Lineage, RegionLineages},
    position::{Lsn, Position},
    row::Row,
    view::ViewId,
};
use littoral_wire::rows::RowRef;
use std::{
    collections::{BTreeSet, HashSet},
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::Arc,
};
use xxhash_rust::xxh3::Xxh3;

/// Returns the common record of the held log and a copy of it with these lineages, if
/// something held here is past that record. A lineage that is only behind has lost nothing.
pub(crate) fn fork(replica: &Replica, lineages: &RegionLineages) -> Option<Position> {
    let point = replica.point.load_full();
    let (ours, theirs) = (point.lineages.get(point.region)?, lineages.get(point.region)?);
    if theirs.is_past_of(ours) {
        return None;
    }
    replica.fork(theirs)
}

/// Saves the rows of records after `fork`, which the followed log has lost. Rows that a file
/// contains already are not written again. If saving fails, an error is logged and the edge
/// continues to follow, because a stopped edge would not help.
pub(crate) async fn keep(shared: &Arc<Shared>, replica: Arc<Replica>, fork: Position) {
    let _alone = shared.saving.lock().await;
    let keeping = shared.clone();
    let kept = tokio::task::spawn_blocking(move || keep_rows(&replica, fork, &keeping.config));
    if let Err(error) = kept.await {
        tracing::error!(%error, %fork, "rows that the leader's log has lost are not saved: the task that writes them failed");
    }
}

fn keep_rows(replica: &Replica, fork: Position, config: &Config) {
    let (lost, held) = (lost_rows(replica, fork.lsn), replica.position());
    let rows = lost.len();
    let (Some(first), Some(last)) = (lost.first(), lost.last()) else {
        tracing::info!(%fork, %held, "the leader's log was rolled back; no row held here is from its lost records");
        return;
    };
    let (first, last) = (first.header().lsn, last.header().lsn);
    let failed = || metrics::counter!("littoral_edge_tails_not_kept_total").increment(1);
    let Some(directory) = config.data_dir.as_deref() else {
        failed();
        tracing::error!(rows, %first, %last, %fork, %held, "the leader's log was rolled back, and its lost rows are not saved, because this edge has no data directory; configure edge.data_dir");
        return;
    };
    match write(replica, fork.lsn.next(), (directory, &config.encryption), lost) {
        Ok(Some((path, rows))) => {
            metrics::counter!("littoral_edge_tails_kept_total").increment(1);
            tracing::warn!(rows, path = %path.display(), %fork, %held, "the leader's log was rolled back; its lost rows are saved; see `littoral tails`");
        }
        Ok(None) => {
            tracing::debug!(rows, %fork, %held, "the rows that the leader's log has lost are already saved")
        }
        Err(error) => {
            failed();
            tracing::error!(%error, rows, %first, %last, %fork, %held, "the leader's log was rolled back, and its lost rows could not be saved");
        }
    }
}

/// Writes the rows that no file contains yet. Returns the file and the number of rows; `None` if
/// there is nothing to write.
fn write(
    replica: &Replica,
    lost_from: Lsn,
    (directory, encryption): (&Path, &Encryption),
    mut lost: Vec<Row>,
) -> Result<Option<(PathBuf, usize)>, Error> {
    let point = replica.point.load_full();
    let position = point.resume.position;
    let life = point.lineages.get(point.region).map_or(position.incarnation, Lineage::current);
    let stem = file::stem(life, lost_from);
    let mut copy = 1;
    let path = loop {
        let path = directory.join(file::name(&stem, copy));
        if !path.exists() {
            break path;
        }
        match writes_in(&path, encryption) {
            Ok(kept) => lost.retain(|row| !kept.contains(&write_of(&RowRef::of(row)))),
            Err(error) => tracing::warn!(%error, "this detached tail cannot be read; writing another one next to it"),
        }
        copy += 1;
    };
    let (Some(first), Some(last)) = (lost.first(), lost.last()) else { return Ok(None) };
    let views: BTreeSet<ViewId> = lost.iter().map(|row| row.header().view).collect();
    let head = Head {
        region: point.region,
        log: point.log(),
        life,
        epoch: point.epoch,
        lost_from,
        first: first.header().lsn,
        last: last.header().lsn,
        rules: views
            .iter()
            .map(|view| (*view, point.catalogue.regions_of(*view).to_vec()))
            .filter(|(_, regions)| !regions.is_empty())
            .collect(),
        views: point.catalogue.views().filter(|view| views.contains(&view.id)).cloned().collect(),
    };
    file::write(&path, encryption, &head, &lost)?;
    Ok(Some((path, lost.len())))
}

/// Returns the rows of records after `after`, sorted by LSN, with unique LSNs. In a replica that
/// continued in another region's log, many rows may have one LSN; they are numbered consecutively
/// here.
fn lost_rows(replica: &Replica, after: Lsn) -> Vec<Row> {
    let chunks = replica.table.chunks(ROWS_PER_BLOCK);
    let mut lost: Vec<Row> = chunks.flatten().filter(|row| row.header().lsn > after).collect();
    let order = |row: &Row| (row.header().lsn, row.header().view);
    lost.sort_by(|a, b| order(a).cmp(&order(b)).then_with(|| a.key().cmp(b.key())));
    let mut before = Lsn::NONE;
    for row in &mut lost {
        if row.header().lsn <= before {
            *row = Row::at(row, before.next());
        }
        before = row.header().lsn;
    }
    lost
}

/// Returns the writes whose rows a tail contains.
fn writes_in(path: &Path, encryption: &Encryption) -> Result<HashSet<u128>, Error> {
    let mut writes = HashSet::new();
    file::read(path, encryption, |row| {
        writes.insert(write_of(&row));
        ControlFlow::Continue(())
    })?;
    Ok(writes)
}

/// Identifies the write that created a row.
fn write_of(row: &RowRef<'_>) -> u128 {
    let mut hash = Xxh3::new();
    hash.update(&row.view.0.to_le_bytes());
    hash.update(&row.version.hlc.0.to_le_bytes());
    hash.update(row.version.region.name_bytes());
    hash.update(row.key);
    hash.digest128()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replica::AppliedPoint;
    use littoral_model::{
        lineage::Start,
        position::{Epoch, Incarnation},
        record::ChainHash,
        region::Region,
        token::Watermark,
    };
    use littoral_protocol::frame::Resume;

    fn lineages(log: u64, begun: &[(u64, u64)]) -> (Region, RegionLineages) {
        let (region, mut lineages) = ("east".parse().unwrap(), RegionLineages::default());
        let ours = lineages.entry(region, Incarnation(log));
        for (life, first) in begun {
            let (life, shared) = (Incarnation(*life), Lsn(first - 1));
            ours.begin(Start { life, first: Lsn(*first), after: ours.current(), shared });
        }
        (region, lineages)
    }

    #[test]
    fn a_forked_lineage_reveals_lost_records_and_one_that_is_behind_does_not() {
        let (region, ours) = lineages(7, &[(8, 6)]);
        let position = Position { incarnation: Incarnation(8), lsn: Lsn(10) };
        let resume = Resume { position, chain: ChainHash(1) };
        let whose = (region, Arc::new(ours));
        let point = AppliedPoint::new(resume, Epoch(1), whose, Watermark::default(), Arc::default());
        let replica = Replica::new(&Config::default().holdings(), point);
        let fork_of = |log, begun: &[(u64, u64)]| fork(&replica, &lineages(log, begun).1).map(|fork| fork.lsn.0);
        assert_eq!(fork_of(7, &[(8, 6)]), None, "the same lineage");
        assert_eq!(fork_of(7, &[(8, 6), (9, 11)]), None, "it continues from here");
        assert_eq!(fork_of(7, &[]), None, "it is behind");
        assert_eq!(fork_of(7, &[(8, 6), (9, 9)]), Some(8));
        assert_eq!(fork_of(7, &[(9, 4)]), Some(3));
        assert_eq!(fork_of(6, &[(9, 4)]), None, "another log");
        replica.holds(Lsn(12));
        assert_eq!(fork_of(7, &[(8, 6), (9, 12)]), Some(11), "a row is newer than the position");
    }
}
