//! What other members ask this one.

use super::Role;
use crate::shared::{Shared, Submission, Work};
use bytes::Bytes;
use littoral_leader_core::{Work as LogWork, receipts::bytes_hash};
use littoral_log::{ReadError, snapshot};
use littoral_model::{
    ports::{BoxFuture, RecordBlock},
    position::{Epoch, Lsn},
    write::WriteError,
};
use littoral_protocol::members::ask::{Ask, Door, NotTold, Told, Way};
use std::{fmt, sync::Arc, time::Duration};
use tokio::sync::oneshot;

/// The most that is told at once, in bytes.
const BYTES_MAX: u32 = 8 << 20;
/// The longest that a fetch waits.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// Answers other members, for a member whose parts are these.
pub(crate) struct Doorkeeper(pub(crate) Arc<Shared>);

impl fmt::Debug for Doorkeeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Doorkeeper").field(&self.0.config.name).finish()
    }
}

impl Door for Doorkeeper {
    fn ask(&self, ask: Ask) -> BoxFuture<'_, Result<Told, NotTold>> {
        let shared = self.0.clone();
        Box::pin(async move { answer(shared, ask).await })
    }
}

async fn answer(shared: Arc<Shared>, ask: Ask) -> Result<Told, NotTold> {
    let Some(part) = shared.members.clone() else {
        return Err(NotTold::Failed("this node keeps its log alone".to_owned()));
    };
    let known = |member: &str| part.seats.iter().any(|seat| seat.name == member);
    match ask {
        Ask::Prepare { member, .. } | Ask::Join { member, .. } | Ask::Fetch { member, .. } if !known(&member) => {
            Err(NotTold::Stranger(member))
        }
        Ask::Prepare { member, epoch } => {
            tracing::info!(%member, %epoch, "another member is about to lead");
            blocking(move || part.prepare(epoch)).await?.map(Told::Promised)
        }
        Ask::Join { member, log } => {
            let (session, committed, common) = part.join(member, &log)?;
            let way = match common {
                Some(common) => Way::Records { common },
                None => newest_snapshot(&shared).await?,
            };
            let incarnation = shared.identity.incarnation;
            Ok(Told::Joined { session: session.number, epoch: session.epoch, incarnation, committed, way })
        }
        Ask::Fetch { member, session, from, bytes_max, wait_ms } => {
            let mut durable = part.durable();
            part.fetches(&member, session, from)?;
            let wait = Duration::from_millis(u64::from(wait_ms)).min(WAIT_MAX);
            // The time being over is an answer too, and so is the end of the leadership.
            let more = durable.wait_for(|tail| *tail >= from || part.leader_is_over());
            let _ = tokio::time::timeout(wait, more).await;
            let committed = part.fetches(&member, session, from)?;
            // First whether it leads, then what it has: nobody else had acknowledged anything until then.
            let surely = part.own_epoch().is_some_and(|epoch| part.lease.confirm(epoch).is_ok());
            let tail = surely.then(|| shared.log.bounds().tail);
            let block = read(&shared, from, bytes_max).await?;
            Ok(Told::Records { first: block.first, last: block.last, bytes: block.bytes, committed, tail })
        }
        Ask::Records { epoch, from, bytes_max } => {
            let promised = part.promised();
            if promised != epoch {
                return Err(NotTold::Over { asked: epoch, promised });
            }
            let block = read(&shared, from, bytes_max).await?;
            let committed = part.committed();
            Ok(Told::Records { first: block.first, last: block.last, bytes: block.bytes, committed, tail: None })
        }
        Ask::Snapshot { as_of, offset, bytes_max } => {
            let storage = shared.storage.clone();
            let len = bytes_max.min(BYTES_MAX) as usize;
            let read = blocking(move || snapshot::read_chunk(&*storage, as_of, offset, len)).await?;
            read.map(Told::Part).map_err(|error| NotTold::Gone(format!("the snapshot as of record {as_of}: {error}")))
        }
        Ask::Merge { piece, records } => merge(&shared, piece, records).await.map(Told::Merged),
    }
}

/// Records of the log, durable or committed, as far as they are here.
async fn read(shared: &Arc<Shared>, from: Lsn, bytes_max: u32) -> Result<RecordBlock, NotTold> {
    let bytes_max = bytes_max.min(BYTES_MAX) as usize;
    if let Some(block) = shared.log.read_cached(from, bytes_max) {
        return Ok(block);
    }
    let log = shared.log.clone();
    blocking(move || log.read(from, bytes_max)).await?.map_err(|error| match error {
        ReadError::Trimmed { .. } => NotTold::Gone(error.to_string()),
        other => NotTold::Failed(other.to_string()),
    })
}

async fn newest_snapshot(shared: &Arc<Shared>) -> Result<Way, NotTold> {
    let storage = shared.storage.clone();
    let found = blocking(move || {
        let newest = snapshot::newest(&*storage).map_err(|error| error.to_string())?;
        let as_of = *newest.first().ok_or("there is no snapshot here yet")?;
        let len = snapshot::file_len(&*storage, as_of).map_err(|error| error.to_string())?;
        Ok::<_, String>(Way::Snapshot { as_of, len })
    });
    found.await?.map_err(NotTold::Failed)
}

/// Takes a piece of a detached tail into the log, if this member leads.
pub(crate) async fn merge(shared: &Arc<Shared>, piece: String, records: Bytes) -> Result<Lsn, NotTold> {
    let Some(part) = &shared.members else { return Err(NotTold::Failed("this node keeps its log alone".to_owned())) };
    let Role::Leading(_) = *part.role().borrow() else { return Err(part.not_leading()) };
    let content = bytes_hash(&records);
    let (reply, answer) = oneshot::channel();
    let bytes = records.len();
    let work = Work::Log(LogWork::Merge { records, piece, content });
    let failed = |error: WriteError| NotTold::Failed(error.to_string());
    shared.queue.push(Submission { work, reply }, bytes).map_err(|_| failed(WriteError::Overloaded))?;
    let gone = |_| Err(WriteError::LeaderUnavailable("it stopped before it answered".to_owned()));
    answer.await.unwrap_or_else(gone).map(|receipt| receipt.position.lsn).map_err(failed)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, NotTold> {
    tokio::task::spawn_blocking(work).await.map_err(|error| NotTold::Failed(error.to_string()))
}

impl super::Part {
    /// Whether there is no leadership here that a fetch could wait in.
    fn leader_is_over(&self) -> bool {
        matches!(*self.role().borrow(), Role::Following(_) | Role::Over)
    }

    /// The epoch of the leadership that runs or begins here.
    pub(crate) fn own_epoch(&self) -> Option<Epoch> {
        match *self.role().borrow() {
            Role::Taking(epoch) | Role::Leading(epoch) => Some(epoch),
            Role::Following(_) | Role::Over => None,
        }
    }
}
