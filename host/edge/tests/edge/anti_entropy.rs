//! Anti-entropy: equal replicas are verified, and differences are detected and repaired.

use crate::{leader::*, support::*};
use littoral_edge::{Config, ViewMode};
use littoral_model::{ports::*, position::Lsn, view::ViewId};
use std::sync::atomic::Ordering::SeqCst;

const VIEW: ViewId = ViewId(1);

fn key(key: u64) -> [u8; 8] {
    key.to_le_bytes()
}

fn verified(node: &littoral_edge::Handle) -> Option<f64> {
    node.status().gauges.get("proven_lsn").copied()
}

#[tokio::test]
async fn a_replica_is_verified_at_the_checkpoints_record_while_records_continue() {
    let leader = Leader::new(7);
    (0..2_000).for_each(|key| drop(leader.put(1, key, key as i64)));
    let served = serve(&leader).await;
    let edge = start(config(&served.address)).await;
    edge.bootstrapped().await;
    assert_eq!(verified(&edge.node), None);
    for round in 0..20 {
        (0..50).for_each(|key| drop(leader.put_at(1, key * 7, round, round + 2)));
        leader.delete(1, 1_000 + round as u64);
        leader.take_checkpoint();
        (0..50).for_each(|key| drop(leader.put_at(1, key * 11, round, round + 2)));
    }
    let lsn = leader.take_checkpoint();
    edge.eventually("verified", |node| verified(node) == Some(lsn.0 as f64)).await;
    let verification = edge.node.verify().unwrap().await.unwrap();
    assert!(verification.equal, "{verification:?}");
    assert_eq!((verification.lsn, verification.views[0].rows), (lsn, 2_000 - 20));
    assert_eq!(leader.snapshots.load(SeqCst), 1, "nothing had to be replaced");
}

