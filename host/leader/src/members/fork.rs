//! A member whose log has other records than the leader's under the same numbers and epochs.
//!
//! Histories tell where logs part as long as each epoch has one leader. Two of one epoch, or a data directory that another program
//! has written to, leave logs that only their hashes tell apart. So before a member fetches, it compares the hash of the last record
//! that both logs are said to have. Where that differs, it searches for the last record that they do have, gives up what
//! follows, as after any leadership that was lost, and joins again.

use super::{
    Part,
    follow::Ended,
    ways::{self, Unanswered},
};
use crate::shared::Shared;
use littoral_feed::client::CallClient;
use littoral_model::{
    position::{Epoch, Lsn},
    record::ChainHash,
};
use littoral_protocol::members::ask::{Ask, NotTold, Told};
use littoral_wire::records;
use std::sync::Arc;

/// The last record up to `common` that this log and the leader's have alike; `None` when that is `common` itself, or when neither
/// holds enough to tell.
pub(super) async fn last_alike(
    shared: &Arc<Shared>,
    part: &Arc<Part>,
    calls: &CallClient,
    (epoch, common): (Epoch, Lsn),
) -> Result<Option<Lsn>, Ended> {
    // Who asks for records by an epoch has promised it.
    let prepared = part.clone();
    let promised = tokio::task::spawn_blocking(move || prepared.prepare(epoch)).await?;
    promised.map_err(Unanswered::from)?;
    if alike(shared, calls, epoch, common).await?.unwrap_or(true) {
        return Ok(None);
    }
    // Every record is hashed with the one before it: logs that part stay apart. What is before the oldest record was committed.
    let (mut same, mut differs) = (Lsn(shared.log.bounds().oldest.0.saturating_sub(1)), common);
    while same.next() < differs {
        let middle = Lsn(same.0 + (differs.0 - same.0) / 2);
        match alike(shared, calls, epoch, middle).await? {
            // The leader has trimmed it: what is not to be told apart is taken for alike.
            Some(true) | None => same = middle,
            Some(false) => differs = middle,
        }
    }
    Ok(Some(same))
}

/// Whether both logs have the same record under this number; `None` when one of them does not hold it any more.
async fn alike(shared: &Arc<Shared>, calls: &CallClient, epoch: Epoch, lsn: Lsn) -> Result<Option<bool>, Ended> {
    if lsn < shared.log.bounds().oldest {
        return Ok(None);
    }
    let log = shared.log.clone();
    let own = tokio::task::spawn_blocking(move || log.chain_at(lsn)).await?;
    let Ok(Some(own)) = own else { return Ok(None) };
    let theirs = hash_there(calls, epoch, lsn).await?;
    Ok(theirs.map(|theirs| theirs == own))
}

async fn hash_there(calls: &CallClient, epoch: Epoch, lsn: Lsn) -> Result<Option<ChainHash>, Ended> {
    match ways::ask(calls, Ask::Records { epoch, from: lsn, bytes_max: 1 }).await {
        Ok(Told::Records { bytes, .. }) => {
            let first = records::iter(&bytes).flatten().next();
            Ok(first.filter(|record| record.lsn == lsn).map(|record| record.chain))
        }
        Ok(_) => Err(Unanswered::Other.into()),
        Err(Unanswered::Told(NotTold::Gone(_))) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
