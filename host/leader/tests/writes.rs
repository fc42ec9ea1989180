//! Writes: which are accepted, which are rejected, and how a retry is answered.

mod support;

use littoral_feed::source::FeedLog as _;
use littoral_leader::Config;
use littoral_model::{
    catalogue::CatalogueChange,
    event_time::EventTime,
    merge::MergePolicy,
    ports::{FeatureReader, FeatureWriter, Node},
    position::Lsn,
    project::{Project, Quotas},
    read::ReadAnswer,
    view::{FeatureView, ViewId},
    write::{RowBatch, RowWrite, WriteError, WriteRequest},
};
use std::sync::atomic::Ordering::Relaxed;
use support::{NOW_MS, body, config, read, start, view, with_key, write};

#[tokio::test]
async fn an_acknowledged_write_is_visible_at_once_and_its_token_is_covered() {
    let node = start(config()).await;
    let view = node.view("a").await;
    for number in 0..100 {
        let receipt = node.put(view, number % 7, number, number).await.unwrap();
        assert_eq!(receipt.position.lsn, Lsn(number as u64 + 2));
        let mut request = read(view, &[number % 7]);
        request.demand.at_least = Some(receipt.token.clone());
        let mut answer = ReadAnswer::default();
        assert!(node.leader.read_local(&request, &mut answer));
        assert_eq!(support::value(answer.rows[0][0].as_ref().unwrap()), number);
        assert!(answer.freshness.watermark.covers(&receipt.token));
        assert_eq!(node.leader.head().borrow().lsn, receipt.position.lsn);
    }
    node.stop().await;
}

#[tokio::test]
async fn late_events_are_outranked_and_deletions_persist_unless_the_merge_policy_differs() {
    let node = start(config()).await;
    let by_event = node.view("by_event").await;
    let policy = FeatureView { merge: MergePolicy::LatestWrite, ..view("by_write") };
    node.leader.change(CatalogueChange::PutView(policy)).await.unwrap();
    let by_write = node.leader.catalogue().view("by_write").unwrap().id;
    for view in [by_event, by_write] {
        node.put(view, 1, 20, 2_000).await.unwrap();
        node.put(view, 1, 10, 1_000).await.unwrap();
        node.leader.write(write(view, &[(2, Some(1)), (2, None)], 1_000)).await.unwrap();
        node.put(view, 2, 9, 500).await.unwrap();
    }
    assert_eq!((node.get(by_event, 1), node.get(by_event, 2)), (Some(20), None));
    assert_eq!((node.get(by_write, 1), node.get(by_write, 2)), (Some(10), Some(9)));
    node.stop().await;
}

#[tokio::test]
async fn writes_without_a_time_are_ordered_by_the_leaders_clock_whichever_door_they_pass() {
    let node = start(config()).await;
    let view = node.view("a").await;
    // First a door with a clock far ahead, then one with a correct clock, then a deletion through a door whose clock is
    // behind.
    let through = |rows: &[(i64, Option<i64>)], door_ms: u64| {
        let mut request = write(view, rows, door_ms as i64);
        request.rows.stamp(EventTime::from_ms(door_ms as i64));
        request
    };
    let now = NOW_MS;
    node.leader.write(through(&[(1, Some(1))], now + 3_600_000)).await.unwrap();
    node.leader.write(through(&[(1, Some(2))], now)).await.unwrap();
    assert_eq!(node.get(view, 1), Some(2));
    node.leader.write(through(&[(1, None)], now - 60_000)).await.unwrap();
    assert_eq!(node.get(view, 1), None);
    node.stop().await;
}