#[tokio::test]
async fn a_row_that_changes_in_memory_is_repaired_at_the_next_checkpoint() {
    let leader = Leader::new(7);
    (0..1_000).for_each(|key| drop(leader.put(1, key, key as i64)));
    let token = leader.token();
    let served = serve(&leader).await;
    let edge = start(config(&served.address)).await;
    assert_eq!(edge.values(1, &[77], &token).await, [Some(77)]);
    assert!(edge.node.corrupt(VIEW, &key(77)));
    assert!(edge.node.lose(VIEW, &key(500)));
    assert_ne!(edge.values(1, &[77, 500], &token).await, [Some(77), Some(500)], "the row is corrupted");
    leader.take_checkpoint();
    for _ in 0..2_000 {
        if edge.values(1, &[77, 500], &token).await == [Some(77), Some(500)] {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert_eq!(edge.values(1, &[77, 500], &token).await, [Some(77), Some(500)], "one checkpoint repairs it");
    edge.eventually("repaired", |node| node.status().gauges["repairing"] == 0.0).await;
    let lsn = leader.take_checkpoint();
    edge.eventually("verified again", |node| verified(node) == Some(lsn.0 as f64)).await;
    assert_eq!(leader.snapshots.load(SeqCst), 1, "only the bucket was fetched");
}

#[tokio::test]
async fn overwritten_corruption_needs_no_repair() {
    let leader = Leader::new(7);
    (0..100).for_each(|key| drop(leader.put(1, key, key as i64)));
    let token = leader.token();
    let served = serve(&leader).await;
    let edge = start(config(&served.address)).await;
    edge.values(1, &[1], &token).await;
    assert!(edge.node.corrupt(VIEW, &key(1)));
    let token = leader.put_at(1, 1, 9, 2);
    assert_eq!(edge.values(1, &[1], &token).await, [Some(9)]);
    let lsn = leader.take_checkpoint();
    edge.eventually("compared", |node| node.status().position.lsn >= lsn).await;
    let found = edge.node.verify().unwrap().await.unwrap();
    assert!(found.equal, "{found:?}");
}

#[tokio::test]
async fn verification_reports_and_repairs_differences_then_reports_equality() {
    let leader = Leader::new(7);
    (0..300).for_each(|key| drop(leader.put(1, key, key as i64)));
    (0..50).for_each(|key| drop(leader.put(2, key, key as i64)));
    let token = leader.token();
    let served = serve(&leader).await;
    let edge = start(config(&served.address)).await;
    edge.values(1, &[1], &token).await;
    edge.values(2, &[1, 2, 3], &token).await;
    let clean = edge.node.verify().unwrap().await.unwrap();
    assert!(clean.equal && clean.views.len() == 2, "{clean:?}");
    assert_eq!((clean.views[1].residency.as_str(), clean.views[1].rows), ("resident", 3));

    assert!(edge.node.corrupt(VIEW, &key(5)));
    assert!(edge.node.corrupt(ViewId(2), &key(2)));
    let found = edge.node.verify().unwrap().await.unwrap();
    assert!(!found.equal, "{found:?}");
    assert_eq!((found.views[0].equal, found.views[0].mended), (Some(false), true));
    assert_eq!(found.views[0].buckets_spoilt, [littoral_model::digest::bucket_of(&key(5))]);
    assert_eq!((found.views[1].equal, found.views[1].rows_differed), (Some(false), 1));
    assert!(edge.node.verify().unwrap().await.unwrap().equal);
    assert_eq!(edge.values(1, &[5], &token).await, [Some(5)]);
    assert_eq!(edge.values(2, &[2], &token).await, [Some(2)]);
}

#[tokio::test]
async fn a_replica_with_too_many_differences_requests_a_snapshot() {
    let leader = Leader::new(7);
    (0..2_000).for_each(|key| drop(leader.put(1, key, key as i64)));
    let token = leader.token();
    let served = serve(&leader).await;
    let edge = start(config(&served.address)).await;
    edge.values(1, &[1], &token).await;
    (0..2_000).for_each(|at| assert!(edge.node.corrupt(VIEW, &key(at))));
    leader.take_checkpoint();
    edge.eventually("a snapshot", |_| leader.snapshots.load(SeqCst) == 2).await;
    let lsn = leader.take_checkpoint();
    edge.eventually("verified", |node| verified(node) == Some(lsn.0 as f64)).await;
    assert_eq!(edge.values(1, &[0, 1_999], &token).await, [Some(0), Some(1_999)]);
}

#[tokio::test]
async fn tombstones_are_collected_at_the_record_and_replicas_stay_equal() {
    let leader = Leader::new(7);
    (0..100).for_each(|key| drop(leader.put(1, key, key as i64)));
    (0..50).for_each(|key| drop(leader.delete(1, key)));
    let served = serve(&leader).await;
    let edge = start(config(&served.address)).await;
    edge.bootstrapped().await;
    leader.collect_tombstones();
    let token = leader.put_at(1, 3, 33, 0);
    let lsn = leader.take_checkpoint();
    edge.eventually("verified", |node| verified(node) == Some(lsn.0 as f64)).await;
    assert_eq!(edge.values(1, &[2, 3], &token).await, [None, Some(33)], "no tombstone outranks the older event");
}

#[tokio::test]
async fn warm_restarts_and_filtered_edges_are_verified_too() {
    let directory = tempfile::tempdir().unwrap();
    let leader = Leader::new(7);
    (0..500).for_each(|key| drop(leader.put(1, key, key as i64)));
    let token = leader.token();
    let served = serve(&leader).await;
    let edge = start(stored(&served.address, directory.path())).await;
    edge.values(1, &[1], &token).await;
    edge.stop().await;
    leader.put_at(1, 5, 6, 7);
    let edge = start(stored(&served.address, directory.path())).await;
    edge.bootstrapped().await;
    let lsn = leader.take_checkpoint();
    edge.eventually("verified", |node| verified(node) == Some(lsn.0 as f64)).await;
    assert_eq!(leader.snapshots.load(SeqCst), 1, "the restart was warm");

    let mut some = Config { follow: Some(vec!["b".into()]), ..config(&served.address) };
    some.views.insert("b".into(), ViewMode::Full);
    let edge = start(some).await;
    edge.bootstrapped().await;
    let lsn = leader.take_checkpoint();
    edge.eventually("verified", |node| verified(node) == Some(lsn.0 as f64)).await;
    assert!(lsn > Lsn::NONE);
}
