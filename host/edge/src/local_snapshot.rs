//! The replica on disk, for a warm restart.
//!
//! The snapshot is one file ([`crate::row_file`]). A damaged file is rejected, and the edge
//! requests a snapshot from the leader instead. So is a file whose key is missing, but that one is kept when the next
//! snapshot is written.

use crate::{
    config::Config,
    loading::Loading,
    replica::{AppliedPoint, Replica},
    row_file::{BLOCK_LEN, Error, Kind, ROWS_PER_BLOCK, Reader, SNAPSHOT_NAME, Writer},
    shared::Shared,
    start::StartError,
};
use littoral_at_rest::{Encryption, FileKind};
use littoral_edge_core::Holding;
use littoral_model::{
    catalogue::Catalogue,
    lineage::{Lineage, RegionLineages},
    position::Epoch,
    region::Region,
    token::Watermark,
    view::ViewId,
};
use littoral_protocol::frame::Resume;
use littoral_replica::Mode;
use littoral_wire::rows;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;

/// The oldest format has no lineages in its head.
pub(crate) const KIND: Kind =
    Kind { magic: b"LITTEDGE", version: 3, version_min: 2, name: "replica's snapshot", file: FileKind::LocalSnapshot };

#[derive(Serialize, Deserialize)]
struct Head {
    resume: Resume,
    epoch: Epoch,
    region: Region,
    watermark: Watermark,
    beyond: Watermark,
    lineages: RegionLineages,
    catalogue: Arc<Catalogue>,
    rows_estimate: u64,
    /// The full views that the file contains whole; another configuration may need others.
    full: Vec<u32>,
    /// The views that should be full but did not fit. They will not fit after a restart either.
    over_budget: Vec<u32>,
}

/// The head of format 2, which has no lineages.
#[derive(Deserialize)]
struct HeadV2 {
    resume: Resume,
    epoch: Epoch,
    region: Region,
    watermark: Watermark,
    beyond: Watermark,
    catalogue: Arc<Catalogue>,
    rows_estimate: u64,
    full: Vec<u32>,
    over_budget: Vec<u32>,
}

impl From<HeadV2> for Head {
    fn from(old: HeadV2) -> Self {
        let HeadV2 { resume, epoch, region, watermark, beyond, catalogue, rows_estimate, full, over_budget } = old;
        let mut lineages = RegionLineages::default();
        for (region, log, _) in watermark.iter() {
            lineages.entry(region, log);
        }
        lineages.set(region, Lineage::of(resume.position.incarnation));
        Self { resume, epoch, region, watermark, beyond, lineages, catalogue, rows_estimate, full, over_budget }
    }
}

pub(crate) fn path(config: &Config) -> Option<PathBuf> {
    Some(config.data_dir.as_ref()?.join(SNAPSHOT_NAME))
}

/// Writes the replica's current state. Rows may be newer than the position, never older. Following
/// the leader from the position applies the same rows again.
///
/// A view whose rows may not be held here or in the followed log's region is not listed as whole, so that an edge whose
/// configured region changes requests a snapshot.
pub(crate) fn write(replica: &Replica, config: &Config, path: &Path) -> Result<u64, Error> {
    // Read the position first: records that are applied during the scan do no harm.
    let point = replica.point.load_full();
    let routes = replica.routes.load_full();
    let held_in = config.held_in(Some(point.region));
    let may_hold = |view: &ViewId| held_in.may_hold(point.catalogue.regions_of(*view));
    let full = routes.iter().filter(|(view, route)| route.holding == Holding::Full && may_hold(view));
    let full = full.map(|(view, _)| view.0).collect();
    let over_budget = routes.iter().filter(|(_, route)| route.over_budget).map(|(view, _)| view.0).collect();
    let mut writer = Writer::create(KIND, path, &config.encryption)?;
    writer.head(&Head {
        resume: point.resume,
        epoch: point.epoch,
        region: point.region,
        watermark: point.rehoming_watermark(),
        beyond: point.beyond.clone(),
        lineages: RegionLineages::clone(&point.lineages),
        catalogue: point.catalogue.clone(),
        rows_estimate: replica.table.len() as u64,
        full,
        over_budget,
    })?;
    let mut block = Vec::new();
    let mut total = 0;
    for chunk in replica.table.chunks(ROWS_PER_BLOCK) {
        block.clear();
        for row in &chunk {
            if block.len() >= BLOCK_LEN {
                writer.rows(&block)?;
                block.clear();
            }
            rows::push(&mut block, Some(row)).map_err(|error| writer.damaged(error.to_string()))?;
        }
        writer.rows(&block)?;
        total += chunk.len() as u64;
    }
    keep_other(path, &point, &config.encryption)?;
    writer.finish(total)?;
    Ok(total)
}

