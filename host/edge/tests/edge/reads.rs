//! Reads: demands and fills.

use crate::{leader::*, support::*};
use littoral_edge::Config;
use littoral_model::{
    event_time::EventTime, freshness::*, ports::*, position::*, read::*, record::Payload, token::Watermark,
    view::ViewId,
};
use std::{sync::atomic::Ordering::SeqCst, time::Duration};

fn later(leader: &Leader) -> Watermark {
    let (_, incarnation, lsn) = leader.token().iter().next().unwrap();
    Watermark::at(region(), incarnation, lsn.next())
}

fn unmet(token: &Watermark, on_unmet: OnUnmet) -> ReadDemand {
    ReadDemand { on_unmet, wait_max: Duration::from_millis(50), ..at_least(token) }
}

fn quorum() -> ReadDemand {
    ReadDemand { consistency: Consistency::Quorum, ..ReadDemand::default() }
}

#[tokio::test]
async fn every_option_for_an_unmet_demand_works() {
    let leader = Leader::new(7);
    let token = leader.put(1, 1, 1);
    let served = serve(&leader).await;
    let edge = start(config(&served.address)).await;
    edge.values(1, &[1], &token).await;
    let next = later(&leader);
    let read = |demand| {
        let node = edge.node.clone();
        async move { node.read(&request(1, [1], demand)).await }
    };
    assert!(matches!(read(unmet(&next, OnUnmet::Fail)).await, Err(ReadError::NotFreshEnough { .. })));
    // No write returned this token. That is certain once the leader was heard from after the read
    // arrived.
    assert!(matches!(read(unmet(&next, OnUnmet::Wait)).await, Err(ReadError::TokenLost { .. })));
    assert!(matches!(read(unmet(&next, OnUnmet::Leader)).await, Err(ReadError::NotFreshEnough { .. })));
    let other_life = Watermark::at(region(), Incarnation(99), Lsn(1));
    assert!(matches!(read(unmet(&other_life, OnUnmet::Wait)).await, Err(ReadError::TokenLost { .. })));
    // Records of a region that is not in the leader's configuration never arrive.
    let elsewhere = Watermark::at("elsewhere".parse().unwrap(), Incarnation(5), Lsn(1));
    let lost = read(unmet(&elsewhere, OnUnmet::Wait)).await.unwrap_err();
    assert!(matches!(&lost, ReadError::TokenLost { reason, .. } if reason.contains("configured")), "{lost:?}");
    let stale = read(unmet(&next, OnUnmet::ServeStale)).await.unwrap();
    assert_eq!((values(&stale), stale.freshness.degraded), (vec![Some(1)], Some(Degraded::DemandUnmet)));
    let token = leader.put(1, 1, 2);
    let waited = read(at_least(&token)).await.unwrap();
    assert_eq!((values(&waited), waited.freshness.source), (vec![Some(2)], Source::Replica));
    let consistency = Consistency::Leader;
    let at_leader = read(ReadDemand { consistency, ..ReadDemand::default() }).await.unwrap();
    assert_eq!((values(&at_leader), at_leader.freshness.source), (vec![Some(2)], Source::Leader));
    assert!(at_leader.freshness.staleness.is_some());
}

#[tokio::test]
async fn reads_of_large_rows_that_share_a_call_do_not_fail_each_other() {
    let leader = Leader::new(7);
    let body = |number: u64| [body(number as i64), vec![0; 1 << 20]].concat();
    for number in 0..80_u64 {
        let (event_time, key) = (EventTime(1), number.to_le_bytes());
        leader.append(Payload::Row { view: ViewId(2), event_time, key: &key, body: &body(number) });
    }
    let served = serve(&leader).await;
    // They queue behind the first one's call, and together their reply would exceed 80 MiB.
    let mut config = Config { fill_calls_max: 1, fill_wait_ms_max: 60_000, ..config(&served.address) };
    config.leader.call_timeout_ms = 60_000;
    let edge = start(config).await;
    edge.bootstrapped().await;
    let reads: Vec<_> = (0..80_u64)
        .map(|number| {
            let node = edge.node.clone();
            tokio::spawn(async move { node.read(&request(2, [number], ReadDemand::default())).await })
        })
        .collect();
    for (number, read) in (0..).zip(reads) {
        assert_eq!(values(&read.await.unwrap().unwrap()), [Some(number)]);
    }
}

