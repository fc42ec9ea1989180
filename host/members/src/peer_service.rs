//! Replies to the requests of other members.

use crate::membership::{Admission, Membership};
use bytes::Bytes;
use littoral_leader::{LocalLog, Role};
use littoral_log::{ReadError, snapshot};
use littoral_model::{format::ProtocolVersion, ports::RecordBlock, position::Lsn};
use littoral_protocol::members::rpc::{CatchUp, Rejection, Reply, Request};
use std::{sync::Arc, time::Duration};

/// The maximum size in bytes of the records, or of the part of a snapshot, in one reply.
const BYTES_MAX: u32 = 8 << 20;
/// The maximum time that a fetch waits for records.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// Replies to one request. `version` is the newest protocol version that both members speak.
pub(crate) async fn reply(
    local: LocalLog,
    membership: Arc<Membership>,
    request: Request,
    version: ProtocolVersion,
) -> Result<Reply, Rejection> {
    let known = |member: &str| membership.members.iter().any(|other| other.name == member);
    match request {
        Request::Prepare { member, .. } | Request::Join { member, .. } | Request::Fetch { member, .. }
            if !known(&member) =>
        {
            Err(Rejection::NotAMember(member))
        }
        Request::Prepare { member, epoch } => {
            tracing::info!(%member, %epoch, "another member has won the lease and requests a promise");
            blocking(move || membership.prepare(epoch)).await?.map(Reply::Promised)
        }
        Request::Join { member, log } => {
            let ours = membership.links.version;
            if version < ours {
                tracing::warn!(
                    %member,
                    %version,
                    %ours,
                    "this member speaks an older protocol version than the one in which this leader logs; if it runs an older \
                     release, set protocol_version to its version at every member until all are upgraded"
                );
            }
            let Admission { session, committed, common } = membership.join(member, &log)?;
            let catch_up = match common {
                Some(common) => CatchUp::Records { common },
                None => newest_snapshot(&local).await?,
            };
            let incarnation = local.identity().incarnation;
            Ok(Reply::Joined { session: session.number, epoch: session.epoch, incarnation, committed, catch_up })
        }
        Request::Fetch { member, session, from, bytes_max, wait_ms } => {
            let mut durable = membership.durable();
            membership.note_fetch(&member, session, from)?;
            let wait = Duration::from_millis(u64::from(wait_ms)).min(WAIT_MAX);
            // The fetch is answered also when its time has passed and when the leadership ends.
            let more = durable.wait_for(|tail| *tail >= from || membership.own_epoch().is_none());
            let _ = tokio::time::timeout(wait, more).await;
            let committed = membership.note_fetch(&member, session, from)?;
            // The lease is checked before the tail is read: until then, no other leader has acknowledged anything.
            let is_confirmed = membership.own_epoch().is_some_and(|epoch| membership.lease.confirm(epoch).is_ok());
            let tail = is_confirmed.then(|| local.log().bounds().tail);
            let block = read(&local, from, bytes_max).await?;
            Ok(Reply::Records { first: block.first, last: block.last, bytes: block.bytes, committed, tail })
        }
        Request::Records { epoch, from, bytes_max } => {
            let promised = membership.promised();
            if promised != epoch {
                return Err(Rejection::StaleEpoch { asked: epoch, promised });
            }
            let block = read(&local, from, bytes_max).await?;
            let committed = membership.committed();
            Ok(Reply::Records { first: block.first, last: block.last, bytes: block.bytes, committed, tail: None })
        }
        Request::Snapshot { as_of, offset, bytes_max } => {
            let storage = local.storage().clone();
            let len = bytes_max.min(BYTES_MAX) as usize;
            let read = blocking(move || snapshot::read_chunk(&*storage, as_of, offset, len)).await?;
            read.map(Reply::SnapshotChunk)
                .map_err(|error| Rejection::Trimmed(format!("the snapshot as of record {as_of}: {error}")))
        }
        Request::Merge { piece, records } => merge(&local, &membership, piece, records).await.map(Reply::Merged),
    }
}

/// Reads records of the log, committed or not.
async fn read(local: &LocalLog, from: Lsn, bytes_max: u32) -> Result<RecordBlock, Rejection> {
    let bytes_max = bytes_max.min(BYTES_MAX) as usize;
    if let Some(block) = local.log().read_cached(from, bytes_max) {
        return Ok(block);
    }
    let log = local.log().clone();
    blocking(move || log.read(from, bytes_max)).await?.map_err(|error| match error {
        ReadError::Trimmed { .. } => Rejection::Trimmed(error.to_string()),
        other => Rejection::Failed(other.to_string()),
    })
}

/// Returns the newest snapshot on disk, from which a member that is too far behind catches up.
async fn newest_snapshot(local: &LocalLog) -> Result<CatchUp, Rejection> {
    let storage = local.storage().clone();
    let found = blocking(move || {
        let newest = snapshot::newest(&*storage).map_err(|error| error.to_string())?;
        let as_of = *newest.first().ok_or("this leader has written no snapshot yet")?;
        let len = snapshot::file_len(&*storage, as_of).map_err(|error| error.to_string())?;
        Ok::<_, String>(CatchUp::Snapshot { as_of, len })
    });
    found.await?.map_err(Rejection::Failed)
}

/// Appends a piece of a detached tail to the log, if this member leads.
pub(crate) async fn merge(
    local: &LocalLog,
    membership: &Membership,
    piece: String,
    records: Bytes,
) -> Result<Lsn, Rejection> {
    let leads = matches!(*membership.watch_role().borrow(), Role::Leading(_));
    if !leads {
        return Err(membership.not_leading());
    }
    let merged = local.merge(piece, records).await;
    merged.map(|receipt| receipt.position.lsn).map_err(|error| Rejection::Failed(error.to_string()))
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Rejection> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Rejection::Failed(error.to_string()))
}