fn head(reader: &mut Reader) -> Result<Head, Error> {
    if reader.version() == KIND.version { reader.head() } else { reader.head::<HeadV2>().map(Head::from) }
}

/// Keeps the file that is about to be replaced if it holds rows of another log, because they may
/// exist nowhere else, or if this edge may not read it. To restore them, an operator stops the edge and renames the
/// file back.
fn keep_other(path: &Path, point: &AppliedPoint, encryption: &Encryption) -> Result<(), Error> {
    let log = point.log();
    let mut reader = match Reader::open(KIND, path, encryption) {
        Ok(Some(reader)) => reader,
        Err(Error::Withheld { key, .. }) => {
            // One file for each key, so that a second mistake with keys does not replace the file of the first.
            let kept = keep(path, &format!("{key}.unreadable"))?;
            tracing::warn!(path = %kept.display(), key, "the local snapshot that cannot be read is kept next to the new one");
            return Ok(());
        }
        // A damaged file is useless.
        Ok(None) | Err(_) => return Ok(()),
    };
    let Ok(head) = head(&mut reader) else { return Ok(()) };
    let held = head.lineages.get(head.region).map_or(head.resume.position.incarnation, Lineage::log);
    // After rehoming, the new log's lineages list the held log for its region. The new log then includes what the held
    // one had.
    let known = point.lineages.get(head.region).map(Lineage::log);
    if held == log || (head.region != point.region && known == Some(held)) {
        return Ok(());
    }
    let kept = keep(path, "previous")?;
    tracing::warn!(path = %kept.display(), %held, %log, "the local snapshot of another log is kept next to the new one");
    Ok(())
}

/// Gives a file another name too, and returns its path. A file that had this name is removed.
fn keep(path: &Path, extension: &str) -> Result<PathBuf, Error> {
    let kept = path.with_extension(extension);
    let io = |source| Error::Io { path: kept.clone(), source };
    match std::fs::remove_file(&kept) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(io(error)),
        _ => std::fs::hard_link(path, &kept).map_err(io)?,
    }
    Ok(kept)
}

/// Reads a replica. Returns `None` if there is no file, or if it lacks a view that must now be
/// full. A view that did not fit stays resident until the leader's next snapshot. This many threads decode the rows;
/// without one, the calling thread does.
pub(crate) fn read(
    config: &Config,
    path: &Path,
    (threads, loading): (usize, &Loading),
) -> Result<Option<Replica>, Error> {
    let Some(mut reader) = Reader::open(KIND, path, &config.encryption)? else { return Ok(None) };
    let head = head(&mut reader)?;
    let holdings = config.holdings();
    let held_in = config.held_in(Some(head.region));
    let catalogue = head.catalogue.clone();
    let whose = (head.region, Arc::new(head.lineages));
    let point = AppliedPoint::new(head.resume, head.epoch, whose, head.watermark, head.catalogue).beyond(head.beyond);
    let replica = Replica::new(&holdings, point);
    for view in head.over_budget {
        if replica.routes.load().get(&ViewId(view)).is_some_and(|route| route.holding == Holding::Full) {
            replica.degrade(ViewId(view));
        }
    }
    let routes = replica.routes.load_full();
    if let Some((view, _)) = (routes.iter().filter(|(view, _)| held_in.may_hold(catalogue.regions_of(**view))))
        .find(|(view, route)| route.holding == Holding::Full && !head.full.contains(&view.0))
    {
        tracing::info!(%view, "the local snapshot lacks a view that is now configured as full; starting with a snapshot from the leader");
        return Ok(None);
    }
    let rows = head.rows_estimate.min(reader.rows_max()).min(config.full_bytes_max / 100);
    replica.table.reserve(usize::try_from(rows.min(4_000_000)).unwrap_or_default());
    loading.begin(head.rows_estimate.min(reader.rows_max()));
    let apply = |block: &[u8]| {
        let mut read = 0;
        for row in rows::iter(block) {
            let row = row.map_err(|error| error.to_string())?;
            let Some(row) = row else { return Err("it contains an empty row".to_owned()) };
            read += 1;
            let route = routes.get(&row.view).map(|route| (route.holding, route.merge));
            if !held_in.may_hold(catalogue.regions_of(row.view)) {
                continue;
            }
            replica.holds(row.lsn);
            match route {
                Some((Holding::Full, merge)) => {
                    replica.table.apply(row.to_row(), merge, Mode::InsertAll);
                }
                Some((Holding::Resident, _)) => {
                    let as_of = row.lsn.max(head.resume.position.lsn);
                    replica.table.fill(row.view, row.key, Some(row.to_row()), as_of);
                }
                Some((Holding::Elsewhere | Holding::Outside, _)) | None => {}
            }
        }
        loading.add(read);
        Ok(())
    };
    let (mut unreadable, damage) = (None, Mutex::new(None));
    let mut next = || {
        if damage.lock().is_some() {
            return None;
        }
        reader.rows().unwrap_or_else(|error| {
            unreadable = Some(error);
            None
        })
    };
    littoral_runtime::share_work(threads, "edge-restore", &mut next, &|block: Vec<u8>| {
        if let Err(reason) = apply(&block) {
            damage.lock().get_or_insert(reason);
        }
    });
    if let Some(reason) = damage.into_inner() {
        return Err(reader.damaged(reason));
    }
    unreadable.map_or(Ok(()), Err)?;
    reader.finish(loading.rows())?;
    crate::budget::enforce_on(&replica, &holdings);
    Ok(Some(replica))
}