#[tokio::test]
async fn quorum_reads_go_through_the_leader_and_an_unmet_one_follows_the_demand() {
    let leader = Leader::new(7);
    let token = leader.put(1, 1, 1);
    let served = serve(&leader).await;
    let edge = start(config(&served.address)).await;
    edge.values(1, &[1], &token).await;
    let read = |on_unmet| {
        let (node, demand) = (edge.node.clone(), ReadDemand { on_unmet, ..quorum() });
        async move { node.read(&request(1, [1], demand)).await }
    };
    let unmet = read(OnUnmet::Wait).await.unwrap_err();
    assert!(
        matches!(&unmet, ReadError::QuorumNotReached { needed: 2, of: 2, missing, .. } if missing.contains("disconnected"))
    );
    let at_leader = read(OnUnmet::Leader).await.unwrap().freshness;
    assert_eq!((at_leader.source, at_leader.degraded), (Source::Leader, Some(Degraded::DemandUnmet)));
    let stale = read(OnUnmet::ServeStale).await.unwrap().freshness;
    assert_eq!((stale.source, stale.degraded), (Source::Replica, Some(Degraded::DemandUnmet)));
    let regions = vec![region(), "west".parse().unwrap()];
    *leader.quorum.lock() = regions.clone();
    assert!(!edge.node.read_local(&request(1, [1], quorum()), &mut ReadAnswer::default()));
    let met = read(OnUnmet::Fail).await.unwrap();
    assert_eq!((values(&met), met.freshness.source, met.freshness.degraded), (vec![Some(1)], Source::Quorum, None));
    assert_eq!(met.freshness.regions, regions);
    served.stop().await;
    edge.eventually("lost", |node| !node.status().writable).await;
    assert!(matches!(read(OnUnmet::Leader).await, Err(ReadError::LeaderUnavailable(_))));
    assert_eq!(read(OnUnmet::ServeStale).await.unwrap().freshness.degraded, Some(Degraded::DemandUnmet));
}

#[tokio::test]
async fn staleness_is_bounded_by_the_demand_and_grows_without_a_leader() {
    let leader = Leader::new(7);
    let token = leader.put(1, 1, 1);
    let served = serve(&leader).await;
    let edge = start(config(&served.address)).await;
    edge.values(1, &[1], &token).await;
    let fresh = |ms, on_unmet| ReadDemand {
        max_staleness: Some(Duration::from_millis(ms)),
        on_unmet,
        wait_max: Duration::from_secs(5),
        ..ReadDemand::default()
    };
    let answer = edge.read(1, &[1], fresh(1_000, OnUnmet::Wait)).await;
    assert!(answer.freshness.staleness.unwrap() <= Duration::from_millis(1_000));
    served.stop().await;
    tokio::time::sleep(Duration::from_millis(150)).await;
    let failed = edge.node.read(&request(1, [1], fresh(50, OnUnmet::Fail))).await;
    assert!(matches!(failed, Err(ReadError::NotFreshEnough { .. })), "{failed:?}");
    let leader_lost = edge.node.read(&request(1, [1], fresh(50, OnUnmet::Leader))).await;
    assert!(matches!(leader_lost, Err(ReadError::LeaderUnavailable(_))), "{leader_lost:?}");
    let mut answer = ReadAnswer::default();
    assert!(!edge.node.read_local(&request(1, [1], fresh(50, OnUnmet::ServeStale)), &mut answer));
    assert!(edge.node.read_local(&request(1, [1], ReadDemand::default()), &mut answer));
    assert!(answer.freshness.staleness.unwrap() >= Duration::from_millis(140));
}

#[tokio::test]
async fn reads_before_the_first_snapshot_are_rejected() {
    let edge = start(config("127.0.0.1:1")).await;
    let read = edge.node.read(&request(1, [1], ReadDemand::default())).await;
    assert_eq!(read.unwrap_err(), ReadError::NotReady);
    let status = edge.node.status();
    assert_eq!((status.ready, status.degraded), (false, Some(Degraded::Bootstrapping)));
    assert!(!status.not_ready_reason.is_empty());
}