#[tokio::test]
async fn a_leader_whose_memory_is_used_up_rejects_what_adds_rows_and_nothing_else() {
    let node = start(Config { rows_bytes_max: 64 << 10, ..config() }).await;
    let view = node.view("a").await;
    let mut held = 0;
    let full = loop {
        match node.leader.write(write(view, &[(held, Some(1))], 1_000)).await {
            Ok(_) => held += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(full, WriteError::MemoryFull { max: 65_536, .. }), "{full}");
    assert!(full.to_string().contains("leader.rows_bytes_max") && (300..900).contains(&held), "{held}: {full}");
    node.put(view, 0, 2, 2_000).await.unwrap();
    assert_eq!((node.get(view, 0), node.get(view, held)), (Some(2), None), "rows are replaced and read");
    let both = write(view, &[(1, None), (held, Some(1))], 3_000);
    assert!(matches!(node.leader.write(both).await, Err(WriteError::MemoryFull { .. })), "a write is not split");
    node.leader.write(write(view, &[(1, None)], 3_000)).await.unwrap();
    assert_eq!(node.get(view, 1), None);
    node.leader.change(CatalogueChange::DropView("a".to_owned())).await.unwrap();
    let view = node.view("b").await;
    node.put(view, 1, 1, 1_000).await.unwrap();
    node.stop().await;
}

#[tokio::test]
async fn an_invalid_row_rejects_the_whole_write_and_the_error_names_the_row_and_the_reason() {
    let node = start(Config { row_bytes_max: 4_096, request_bytes_max: 8_192, ..config() }).await;
    let view = node.view("a").await;
    let one = |row: RowWrite<'_>| {
        let mut rows = RowBatch::default();
        rows.push(RowWrite { view, event_time: EventTime(0), key: &7_i64.to_le_bytes(), body: Some(&body(1)) });
        rows.push(row);
        WriteRequest { rows, ..WriteRequest::default() }
    };
    let (key, good, event_time) = (7_i64.to_le_bytes(), body(1), EventTime(0));
    let wide = {
        let mut wide = littoral_model::row_body::BodyBuilder::new(2);
        wide.push_i64(1);
        wide.push_i64(2);
        wide.finish().unwrap()
    };
    let huge = vec![1; 5_000];
    for (row, expected) in [
        (RowWrite { view, event_time, key: &key[..7], body: Some(&good) }, "row 1 of view 'a': entity key bytes"),
        (RowWrite { view, event_time, key: &key, body: Some(&good[..5]) }, "row 1 of view 'a': row body is truncated"),
        (RowWrite { view, event_time, key: &key, body: Some(&wide) }, "has 2 values, but the view has only 1 features"),
        (
            RowWrite { view, event_time, key: &key, body: Some(&huge) },
            "row 1 of view 'a': the row has 5008 bytes; at most 4096",
        ),
    ] {
        let error = node.leader.write(one(row)).await.unwrap_err();
        assert!(
            matches!(error, WriteError::InvalidRow { row: 1, .. }) && error.to_string().contains(expected),
            "{error}"
        );
    }
    let unknown = RowWrite { view: ViewId(99), event_time, key: &key, body: Some(&good) };
    assert!(matches!(node.leader.write(one(unknown)).await, Err(WriteError::UnknownView(_))));
    let ahead = EventTime::from_ms(NOW_MS as i64 + 60_001);
    let future = RowWrite { view, event_time: ahead, key: &key, body: Some(&good) };
    let error = node.leader.write(one(future)).await.unwrap_err();
    assert!(
        matches!(error, WriteError::FutureEvent { ahead_ms: 60_001, max_ms: 60_000, .. })
            && error.invalid_row().is_some_and(|(at, _)| at == 1),
        "{error}"
    );
    assert!(error.to_string().starts_with("row 1 of view 'a' (id=7): event timestamp"), "{error}");
    let many: Vec<_> = (0..1_000).map(|key| (key, Some(1))).collect();
    let error = node.leader.write(write(view, &many, 0)).await.unwrap_err().to_string();
    assert!(error.contains("at most 8192 are allowed; split it"), "{error}");
    let error = node.leader.write(with_key(write(view, &[(1, Some(1))], 0), &"k".repeat(257))).await.unwrap_err();
    assert!(error.to_string().contains("the idempotency key has 257 bytes; it must have 1 to 256"), "{error}");
    assert_eq!((node.get(view, 7), node.leader.head().borrow().lsn), (None, Lsn(1)), "nothing was stored");
    node.stop().await;
}

