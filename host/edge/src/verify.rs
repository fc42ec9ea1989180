//! Verification on request: compares this edge with its leader through a new checkpoint, a scrub,
//! and a row-by-row comparison of resident views.

use crate::{anti_entropy, replica::Replica, shared::Shared};
use littoral_edge_core::Holding;
use littoral_feed::client::CallClient;
use littoral_model::{
    digest::{Sum, Verification, ViewVerification},
    entity_key::KeyBatch,
    freshness::Consistency,
    position::Lsn,
    read::{ReadError, ViewRead},
    row::Row,
    view::{FeatureView, ViewId},
};
use littoral_protocol::anti_entropy::Round;
use littoral_replica::Held;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// The maximum duration of a round: a scrub of every row, and repairs.
const ROUND_WAIT_MAX: Duration = Duration::from_secs(120);
/// The interval between checkpoint requests. A checkpoint that arrives during another round starts
/// none, so another one is requested.
const REQUEST_INTERVAL: Duration = Duration::from_secs(1);
/// The interval between checks for the end of a round.
const CHECK_INTERVAL: Duration = Duration::from_millis(5);
/// The number of resident rows compared in one call.
const ROWS_PER_CALL: usize = 2_048;

/// Compares every view with the leader, and repairs what differs. The result states what differed before the repair.
pub(crate) async fn run(shared: &Arc<Shared>) -> Result<Verification, ReadError> {
    let begun = Instant::now();
    let calls = shared.link.calls().map_err(ReadError::LeaderUnavailable)?;
    let replica = shared.replica.load_full().ok_or(ReadError::NotReady)?;
    let _hurried = replica.table.hurry_scrubs();
    let found = round(shared, &calls).await?;
    let clean = found.differed.is_empty() && found.corrupted.is_empty();
    // Repaired buckets are compared again.
    let last = if clean { found.clone() } else { round(shared, &calls).await? };
    let verified = shared.anti_entropy.rounds.lock().verified().clone();
    let mut views = Vec::new();
    let catalogue = replica.point.load().catalogue.clone();
    // Others have no rows here.
    let held_in = shared.held_in();
    for view in catalogue.views().filter(|view| held_in.may_hold(catalogue.regions_of(view.id))) {
        views.push(match replica.routes.load().get(&view.id).map(|route| route.holding) {
            Some(Holding::Full) => full(&replica, view, &found, &last),
            Some(Holding::Resident) => resident(shared, &replica, &calls, view).await?,
            Some(Holding::Elsewhere | Holding::Outside) | None => elsewhere(view),
        });
    }
    let at = verified.values().filter(|verified| verified.lsn == last.lsn).map(|verified| verified.at).max();
    Ok(Verification {
        equal: views
            .iter()
            .all(|view| view.equal != Some(false) && (view.equal.is_some() || view.residency == "leader")),
        lsn: last.lsn,
        at_ms: at.unwrap_or_else(|| shared.leader_clock()).physical_ms(),
        took_ms: begun.elapsed().as_millis() as u64,
        views,
    })
}

/// Makes the leader take a checkpoint, and waits until this edge has completed a round with it.
async fn round(shared: &Shared, calls: &CallClient) -> Result<Round, ReadError> {
    let deadline = Instant::now() + ROUND_WAIT_MAX;
    let before = shared.anti_entropy.rounds.lock().finished().map_or(0, |round| round.number);
    let mut from = None::<Lsn>;
    while Instant::now() < deadline {
        let lsn = calls.checkpoint().await?;
        let from = *from.get_or_insert(lsn);
        let retry_at = Instant::now() + REQUEST_INTERVAL;
        while Instant::now() < retry_at {
            let finished = shared.anti_entropy.rounds.lock().finished().cloned();
            if let Some(round) = finished.filter(|round| round.number > before && round.lsn >= from) {
                return Ok(round);
            }
            tokio::time::sleep(CHECK_INTERVAL).await;
        }
    }
    Err(ReadError::LeaderUnavailable(format!(
        "this edge did not complete the comparison with a checkpoint within {} s; check its log, and retry",
        ROUND_WAIT_MAX.as_secs()
    )))
}

