//! Follows the leader: joins it, fetches and appends its records, and receives the committed position. Starts again
//! when the stream ends.

use crate::{
    fork,
    member::Reopen,
    membership::{BeginError, Membership},
    peers::{self, CallError},
};
use littoral_feed::client::{CallClient, Pause};
use littoral_leader::{LeaderPeer, LocalLog, MemberAddress};
use littoral_log::snapshot;
use littoral_model::{
    catalogue::CatalogueChange,
    module::ModuleDigest,
    ports::RecordBlock,
    position::{Incarnation, Lsn},
    record::Payload,
};
use littoral_protocol::members::{
    acceptor::Start,
    rpc::{CatchUp, Reply, Request},
};
use littoral_wire::records;
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep};

const PAUSE_MIN: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_millis(500);
/// How long a fetch waits at the leader for records.
const FETCH_WAIT: Duration = Duration::from_millis(200);
/// Bytes of records that one fetch requests.
const FETCH_BYTES: u32 = 2 << 20;
/// Bytes of a snapshot's file that one request fetches.
const CHUNK_BYTES: u32 = 2 << 20;

/// Why following has ended; it is retried.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    #[error(transparent)]
    Call(#[from] CallError),
    #[error(transparent)]
    Begin(#[from] BeginError),
    #[error(
        "this log had diverged from the leader's at record {from}; this member joins again without its records from that one on"
    )]
    Forked { from: Lsn },
    #[error("the leader sent records from {got} on instead of from {wanted} on")]
    Gap { got: Lsn, wanted: Lsn },
    #[error("the component of module {0} cannot be fetched from the leader: {1}")]
    Module(ModuleDigest, String),
    #[error("the leader's snapshot cannot be installed: {0}")]
    Snapshot(String),
    #[error("a worker failed: {0}")]
    Worker(#[from] tokio::task::JoinError),
}

/// Follows `member` until dropped. Returns only when the log must be reopened first.
pub(crate) async fn run(local: &LocalLog, membership: &Arc<Membership>, member: &MemberAddress) -> Reopen {
    let mut pause = Pause::new(PAUSE_MIN, PAUSE_MAX);
    let mut last_reason = String::new();
    loop {
        let begun = Instant::now();
        let ended = once(local, membership, member).await;
        membership.set_leader(None);
        membership.end_stream();
        let error = match ended {
            Ok(reopen) => return reopen,
            Err(error) => error,
        };
        metrics::counter!("littoral_members_follow_ended_total").increment(1);
        let reason = error.to_string();
        if matches!(&error, Ended::Begin(BeginError::Alarm(_))) {
            tracing::error!(
                leader = member.name,
                reason,
                "the leader cannot be followed: the logs of both members need an operator"
            );
        } else if reason != last_reason {
            tracing::warn!(leader = member.name, reason, "following the leader ended; retrying");
        }
        last_reason = reason;
        if begun.elapsed() > PAUSE_MAX {
            pause.reset();
        }
        sleep(pause.next_pause()).await;
    }
}

/// Follows `member` once, for as long as it leads. Returns how the log must be reopened, if it must.
pub(crate) async fn try_to(local: &LocalLog, membership: &Arc<Membership>, member: &MemberAddress) -> Option<Reopen> {
    let ended = once(local, membership, member).await;
    membership.set_leader(None);
    membership.end_stream();
    match ended {
        Ok(reopen) => Some(reopen),
        Err(error) => {
            tracing::debug!(member = member.name, %error, "this member cannot be followed");
            None
        }
    }
}