#[tokio::test]
async fn a_retry_receives_the_first_receipt_also_after_a_restart_and_a_snapshot() {
    let mut node = start(config()).await;
    let view = node.view("a").await;
    let request = with_key(write(view, &[(1, Some(1)), (2, Some(2))], 1_000), "once");
    let first = node.leader.write(request.clone()).await.unwrap();
    assert!(!first.duplicate);
    node.put(view, 1, 5, 2_000).await.unwrap();
    for snapshot in [false, true, true] {
        let again = node.leader.write(request.clone()).await.unwrap();
        assert!(again.duplicate);
        assert_eq!((again.first, again.position), (first.first, first.position));
        let other = with_key(write(view, &[(1, Some(3))], 1_000), "once");
        let error = node.leader.write(other).await.unwrap_err();
        assert_eq!(error, WriteError::IdempotencyMismatch("once".to_owned()));
        assert_eq!(node.get(view, 1), Some(5), "nothing was written again");
        if snapshot {
            assert!(node.leader.snapshot_now());
        }
        node = node.after_power_loss(config(), 3).await;
    }
    node.clock.store(NOW_MS + 86_400_001, Relaxed);
    assert!(!node.leader.write(request).await.unwrap().duplicate, "forgotten after a day");
    node.stop().await;
}

#[tokio::test]
async fn concurrent_retries_write_once() {
    let node = start(config()).await;
    let view = node.view("a").await;
    let request = with_key(write(view, &[(1, Some(1))], 1_000), "once");
    let tries: Vec<_> = (0..50)
        .map(|_| {
            let (leader, request) = (node.leader.clone(), request.clone());
            tokio::spawn(async move { leader.write(request).await.unwrap() })
        })
        .collect();
    let mut first_writes = 0;
    let mut positions = std::collections::HashSet::new();
    for receipt in tries {
        let receipt = receipt.await.unwrap();
        first_writes += u32::from(!receipt.duplicate);
        positions.insert(receipt.position);
    }
    assert_eq!((first_writes, positions.len()), (1, 1));
    assert_eq!(node.leader.head().borrow().lsn, Lsn(3), "the view, the row, its receipt");
    node.stop().await;
}

#[tokio::test]
async fn dropping_a_view_removes_its_rows_and_its_id_is_not_reused() {
    let mut node = start(config()).await;
    let old = node.view("a").await;
    node.put(old, 1, 1, 1_000).await.unwrap();
    node.leader.change(CatalogueChange::DropView("a".to_owned())).await.unwrap();
    let new = node.view("a").await;
    assert_ne!(old, new);
    assert!(matches!(node.put(old, 1, 1, 1_000).await, Err(WriteError::UnknownView(_))));
    for _ in 0..2 {
        assert_eq!((node.get(old, 1), node.get(new, 1)), (None, None));
        node = node.after_power_loss(config(), 1).await;
    }
    let unchanged = node.leader.change(CatalogueChange::PutView(view("a"))).await.unwrap();
    assert_eq!(unchanged.position, *node.leader.head().borrow(), "nothing was logged");
    let error = node.leader.change(CatalogueChange::DropView("b".to_owned())).await.unwrap_err().to_string();
    assert!(error.contains("there is no view named 'b'"), "{error}");
    node.stop().await;
}

#[tokio::test]
async fn the_queue_is_bounded_and_a_stopping_leader_rejects_writes() {
    let node = start(Config { queue_requests_max: 2, ..config() }).await;
    let view = node.view("a").await;
    let writes: Vec<_> = (0..500)
        .map(|key| {
            let leader = node.leader.clone();
            tokio::spawn(async move { leader.write(write(view, &[(key, Some(key))], 1_000)).await })
        })
        .collect();
    let (mut accepted, mut rejected) = (0, 0);
    for (key, answer) in writes.into_iter().enumerate() {
        match answer.await.unwrap() {
            Ok(_) => {
                accepted += 1;
                assert_eq!(node.get(view, key as i64), Some(key as i64));
            }
            Err(error) => {
                rejected += 1;
                assert_eq!(error, WriteError::Overloaded);
                assert_eq!(node.get(view, key as i64), None);
            }
        }
    }
    assert_eq!(accepted + rejected, 500);
    let leader = node.leader.clone();
    node.stop().await;
    let error = leader.write(write(view, &[(1, Some(1))], 1_000)).await.unwrap_err();
    assert!(matches!(error, WriteError::NotLeader(_)), "{error}");
    assert!(leader.status().ready, "reads continue");
}

