//! From the lease to leading, and as long as it lasts.

use super::{
    Part, Role, Seat, follow,
    node::Reopen,
    part::BeginError,
    ways::{self, Unanswered},
};
use crate::shared::Shared;
use littoral_log::{Identity, ReadError};
use littoral_model::{
    lives::RegionLives,
    ports::RecordBlock,
    position::{Epoch, Lsn},
    write::WriteError,
};
use littoral_protocol::members::{
    Mark, Promotion,
    ask::{self, Ask, NotTold, Told},
    follower::{Refused, Start},
    promotion::Step,
};
use littoral_wire::records;
use std::{sync::Arc, time::Duration};
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

/// How long until a member that did not answer is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(50);
/// How often a leader looks whether it still is one, besides being told.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Bytes of records that are fetched at once from a member that has more.
const FETCH_BYTES: u32 = 4 << 20;

/// Why a leadership did not begin.
#[derive(Debug, thiserror::Error)]
enum NotBegun {
    #[error("epoch {0} was promised meanwhile")]
    Newer(Epoch),
    #[error("not enough members have answered within {} ms: {missing}", within.as_millis())]
    NoMajority { within: Duration, missing: String },
    #[error(
        "the region's log was committed up to record {} of epoch {}, as the lease says, and the members that answered have it only up to \
         {has}; did not answer: {missing}. Start the member that has the rest; if its disk is lost, see the recovery of a region",
        committed.lsn,
        committed.epoch
    )]
    Lacking { committed: Mark, has: Lsn, missing: String },
    #[error("what '{0}' has beyond cannot be fetched: {1}")]
    Fetch(String, String),
    #[error("'{0}' has more, and its log does not reach back to this one's end: it is left to lead")]
    TooFarBehind(String),
    #[error(transparent)]
    Begin(#[from] BeginError),
    #[error("its first record was not appended: {0}")]
    Append(WriteError),
    #[error("its first record did not reach a majority in time")]
    NotCommitted,
    #[error("{0}")]
    Disk(String),
    #[error("a worker failed: {0}")]
    Worker(#[from] tokio::task::JoinError),
    #[error("this member's log is empty, and the region's is {}", .0)]
    Reopen(littoral_model::position::Incarnation),
}

/// Takes over, and leads until that ends. The lease may still be held then. Returns what must be done to this member's log.
pub(crate) async fn run(shared: &Arc<Shared>, part: &Arc<Part>, epoch: Epoch) -> Option<Reopen> {
    part.takes(epoch);
    let begun = std::time::Instant::now();
    match take_over(shared, part, epoch).await {
        Ok(()) => {
            let ms = begun.elapsed().as_millis() as u64;
            tracing::info!(%epoch, ms, "this member leads the region");
            metrics::histogram!("littoral_members_take_over_seconds").record(begun.elapsed().as_secs_f64());
            let why = until_over(part, epoch).await;
            part.steps_down(why);
            None
        }
        Err(NotBegun::Reopen(incarnation)) => {
            part.steps_down("its log is to be taken from another member");
            Some(Reopen::Adopt(incarnation))
        }
        Err(error) => {
            tracing::warn!(%epoch, %error, "this member has the lease and does not lead");
            part.steps_down(&error.to_string());
            None
        }
    }
}

async fn take_over(shared: &Arc<Shared>, part: &Arc<Part>, epoch: Epoch) -> Result<(), NotBegun> {
    let members = part.seats.iter().map(|s| s.name.clone()).collect();
    let mut promotion = Promotion::new(epoch, part.me.clone(), members, part.claimed());
    let own = prepare_self(part, epoch).await?;
    promotion.promised(part.me.clone(), own.history);
    gather(part, &mut promotion, epoch, shared).await?;
    while let Step::Fetch { from, common, until } = promotion.step() {
        let seat = part.seats.iter().find(|seat| seat.name == from).cloned();
        let Some(seat) = seat else { return Err(NotBegun::TooFarBehind(from)) };
        fetch(shared, part, &seat, (epoch, common, until)).await?;
        promotion.promised(part.me.clone(), shared.log.history());
    }
    if let Step::Leave { to } = promotion.step() {
        return Err(NotBegun::TooFarBehind(to));
    }
    let begin = begin(shared, part, epoch).await?;
    let mut head = shared.head.subscribe();
    let visible = head.wait_for(|head| head.lsn >= begin || part.own_epoch() != Some(epoch));
    let visible = timeout(patience(part), visible).await;
    if !matches!(visible, Ok(Ok(_))) || shared.published.load().position.lsn < begin {
        return Err(NotBegun::NotCommitted);
    }
    let opened = {
        let mut core = shared.core.lock();
        let published = shared.published.load_full();
        core.open(published.known());
        shared.standing.leads(shared);
        part.opens(epoch)
    };
    if opened { Ok(()) } else { Err(NotBegun::Newer(part.promised())) }
}

/// How long each of the steps to leading may take.
fn patience(part: &Part) -> Duration {
    (part.timing.term * 2).max(Duration::from_secs(1))
}

async fn prepare_self(part: &Arc<Part>, epoch: Epoch) -> Result<ask::Log, NotBegun> {
    let own = part.clone();
    tokio::task::spawn_blocking(move || own.prepare(epoch)).await?.map_err(|refused| match refused {
        NotTold::Over { promised, .. } => NotBegun::Newer(promised),
        other => NotBegun::Disk(other.to_string()),
    })
}

/// Asks the others until enough have promised.
async fn gather(
    part: &Arc<Part>,
    promotion: &mut Promotion<String>,
    epoch: Epoch,
    shared: &Shared,
) -> Result<(), NotBegun> {
    let mut asked = JoinSet::new();
    for seat in part.seats.iter().filter(|seat| seat.name != part.me).cloned() {
        let member = part.me.clone();
        asked.spawn(async move {
            loop {
                let told = ways::ask_once(&seat, Ask::Prepare { member: member.clone(), epoch }).await;
                match told {
                    Ok(Told::Promised(log)) => return (seat.name, Ok(log)),
                    Err(Unanswered::Told(NotTold::Over { promised, .. })) => return (seat.name, Err(promised)),
                    Ok(_) | Err(_) => sleep(ASK_AGAIN).await,
                }
            }
        });
    }
    let within = patience(part);
    let answers = async {
        while let Step::Gather { .. } | Step::Lacking { .. } = promotion.step() {
            let Some(answer) = asked.join_next().await else { std::future::pending().await };
            let (member, answer) = answer?;
            let log = match answer {
                Ok(log) => log,
                Err(promised) if promotion.refused(Refused { asked: epoch, promised }) => {
                    return Err(NotBegun::Newer(promised));
                }
                Err(_) => continue,
            };
            let ours = shared.log.identity().incarnation;
            match (log.history.tail(), shared.log.bounds().tail) {
                (Lsn::NONE, _) => promotion.promised(member, log.history),
                _ if log.incarnation == ours => promotion.promised(member, log.history),
                (_, Lsn::NONE) => return Err(NotBegun::Reopen(log.incarnation)),
                _ => {
                    let (theirs, ours) = (log.incarnation, ours);
                    tracing::error!(member, error = %NotTold::OtherLog { theirs, ours }, "a member does not count");
                }
            }
        }
        Ok(())
    };
    match timeout(within, answers).await {
        Ok(gathered) => gathered,
        Err(_) => match promotion.step() {
            Step::Gather { missing } => Err(NotBegun::NoMajority { within, missing: missing.join(", ") }),
            Step::Lacking { committed, has, missing } => {
                let missing = if missing.is_empty() { "none".to_owned() } else { missing.join(", ") };
                Err(NotBegun::Lacking { committed, has, missing })
            }
            _ => Ok(()),
        },
    }
}

/// Brings what another member has beyond this one's log here.
async fn fetch(
    shared: &Arc<Shared>,
    part: &Arc<Part>,
    seat: &Seat,
    (epoch, common, until): (Epoch, Lsn, Lsn),
) -> Result<(), NotBegun> {
    let failed = |error: &dyn std::fmt::Display| NotBegun::Fetch(seat.name.clone(), error.to_string());
    tracing::info!(from = seat.name, common = common.0, until = until.0, "another member has more: it is fetched");
    let start = Start { epoch, common, committed: part.committed() };
    let (own, of) = (part.clone(), shared.clone());
    tokio::task::spawn_blocking(move || own.begin(&of, start)).await??;
    let calls = ways::to(&seat.peer).await.map_err(|error| failed(&error))?;
    loop {
        let from = shared.log.bounds().tail.next();
        if from > until {
            return Ok(());
        }
        let told = calls.member(Ask::Records { epoch, from, bytes_max: FETCH_BYTES }).await;
        let told = told.map_err(|error| failed(&error))?.map_err(|error| failed(&error))?;
        let Told::Records { first, last, bytes, .. } = told else { return Err(failed(&Unanswered::Other)) };
        if first != from || bytes.is_empty() {
            return Err(failed(&format!("its records begin with {first} instead of {from}")));
        }
        let block = littoral_log::through(RecordBlock { first, last, bytes }, until);
        follow::append(shared, part, &calls, block).await.map_err(|error| failed(&error))?;
    }
}

/// Appends the record that begins the epoch.
/// The lives of the log up to its last record, which may not be applied yet.
fn lives_of_the_log(shared: &Shared) -> Result<RegionLives, ReadError> {
    let published = shared.published.load_full();
    let mut lives = RegionLives::clone(&published.lives);
    let Identity { region, incarnation } = shared.identity;
    let (mut next, tail) = (published.position.lsn.next(), shared.log.bounds().tail);
    while next <= tail {
        let block = shared.log.read(next, FETCH_BYTES as usize)?;
        for record in records::iter(&block.bytes) {
            let reason = |error: littoral_wire::Error| format!("a record after {next} cannot be read: {error}");
            let damaged = |reason| ReadError::Damaged { file: "the log".into(), offset: 0, reason };
            let record = record.map_err(|error| damaged(reason(error)))?;
            if let Some(start) = record.begins().filter(|_| record.origin == region) {
                lives.entry(region, incarnation).begin(start);
            }
        }
        next = block.last.next();
    }
    Ok(lives)
}

async fn begin(shared: &Arc<Shared>, part: &Arc<Part>, epoch: Epoch) -> Result<Lsn, NotBegun> {
    let (shared, part) = (shared.clone(), part.clone());
    let begun = tokio::task::spawn_blocking(move || {
        let mut core = shared.core.lock();
        let lives = lives_of_the_log(&shared).map_err(|error| WriteError::NotDurable(error.to_string()))?;
        core.lead(epoch, shared.log.bounds().hlc, lives);
        part.begins(epoch, || {
            part.lease.confirm(epoch).map_err(|fenced| WriteError::NotLeader(fenced.to_string()))?;
            let append = |batch| shared.log.append(batch).map(drop);
            core.begin_now(&shared.log.bounds(), shared.draw_life(), shared.now_ms(), append)
        })
    });
    begun.await?.map_err(NotBegun::Append)
}

/// Waits until the leadership is over, and says why.
async fn until_over(part: &Arc<Part>, epoch: Epoch) -> &'static str {
    // Followers ask again within a fraction of it.
    let isolated = part.timing.term;
    let (mut standing, mut role) = (part.lease.standing(), part.role());
    // Followers have their time to come.
    let since = tokio::time::Instant::now();
    loop {
        if standing.borrow_and_update().leading != Some(epoch) {
            return "the lease is lost";
        }
        if !matches!(*role.borrow_and_update(), Role::Leading(leads) if leads == epoch) {
            return "a newer epoch was heard of";
        }
        if since.elapsed() > isolated && !part.is_heard(isolated) {
            return "no majority of the members was heard of";
        }
        tokio::select! {
            _ = standing.changed() => {}
            _ = role.changed() => {}
            () = sleep(LOOK_EVERY) => {}
        }
    }
}
