//! Warm restarts.

use crate::{leader::*, support::*};
use littoral_edge::{Config, Loading};
use littoral_model::{freshness::*, ports::*, view::ViewId};
use std::sync::{Arc, atomic::Ordering::SeqCst};
use tokio_util::sync::CancellationToken;

#[tokio::test]
async fn a_restart_is_warm_and_resumes() {
    let directory = tempfile::tempdir().unwrap();
    let leader = Leader::new(7);
    (0..3_000).for_each(|key| drop(leader.put(1, key, key as i64)));
    leader.delete(1, 5);
    let token = leader.put(2, 1, 11);
    let served = serve(&leader).await;
    let edge = start(stored(&served.address, directory.path())).await;
    assert_eq!(edge.values(2, &[1], &token).await, [Some(11)]);
    edge.stop().await;
    let address = served.address.clone();
    served.stop().await;

    let edge = start(stored(&address, directory.path())).await;
    let answer = edge.read(1, &[0, 5, 2_999], ReadDemand::default()).await;
    assert_eq!(values(&answer), [Some(0), None, Some(2_999)], "it serves with no leader at all");
    assert_eq!((answer.freshness.staleness, answer.freshness.degraded), (None, Some(Degraded::LeaderLost)));
    assert_eq!(values(&edge.read(2, &[1], ReadDemand::default()).await), [Some(11)], "resident rows are warm too");
    assert!(edge.node.status().ready, "it may serve what it has");
    assert!(edge.node.shortfalls().not_fresh.is_some(), "the age of the data is unknown");
    let page = edge.node.page(ViewId(1), None, 10_000).unwrap();
    assert_eq!(page.rows.len(), 2_999);

    let token = leader.put(1, 5, 55);
    leader.put(2, 1, 12);
    let token_b = leader.token();
    let _served = serve_at(&leader, &address).await;
    assert_eq!(edge.values(1, &[5], &token).await, [Some(55)]);
    assert_eq!(edge.values(2, &[1], &token_b).await, [Some(12)]);
    assert_eq!(leader.snapshots.load(SeqCst), 1, "only the first start took a snapshot");
    assert_eq!(*edge.node.catalogue(), *leader.catalogue());
    edge.eventually("fresh", |node| node.shortfalls().not_fresh.is_none()).await;
}

#[tokio::test]
async fn a_warm_start_shows_how_many_rows_it_has_read() {
    let directory = tempfile::tempdir().unwrap();
    let leader = Leader::new(7);
    (0..3_000).for_each(|key| drop(leader.put(1, key, key as i64)));
    let served = serve(&leader).await;
    let edge = start(stored(&served.address, directory.path())).await;
    edge.values(1, &[2_999], &leader.token()).await;
    edge.stop().await;

    let (loading, stop) = (Arc::new(Loading::default()), CancellationToken::new());
    assert_eq!(loading.to_string(), "opening the local snapshot");
    let config = stored(&served.address, directory.path());
    let node = littoral_edge::start_on(loading.clone(), config, Arc::new(Runtime::default()), stop).await.unwrap();
    assert_eq!(loading.to_string(), "read 3000 of about 3000 rows of the local snapshot");
    assert_eq!(node.page(ViewId(1), None, 10_000).unwrap().rows.len(), 3_000);
    node.close().await;
}

#[tokio::test]
async fn a_damaged_snapshot_is_rejected_and_the_leaders_is_installed() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("replica.snapshot");
    let leader = Leader::new(7);
    (0..100).for_each(|key| drop(leader.put(1, key, 1)));
    let token = leader.token();
    let served = serve(&leader).await;
    let edge = start(stored(&served.address, directory.path())).await;
    edge.values(1, &[1], &token).await;
    edge.stop().await;
    let whole = std::fs::read(&file).unwrap();
    let mut flipped = whole.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    for (index, bytes) in
        [&flipped[..], &whole[..whole.len() - 1], &whole[..9], b"", b"not a snapshot at all"].iter().enumerate()
    {
        std::fs::write(&file, bytes).unwrap();
        let edge = start(stored(&served.address, directory.path())).await;
        assert_eq!(edge.values(1, &[1], &token).await, [Some(1)]);
        assert_eq!(leader.snapshots.load(SeqCst), index as u64 + 2);
        edge.stop().await;
    }
    let edge = start(stored(&served.address, directory.path())).await;
    assert_eq!(edge.values(1, &[1], &token).await, [Some(1)]);
    assert_eq!(leader.snapshots.load(SeqCst), 6, "the last one had written a good one");
}

#[tokio::test]
async fn a_view_over_its_budget_restarts_as_resident() {
    let directory = tempfile::tempdir().unwrap();
    let leader = Leader::new(7);
    (0..5_000).for_each(|key| drop(leader.put(1, key, key as i64)));
    let served = serve(&leader).await;
    let small = |address: &str| Config { full_bytes_max: 100_000, ..stored(address, directory.path()) };
    let edge = start(small(&served.address)).await;
    assert_eq!(edge.values(1, &[1, 4_000], &leader.token()).await, [Some(1), Some(4_000)]);
    edge.stop().await;
    let address = served.address.clone();
    served.stop().await;
    let edge = start(small(&address)).await;
    let answer = edge.read(1, &[4_000], ReadDemand::default()).await;
    assert_eq!(values(&answer), [Some(4_000)]);
    assert_eq!(edge.node.status().views[0].residency, "resident");
    let unknown = edge.read(1, &[99_999], ReadDemand::default()).await;
    assert_eq!(
        unknown.freshness.degraded,
        Some(Degraded::Incomplete),
        "a row that is not held is not reported as absent"
    );
}
