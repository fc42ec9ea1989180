//! Following whoever leads: join, fetch, append, learn what is committed; and again when that ends.

use super::{
    Part, Seat, fork,
    node::Reopen,
    part::{BeginError, Leader},
    ways::{self, Unanswered, ask},
};
use crate::shared::Shared;
use littoral_feed::client::{CallClient, Pause};
use littoral_log::snapshot;
use littoral_model::{
    catalogue::CatalogueChange,
    module::ModuleDigest,
    ports::RecordBlock,
    position::{Incarnation, Lsn},
    record::Payload,
};
use littoral_protocol::members::{
    ask::{Ask, Told, Way},
    follower::Start,
};
use littoral_wire::records;
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep};

const PAUSE_MIN: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_millis(500);
/// How long a fetch waits at the leader when there is nothing.
const FETCH_WAIT: Duration = Duration::from_millis(200);
/// Bytes of records that are fetched at once.
const FETCH_BYTES: u32 = 2 << 20;
/// Bytes of a snapshot's file that are fetched at once.
const PART_BYTES: u32 = 2 << 20;

/// Why following has ended, for now.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    #[error(transparent)]
    Unanswered(#[from] Unanswered),
    #[error(transparent)]
    Begin(#[from] BeginError),
    #[error("the logs had parted at record {from}; this member joins again without what it had from there on")]
    Forked { from: Lsn },
    #[error("its records begin with {got} instead of {wanted}")]
    Gap { got: Lsn, wanted: Lsn },
    #[error("the component of module {0} is not there: {1}")]
    Module(ModuleDigest, String),
    #[error("its snapshot cannot be taken: {0}")]
    Snapshot(String),
    #[error("a worker failed: {0}")]
    Worker(#[from] tokio::task::JoinError),
}

/// Follows this member until dropped. Returns only when this member's own log must be opened anew before it can follow.
pub(crate) async fn run(shared: &Arc<Shared>, part: &Arc<Part>, seat: &Seat) -> Reopen {
    let mut pause = Pause::new(PAUSE_MIN, PAUSE_MAX);
    let mut told = String::new();
    loop {
        let begun = Instant::now();
        let ended = once(shared, part, seat).await;
        part.follows(None);
        part.part();
        let error = match ended {
            Ok(reopen) => return reopen,
            Err(error) => error,
        };
        metrics::counter!("littoral_members_follow_ended_total").increment(1);
        let reason = error.to_string();
        if matches!(&error, Ended::Begin(BeginError::Alarm(_))) {
            tracing::error!(leader = seat.name, reason, "the leader cannot be followed; look at both members");
        } else if reason != told {
            tracing::warn!(leader = seat.name, reason, "the leader is not followed; it is tried again");
        }
        told = reason;
        if begun.elapsed() > PAUSE_MAX {
            pause.reset();
        }
        sleep(pause.next_pause()).await;
    }
}

/// Follows this member for as long as it leads, once. Returns what must be done to this member's own log before that.
pub(crate) async fn try_to(shared: &Arc<Shared>, part: &Arc<Part>, seat: &Seat) -> Option<Reopen> {
    let ended = once(shared, part, seat).await;
    part.follows(None);
    part.part();
    match ended {
        Ok(reopen) => Some(reopen),
        Err(error) => {
            tracing::debug!(member = seat.name, %error, "this member is not followed");
            None
        }
    }
}

/// One connection.
async fn once(shared: &Arc<Shared>, part: &Arc<Part>, seat: &Seat) -> Result<Reopen, Ended> {
    let calls = ways::to(&seat.peer).await.map_err(Unanswered::from)?;
    let me = part.me.clone();
    let told = ask(&calls, Ask::Join { member: me.clone(), log: part.log_told() }).await?;
    let Told::Joined { session, epoch, incarnation, committed, way } = told else {
        return Err(Unanswered::Other.into());
    };
    if incarnation != shared.identity.incarnation {
        // Ours is empty, else it would have been refused.
        return Ok(Reopen::Adopt(incarnation));
    }
    let common = match way {
        Way::Records { common } => common,
        Way::Snapshot { as_of, len } => return take_snapshot(shared, &calls, incarnation, as_of, len).await,
    };
    if let Some(alike) = fork::last_alike(shared, part, &calls, (epoch, common)).await? {
        let (from, through) = (alike.next(), shared.log.bounds().tail);
        tracing::error!(
            leader = seat.name,
            from = from.0,
            through = through.0,
            "this member's log has other records than the leader's under the same numbers; they are given up and kept aside"
        );
        metrics::counter!("littoral_members_forks_total").increment(1);
        let start = Start { epoch, common: alike, committed: Lsn::NONE };
        blocking(shared, part, move |shared, part| part.begin(shared, start)).await??;
        return Err(Ended::Forked { from });
    }
    let start = Start { epoch, common, committed };
    blocking(shared, part, move |shared, part| part.begin(shared, start)).await??;
    tracing::info!(leader = seat.name, %epoch, common = common.0, "follows");
    part.follows(Some(Leader { name: seat.name.clone(), calls: calls.clone() }));
    loop {
        let from = shared.log.bounds().tail.next();
        let seq = part.ping();
        let wait_ms = FETCH_WAIT.as_millis() as u32;
        let fetch = Ask::Fetch { member: me.clone(), session, from, bytes_max: FETCH_BYTES, wait_ms };
        let Told::Records { first, last, bytes, committed, tail } = ask(&calls, fetch).await? else {
            return Err(Unanswered::Other.into());
        };
        if !bytes.is_empty() {
            if first != from {
                return Err(Ended::Gap { got: first, wanted: from });
            }
            append(shared, part, &calls, RecordBlock { first, last, bytes }).await?;
        }
        part.know_committed(committed);
        if let (Some(seq), Some(tail)) = (seq, tail) {
            part.echo(seq, tail);
        }
    }
}

/// Has the records durable here, and before them the components of the modules that they name.
pub(super) async fn append(
    shared: &Arc<Shared>,
    part: &Arc<Part>,
    calls: &CallClient,
    block: RecordBlock,
) -> Result<(), Ended> {
    for record in records::iter(&block.bytes).flatten() {
        if let Payload::Catalogue(change) = &record.payload
            && let CatalogueChange::PutModule(release) = &**change
        {
            fetch_component(shared, calls, release.digest).await?;
        }
    }
    blocking(shared, part, move |shared, part| part.take(shared, &block)).await??;
    Ok(())
}

async fn fetch_component(shared: &Arc<Shared>, calls: &CallClient, digest: ModuleDigest) -> Result<(), Ended> {
    let fault = |reason: String| Ended::Module(digest, reason);
    let modules = shared.modules.clone();
    if tokio::task::spawn_blocking(move || modules.load(digest).is_ok()).await? {
        return Ok(());
    }
    let fetched = calls.fetch_module(digest).await.map_err(|error| fault(error.to_string()))?;
    // A release that was replaced since is gone there, and its own record follows.
    let Some(component) = fetched else { return Ok(()) };
    let modules = shared.modules.clone();
    let stored = tokio::task::spawn_blocking(move || modules.store(digest, &component)).await?;
    stored.map_err(|error| fault(error.to_string()))
}

/// Brings the leader's snapshot here, part by part.
async fn take_snapshot(
    shared: &Arc<Shared>,
    calls: &CallClient,
    incarnation: Incarnation,
    as_of: Lsn,
    len: u64,
) -> Result<Reopen, Ended> {
    tracing::info!(as_of = as_of.0, len, "the leader's log does not reach back to this one's; its snapshot is taken");
    let failed = |error: &dyn std::fmt::Display| Ended::Snapshot(error.to_string());
    let storage = shared.storage.clone();
    let begun = tokio::task::spawn_blocking(move || snapshot::Receiver::begin(storage)).await?;
    let mut receiver = begun.map_err(|error| failed(&error))?;
    let mut offset = 0;
    while offset < len {
        let part = ask(calls, Ask::Snapshot { as_of, offset, bytes_max: PART_BYTES }).await?;
        let Told::Part(bytes) = part else { return Err(Unanswered::Other.into()) };
        if bytes.is_empty() {
            return Err(failed(&"it ends early"));
        }
        offset += bytes.len() as u64;
        let pushed = tokio::task::spawn_blocking(move || receiver.write(&bytes).map(|()| receiver)).await?;
        receiver = pushed.map_err(|error| failed(&error))?;
    }
    let head = tokio::task::spawn_blocking(move || receiver.finish()).await?.map_err(|error| failed(&error))?;
    Ok(Reopen::Install(incarnation, Box::new(head)))
}

async fn blocking<T: Send + 'static>(
    shared: &Arc<Shared>,
    part: &Arc<Part>,
    work: impl FnOnce(&Shared, &Part) -> T + Send + 'static,
) -> Result<T, tokio::task::JoinError> {
    let (shared, part) = (shared.clone(), part.clone());
    tokio::task::spawn_blocking(move || work(&shared, &part)).await
}
