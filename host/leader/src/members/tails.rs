//! What this member had to give up, for people: listed, shown, merged into the region's log, or dropped.

use super::{Role, door};
use crate::shared::Shared;
use bytes::Bytes;
use littoral_log::detached::{self, Detached};
use littoral_model::{
    ports::{BoxFuture, Tails},
    position::Lsn,
    record::{Payload, Record},
    tail::{TailMerged, TailRecord, TailStatus},
    view::{FeatureView, ViewId},
    write::WriteError,
};
use littoral_protocol::members::ask::{Ask, Told};
use littoral_wire::records;
use std::{collections::HashMap, sync::Arc};

/// The tails of the member whose parts these are.
pub(crate) struct KeptTails(pub(crate) Arc<Shared>);

impl KeptTails {
    fn find(&self, name: &str) -> Result<Detached, WriteError> {
        let found = detached::list(&*self.0.storage).map_err(disk)?.into_iter().find(|tail| tail.name == name);
        found.ok_or_else(|| WriteError::Invalid(format!("no tail is called '{name}' at this member; list them")))
    }
}

impl Tails for KeptTails {
    fn list(&self) -> Result<Vec<TailStatus>, WriteError> {
        Ok(detached::list(&*self.0.storage).map_err(disk)?.into_iter().map(status).collect())
    }

    fn show(&self, name: &str, from: Lsn, limit: usize) -> Result<Vec<TailRecord>, WriteError> {
        let tail = self.find(name)?;
        let catalogue = self.0.published.load().catalogue.clone();
        let views: HashMap<ViewId, Arc<FeatureView>> =
            catalogue.views().map(|view| (view.id, Arc::new(view.clone()))).collect();
        let mut shown = Vec::new();
        for block in detached::read(&*self.0.storage, &tail.name).map_err(disk)? {
            let block = block.map_err(disk)?;
            if block.last < from {
                continue;
            }
            for record in records::iter(&block.bytes) {
                let record = record.map_err(disk)?;
                let (view, event_time, key, body) = match &record.payload {
                    Payload::Row { view, event_time, key, body } => (*view, *event_time, *key, Some(*body)),
                    Payload::Tombstone { view, event_time, key } => (*view, *event_time, *key, None),
                    _ => continue,
                };
                if record.lsn < from {
                    continue;
                }
                if shown.len() >= limit {
                    return Ok(shown);
                }
                shown.push(TailRecord {
                    lsn: record.lsn,
                    view: views.get(&view).cloned(),
                    key: Bytes::copy_from_slice(key),
                    event_time,
                    version: record.version(),
                    body: body.map(Bytes::copy_from_slice),
                });
            }
        }
        Ok(shown)
    }

    fn merge(&self, name: String) -> BoxFuture<'_, Result<TailMerged, WriteError>> {
        Box::pin(merge(self.0.clone(), name))
    }

    fn drop_tail(&self, name: &str) -> Result<(), WriteError> {
        let tail = self.find(name)?;
        tracing::warn!(tail = tail.name, first = tail.first.0, last = tail.last.0, "a detached tail is dropped");
        detached::remove(&*self.0.storage, &tail.name).map_err(disk)
    }
}

async fn merge(shared: Arc<Shared>, name: String) -> Result<TailMerged, WriteError> {
    let kept = KeptTails(shared.clone());
    let of = kept.find(&name)?;
    let ours = shared.identity.incarnation;
    if of.incarnation != ours {
        return Err(WriteError::Invalid(format!(
            "the tail '{name}' is of log {}, and the region's is {ours}: numbers of views may differ; look at it, and write its rows anew",
            of.incarnation
        )));
    }
    let Some(part) = shared.members.clone() else { return Err(WriteError::NotLeader("it keeps its log alone".into())) };
    let (storage, read) = (shared.storage.clone(), name.clone());
    let blocks = tokio::task::spawn_blocking(move || {
        detached::read(&*storage, &read).map_err(disk)?.map(|block| block.map_err(disk)).collect::<Result<Vec<_>, _>>()
    });
    let blocks = blocks.await.map_err(|error| WriteError::NotDurable(error.to_string()))??;
    let mut merged = TailMerged::default();
    for block in blocks {
        let is_row = |record: &Record<'_>| matches!(record.payload, Payload::Row { .. } | Payload::Tombstone { .. });
        for record in records::iter(&block.bytes).flatten().filter(is_row) {
            let ours = record.origin == shared.identity.region;
            *(if ours { &mut merged.rows } else { &mut merged.of_other_regions }) += 1;
        }
        let piece = format!("tail/{}/{}/{}", of.incarnation, of.name, block.first);
        let leads = matches!(*part.role().borrow(), Role::Leading(_));
        let last = if leads {
            door::merge(&shared, piece, block.bytes).await.map_err(|error| error.to_string())
        } else {
            let Some(leader) = part.leader() else {
                return Err(WriteError::LeaderUnavailable("no member of the region leads now".to_owned()));
            };
            match leader.calls.member(Ask::Merge { piece, records: block.bytes }).await {
                Ok(Ok(Told::Merged(last))) => Ok(last),
                Ok(Ok(_)) => Err("it answered something else than it was asked".to_owned()),
                Ok(Err(error)) => Err(error.to_string()),
                Err(error) => Err(error.to_string()),
            }
        };
        merged.last = merged.last.max(last.map_err(WriteError::LeaderUnavailable)?);
    }
    tracing::info!(tail = name, rows = merged.rows, "a detached tail is merged");
    kept.drop_tail(&name)?;
    Ok(merged)
}

fn status(tail: Detached) -> TailStatus {
    TailStatus {
        name: tail.name,
        incarnation: tail.incarnation,
        epoch: tail.epoch,
        first: tail.first,
        last: tail.last,
        bytes: tail.bytes,
    }
}

fn disk(error: impl std::fmt::Display) -> WriteError {
    WriteError::NotDurable(error.to_string())
}