/// Follows over one connection. Returns how the log must be reopened first, or why following has ended.
async fn once(local: &LocalLog, membership: &Arc<Membership>, member: &MemberAddress) -> Result<Reopen, Ended> {
    let connected = membership.links.connect(&member.peer, local.identity().region).await;
    let calls = connected.map_err(CallError::from)?;
    let me = membership.me.clone();
    let log = blocking(local, membership, |_, membership| membership.describe_log()).await?;
    let reply = peers::call(&calls, Request::Join { member: me.clone(), log }).await?;
    let Reply::Joined { session, epoch, incarnation, committed, catch_up } = reply else {
        return Err(CallError::Other.into());
    };
    if incarnation != local.identity().incarnation {
        // This log is empty, or the leader would have rejected it.
        return Ok(Reopen::AsEmpty(incarnation));
    }
    let common = match catch_up {
        CatchUp::Records { common } => common,
        CatchUp::Snapshot { as_of, len } => return install_snapshot(local, &calls, incarnation, as_of, len).await,
    };
    if let Some(last) = fork::last_common(local, membership, &calls, epoch, common).await? {
        let (from, through) = (last.next(), local.log().bounds().tail);
        tracing::error!(
            leader = member.name,
            from = from.0,
            through = through.0,
            "this member's log has other records than the leader's under the same LSNs; they are cut and kept as a detached tail"
        );
        metrics::counter!("littoral_members_forks_total").increment(1);
        let start = Start { epoch, common: last, committed: Lsn::NONE };
        blocking(local, membership, move |local, membership| membership.begin(local, start)).await??;
        return Err(Ended::Forked { from });
    }
    let start = Start { epoch, common, committed };
    blocking(local, membership, move |local, membership| membership.begin(local, start)).await??;
    tracing::info!(leader = member.name, %epoch, common = common.0, "following the leader");
    membership.set_leader(Some(LeaderPeer { name: member.name.clone(), calls: calls.clone() }));
    loop {
        let from = local.log().bounds().tail.next();
        let seq = membership.ping();
        let wait_ms = FETCH_WAIT.as_millis() as u32;
        let fetch = Request::Fetch { member: me.clone(), session, from, bytes_max: FETCH_BYTES, wait_ms };
        let Reply::Records { first, last, bytes, committed, tail } = peers::call(&calls, fetch).await? else {
            return Err(CallError::Other.into());
        };
        if !bytes.is_empty() {
            if first != from {
                return Err(Ended::Gap { got: first, wanted: from });
            }
            append(local, membership, &calls, RecordBlock { first, last, bytes }).await?;
        }
        membership.know_committed(committed);
        if let (Some(seq), Some(tail)) = (seq, tail) {
            membership.echo(seq, tail);
        }
    }
}

/// Stores the components of the modules that the records name, then makes the records durable here.
pub(super) async fn append(
    local: &LocalLog,
    membership: &Arc<Membership>,
    calls: &CallClient,
    block: RecordBlock,
) -> Result<(), Ended> {
    for record in records::iter(&block.bytes).flatten() {
        if let Payload::Catalogue(change) = &record.payload
            && let CatalogueChange::PutModule(release) = &**change
        {
            fetch_component(local, calls, release.digest).await?;
        }
    }
    blocking(local, membership, move |local, membership| membership.append(local, &block)).await??;
    Ok(())
}

/// Fetches the component of a module from the leader, unless it is stored here already.
async fn fetch_component(local: &LocalLog, calls: &CallClient, digest: ModuleDigest) -> Result<(), Ended> {
    let fault = |reason: String| Ended::Module(digest, reason);
    let own = local.clone();
    if tokio::task::spawn_blocking(move || own.has_component(digest)).await? {
        return Ok(());
    }
    let fetched = calls.fetch_module(digest).await.map_err(|error| fault(error.to_string()))?;
    // The leader no longer has a release that was replaced since; the record of the replacement follows.
    let Some(component) = fetched else { return Ok(()) };
    let own = local.clone();
    let stored = tokio::task::spawn_blocking(move || own.store_component(digest, &component)).await?;
    stored.map_err(|error| fault(error.to_string()))
}

/// Fetches the leader's snapshot, a file of `len` bytes, in chunks. Returns how the log must be reopened after it.
async fn install_snapshot(
    local: &LocalLog,
    calls: &CallClient,
    incarnation: Incarnation,
    as_of: Lsn,
    len: u64,
) -> Result<Reopen, Ended> {
    tracing::info!(as_of = as_of.0, len, "the leader's log starts after this one's end; fetching its snapshot");
    let failed = |error: &dyn std::fmt::Display| Ended::Snapshot(error.to_string());
    let storage = local.storage().clone();
    let begun = tokio::task::spawn_blocking(move || snapshot::Receiver::begin(storage)).await?;
    let mut receiver = begun.map_err(|error| failed(&error))?;
    let mut offset = 0;
    while offset < len {
        let reply = peers::call(calls, Request::Snapshot { as_of, offset, bytes_max: CHUNK_BYTES }).await?;
        let Reply::SnapshotChunk(bytes) = reply else { return Err(CallError::Other.into()) };
        if bytes.is_empty() {
            return Err(failed(&"the snapshot ends early"));
        }
        offset += bytes.len() as u64;
        let pushed = tokio::task::spawn_blocking(move || receiver.write(&bytes).map(|()| receiver)).await?;
        receiver = pushed.map_err(|error| failed(&error))?;
    }
    let head = tokio::task::spawn_blocking(move || receiver.finish()).await?.map_err(|error| failed(&error))?;
    Ok(Reopen::AfterSnapshot(incarnation, Box::new(head)))
}

async fn blocking<T: Send + 'static>(
    local: &LocalLog,
    membership: &Arc<Membership>,
    work: impl FnOnce(&LocalLog, &Membership) -> T + Send + 'static,
) -> Result<T, tokio::task::JoinError> {
    let (local, membership) = (local.clone(), membership.clone());
    tokio::task::spawn_blocking(move || work(&local, &membership)).await
}