#[tokio::test]
async fn a_project_is_held_to_its_quota_of_rows_and_its_regions_also_after_a_restart() {
    let node = start(config()).await;
    let put = async |node: &support::Running, project: Project| {
        node.leader.change(CatalogueChange::PutProject(Box::new(project))).await
    };
    let quotas = Quotas { rows: Some(3), ..Quotas::default() };
    put(&node, Project { name: "fraud".into(), quotas, ..Project::default() }).await.unwrap();
    let view = node.view("fraud/a").await;
    let other = node.view("a").await;
    node.leader.write(write(view, &[(1, Some(1)), (2, Some(2))], 1_000)).await.unwrap();
    let node = node.after_power_loss(config(), 1).await;
    let rejected = node.leader.write(write(view, &[(3, Some(3)), (4, Some(4))], 1_000)).await.unwrap_err();
    assert!(matches!(&rejected, WriteError::OverQuota(why) if why.contains("has 2 rows of at most 3")), "{rejected}");
    node.put(view, 3, 3, 1_000).await.unwrap();
    assert!(matches!(node.put(view, 4, 4, 1_000).await, Err(WriteError::OverQuota(_))));
    node.put(view, 3, 5, 2_000).await.unwrap();
    node.put(other, 4, 4, 1_000).await.unwrap();
    node.leader.write(write(view, &[(1, None)], 3_000)).await.unwrap();
    node.put(view, 4, 4, 1_000).await.unwrap();
    // The project is not part of the key's length.
    let key = format!("fraud\u{1f}{}", "k".repeat(256));
    node.leader.write(with_key(write(view, &[(4, Some(5))], 2_000), &key)).await.unwrap();
    let elsewhere = Project { name: "far".into(), regions: vec!["elsewhere".parse().unwrap()], ..Project::default() };
    put(&node, elsewhere).await.unwrap();
    let far = node.view("far/a").await;
    assert!(matches!(node.put(far, 1, 1, 1_000).await, Err(WriteError::OutsideRegions(_))));
    node.stop().await;
}

#[tokio::test]
async fn an_idempotency_key_belongs_to_the_project_of_the_rows() {
    let node = start(config()).await;
    let fraud = Project { name: "fraud".into(), ..Project::default() };
    node.leader.change(CatalogueChange::PutProject(Box::new(fraud))).await.unwrap();
    let (view, other) = (node.view("fraud/a").await, node.view("a").await);
    let long = format!("{}\u{1f}once", "x".repeat(10_000));
    for (view, key, expected) in [
        (other, "fraud\u{1f}once", "view 'a' is not in the project 'fraud'"),
        (view, "once", "view 'fraud/a' is not in the project 'default'"),
        (view, "nope\u{1f}once", "belongs to 'nope', and there is no such project"),
        (view, &long, "and there is no such project"),
        (other, "\u{1f}once", "and there is no such project"),
    ] {
        let error = node.leader.write(with_key(write(view, &[(1, Some(1))], 1_000), key)).await.unwrap_err();
        assert!(error.to_string().contains(expected) && error.to_string().len() < 400, "{error}");
    }
    let key = "fraud\u{1f}once";
    node.leader.write(with_key(write(view, &[(1, Some(1))], 1_000), key)).await.unwrap();
    let error = node.leader.write(with_key(write(view, &[(1, Some(2))], 1_000), key)).await.unwrap_err();
    assert_eq!(error, WriteError::IdempotencyMismatch("once".to_owned()), "the key as its client sent it");
    node.stop().await;
}
