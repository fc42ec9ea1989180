//! Reads from a majority of the regions' leaders, including this one. [`littoral_leader_core::quorum`] decides which
//! answers count.

use crate::shared::Shared;
use littoral_leader_core::{
    AllowedRegions,
    quorum::{QuorumCollector, RegionAnswer},
};
use littoral_model::{
    freshness::{Freshness, Source},
    read::{ReadAnswer, ReadError, ReadRequest, ViewRead},
};
use littoral_runtime::request_id;
use std::time::Duration;
use tokio::{
    task::JoinSet,
    time::{Instant, timeout_at},
};

/// Returns rows and tombstones as this leader stores them. The position is loaded first: rows may be newer than it,
/// never older.
pub(crate) fn held(shared: &Shared, reads: &[ViewRead]) -> ReadAnswer {
    let published = shared.applied.load();
    let rows = reads
        .iter()
        .map(|read| read.keys.iter().map(|key| shared.applied.table.held(read.view, key)).collect())
        .collect();
    let freshness = Freshness {
        position: published.position,
        watermark: published.portable_watermark.clone(),
        staleness: Some(Duration::ZERO),
        source: Source::Leader,
        ..Freshness::default()
    };
    ReadAnswer { rows, freshness, ..ReadAnswer::default() }
}

/// Sends the read to all other regions at once, and answers as soon as enough of them have replied.
///
/// # Errors
/// [`ReadError::QuorumNotReached`] when too few reply within the demand's wait, or too many have failed;
/// [`ReadError::NotFreshEnough`] when the regions that replied do not cover a demanded token.
pub(crate) async fn gather(shared: &Shared, request: &ReadRequest) -> Result<ReadAnswer, ReadError> {
    let requested_at = Instant::now();
    let deadline = requested_at + request.demand.wait_max;
    let own = held(shared, &request.reads);
    let position = own.freshness.position;
    let catalogue = shared.applied.load().catalogue.clone();
    // A region that may not hold the rows has none, and does not count.
    let allowed = AllowedRegions::of(&catalogue, request.reads.iter().map(|read| read.view));
    let regions = || shared.cross_region.regions().filter(|region| allowed.contains(*region));
    let policy = |read: &ViewRead| catalogue.view_by_id(read.view).map(|view| view.merge).unwrap_or_default();
    let policies = request.reads.iter().map(policy).collect();
    let own = RegionAnswer { region: shared.identity.region, rows: own.rows, watermark: own.freshness.watermark };
    let mut collector = QuorumCollector::new(regions(), policies, own);
    let mut calls = JoinSet::new();
    for region in regions() {
        let Some(link) = shared.cross_region.link(region) else { continue };
        match link.calls() {
            Some(leader) => {
                let reads = request.reads.clone();
                calls.spawn(request_id::inherit(async move { (region, leader.held(reads).await) }));
            }
            None => collector.failed(region, link.trouble()),
        }
    }
    while !collector.is_reached() && !collector.is_lost() {
        // A region that has not replied by the deadline counts as silent.
        let Ok(Some(reply)) = timeout_at(deadline, calls.join_next()).await else { break };
        match reply {
            Ok((region, Ok(read))) => {
                collector.take(RegionAnswer { region, rows: read.rows, watermark: read.watermark });
            }
            Ok((region, Err(error))) => collector.failed(region, error.to_string()),
            Err(error) => tracing::error!(%error, "a call to another region has panicked"),
        }
    }
    let mut answer = collector.finish().inspect_err(|_| {
        metrics::counter!("littoral_leader_quorum_reads_failed_total").increment(1);
    })?;
    metrics::counter!("littoral_leader_quorum_reads_total").increment(1);
    let freshness = &mut answer.freshness;
    // Every region read its rows after the request was sent.
    (freshness.position, freshness.staleness, freshness.source) =
        (position, Some(requested_at.elapsed()), Source::Quorum);
    match &request.demand.at_least {
        Some(token) if !shared.applied.load().lineages.covers(&freshness.watermark, token) => {
            Err(ReadError::NotFreshEnough {
                wanted: format!("the token '{token}' is demanded"),
                have: format!("the regions that answered have '{}'", freshness.watermark),
            })
        }
        _ => Ok(answer),
    }
}
