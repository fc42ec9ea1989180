//! An edge that follows a relay.

use crate::{leader::*, support::*};
use littoral_edge::{Config, ViewMode};
use littoral_feed::{client, source::FeedLog as _};
use littoral_model::{freshness::*, ports::*, position::Lsn, read::ReadError, view::ViewId};
use std::{
    sync::{Arc, atomic::Ordering::SeqCst},
    time::{Duration, Instant},
};

/// The configuration of a relay: every view in full.
fn relay(address: &str) -> Config {
    let mut config = config(address);
    config.views.clear();
    assert_eq!(config.problems_of_relay(), []);
    config
}

fn at_the_leader() -> ReadDemand {
    ReadDemand { consistency: Consistency::Leader, ..ReadDemand::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_serves_its_subscribers_and_the_leader_serves_only_the_relay() {
    let leader = Leader::new(7);
    (0..3_000).for_each(|key| drop(leader.put(1, key, key as i64)));
    leader.put(2, 5, 50);
    leader.delete(1, 3);
    let root = serve(&leader).await;
    let relay = start(relay(&root.address)).await;
    relay.bootstrapped().await;
    let middle = serve(&Arc::new(relay.node.clone())).await;
    let far = start(config(&middle.address)).await;

    let token = leader.put(1, 9_999, 1);
    assert_eq!(far.values(1, &[0, 3, 2_999, 9_999], &token).await, [Some(0), None, Some(2_999), Some(1)]);
    // View b is resident there: rows come from the relay, and the feed keeps them fresh.
    assert_eq!(far.values(2, &[5, 6], &token).await, [Some(50), None]);
    let token = leader.put(2, 6, 60);
    assert_eq!(far.values(2, &[5, 6], &token).await, [Some(50), Some(60)]);
    assert_eq!(leader.snapshots.load(SeqCst), 1, "the far edge took its snapshot from the relay");

    far.eventually("ready", |node| node.status().ready && node.status().staleness_ms.is_some()).await;
    let answer = far.read(1, &[9_999], at_the_leader()).await;
    assert_eq!((values(&answer), answer.freshness.source), (vec![Some(1)], Source::Leader));
    assert_eq!(far.node.status().position, relay.node.status().position);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_that_loses_its_leader_reports_that_to_its_subscribers() {
    let leader = Leader::new(7);
    let token = leader.put(1, 1, 1);
    let root = serve(&leader).await;
    let relay = start(relay(&root.address)).await;
    relay.bootstrapped().await;
    let middle = serve(&Arc::new(relay.node.clone())).await;
    let far = start(config(&middle.address)).await;
    assert_eq!(far.values(1, &[1], &token).await, [Some(1)]);
    far.eventually("fresh", |node| node.status().staleness_ms.is_some_and(|ms| ms < 1_000)).await;

    let address = root.address.clone();
    root.stop().await;
    let lost_at = Instant::now();
    let token = leader.put(1, 1, 2);
    far.eventually("lost", |node| node.status().degraded == Some(Degraded::LeaderLost)).await;
    for _ in 0..20 {
        let lost_for = lost_at.elapsed();
        let answer = far.read(1, &[1], ReadDemand::default()).await;
        let claimed = answer.freshness.staleness.expect("has heard the leader");
        assert!(claimed >= lost_for, "{claimed:?} claimed, the leader was lost for {lost_for:?}");
        assert_eq!((values(&answer), answer.freshness.degraded), (vec![Some(1)], Some(Degraded::LeaderLost)));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(far.node.read(&request(1, [1], at_the_leader())).await.is_err(), "a relay never answers for the leader");

    let root = serve_at(&leader, &address).await;
    assert_eq!(far.values(1, &[1], &token).await, [Some(2)]);
    far.eventually("well", |node| node.status().degraded.is_none() && node.status().writable).await;
    assert_eq!(leader.snapshots.load(SeqCst), 1, "every edge resumed at its position");
    drop(root);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_that_is_behind_rejects_edges_that_are_ahead() {
    let leader = Leader::new(7);
    let token = leader.put(1, 1, 1);
    let root = serve(&leader).await;
    let relay = start(relay(&root.address)).await;
    assert_eq!(relay.values(1, &[1], &token).await, [Some(1)]);
    let middle = serve(&Arc::new(relay.node.clone())).await;
    root.stop().await;
    // The relay has lost its leader. An edge that still reaches the leader continues, and then
    // connects to the relay.
    let other = serve(&leader).await;
    let mut both = config(&other.address);
    both.leader.leader.push(middle.address.clone());
    let far = start(both).await;
    let token = leader.put(1, 1, 2);
    assert_eq!(far.values(1, &[1], &token).await, [Some(2)]);
    other.stop().await;
    far.eventually("lost", |node| node.status().degraded == Some(Degraded::LeaderLost)).await;
    for _ in 0..50 {
        let answer = far.read(1, &[1], ReadDemand::default()).await;
        assert_eq!(values(&answer), [Some(2)], "it must not go back to what the relay has");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(far.node.status().position.lsn, Lsn(relay.node.status().position.lsn.0 + 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_incomplete_relay_serves_no_snapshot() {
    let leader = Leader::new(7);
    (0..2_000).for_each(|key| drop(leader.put(1, key, key as i64)));
    let token = leader.token();
    let root = serve(&leader).await;
    let relay = start(Config { full_bytes_max: 10_000, ..relay(&root.address) }).await;
    relay.eventually("degraded", |node| node.status().degraded == Some(Degraded::OverBudget)).await;
    assert!(matches!(relay.node.snapshot(), Err(FeedReadError::NotHeld(_))));
    let middle = serve(&Arc::new(relay.node.clone())).await;
    let mut both = config(&middle.address);
    both.leader.leader.push(root.address.clone());
    both.views.insert("a".into(), ViewMode::Full);
    let far = start(both).await;
    assert_eq!(far.values(1, &[0, 1_999], &token).await, [Some(0), Some(1_999)], "the snapshot came from the leader");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn modules_are_available_through_a_relay() {
    let leader = Leader::new(7);
    let root = serve(&leader).await;
    let relay = start(relay(&root.address)).await;
    relay.bootstrapped().await;
    let middle = serve(&Arc::new(relay.node.clone())).await;
    let far = start(config(&middle.address)).await;
    leader.release("m", "1.0.0", b"component");
    far.eventually("ready", |node| node.status().modules.iter().any(|module| module.ready)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_without_data_answers_no_call_because_it_knows_no_residency_rules() {
    // Nothing listens at this address.
    let relay = start(relay("127.0.0.1:1")).await;
    let middle = serve(&Arc::new(relay.node.clone())).await;
    let config = client::Config { leader: vec![middle.address.clone()], ..client::Config::default() };
    let calls = client::connect(&config).await.unwrap().calls;
    assert!(matches!(calls.bucket(ViewId(1), 0, None).await, Err(ReadError::NotReady)));
    let read = calls.read(request(1, [1], at_the_leader()).reads, Consistency::Leader).await;
    assert!(matches!(read, Err(ReadError::NotReady)), "{read:?}");
}
