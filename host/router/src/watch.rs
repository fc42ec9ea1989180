//! Watches files: reads the topology and the location database again when they change.

use crate::{router::Router, topology::Topology};
use littoral_runtime::WatchedFile;
use std::{fs, io, path::Path, time::Duration};

/// The largest topology file that is read, in bytes.
const BYTES_MAX: u64 = 16 << 20;

/// Reads the topology's file.
///
/// # Errors
/// If it cannot be read or is not a topology: where, and what to do.
pub fn read_topology(path: &Path) -> Result<Topology, String> {
    let shown = path.display();
    let unreadable = |error: io::Error| format!("{shown} cannot be read: {error}; check the path and its permissions");
    if fs::metadata(path).map_err(unreadable)?.len() > BYTES_MAX {
        return Err(format!("{shown} is larger than {BYTES_MAX} bytes; name a topology file"));
    }
    let text = fs::read_to_string(path).map_err(unreadable)?;
    Topology::parse(&text).map_err(|error| format!("{shown}: {error}"))
}

/// Checks the files for changes, until dropped.
pub async fn watch(router: Router) {
    let config = router.config();
    // The files may have changed since the start, which read them.
    let mut files =
        [Some(config.topology.clone()), config.place.database.clone()].map(|path| path.map(WatchedFile::unread));
    let mut tick = tokio::time::interval(Duration::from_millis(config.watch_ms.max(1)));
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        tick.tick().await;
        let Ok((looked, changed)) = tokio::task::spawn_blocking(move || {
            let changed = files.each_mut().map(|file| file.as_mut().is_some_and(WatchedFile::take_change));
            (files, changed)
        })
        .await
        else {
            return;
        };
        files = looked;
        if changed[0] {
            let path = router.config().topology.clone();
            match tokio::task::spawn_blocking(move || read_topology(&path)).await {
                Ok(Ok(topology)) => router.adopt(topology),
                Ok(Err(problem)) => router.reject_topology(problem),
                Err(_) => return,
            }
        }
        if changed[1] {
            let reloading = router.clone();
            match tokio::task::spawn_blocking(move || reloading.reload_locations()).await {
                Ok(Ok(())) => tracing::info!("read the changed location database"),
                Ok(Err(problem)) => {
                    tracing::error!(problem, "the changed location database cannot be used; the last one stays in use")
                }
                Err(_) => return,
            }
        }
    }
}
