//! Promotes this member when it has won the lease, and waits until the leadership ends.

use crate::{
    follow,
    member::Reopen,
    membership::{BeginError, Membership},
    peers::CallError,
};
use littoral_leader::{LocalLog, MemberAddress, Role};
use littoral_log::{Identity, ReadError};
use littoral_model::{
    lineage::RegionLineages,
    ports::RecordBlock,
    position::{Epoch, Lsn},
    write::WriteError,
};
use littoral_protocol::members::{
    Promotion, RecordId,
    acceptor::{StaleEpoch, Start},
    promotion::Step,
    rpc::{self, Rejection, Reply, Request},
};
use littoral_wire::records;
use std::{sync::Arc, time::Duration};
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

/// How long to wait before repeating a request that a member did not answer.
const RETRY_DELAY: Duration = Duration::from_millis(50);
/// How often a leader re-checks its lease, in addition to change notifications.
const LEASE_CHECK_INTERVAL: Duration = Duration::from_millis(50);
/// Bytes of records that one request fetches from a member whose log is longer.
const FETCH_BYTES: u32 = 4 << 20;

/// Why a promotion failed.
#[derive(Debug, thiserror::Error)]
enum PromotionError {
    #[error("epoch {0} was promised in the meantime")]
    Newer(Epoch),
    #[error("no majority of the members replied within {} ms; missing: {missing}", within.as_millis())]
    NoMajority { within: Duration, missing: String },
    #[error(
        "the lease names record {} of epoch {} as committed, and the members that replied have the log only up to {has}; no reply from: \
         {missing}. Start the member that has the rest; if its disk is lost, see the recovery of a region",
        committed.lsn,
        committed.epoch
    )]
    Lacking { committed: RecordId, has: Lsn, missing: String },
    #[error("the further records of '{0}' cannot be fetched: {1}")]
    Fetch(String, String),
    #[error("'{0}' has more records, and its log starts after this one's end: that member should lead")]
    TooFarBehind(String),
    #[error(transparent)]
    Begin(#[from] BeginError),
    #[error("the first record of the epoch was not appended: {0}")]
    Append(WriteError),
    #[error("the first record of the epoch did not reach a majority in time")]
    NotCommitted,
    #[error("{0}")]
    Disk(String),
    #[error("a worker failed: {0}")]
    Worker(#[from] tokio::task::JoinError),
    #[error("this member's log is empty, and the region's is {}", .0)]
    Reopen(littoral_model::position::Incarnation),
}

/// Promotes this member, and returns when its leadership has ended. The member may still hold the lease then. Returns
/// how the log must be reopened, if it must.
pub(crate) async fn run(local: &LocalLog, membership: &Arc<Membership>, epoch: Epoch) -> Option<Reopen> {
    membership.become_candidate(epoch);
    let begun = std::time::Instant::now();
    match promote(local, membership, epoch).await {
        Ok(()) => {
            let ms = begun.elapsed().as_millis() as u64;
            tracing::info!(%epoch, ms, "this member leads the region");
            metrics::histogram!("littoral_members_promotion_seconds").record(begun.elapsed().as_secs_f64());
            let why = until_ended(membership, epoch).await;
            membership.step_down(why);
            None
        }
        Err(PromotionError::Reopen(incarnation)) => {
            membership.step_down("this member replaces its log with another member's");
            Some(Reopen::AsEmpty(incarnation))
        }
        Err(error) => {
            tracing::warn!(%epoch, %error, "this member holds the lease, but its promotion failed");
            membership.step_down(&error.to_string());
            None
        }
    }
}

/// Runs the steps of a promotion: collects promises, fetches the records that this log lacks, appends `Begin`, and
/// opens the log for writes once `Begin` is committed and applied.
async fn promote(local: &LocalLog, membership: &Arc<Membership>, epoch: Epoch) -> Result<(), PromotionError> {
    let members = membership.members.iter().map(|member| member.name.clone()).collect();
    let mut promotion = Promotion::new(epoch, membership.me.clone(), members, membership.claimed());
    let own = prepare_self(membership, epoch).await?;
    promotion.promised(membership.me.clone(), own.history);
    gather_promises(membership, &mut promotion, epoch, local).await?;
    while let Step::Fetch { from, common, until } = promotion.step() {
        let other = membership.members.iter().find(|other| other.name == from).cloned();
        let Some(other) = other else { return Err(PromotionError::TooFarBehind(from)) };
        let start = Start { epoch, common, committed: membership.committed() };
        fetch(local, membership, &other, start, until).await?;
        promotion.promised(membership.me.clone(), local.log().history());
    }
    if let Step::Leave { to } = promotion.step() {
        return Err(PromotionError::TooFarBehind(to));
    }
    let begin = begin(local, membership, epoch).await?;
    let mut head = local.head();
    let visible = head.wait_for(|head| head.lsn >= begin || membership.own_epoch() != Some(epoch));
    let is_visible = matches!(timeout(step_timeout(membership), visible).await, Ok(Ok(_)));
    if !is_visible || local.published().position.lsn < begin {
        return Err(PromotionError::NotCommitted);
    }
    let (own, of) = (local.clone(), membership.clone());
    let opened = tokio::task::spawn_blocking(move || {
        let mut appends = own.append_lock();
        appends.open();
        of.open_for_writes(epoch)
    });
    if opened.await? { Ok(()) } else { Err(PromotionError::Newer(membership.promised())) }
}

/// Returns how long each step of a promotion may take.
fn step_timeout(membership: &Membership) -> Duration {
    (membership.timing.term * 2).max(Duration::from_secs(1))
}

/// Makes this member itself promise the epoch.
async fn prepare_self(membership: &Arc<Membership>, epoch: Epoch) -> Result<rpc::Log, PromotionError> {
    let own = membership.clone();
    tokio::task::spawn_blocking(move || own.prepare(epoch)).await?.map_err(|rejection| match rejection {
        Rejection::StaleEpoch { promised, .. } => PromotionError::Newer(promised),
        other => PromotionError::Disk(other.to_string()),
    })
}

/// A member's reply to a request for a promise.
struct PromiseReply {
    member: String,
    /// The member's log, or the newer epoch that it has promised.
    log: Result<rpc::Log, Epoch>,
}

/// Requests promises from the others until a majority has promised.
async fn gather_promises(
    membership: &Arc<Membership>,
    promotion: &mut Promotion<String>,
    epoch: Epoch,
    local: &LocalLog,
) -> Result<(), PromotionError> {
    let mut requests = JoinSet::new();
    for other in membership.members.iter().filter(|other| other.name != membership.me).cloned() {
        let (member, region, links) = (membership.me.clone(), local.identity().region, membership.links.clone());
        requests.spawn(async move {
            loop {
                let request = Request::Prepare { member: member.clone(), epoch };
                let reply = links.call_once(&other, region, request).await;
                match reply {
                    Ok(Reply::Promised(log)) => return PromiseReply { member: other.name, log: Ok(log) },
                    Err(CallError::Rejected(Rejection::StaleEpoch { promised, .. })) => {
                        return PromiseReply { member: other.name, log: Err(promised) };
                    }
                    Ok(_) | Err(_) => sleep(RETRY_DELAY).await,
                }
            }
        });
    }
    let within = step_timeout(membership);
    let promises = async {
        while let Step::Gather { .. } | Step::Lacking { .. } = promotion.step() {
            let Some(reply) = requests.join_next().await else { std::future::pending().await };
            let PromiseReply { member, log } = reply?;
            let log = match log {
                Ok(log) => log,
                Err(promised) if promotion.rejected(StaleEpoch { asked: epoch, promised }) => {
                    return Err(PromotionError::Newer(promised));
                }
                Err(_) => continue,
            };
            let ours = local.log().identity().incarnation;
            match (log.history.tail(), local.log().bounds().tail) {
                (Lsn::NONE, _) => promotion.promised(member, log.history),
                _ if log.incarnation == ours => promotion.promised(member, log.history),
                (_, Lsn::NONE) => return Err(PromotionError::Reopen(log.incarnation)),
                _ => {
                    let (theirs, ours) = (log.incarnation, ours);
                    tracing::error!(member, error = %Rejection::OtherLog { theirs, ours }, "a member with another log does not count towards the majority");
                }
            }
        }
        Ok(())
    };
    match timeout(within, promises).await {
        Ok(gathered) => gathered,
        Err(_) => match promotion.step() {
            Step::Gather { missing } => Err(PromotionError::NoMajority { within, missing: missing.join(", ") }),
            Step::Lacking { committed, has, missing } => {
                let missing = if missing.is_empty() { "none".to_owned() } else { missing.join(", ") };
                Err(PromotionError::Lacking { committed, has, missing })
            }
            _ => Ok(()),
        },
    }
}

/// Fetches the records that another member has beyond this one's log.
async fn fetch(
    local: &LocalLog,
    membership: &Arc<Membership>,
    other: &MemberAddress,
    start: Start,
    until: Lsn,
) -> Result<(), PromotionError> {
    let failed = |error: &dyn std::fmt::Display| PromotionError::Fetch(other.name.clone(), error.to_string());
    tracing::info!(
        from = other.name,
        common = start.common.0,
        until = until.0,
        "another member has more records; fetching them"
    );
    let (own, of) = (membership.clone(), local.clone());
    tokio::task::spawn_blocking(move || own.begin(&of, start)).await??;
    let connected = membership.links.connect(&other.peer, local.identity().region).await;
    let calls = connected.map_err(|error| failed(&error))?;
    loop {
        let from = local.log().bounds().tail.next();
        if from > until {
            return Ok(());
        }
        let reply = calls.member(Request::Records { epoch: start.epoch, from, bytes_max: FETCH_BYTES }).await;
        let reply = reply.map_err(|error| failed(&error))?.map_err(|error| failed(&error))?;
        let Reply::Records { first, last, bytes, .. } = reply else { return Err(failed(&CallError::Other)) };
        if first != from || bytes.is_empty() {
            return Err(failed(&format!("it sent records from {first} on instead of {from}")));
        }
        let block = littoral_log::through(RecordBlock { first, last, bytes }, until);
        follow::append(local, membership, &calls, block).await.map_err(|error| failed(&error))?;
    }
}

/// Returns the lives of the log up to its last record, which may not be applied yet.
fn lineages_of_the_log(local: &LocalLog) -> Result<RegionLineages, ReadError> {
    let published = local.published();
    let mut lineages = RegionLineages::clone(&published.lineages);
    let Identity { region, incarnation } = local.identity();
    let (mut next, tail) = (published.position.lsn.next(), local.log().bounds().tail);
    while next <= tail {
        let block = local.log().read(next, FETCH_BYTES as usize)?;
        for record in records::iter(&block.bytes) {
            let reason = |error: littoral_wire::Error| format!("a record after {next} cannot be read: {error}");
            let damaged = |reason| ReadError::Damaged { file: "the log".into(), offset: 0, reason };
            let record = record.map_err(|error| damaged(reason(error)))?;
            if let Some(start) = record.begins().filter(|_| record.origin == region) {
                lineages.entry(region, incarnation).begin(start);
            }
        }
        next = block.last.next();
    }
    Ok(lineages)
}

/// Appends the record that begins the epoch, and returns its LSN.
async fn begin(local: &LocalLog, membership: &Arc<Membership>, epoch: Epoch) -> Result<Lsn, PromotionError> {
    let (local, membership) = (local.clone(), membership.clone());
    let begun = tokio::task::spawn_blocking(move || {
        let mut appends = local.append_lock();
        let lineages = lineages_of_the_log(&local).map_err(|error| WriteError::NotDurable(error.to_string()))?;
        appends.lead(epoch, lineages);
        membership.begin_leadership(epoch, || {
            membership.lease.confirm(epoch).map_err(|fenced| WriteError::NotLeader(fenced.to_string()))?;
            appends.begin_life()
        })
    });
    begun.await?.map_err(PromotionError::Append)
}

/// Waits until the leadership ends. Returns why.
async fn until_ended(membership: &Arc<Membership>, epoch: Epoch) -> &'static str {
    // Followers fetch several times within a term. A leader that has heard no majority for a whole term is isolated.
    let isolated = membership.timing.term;
    let (mut lease, mut role) = (membership.lease.state(), membership.watch_role());
    // A new leader allows its followers the same time to join.
    let since = tokio::time::Instant::now();
    loop {
        if lease.borrow_and_update().leading != Some(epoch) {
            return "the lease is lost";
        }
        if !matches!(*role.borrow_and_update(), Role::Leading(leads) if leads == epoch) {
            return "a newer epoch was promised";
        }
        if since.elapsed() > isolated && !membership.is_heard(isolated) {
            return "no majority of the members was heard";
        }
        tokio::select! {
            _ = lease.changed() => {}
            _ = role.changed() => {}
            () = sleep(LEASE_CHECK_INTERVAL) => {}
        }
    }
}
