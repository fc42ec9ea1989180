//! What a subscriber receives: tail, snapshot, filters, heartbeats.

mod support;

use littoral_feed::server::Config;
use littoral_model::{
    position::{Incarnation, Lsn},
    record::{ChainHash, Payload},
    view::ViewId,
};
use littoral_protocol::frame::*;
use littoral_wire::rows;
use std::time::{Duration, Instant};
use support::*;

#[tokio::test]
async fn a_subscriber_on_this_log_receives_its_tail_and_then_new_records() {
    // With heartbeats this far apart, whatever arrives soon did not wait for a timer.
    let served = serve(Config { heartbeat_ms: 60_000, ..Config::default() }).await;
    (0..10).for_each(|key| served.leader.put(1, key));
    let mut peer = served.connect().await;
    peer.sender.send(&hello(Views::All, Some(served.leader.resume_at(5)))).unwrap();
    let hello = next_hello(&mut peer.receiver).await;
    assert_eq!((hello.mode, hello.version, hello.region), (Mode::Tail, VERSION_MAX, region()));
    assert_eq!(hello.head, served.leader.last().position);
    assert_eq!(records_through(&mut peer.receiver, 6, 12).await.len(), 7);
    served.leader.put(1, 99);
    match next(&mut peer.receiver).await {
        Downstream::Records { first, last, chain_after, .. } => {
            assert_eq!((first, last), (Lsn(13), Lsn(13)));
            assert_eq!(chain_after, served.leader.last().chain);
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn no_record_past_the_published_head_is_sent() {
    let served = serve(Config { heartbeat_ms: 60_000, ..Config::default() }).await;
    (0..3).for_each(|key| served.leader.put(1, key));
    let resume = served.leader.resume_at(3);
    // Such a record may begin another life, which the head shows. Then the stream ends.
    served.leader.append_past_head(Payload::BeginUnnamed);
    let mut peer = served.connect().await;
    peer.sender.send(&hello(Views::All, Some(resume))).unwrap();
    assert_eq!(next_hello(&mut peer.receiver).await.head.lsn, Lsn(5));
    assert_eq!(records_through(&mut peer.receiver, 4, 5).await, [Lsn(4), Lsn(5)]);
    served.leader.put(1, 99);
    assert_eq!(records_through(&mut peer.receiver, 6, 7).await, [Lsn(6), Lsn(7)]);
}

#[tokio::test]
async fn an_empty_subscriber_receives_a_snapshot_and_then_the_tail() {
    let served = serve(Config { snapshot_bytes: 10_000, ..Config::default() }).await;
    (0..5_000).for_each(|key| served.leader.put(1 + key as u32 % 2, key));
    let mut peer = served.connect().await;
    peer.sender.send(&hello(Views::All, None)).unwrap();
    assert_eq!(next_hello(&mut peer.receiver).await.mode, Mode::Snapshot);
    let end = served.leader.last();
    match next(&mut peer.receiver).await {
        Downstream::SnapshotBegin { as_of, chain, catalogue, rows_estimate, .. } => {
            assert_eq!((as_of, chain, rows_estimate), (end.position, end.chain, 5_000));
            assert!(catalogue.view("a").is_some());
        }
        other => panic!("{other:?}"),
    }
    let mut seen = std::collections::BTreeSet::new();
    let mut blocks = 0;
    loop {
        match next(&mut peer.receiver).await {
            Downstream::SnapshotRows { rows: count, bytes } => {
                blocks += 1;
                let before = seen.len();
                for row in rows::iter(&bytes) {
                    let row = row.unwrap().unwrap();
                    assert_eq!(row.body, Some(&[7; 100][..]));
                    seen.insert(row.key.to_vec());
                }
                assert_eq!(seen.len() - before, count as usize);
            }
            Downstream::SnapshotEnd { rows } => break assert_eq!(rows, 5_000),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(seen.len(), 5_000);
    assert!(blocks > 10, "the snapshot comes in chunks, not in {blocks}");
    served.leader.put(1, 1);
    assert_eq!(records_through(&mut peer.receiver, 5_003, 5_003).await, [Lsn(5_003)]);
}

#[tokio::test]
async fn trimmed_lost_or_forked_records_require_a_snapshot() {
    let served = serve(Config::default()).await;
    (0..20).for_each(|key| served.leader.put(1, key));
    let last = served.leader.last();
    let old = served.leader.resume_at(4);
    let kept = served.leader.resume_at(15);
    served.leader.trim(10);
    let mut other_life = last;
    other_life.position.incarnation = Incarnation(8);
    let mut ahead = last;
    ahead.position.lsn = Lsn(1_000);
    let diverged = Resume { chain: ChainHash(1), ..last };
    let begin = Resume {
        position: littoral_model::position::Position { lsn: Lsn::NONE, ..last.position },
        chain: ChainHash::GENESIS,
    };
    for (what, resume, mode) in [
        ("at the head", last, Mode::Tail),
        ("within the log", kept, Mode::Tail),
        ("trimmed", old, Mode::Snapshot),
        ("at a trimmed beginning", begin, Mode::Snapshot),
        ("another incarnation", other_life, Mode::Snapshot),
    ] {
        let mut peer = served.connect().await;
        peer.sender.send(&hello(Views::All, Some(resume))).unwrap();
        assert_eq!(next_hello(&mut peer.receiver).await.mode, mode, "{what}");
    }
    // The log must have these records and lacks them: it was rolled back, and reports that once it has begun a new
    // life.
    let huge = Resume { position: littoral_model::position::Position { lsn: Lsn(u64::MAX), ..last.position }, ..last };
    for (what, resume) in [("ahead of the leader", ahead), ("a huge number", huge), ("another history", diverged)] {
        let mut peer = served.connect().await;
        peer.sender.send(&hello(Views::All, Some(resume))).unwrap();
        let refused = next(&mut peer.receiver).await;
        assert!(matches!(refused, Downstream::Error { code: ErrorCode::Behind, .. }), "{what}: {refused:?}");
    }
}

#[tokio::test]
async fn a_filter_omits_other_views_and_recognizes_new_ones() {
    let served = serve(Config::default()).await;
    served.leader.put(1, 1);
    served.leader.put(2, 2);
    let mut peer = served.connect().await;
    let views = Views::Names(vec!["b".into(), "later".into()]);
    peer.sender.send(&hello(views, None)).unwrap();
    next_hello(&mut peer.receiver).await;
    assert!(matches!(next(&mut peer.receiver).await, Downstream::SnapshotBegin { .. }));
    match next(&mut peer.receiver).await {
        Downstream::SnapshotRows { rows: 1, bytes } => {
            assert_eq!(rows::iter(&bytes).next().unwrap().unwrap().unwrap().view, ViewId(2));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(next(&mut peer.receiver).await, Downstream::SnapshotEnd { rows: 1 });
    served.leader.put(1, 3); // 5: filtered out
    served.leader.put(2, 3); // 6
    served.leader.make_view("later"); // 7
    served.leader.put(3, 3); // 8
    served.leader.append(Payload::Receipt { idempotency_key: "k", content: 1, first: Lsn(8), last: Lsn(8) }); // 9
    assert_eq!(records_through(&mut peer.receiver, 5, 9).await, [Lsn(6), Lsn(7), Lsn(8)]);
}

#[tokio::test]
async fn a_ping_is_echoed_at_once_with_the_head() {
    let served = serve(Config { heartbeat_ms: 60_000, ..Config::default() }).await;
    let mut peer = served.connect().await;
    peer.sender.send(&hello(Views::All, Some(served.leader.last()))).unwrap();
    next_hello(&mut peer.receiver).await;
    for seq in 1..20 {
        served.leader.put(1, seq);
        peer.sender.send(&Upstream::Ping { seq }).unwrap();
        loop {
            match peer.receiver.next().await.unwrap().unwrap() {
                Downstream::Heartbeat { echo, head, .. } => {
                    break assert_eq!((echo, head.lsn), (seq, Lsn(2 + seq)));
                }
                Downstream::Records { .. } => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn heartbeats_come_unasked() {
    let served = serve(Config { heartbeat_ms: 20, ..Config::default() }).await;
    let begun = Instant::now();
    let mut peer = served.connect().await;
    peer.sender.send(&hello(Views::All, Some(served.leader.last()))).unwrap();
    next_hello(&mut peer.receiver).await;
    peer.sender.send(&Upstream::Applied { lsn: Lsn(2) }).unwrap();
    for _ in 0..5 {
        let message = peer.receiver.next().await.unwrap().unwrap();
        assert!(matches!(message, Downstream::Heartbeat { echo: 0, .. }), "{message:?}");
    }
    assert!(begun.elapsed() >= Duration::from_millis(4 * 20), "heartbeats are not sent too often");
}

#[tokio::test]
async fn a_subscriber_can_end_the_stream_and_keep_the_connection() {
    let served = serve(Config::default()).await;
    let mut peer = served.connect().await;
    peer.sender.send(&hello(Views::All, Some(served.leader.last()))).unwrap();
    next_hello(&mut peer.receiver).await;
    peer.sender.finish();
    while peer.receiver.next().await.unwrap().is_some() {}
    assert!(peer.sender.send(&Upstream::Ping { seq: 1 }).is_err());
    peer.calls.status().await.unwrap();
}
