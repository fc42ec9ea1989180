//! The task of a member: it stands for the lease, leads when it has it, and follows whoever has it otherwise.

use super::{Part, Role, Seat, follow, lead, node::Reopen};
use crate::shared::Shared;
use littoral_lease::StoreState;
use std::{sync::Arc, time::Duration};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// Runs until `stop`, or until the log must be opened anew.
pub(crate) async fn run(shared: &Arc<Shared>, stop: &CancellationToken) -> Option<Reopen> {
    let part = shared.members.clone()?;
    let reopen = tokio::select! {
        () = stop.cancelled() => None,
        reopen = roles(shared, &part) => Some(reopen),
    };
    part.ends("it stops, or opens its log anew");
    part.lease.resign().await;
    reopen
}

async fn roles(shared: &Arc<Shared>, part: &Arc<Part>) -> Reopen {
    part.lease.stand(part.promised()).await;
    let mut standing = part.lease.standing();
    loop {
        let now = standing.borrow_and_update().clone();
        if let Some(epoch) = now.leading {
            if let Some(reopen) = lead::run(shared, part, epoch).await {
                return reopen;
            }
            // Whoever has lost a majority or a log leaves the lease to others first.
            part.lease.resign().await;
            sleep(part.timing.poll_every + jitter(part.timing.term / 2)).await;
            part.lease.stand(part.promised()).await;
            continue;
        }
        if let Some(epoch) = now.claim.as_ref().map(|claim| claim.epoch).filter(|epoch| *epoch > part.promised()) {
            let part = part.clone();
            // One whose disk was put back to an older copy promises anew what it had promised before.
            let promised = tokio::task::spawn_blocking(move || part.prepare(epoch)).await;
            if let Ok(Err(error)) = promised {
                tracing::warn!(%epoch, %error, "the epoch of the lease cannot be promised");
            }
        }
        let holder = now.claim.filter(|claim| !claim.released).map(|claim| claim.holder.name);
        let leader = holder.filter(|name| *name != part.me);
        let leader = leader.and_then(|name| part.seats.iter().find(|seat| seat.name == name).cloned());
        let mut store = part.lease.store();
        let blind = is_blind(&store.borrow_and_update());
        let followed = async {
            match &leader {
                Some(seat) if !blind => follow::run(shared, part, seat).await,
                _ if blind => follow_anybody(shared, part).await,
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            reopen = followed => return reopen,
            _ = standing.changed() => {}
            _ = store.wait_for(|state| is_blind(state) != blind) => {}
        }
        part.follows(None);
        part.part();
    }
}

/// Whether the store of the lease does not tell who leads.
fn is_blind(state: &StoreState) -> bool {
    matches!(state, StoreState::Lost(_))
}

/// Finds the leader by asking the other members, without the store, and follows it. Promises and epochs
/// decide whose records are taken, so that a former leader is not followed for long.
async fn follow_anybody(shared: &Arc<Shared>, part: &Arc<Part>) -> Reopen {
    let others: Vec<Seat> = part.seats.iter().filter(|seat| seat.name != part.me).cloned().collect();
    loop {
        for seat in &others {
            if let Some(reopen) = follow::try_to(shared, part, seat).await {
                return reopen;
            }
        }
        sleep(part.timing.poll_every).await;
    }
}

/// Some time up to `max`, so that members that failed together do not try together.
fn jitter(max: Duration) -> Duration {
    max.mul_f64(fastrand::f64())
}

/// Runs something as long as this member leads, again and again; always, where there is one member.
pub(crate) async fn while_leading<F: Future<Output = ()>>(
    part: Option<Arc<Part>>,
    stop: CancellationToken,
    run: impl Fn(CancellationToken) -> F,
) {
    let Some(part) = part else { return run(stop).await };
    let mut role = part.role();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            leads = role.wait_for(|role| matches!(role, Role::Leading(_))) => if leads.is_err() { return },
        }
        let token = stop.child_token();
        let over = async {
            // The sender is the part's, which outlives this.
            let _ = role.wait_for(|role| !matches!(role, Role::Leading(_))).await;
        };
        tokio::select! {
            () = run(token.clone()) => return,
            () = over => token.cancel(),
        }
    }
}