/// Reads the local snapshot `from` like a start with `config`, and writes the result to `to`. For
/// tools and tests. Returns the number of rows written; `None` if the file does not exist or lacks
/// a view that must be full.
///
/// # Errors
/// What is wrong with the file, as a start would log it.
pub fn rewrite_snapshot(config: &Config, from: &Path, to: &Path) -> Result<Option<u64>, String> {
    let replica = read(config, from, (0, &Loading::default())).map_err(|error| error.to_string())?;
    replica.map(|replica| write(&replica, config, to)).transpose().map_err(|error| error.to_string())
}

/// Writes a snapshot periodically, until cancelled.
pub(crate) async fn run(shared: Arc<Shared>, stop: CancellationToken) {
    let interval = Duration::from_secs(shared.config.snapshot_interval_s.max(1));
    let mut written = None;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(interval) => {}
        }
        let Some(replica) = shared.replica.load_full() else { continue };
        if written != Some(replica.position()) {
            written = Some(replica.position());
            save(&shared).await;
        }
    }
}

/// Writes a snapshot now. Logs failures and continues.
pub(crate) async fn save(shared: &Arc<Shared>) {
    let (Some(path), Some(replica)) = (path(&shared.config), shared.replica.load_full()) else { return };
    let _alone = shared.saving.lock().await;
    let begun = Instant::now();
    let position = replica.position();
    let writing = shared.clone();
    match tokio::task::spawn_blocking(move || write(&replica, &writing.config, &path)).await {
        Ok(Ok(rows)) => {
            metrics::counter!("littoral_edge_local_snapshots_total").increment(1);
            metrics::gauge!("littoral_edge_local_snapshot_timestamp_seconds")
                .set(littoral_runtime::clock::wall_ms() as f64 / 1e3);
            tracing::debug!(rows, %position, ms = begun.elapsed().as_millis() as u64, "local snapshot written");
        }
        Ok(Err(error)) => {
            metrics::counter!("littoral_edge_local_snapshot_failures_total").increment(1);
            tracing::warn!(%error, "the local snapshot could not be written; the next start uses an older snapshot or none");
        }
        Err(error) => tracing::error!(%error, "the local snapshot's task failed"),
    }
}

/// Reads the last snapshot at the start. Rejects a damaged one with a warning, and one whose key is missing with an
/// error.
///
/// # Errors
/// If the snapshot is encrypted and the edge has no key ring at all: its next snapshot would be plain.
pub(crate) fn load(config: &Config, loading: &Loading) -> Result<Option<Replica>, StartError> {
    let Some(path) = path(config) else { return Ok(None) };
    let begun = Instant::now();
    match read(config, &path, (littoral_runtime::all_cores(), loading)) {
        Ok(Some(replica)) => {
            tracing::info!(rows = replica.table.len(), position = %replica.position(), ms = begun.elapsed().as_millis() as u64, "warm start from the local snapshot");
            Ok(Some(replica))
        }
        Ok(None) => Ok(None),
        Err(Error::Withheld { path, key, .. }) if !config.encryption.is_on() => {
            Err(StartError::Encrypted { path, key })
        }
        Err(error @ Error::Withheld { .. }) => {
            metrics::counter!("littoral_edge_local_snapshots_rejected_total").increment(1);
            tracing::error!(%error, "the local snapshot cannot be read; starting with a snapshot from the leader, and keeping this one. With its key in the key ring, a restart reads it until the next snapshot is written");
            Ok(None)
        }
        Err(error) => {
            metrics::counter!("littoral_edge_local_snapshots_rejected_total").increment(1);
            tracing::warn!(%error, "the local snapshot is damaged and rejected; starting with a snapshot from the leader");
            Ok(None)
        }
    }
}
