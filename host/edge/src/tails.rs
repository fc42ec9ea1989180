//! Detached tails: rows of records that the followed log has lost in a rollback. They are kept in
//! files of the data directory until an operator merges or drops them
//! (`host/decisions/0013-lives-of-a-log.md`).

pub(crate) mod file;
mod keep;
mod merge;

pub(crate) use keep::{fork, keep};

use crate::{row_file::Error, shared::Shared};
use file::Head;
use littoral_model::{
    ports::{BoxFuture, Tails},
    position::Lsn,
    region::Region,
    tail::{TailMerged, TailRecord, TailStatus},
    view::{FeatureView, ViewId},
    write::WriteError,
};
use std::{
    collections::HashMap,
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

/// The tails in an edge's data directory.
pub(crate) struct KeptTails(pub(crate) Arc<Shared>);

/// One detached tail.
struct Kept {
    path: PathBuf,
    modified: SystemTime,
    head: Head,
    status: TailStatus,
}

impl KeptTails {
    fn all(&self) -> Result<Vec<Kept>, WriteError> {
        let Some(directory) = &self.0.config.data_dir else { return Ok(Vec::new()) };
        let failed = |error| unusable(&Error::Io { path: directory.clone(), source: error });
        let mut all = Vec::new();
        for entry in fs::read_dir(directory).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let Some(name) = entry.file_name().to_str().filter(|name| file::is_name(name)).map(str::to_owned) else {
                continue;
            };
            let (path, metadata) = (entry.path(), entry.metadata().map_err(failed)?);
            match file::head(&path, &self.0.config.encryption) {
                Ok(head) => {
                    let Head { log: incarnation, epoch, first, last, .. } = head;
                    let status = TailStatus { name, incarnation, epoch, first, last, bytes: metadata.len() };
                    let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                    all.push(Kept { path, modified, head, status });
                }
                // The other tails can still be listed.
                Err(error) => tracing::warn!(%error, "a detached tail cannot be read and is not listed"),
            }
        }
        all.sort_by(|a, b| (a.modified, &a.status.name).cmp(&(b.modified, &b.status.name)));
        Ok(all)
    }

    fn find(&self, name: &str) -> Result<Kept, WriteError> {
        let found = self.all()?.into_iter().find(|kept| kept.status.name == name);
        found.ok_or_else(|| {
            WriteError::Invalid(format!("this edge has no detached tail '{name}'; list them with `littoral tails`"))
        })
    }
}

impl Tails for KeptTails {
    fn list(&self) -> Result<Vec<TailStatus>, WriteError> {
        Ok(self.all()?.into_iter().map(|kept| kept.status).collect())
    }

    fn show(&self, name: &str, from: Lsn, limit: usize) -> Result<Vec<TailRecord>, WriteError> {
        let Kept { path, head, .. } = self.find(name)?;
        // The edge may have moved since to a region that may not hold the rows.
        let here = self.0.held_in();
        let denied: HashMap<ViewId, Vec<Region>> =
            head.rules.into_iter().filter(|(_, regions)| !here.may_hold(regions)).collect();
        let mut outside = None;
        let views: HashMap<ViewId, Arc<FeatureView>> =
            head.views.into_iter().map(|view| (view.id, Arc::new(view))).collect();
        let mut shown = Vec::new();
        let read = file::read(&path, &self.0.config.encryption, |row| {
            if shown.len() >= limit {
                return ControlFlow::Break(());
            }
            if row.lsn >= from {
                if let Some(regions) = denied.get(&row.view) {
                    outside = Some((row.view, regions));
                    return ControlFlow::Break(());
                }
                shown.push(TailRecord {
                    lsn: row.lsn,
                    view: views.get(&row.view).cloned(),
                    key: row.key.to_vec().into(),
                    event_time: row.event_time,
                    version: row.version,
                    body: row.body.map(|body| body.to_vec().into()),
                });
            }
            ControlFlow::Continue(())
        });
        read.map_err(|error| unusable(&error))?;
        if let Some((view, regions)) = outside {
            return Err(not_here(views.get(&view).map(|view| &*view.name), regions));
        }
        Ok(shown)
    }

    fn merge(&self, name: String) -> BoxFuture<'_, Result<TailMerged, WriteError>> {
        Box::pin(merge::merge(self.0.clone(), name))
    }

    fn drop_tail(&self, name: &str) -> Result<(), WriteError> {
        let Kept { path, status, .. } = self.find(name)?;
        tracing::warn!(tail = status.name, first = status.first.0, last = status.last.0, "dropping a detached tail");
        remove(&self.0, &path).map_err(|error| unusable(&error))
    }
}

fn remove(shared: &Shared, path: &Path) -> Result<(), Error> {
    let _alone = shared.tail_files.lock();
    file::remove(path)
}

/// Rejects to show a row, because this edge is outside the regions that may hold it.
fn not_here(view: Option<&str>, regions: &[Region]) -> WriteError {
    let view = view.map_or_else(|| "a dropped view".to_owned(), |name| format!("view '{name}'"));
    let regions: Vec<_> = regions.iter().map(|region| format!("'{region}'")).collect();
    WriteError::OutsideRegions(format!(
        "the detached tail has rows of {view}, which stay in {}; merge it, or show it while this edge is there ([edge] region)",
        regions.join(", ")
    ))
}

fn unusable(error: &Error) -> WriteError {
    WriteError::Invalid(format!("the detached tail cannot be used: {error}"))
}
