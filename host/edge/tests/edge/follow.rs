//! Following: bootstrap, tail, resume, replacing snapshots, rejected leaders.

use crate::{leader::*, support::*};
use littoral_edge::Config;
use littoral_model::{
    adoption::AdoptError, catalogue::CatalogueChange, cluster::Affiliation, freshness::*, ports::*,
    position::Incarnation,
};
use std::sync::atomic::Ordering::SeqCst;

#[tokio::test]
async fn a_replica_has_the_snapshot_and_the_tail() {
    let leader = Leader::new(7);
    (0..5_000).for_each(|key| drop(leader.put(1, key, key as i64)));
    leader.delete(1, 3);
    let served = serve(&leader).await;
    let edge = start(config(&served.address)).await;
    let token = leader.put(1, 9_999, 1);
    assert_eq!(
        edge.values(1, &[0, 3, 4_999, 9_999, 77_777], &token).await,
        [Some(0), None, Some(4_999), Some(1), None]
    );
    let token = leader.delete(1, 4_999);
    assert_eq!(edge.values(1, &[4_999], &token).await, [None]);
    let token = leader.put_at(1, 4_999, 5, 2);
    assert_eq!(edge.values(1, &[4_999], &token).await, [Some(5)]);
    let token = leader.put_at(1, 4_999, 6, 1);
    assert_eq!(edge.values(1, &[4_999], &token).await, [Some(5)], "a late event does not overwrite a newer one");
    let status = edge.node.status();
    assert_eq!(status.views[0].rows, 5_000);
    edge.eventually("ready", |node| node.status().ready && node.status().staleness_ms.is_some()).await;
    let answer = edge.read(1, &[1], ReadDemand::default()).await;
    assert_eq!((answer.freshness.source, answer.freshness.degraded), (Source::Replica, None));
    assert_eq!(answer.freshness.watermark, leader.token());
}

#[tokio::test]
async fn views_are_created_and_dropped_by_records() {
    let leader = Leader::new(7);
    let served = serve(&leader).await;
    let edge = start(config(&served.address)).await;
    edge.bootstrapped().await;
    leader.take(CatalogueChange::PutView(view("c")));
    let token = leader.put(3, 1, 10);
    assert_eq!(edge.values(3, &[1], &token).await, [Some(10)]);
    assert!(edge.node.catalogue().view("c").is_some());
    let token = leader.take(CatalogueChange::DropView("c".into()));
    assert_eq!(edge.values(3, &[1], &token).await, [None]);
    assert!(edge.node.catalogue().view("c").is_none());
    assert_eq!(*edge.node.catalogue(), *leader.catalogue());
}

#[tokio::test]
async fn a_lost_leader_is_reported_and_the_stream_resumes() {
    let leader = Leader::new(7);
    let token = leader.put(1, 1, 1);
    let served = serve(&leader).await;
    let edge = start(config(&served.address)).await;
    assert_eq!(edge.values(1, &[1], &token).await, [Some(1)]);
    let address = served.address.clone();
    served.stop().await;
    edge.eventually("lost", |node| node.status().degraded == Some(Degraded::LeaderLost)).await;
    let token = leader.put(1, 1, 2);
    let answer = edge.read(1, &[1], ReadDemand::default()).await;
    assert_eq!((values(&answer), answer.freshness.degraded), (vec![Some(1)], Some(Degraded::LeaderLost)));
    assert!(!edge.node.status().writable);
    let served = serve_at(&leader, &address).await;
    assert_eq!(edge.values(1, &[1], &token).await, [Some(2)]);
    assert_eq!(leader.snapshots.load(SeqCst), 1, "it resumed at its position");
    drop(served);
}

