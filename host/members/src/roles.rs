//! The task of a member: competes for the lease, leads while it holds the lease, and follows the holder otherwise.

use crate::{follow, lead, member::Reopen, membership::Membership};
use littoral_leader::{LocalLog, MemberAddress};
use littoral_lease::StoreState;
use std::{sync::Arc, time::Duration};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// Runs until `stop`, or until the log must be reopened. Returns how, in the second case.
pub(crate) async fn run(local: &LocalLog, membership: &Arc<Membership>, stop: &CancellationToken) -> Option<Reopen> {
    let reopen = tokio::select! {
        () = stop.cancelled() => None,
        reopen = roles(local, membership) => Some(reopen),
    };
    membership.close("this member is reopening its log or shutting down");
    membership.lease.resign().await;
    reopen
}

/// Leads or follows, as the lease decides, until the log must be reopened.
async fn roles(local: &LocalLog, membership: &Arc<Membership>) -> Reopen {
    membership.lease.stand(membership.promised()).await;
    let mut lease = membership.lease.state();
    loop {
        let now = lease.borrow_and_update().clone();
        if let Some(epoch) = now.leading {
            if let Some(reopen) = lead::run(local, membership, epoch).await {
                return reopen;
            }
            // A member that has lost its majority or its log leaves the lease to other members for a while.
            membership.lease.resign().await;
            sleep(membership.timing.poll_every + jitter(membership.timing.term / 2)).await;
            membership.lease.stand(membership.promised()).await;
            continue;
        }
        if let Some(epoch) = now.claim.as_ref().map(|claim| claim.epoch).filter(|epoch| *epoch > membership.promised())
        {
            let membership = membership.clone();
            // A member whose disk was restored from an older copy promises the epoch again.
            let promised = tokio::task::spawn_blocking(move || membership.prepare(epoch)).await;
            if let Ok(Err(error)) = promised {
                tracing::warn!(%epoch, %error, "the lease's epoch cannot be promised");
            }
        }
        let holder = now.claim.filter(|claim| !claim.released).map(|claim| claim.holder.name);
        let leader = holder.filter(|name| *name != membership.me);
        let leader = leader.and_then(|name| membership.members.iter().find(|member| member.name == name).cloned());
        let mut store = membership.lease.store();
        let is_lost = is_store_lost(&store.borrow_and_update());
        let followed = async {
            match &leader {
                Some(member) if !is_lost => follow::run(local, membership, member).await,
                _ if is_lost => follow_any(local, membership).await,
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            reopen = followed => return reopen,
            _ = lease.changed() => {}
            _ = store.wait_for(|state| is_store_lost(state) != is_lost) => {}
        }
        membership.set_leader(None);
        membership.end_stream();
    }
}

/// Returns whether the lease store is lost, so that the current leader is unknown.
fn is_store_lost(state: &StoreState) -> bool {
    matches!(state, StoreState::Lost(_))
}

/// Finds the leader among the other members without the lease store, and follows it. Promises and epochs decide which
/// member's records are accepted, so a former leader is not followed for long.
async fn follow_any(local: &LocalLog, membership: &Arc<Membership>) -> Reopen {
    let others: Vec<MemberAddress> =
        membership.members.iter().filter(|member| member.name != membership.me).cloned().collect();
    loop {
        for member in &others {
            if let Some(reopen) = follow::try_to(local, membership, member).await {
                return reopen;
            }
        }
        sleep(membership.timing.poll_every).await;
    }
}

/// Returns a random time up to `max`, so that members that failed together do not retry together.
fn jitter(max: Duration) -> Duration {
    max.mul_f64(fastrand::f64())
}
