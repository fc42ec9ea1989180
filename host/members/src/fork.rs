//! Finds where a member's log has other records than the leader's under the same LSNs and epochs.
//!
//! Epoch histories show where logs diverge, as long as each epoch has one leader. If one epoch had two leaders, or if
//! another program has written to a data directory, the epoch histories can agree although the records differ. Only the
//! hashes of the records reveal that. So before a member fetches, it compares the hash of the last record that both
//! logs should have. Where the hashes differ, the member searches for the last record that both have, cuts what
//! follows, as after any lost leadership, and joins again.

use crate::{
    follow::Ended,
    membership::Membership,
    peers::{self, CallError},
};
use littoral_feed::client::CallClient;
use littoral_leader::LocalLog;
use littoral_model::{
    position::{Epoch, Lsn},
    record::ChainHash,
};
use littoral_protocol::members::rpc::{Rejection, Reply, Request};
use littoral_wire::records;
use std::sync::Arc;

/// Returns the last record up to `common` that both logs have; `None` when it is `common` itself, or when a log has
/// trimmed the record that would be compared.
pub(super) async fn last_common(
    local: &LocalLog,
    membership: &Arc<Membership>,
    calls: &CallClient,
    epoch: Epoch,
    common: Lsn,
) -> Result<Option<Lsn>, Ended> {
    // A member promises an epoch before it requests records in it.
    let prepared = membership.clone();
    let promised = tokio::task::spawn_blocking(move || prepared.prepare(epoch)).await?;
    promised.map_err(CallError::from)?;
    if is_same(local, calls, epoch, common).await?.unwrap_or(true) {
        return Ok(None);
    }
    // Each record's hash includes that of the record before it, so logs that have diverged never agree again. Records
    // before the oldest one here were committed, so both logs have had them.
    let (mut same, mut differs) = (Lsn(local.log().bounds().oldest.0.saturating_sub(1)), common);
    while same.next() < differs {
        let middle = Lsn(same.0 + (differs.0 - same.0) / 2);
        match is_same(local, calls, epoch, middle).await? {
            // The leader has trimmed it: a record that cannot be compared counts as equal.
            Some(true) | None => same = middle,
            Some(false) => differs = middle,
        }
    }
    Ok(Some(same))
}

/// Returns whether both logs have the same record under this LSN; `None` when one of them has trimmed it.
async fn is_same(local: &LocalLog, calls: &CallClient, epoch: Epoch, lsn: Lsn) -> Result<Option<bool>, Ended> {
    if lsn < local.log().bounds().oldest {
        return Ok(None);
    }
    let log = local.log().clone();
    let own = tokio::task::spawn_blocking(move || log.chain_at(lsn)).await?;
    let Ok(Some(own)) = own else { return Ok(None) };
    let theirs = their_hash(calls, epoch, lsn).await?;
    Ok(theirs.map(|theirs| theirs == own))
}

async fn their_hash(calls: &CallClient, epoch: Epoch, lsn: Lsn) -> Result<Option<ChainHash>, Ended> {
    match peers::call(calls, Request::Records { epoch, from: lsn, bytes_max: 1 }).await {
        Ok(Reply::Records { bytes, .. }) => {
            let first = records::iter(&bytes).flatten().next();
            Ok(first.filter(|record| record.lsn == lsn).map(|record| record.chain))
        }
        Ok(_) => Err(CallError::Other.into()),
        Err(CallError::Rejected(Rejection::Trimmed(_))) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