#[tokio::test]
async fn a_trimmed_log_and_a_new_log_replace_the_replica() {
    let leader = Leader::new(7);
    leader.put(1, 1, 1);
    let token = leader.put(1, 2, 2);
    let served = serve(&leader).await;
    let edge = start(config(&served.address)).await;
    assert_eq!(edge.values(1, &[1, 2], &token).await, [Some(1), Some(2)]);
    let address = served.address.clone();
    served.stop().await;
    let token = leader.put(1, 3, 3);
    leader.trim_all();
    let served = serve_at(&leader, &address).await;
    assert_eq!(edge.values(1, &[1, 2, 3], &token).await, [Some(1), Some(2), Some(3)]);
    assert_eq!(leader.snapshots.load(SeqCst), 2);
    served.stop().await;
    let other = Leader::new(8);
    let token = other.put(1, 2, 20);
    *other.belongs.lock() =
        Some(Affiliation { succeeds: Some(Incarnation(7)), ..Affiliation::founder(Incarnation(7)) });
    let served = serve_at(&other, &address).await;
    assert_eq!(edge.values(1, &[1, 2], &token).await, [None, Some(20)], "rows that vanished do not linger");
    drop(served);
}

#[tokio::test]
async fn another_log_replaces_rows_only_if_it_succeeds_theirs_or_is_adopted() {
    let data = tempfile::tempdir().unwrap();
    let leader = Leader::new(7);
    let token = leader.put(1, 1, 1);
    let served = serve(&leader).await;
    let address = served.address.clone();
    let edge = start(Config { data_dir: Some(data.path().to_owned()), ..config(&address) }).await;
    assert_eq!(edge.values(1, &[1], &token).await, [Some(1)]);
    served.stop().await;
    // A log of another cluster, one that was recreated and holds nothing yet, and one of the
    // cluster that succeeds no log.
    let cluster = Affiliation::founder(Incarnation(7));
    for belongs in [
        Some(Affiliation::founder(Incarnation(8))),
        None,
        Some(Affiliation { healed: false, succeeds: Some(Incarnation(7)), ..cluster }),
        Some(cluster),
        Some(Affiliation { succeeds: Some(Incarnation(6)), ..cluster }),
    ] {
        let other = Leader::new(8);
        *other.belongs.lock() = belongs;
        let served = serve_at(&other, &address).await;
        edge.eventually("it rejects the log", |node| node.status().degraded == Some(Degraded::OtherLog)).await;
        let read = edge.read(1, &[1], ReadDemand::default()).await;
        assert_eq!((values(&read), read.freshness.degraded), (vec![Some(1)], Some(Degraded::OtherLog)), "{belongs:?}");
        assert!(!edge.node.status().writable, "{belongs:?}");
        served.stop().await;
        edge.eventually("the leader is gone", |node| node.status().degraded == Some(Degraded::LeaderLost)).await;
    }
    let other = Leader::new(8);
    let token = other.put(1, 2, 20);
    let _served = serve_at(&other, &address).await;
    edge.eventually("it rejects the log", |node| node.status().degraded == Some(Degraded::OtherLog)).await;
    let wrong = edge.node.adopt(Some(Incarnation(9))).expect("an edge");
    assert!(matches!(wrong, Err(AdoptError::AnotherOffered { .. })), "{wrong:?}");
    let offered = edge.node.adopt(Some(Incarnation(8))).expect("an edge").expect("it was offered");
    assert_eq!((offered.log, offered.region), (Incarnation(8), region()));
    assert_eq!(edge.values(1, &[1, 2], &token).await, [None, Some(20)]);
    assert_eq!(edge.node.adopt(None).expect("an edge"), Err(AdoptError::NothingOffered));
    edge.stop().await;
    assert!(data.path().join("replica.previous").exists(), "the last copy of the replaced rows");
}

#[tokio::test]
async fn records_of_a_different_lineage_are_never_applied() {
    let leader = Leader::new(7);
    let token = leader.put(1, 1, 1);
    let served = serve(&leader).await;
    let edge = start(config(&served.address)).await;
    assert_eq!(edge.values(1, &[1], &token).await, [Some(1)]);
    leader.break_chain();
    let token = leader.put(1, 1, 2);
    assert_eq!(edge.values(1, &[1], &token).await, [Some(2)]);
    assert_eq!(leader.snapshots.load(SeqCst), 2, "a snapshot has replaced what could not be followed");
}

