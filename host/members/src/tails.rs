//! The detached tails of this member, for operators: lists, shows, merges and drops the records that were cut from its
//! log.

use crate::{membership::Membership, peer_service};
use bytes::Bytes;
use littoral_leader::{LocalLog, Role};
use littoral_log::detached::{self, Detached};
use littoral_model::{
    ports::{BoxFuture, Tails},
    position::Lsn,
    record::{Payload, Record},
    tail::{TailMerged, TailRecord, TailStatus},
    view::{FeatureView, ViewId},
    write::WriteError,
};
use littoral_protocol::members::rpc::{Reply, Request};
use littoral_wire::records;
use std::{collections::HashMap, sync::Arc};

/// The detached tails of a member.
#[derive(Clone)]
pub(crate) struct MemberTails {
    pub(crate) local: LocalLog,
    pub(crate) membership: Arc<Membership>,
}

impl MemberTails {
    fn find(&self, name: &str) -> Result<Detached, WriteError> {
        let found = detached::list(&**self.local.storage()).map_err(disk)?.into_iter().find(|tail| tail.name == name);
        found.ok_or_else(|| {
            WriteError::Invalid(format!("this member has no tail named '{name}'; list the tails with `littoral tails`"))
        })
    }
}

impl Tails for MemberTails {
    fn list(&self) -> Result<Vec<TailStatus>, WriteError> {
        Ok(detached::list(&**self.local.storage()).map_err(disk)?.into_iter().map(status).collect())
    }

    fn show(&self, name: &str, from: Lsn, limit: usize) -> Result<Vec<TailRecord>, WriteError> {
        let tail = self.find(name)?;
        let catalogue = self.local.published().catalogue.clone();
        let views: HashMap<ViewId, Arc<FeatureView>> =
            catalogue.views().map(|view| (view.id, Arc::new(view.clone()))).collect();
        let mut shown = Vec::new();
        for block in detached::read(&**self.local.storage(), &tail.name).map_err(disk)? {
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
        Box::pin(merge(self.clone(), name))
    }

    fn drop_tail(&self, name: &str) -> Result<(), WriteError> {
        let tail = self.find(name)?;
        tracing::warn!(tail = tail.name, first = tail.first.0, last = tail.last.0, "dropping a detached tail");
        detached::remove(&**self.local.storage(), &tail.name).map_err(disk)
    }
}

async fn merge(tails: MemberTails, name: String) -> Result<TailMerged, WriteError> {
    let MemberTails { local, membership } = &tails;
    let of = tails.find(&name)?;
    let ours = local.identity().incarnation;
    if of.incarnation != ours {
        return Err(WriteError::Invalid(format!(
            "the tail '{name}' belongs to log {}, and the region's log is {ours}, so the ids of its views may differ; read the tail and write its rows again",
            of.incarnation
        )));
    }
    let (storage, read) = (local.storage().clone(), name.clone());
    let blocks = tokio::task::spawn_blocking(move || {
        detached::read(&*storage, &read).map_err(disk)?.map(|block| block.map_err(disk)).collect::<Result<Vec<_>, _>>()
    });
    let blocks = blocks.await.map_err(|error| WriteError::NotDurable(error.to_string()))??;
    let mut merged = TailMerged::default();
    for block in blocks {
        let is_row = |record: &Record<'_>| matches!(record.payload, Payload::Row { .. } | Payload::Tombstone { .. });
        for record in records::iter(&block.bytes).flatten().filter(is_row) {
            let ours = record.origin == local.identity().region;
            *(if ours { &mut merged.rows } else { &mut merged.of_other_regions }) += 1;
        }
        let piece = format!("tail/{}/{}/{}", of.incarnation, of.name, block.first);
        let leads = matches!(*membership.watch_role().borrow(), Role::Leading(_));
        let last = if leads {
            peer_service::merge(local, membership, piece, block.bytes).await.map_err(|error| error.to_string())
        } else {
            let Some(leader) = membership.leader() else {
                return Err(WriteError::LeaderUnavailable("no member of the region leads now".to_owned()));
            };
            match leader.calls.member(Request::Merge { piece, records: block.bytes }).await {
                Ok(Ok(Reply::Merged(last))) => Ok(last),
                Ok(Ok(_)) => Err("the leader's reply does not match the request".to_owned()),
                Ok(Err(error)) => Err(error.to_string()),
                Err(error) => Err(error.to_string()),
            }
        };
        merged.last = merged.last.max(last.map_err(WriteError::LeaderUnavailable)?);
    }
    tracing::info!(tail = name, rows = merged.rows, "merged a detached tail");
    tails.drop_tail(&name)?;
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
