//! Keeps the files of the data directory under the first key of the key ring, and publishes under which keys they are.
//!
//! The edge stays warm meanwhile: a file under an earlier key, or a plain one, can be read until its replacement is
//! complete. The local snapshot is written again from memory, every other file from its old content.

use crate::{
    data_dir::{MODULES, UNFINISHED},
    local_snapshot,
    row_file::{SNAPSHOT_NAME, file_id},
    shared::Shared,
    tails,
};
use littoral_at_rest::{FileKind, OpenError, Standing, survey};
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio_util::sync::CancellationToken;

/// The interval at which the files are checked, besides changes of the key ring.
const CHECK_INTERVAL: Duration = Duration::from_secs(10);

/// The kinds of the files that an edge stores.
const KINDS: [FileKind; 3] = [FileKind::LocalSnapshot, FileKind::DetachedTail, FileKind::Component];

/// The stored files, with their kinds and standings.
type Files = BTreeMap<PathBuf, (FileKind, Standing)>;

/// Checks the files until cancelled: at the start, whenever the key ring changes, and at intervals.
pub(crate) async fn run(shared: Arc<Shared>, stop: CancellationToken) {
    let Some(directory) = shared.config.data_dir.clone().filter(|_| shared.config.encryption.is_on()) else { return };
    let mut changes = shared.config.encryption.changes();
    let mut reported = BTreeSet::new();
    loop {
        if let Err(error) = check(&shared, &directory, &mut reported).await {
            tracing::warn!(%error, directory = %directory.display(), "the stored files cannot be listed");
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = changes.changed() => reported.clear(),
            () = tokio::time::sleep(CHECK_INTERVAL) => {}
        }
    }
}

/// Writes every outdated file again. A failure is logged once, and tried again at the next check.
async fn check(shared: &Arc<Shared>, directory: &Path, reported: &mut BTreeSet<PathBuf>) -> io::Result<()> {
    let encryption = &shared.config.encryption;
    for (path, (kind, standing)) in listed(directory).await? {
        if !encryption.is_outdated(&standing) {
            continue;
        }
        if path.file_name().is_some_and(|name| name == SNAPSHOT_NAME) {
            local_snapshot::save(shared).await;
            continue;
        }
        match renew(shared, kind, path.clone()).await {
            Ok(()) => {
                tracing::info!(path = %path.display(), was = standing.label(), "a stored file was encrypted again with the first key")
            }
            Err(error) if reported.insert(path.clone()) => {
                tracing::warn!(path = %path.display(), %error, "a stored file cannot be encrypted again with the first key");
            }
            Err(_) => {}
        }
    }
    encryption.publish(&KINDS, listed(directory).await?.values());
    Ok(())
}

async fn renew(shared: &Arc<Shared>, kind: FileKind, path: PathBuf) -> Result<(), OpenError> {
    let _alone = shared.saving.lock().await;
    let renewing = shared.clone();
    let renewed = tokio::task::spawn_blocking(move || {
        let _tails = (kind == FileKind::DetachedTail).then(|| renewing.tail_files.lock());
        // No other file has this name until it is complete.
        let unfinished = path.with_extension(format!("renewed.{UNFINISHED}"));
        renewing.config.encryption.renew(file_id(kind, &path), &path, &unfinished).map(drop)
    });
    renewed.await.unwrap_or_else(|error| Err(OpenError::Io(io::Error::other(error))))
}

async fn listed(directory: &Path) -> io::Result<Files> {
    let directory = directory.to_owned();
    let listed = tokio::task::spawn_blocking(move || files(&directory));
    listed.await.unwrap_or_else(|error| Err(io::Error::other(error)))
}

/// Returns the files that an edge stores in a data directory, with their kinds and standings.
///
/// # Errors
/// If the directory or a file cannot be read.
pub fn files(directory: &Path) -> io::Result<BTreeMap<PathBuf, (FileKind, Standing)>> {
    let modules = directory.join(MODULES);
    let mut files = Files::new();
    for (directory, kind_of) in [(directory, kind_of as fn(&str) -> Option<FileKind>), (&modules, kind_of_module)] {
        let found = survey(directory, kind_of)?;
        files.extend(found.into_iter().map(|(name, standing)| (directory.join(name), standing)));
    }
    Ok(files)
}

fn kind_of(name: &str) -> Option<FileKind> {
    let extension = name.strip_prefix("replica.").and_then(|rest| rest.rsplit('.').next());
    match extension {
        Some("snapshot" | "previous" | "unreadable") => Some(FileKind::LocalSnapshot),
        _ => tails::file::is_name(name).then_some(FileKind::DetachedTail),
    }
}

fn kind_of_module(name: &str) -> Option<FileKind> {
    name.ends_with(".wasm").then_some(FileKind::Component)
}