#[tokio::test]
async fn a_malformed_record_closes_the_stream_and_changes_nothing() {
    let leader = Leader::new(7);
    let token = leader.put(1, 1, 1);
    let served = serve(&leader).await;
    let edge = start(config(&served.address)).await;
    assert_eq!(edge.values(1, &[1], &token).await, [Some(1)]);
    let position = edge.node.status().position;
    // A key that exceeds the limit: valid in the chain, but rejected.
    leader.append(littoral_model::record::Payload::Row {
        view: littoral_model::view::ViewId(1),
        event_time: littoral_model::event_time::EventTime(1),
        key: &[1; 5_000],
        body: &body(1),
    });
    edge.eventually("disconnected", |node| !node.status().writable).await;
    assert_eq!(edge.node.status().position, position);
    assert_eq!(values(&edge.read(1, &[1], ReadDemand::default()).await), [Some(1)]);
}

#[tokio::test]
async fn a_leader_of_an_older_epoch_is_rejected() {
    let leader = Leader::with_epoch(7, 2);
    let token = leader.put(1, 1, 1);
    let served = serve(&leader).await;
    let edge = start(config(&served.address)).await;
    assert_eq!(edge.values(1, &[1], &token).await, [Some(1)]);
    let address = served.address.clone();
    served.stop().await;
    let older = Leader::new(7);
    (0..10).for_each(|_| drop(older.put(1, 1, 100)));
    let _served = serve_at(&older, &address).await;
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert_eq!(values(&edge.read(1, &[1], ReadDemand::default()).await), [Some(1)]);
}

#[tokio::test]
async fn a_full_view_over_its_budget_becomes_resident_and_reports_it() {
    let leader = Leader::new(7);
    (0..20_000).for_each(|key| drop(leader.put(1, key, key as i64)));
    let token = leader.token();
    let served = serve(&leader).await;
    let small = Config { full_bytes_max: 500_000, resident_bytes_max: 400_000, ..config(&served.address) };
    let edge = start(small).await;
    assert_eq!(edge.values(1, &[0, 10_000, 19_999, 20_000], &token).await, [Some(0), Some(10_000), Some(19_999), None]);
    edge.eventually("connected", |node| node.status().degraded == Some(Degraded::OverBudget)).await;
    let status = edge.node.status();
    assert_eq!(status.views[0].residency, "resident");
    assert!(status.views[0].bytes < 1_000_000, "{status:?}");
    assert_eq!(edge.read(1, &[5], ReadDemand::default()).await.freshness.degraded, Some(Degraded::OverBudget));
    let token = leader.put(1, 5, -5);
    assert_eq!(edge.values(1, &[5], &token).await, [Some(-5)]);
    assert!(edge.node.page(littoral_model::view::ViewId(1), None, 10).is_none());
}

#[tokio::test]
async fn views_that_are_not_followed_are_read_from_the_leader_and_never_kept() {
    let leader = Leader::new(7);
    leader.put(1, 1, 1);
    let token = leader.put(2, 1, 2);
    let served = serve(&leader).await;
    let edge =
        start(Config { follow: Some(vec!["a".into()]), views: Default::default(), ..config(&served.address) }).await;
    assert_eq!(edge.values(1, &[1], &token).await, [Some(1)]);
    assert_eq!(edge.values(2, &[1], &token).await, [Some(2)]);
    leader.put(2, 1, 3);
    let token = leader.put(1, 1, 4);
    assert_eq!(edge.values(1, &[1], &token).await, [Some(4)], "records that were left out are covered");
    assert_eq!(edge.values(2, &[1], &token).await, [Some(3)]);
    assert_eq!(edge.node.status().views[1].rows, 0);
}