fn full(replica: &Replica, view: &FeatureView, found: &Round, last: &Round) -> ViewVerification {
    let of_view = |buckets: &std::collections::BTreeSet<(ViewId, u8)>| -> Vec<u8> {
        buckets.iter().filter(|(id, _)| *id == view.id).map(|(_, bucket)| *bucket).collect()
    };
    let (buckets_differed, buckets_spoilt) = (of_view(&found.differed), of_view(&found.corrupted));
    let clean = buckets_differed.is_empty() && buckets_spoilt.is_empty();
    let equal_now =
        last.compared.contains(&view.id) && of_view(&last.differed).is_empty() && of_view(&last.corrupted).is_empty();
    ViewVerification {
        view: view.name.clone(),
        residency: "full".to_owned(),
        rows: replica.table.counts(view.id).rows,
        equal: found.compared.contains(&view.id).then_some(clean),
        mended: !clean && equal_now,
        buckets_differed,
        buckets_spoilt,
        rows_differed: 0,
    }
}

fn elsewhere(view: &FeatureView) -> ViewVerification {
    ViewVerification {
        view: view.name.clone(),
        residency: "leader".to_owned(),
        rows: 0,
        equal: None,
        buckets_differed: Vec::new(),
        buckets_spoilt: Vec::new(),
        rows_differed: 0,
        mended: false,
    }
}

/// Compares the held rows of a resident view one by one. A row that differs is removed, and the
/// next read fetches it.
async fn resident(
    shared: &Shared,
    replica: &Arc<Replica>,
    calls: &CallClient,
    view: &FeatureView,
) -> Result<ViewVerification, ReadError> {
    let (mut rows, mut rows_differed) = (0, 0);
    for chunk in replica.table.chunks(ROWS_PER_CALL) {
        let held: Vec<Row> = chunk.into_iter().filter(|row| row.header().view == view.id).collect();
        if held.is_empty() {
            continue;
        }
        let mut keys = KeyBatch::default();
        held.iter().for_each(|row| keys.push(row.key()));
        let read = calls.read(vec![ViewRead { view: view.id, keys }], Consistency::Leader).await?;
        anti_entropy::reach(shared, replica, read.as_of).await.map_err(ReadError::LeaderUnavailable)?;
        rows += held.iter().filter(|row| !row.is_tombstone()).count() as u64;
        for (held, theirs) in held.iter().zip(read.rows.into_iter().flatten()) {
            if differs(replica, view.id, held.key(), theirs.as_ref(), read.as_of.lsn) {
                rows_differed += 1;
                replica.table.forget(view.id, held.key());
            }
        }
    }
    Ok(ViewVerification {
        view: view.name.clone(),
        residency: "resident".to_owned(),
        rows,
        equal: Some(rows_differed == 0),
        buckets_differed: Vec::new(),
        buckets_spoilt: Vec::new(),
        rows_differed,
        mended: rows_differed > 0,
    })
}

/// Returns whether the held row differs from the leader's. Rows that the feed has changed since
/// are not compared, and neither is a leader's row newer than its position, which the feed is
/// about to send.
fn differs(replica: &Replica, view: ViewId, key: &[u8], theirs: Option<&Row>, as_of: Lsn) -> bool {
    match (replica.table.get(view, key), theirs) {
        (Held::Row(held), _) if held.header().lsn > as_of => false,
        (_, Some(theirs)) if theirs.header().lsn > as_of => false,
        (Held::Row(held), Some(theirs)) => Sum::of(&held) != Sum::of(theirs),
        (Held::Row(_), None) => true,
        // The feed may have brought a tombstone or a miss since; an evicted row is no longer held.
        (Held::Absent | Held::Unknown, _) => false,
    }
}