#[tokio::test]
async fn concurrent_reads_share_one_fill_and_the_row_stays_fresh() {
    let leader = Leader::new(7);
    let token = leader.put(2, 1, 1);
    let served = serve(&leader).await;
    let edge = start(config(&served.address)).await;
    edge.values(1, &[], &token).await;
    let mut answer = ReadAnswer::default();
    assert!(!edge.node.read_local(&request(2, [1], ReadDemand::default()), &mut answer), "it is not held yet");
    leader.hold.send_replace(true);
    let readers: Vec<_> = (0..100)
        .map(|_| {
            let node = edge.node.clone();
            tokio::spawn(async move { node.read(&request(2, [1, 2], ReadDemand::default())).await.unwrap() })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(100)).await;
    leader.hold.send_replace(false);
    for reader in readers {
        let answer = reader.await.unwrap();
        assert_eq!((values(&answer), answer.freshness.source), (vec![Some(1), None], Source::Leader));
    }
    assert!(leader.keys_read.load(SeqCst) <= 3, "one fill per key: {}", leader.keys_read.load(SeqCst));
    let read_so_far = leader.keys_read.load(SeqCst);
    assert!(edge.node.read_local(&request(2, [1, 2], ReadDemand::default()), &mut answer), "rows and misses are held");
    assert_eq!((values(&answer), answer.freshness.source), (vec![Some(1), None], Source::Replica));
    leader.put(2, 1, 10);
    let token = leader.put(2, 2, 20);
    assert_eq!(
        edge.values(2, &[1, 2], &token).await,
        [Some(10), Some(20)],
        "the feed updates one row and clears the other's miss"
    );
    let token = leader.delete(2, 1);
    assert_eq!(edge.values(2, &[1], &token).await, [None]);
    // The leader may have a deletion that outranks the write, which a miss does not show, so it is
    // queried once.
    assert_eq!(leader.keys_read.load(SeqCst), read_so_far + 1);
}

#[tokio::test]
async fn a_fill_that_the_feed_has_overtaken_is_repeated() {
    let leader = Leader::new(7);
    let token = leader.put(2, 1, 1);
    let served = serve(&leader).await;
    let edge = start(config(&served.address)).await;
    edge.values(1, &[], &token).await;
    leader.hold.send_replace(true);
    let node = edge.node.clone();
    let reader = tokio::spawn(async move { node.read(&request(2, [1], ReadDemand::default())).await.unwrap() });
    while leader.keys_read.load(SeqCst) == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // The leader has read 1 and not replied; now the row changes and the feed passes.
    let token = leader.put(2, 1, 2);
    edge.values(1, &[], &token).await;
    leader.hold.send_replace(false);
    assert_eq!(values(&reader.await.unwrap()), [Some(2)]);
    let mut answer = ReadAnswer::default();
    assert!(edge.node.read_local(&request(2, [1], ReadDemand::default()), &mut answer));
    assert_eq!(values(&answer), [Some(2)], "the old row must not have been kept");
    assert_eq!(leader.keys_read.load(SeqCst), 2);
}

#[tokio::test]
async fn without_a_leader_rows_that_are_not_held_are_unknown() {
    let leader = Leader::new(7);
    let token = leader.put(2, 1, 1);
    let served = serve(&leader).await;
    let edge = start(config(&served.address)).await;
    assert_eq!(edge.values(2, &[1], &token).await, [Some(1)]);
    served.stop().await;
    edge.eventually("lost", |node| !node.status().writable).await;
    let answer = edge.read(2, &[1, 2], ReadDemand::default()).await;
    assert_eq!((values(&answer), answer.freshness.degraded), (vec![Some(1), None], Some(Degraded::Incomplete)));
    assert_eq!(answer.unknown, [(0, 1)]);
    let mut several = request(1, [1], ReadDemand::default());
    several.reads.extend(request(2, [3, 1, 4], ReadDemand::default()).reads);
    let answer = edge.node.read(&several).await.unwrap();
    assert_eq!(answer.unknown, [(1, 0), (1, 2)], "a full view has no unknown rows");
    let mut again = answer;
    assert!(edge.node.read_local(&request(2, [1], ReadDemand::default()), &mut again));
    assert_eq!(again.unknown, [], "an answer that is used again forgets what was unknown");
    // It is never decided that the record of this token cannot arrive, so the read waits until its deadline.
    for unreached in [later(&leader), Watermark::at("elsewhere".parse().unwrap(), Incarnation(5), Lsn(1))] {
        let waited = edge.node.read(&request(1, [1], unmet(&unreached, OnUnmet::Wait))).await;
        assert!(matches!(waited, Err(ReadError::NotFreshEnough { .. })), "{waited:?}");
    }
    let demanding = edge.node.read(&request(2, [2], at_least(&token))).await;
    assert!(matches!(demanding, Err(ReadError::LeaderUnavailable(_))), "{demanding:?}");
}

#[tokio::test]
async fn waiting_is_bounded() {
    let leader = Leader::new(7);
    let token = leader.put(2, 1, 1);
    let served = serve(&leader).await;
    let edge = start(Config { fills_waiting_max: 2, waiting_reads_max: 1, ..config(&served.address) }).await;
    edge.values(1, &[], &token).await;
    leader.hold.send_replace(true);
    let read = edge.node.read(&request(2, [1, 2, 3], ReadDemand::default())).await;
    assert!(matches!(read, Err(ReadError::Overloaded(_))), "{read:?}");
    leader.hold.send_replace(false);
    let far = Watermark::at(region(), Incarnation(7), Lsn(1_000));
    let (first, second) = (request(1, [1], unmet(&far, OnUnmet::Wait)), request(1, [1], unmet(&far, OnUnmet::Wait)));
    let (one, two) = tokio::join!(edge.node.read(&first), edge.node.read(&second));
    assert!(matches!(one, Err(ReadError::TokenLost { .. })), "{one:?}");
    assert!(matches!(two, Err(ReadError::TooManyWaiting(1))), "{two:?}");
}
