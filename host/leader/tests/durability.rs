//! Restarts, snapshots, trimming, and failing disks: no acknowledged write is lost, and reads continue.

mod support;

use littoral_feed::source::FeedLog as _;
use littoral_leader::Config;
use littoral_log::storage::{Faults, Memory, Storage};
use littoral_model::{
    ports::{FeatureReader, FeatureWriter, FeedReadError, Node},
    position::Lsn,
    write::WriteError,
};
use std::{collections::HashMap, sync::atomic::Ordering::Relaxed};
use support::{NOW_MS, Running, config, start, try_start, with_key, write};

fn snapshot_names(disk: &Memory) -> Vec<String> {
    let mut names = disk.list().unwrap();
    names.retain(|name| name.ends_with(".snap"));
    names.sort();
    names
}

/// Trims the log early.
fn short() -> Config {
    Config { snapshot_log_bytes: 64 << 10, retention_bytes_max: 0, ..config() }
}

async fn fill(node: &Running, view: littoral_model::view::ViewId, round: i64) {
    for chunk in 0..20 {
        let rows: Vec<_> =
            (0..50).map(|row| (chunk * 50 + row, ((row + round) % 5 != 0).then_some(round * 10_000 + row))).collect();
        node.leader.write(write(view, &rows, round)).await.unwrap();
    }
}

fn check(node: &Running, view: littoral_model::view::ViewId, round: i64) {
    for key in 0..1_000 {
        let row = key % 50;
        assert_eq!(node.get(view, key), ((row + round) % 5 != 0).then_some(round * 10_000 + row), "key {key}");
    }
}

#[tokio::test]
async fn rows_deletions_and_the_chain_survive_restarts_from_snapshots_and_a_trimmed_log() {
    let mut node = start(short()).await;
    let view = node.view("a").await;
    for round in 1..=6 {
        fill(&node, view, round).await;
        assert!(node.leader.snapshot_now());
        let before = (*node.leader.head().borrow(), node.leader.catalogue());
        let chain = node.leader.chain_at(before.0.lsn).unwrap();
        node = node.after_power_loss(short(), round as u64).await;
        // The opening appends a record that begins another life of the log.
        assert_eq!((node.leader.head().borrow().lsn, node.leader.catalogue()), (before.0.lsn.next(), before.1));
        assert_ne!(node.leader.head().borrow().incarnation, before.0.incarnation);
        assert_eq!(node.leader.chain_at(before.0.lsn), Some(chain));
        check(&node, view, round);
    }
    assert_eq!(snapshot_names(&node.disk).len(), 2);
    let error = node.leader.records(Lsn(1), 1_000).await.unwrap_err();
    let FeedReadError::Trimmed { oldest, .. } = error else { panic!("{error}") };
    assert!(oldest > Lsn(1_000), "{oldest}");
    assert_eq!(node.leader.chain_at(Lsn(1)), None);
    node.stop().await;
}

#[tokio::test]
async fn a_damaged_snapshot_is_skipped_and_without_any_the_start_fails() {
    let node = start(short()).await;
    let view = node.view("a").await;
    for round in 1..=4 {
        fill(&node, view, round).await;
        assert!(node.leader.snapshot_now());
    }
    let (disk, components) = (node.disk.crash(0), node.components.crash(0));
    node.stop().await;
    let names = snapshot_names(&disk);
    assert!(disk.flip(&names[1], 5_000));
    let node = try_start(short(), disk.crash(0), components.clone()).await.unwrap();
    check(&node, view, 4);
    node.stop().await;
    assert!(disk.flip(&names[0], 5_000));
    let error = try_start(short(), disk.reopened(), components.clone()).await.err().unwrap().to_string();
    assert!(error.contains("no usable snapshot") && error.contains("restore the data directory"), "{error}");
    disk.flip(&names[0], 5_000);
    disk.flip(&names[1], 5_000);
    for segment in disk.list().unwrap().iter().filter(|name| name.ends_with(".seg")) {
        disk.remove(segment).unwrap();
    }
    let error = try_start(short(), disk.reopened(), components).await.err().unwrap().to_string();
    // The snapshot or the tail mark shows it; the mark is written every two seconds.
    assert!(error.contains("log files are missing") || error.contains("is damaged or missing"), "{error}");
}

#[tokio::test]
async fn a_full_disk_rejects_writes_while_reads_continue_and_accepts_them_again_without_a_restart() {
    let node = start(config()).await;
    let view = node.view("a").await;
    node.disk.set_faults(Faults { capacity: Some((64 << 10) + 2_000), ..Faults::default() });
    let mut accepted = 0;
    let error = loop {
        match node.put(view, accepted, accepted, 1_000).await {
            Ok(_) => accepted += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(&error, WriteError::NotDurable(_)), "{error}");
    assert!(error.to_string().contains("rejected it"), "{error}");
    assert!(!node.leader.status().writable && node.leader.status().ready);
    assert!(!node.leader.snapshot_now(), "there is no space for a snapshot either");
    for key in 0..accepted {
        assert_eq!(node.get(view, key), Some(key));
    }
    assert_eq!(node.get(view, accepted), None);
    let keyed = with_key(write(view, &[(accepted, Some(1))], 1_000), "again");
    assert!(node.leader.write(keyed.clone()).await.is_err());
    node.disk.set_faults(Faults::default());
    let receipt = node.leader.write(keyed).await.unwrap();
    assert!(!receipt.duplicate, "the rejected write was not stored");
    assert!(node.leader.status().writable);
    let node = node.after_power_loss(config(), 5).await;
    assert_eq!((node.get(view, accepted), node.get(view, accepted - 1)), (Some(1), Some(accepted - 1)));
    node.stop().await;
}

#[tokio::test]
async fn a_failed_fsync_acknowledges_nothing_and_reverts_catalogue_changes_and_keys() {
    let node = start(config()).await;
    let view = node.view("a").await;
    let fail = Faults { sync_fails_after: Some(0), ..Faults::default() };
    node.disk.set_faults(fail);
    let error = node.leader.change(littoral_model::catalogue::CatalogueChange::PutView(support::view("b"))).await;
    assert!(matches!(error, Err(WriteError::NotDurable(_))), "{error:?}");
    assert!(node.leader.catalogue().view("b").is_none());
    node.disk.set_faults(fail);
    let request = with_key(write(view, &[(1, Some(1))], 1_000), "once");
    assert!(matches!(node.leader.write(request.clone()).await, Err(WriteError::NotDurable(_))));
    assert_eq!(node.get(view, 1), None);
    assert!(!node.leader.write(request.clone()).await.unwrap().duplicate);
    node.view("b").await;
    let node = node.after_power_loss(config(), 1).await;
    assert_eq!(node.get(view, 1), Some(1));
    assert!(node.leader.write(request).await.unwrap().duplicate);
    assert!(node.leader.catalogue().view("b").is_some());
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_of_a_batch_that_failed_may_be_retried_at_once_and_other_batches_are_unaffected() {
    let config = || Config { segment_bytes: 8 << 20, ..config() };
    let node = start(config()).await;
    let view = node.view("a").await;
    let (mut accepted, mut rejected) = (0, 0);
    for round in 0..30_i64 {
        node.disk.set_faults(Faults { sync_fails_after: Some(1), ..Faults::default() });
        let writes: Vec<_> = (0..12_i64)
            .map(|client| {
                let rows: Vec<_> = (0..1_000).map(|row| (client * 1_000 + row, Some(round))).collect();
                let request = with_key(write(view, &rows, round + 1), &format!("{client} {round}"));
                let leader = node.leader.clone();
                tokio::spawn(async move { (client, request.clone(), leader.write(request).await) })
            })
            .collect();
        for write in writes {
            let (client, request, outcome) = write.await.unwrap();
            match outcome {
                Ok(_) => accepted += 1,
                Err(error) => {
                    assert!(matches!(error, WriteError::NotDurable(_)), "{error}");
                    rejected += 1;
                    // Its key is free again: a retry is a new write.
                    node.disk.set_faults(Faults::default());
                    assert!(!node.leader.write(request).await.unwrap().duplicate);
                }
            }
            assert_eq!(node.get(view, client * 1_000 + 999), Some(round));
        }
        node.disk.set_faults(Faults::default());
    }
    assert!(accepted > 0 && rejected > 0, "{accepted} accepted, {rejected} rejected");
    check_dense(&node).await;
    let head = *node.leader.head().borrow();
    let node = node.after_power_loss(config(), 9).await;
    assert_eq!(node.leader.head().borrow().lsn, head.lsn.next());
    (0..12_000).for_each(|key| assert_eq!(node.get(view, key), Some(29)));
    node.stop().await;
}

/// SplitMix64.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Power is lost while writes are under way and the disk fails now and then: every acknowledged write is there
/// afterwards, every row is one that was written, and the log is dense.
#[tokio::test]
async fn no_acknowledged_write_is_lost_whatever_the_disk_does() {
    for seed in 0..30_u64 {
        let mut chance = seed;
        let mut node = start(short()).await;
        let view = node.view("a").await;
        let mut acknowledged: HashMap<i64, i64> = HashMap::new();
        let mut version = 0;
        for life in 0..4 {
            for _ in 0..next(&mut chance) % 6 {
                match next(&mut chance) % 6 {
                    0 => node.disk.set_faults(Faults { sync_fails_after: Some(1), ..Faults::default() }),
                    1 => node.disk.set_faults(Faults { write_fails_after: Some(900), ..Faults::default() }),
                    2 => node.disk.set_faults(Faults { capacity: Some(90_000), ..Faults::default() }),
                    3 => {
                        node.leader.snapshot_now();
                    }
                    _ => node.disk.set_faults(Faults::default()),
                }
                // Large writes fill a batch each, small ones share one.
                let each = if next(&mut chance).is_multiple_of(2) { 20 } else { 900 };
                let writes: Vec<_> = (0..8_i64)
                    .map(|client| {
                        version += 1;
                        let rows: Vec<_> = (0..each).map(|row| (client * 1_000 + row, Some(version))).collect();
                        let (leader, version) = (node.leader.clone(), version);
                        tokio::spawn(async move {
                            (client, version, leader.write(write(view, &rows, version)).await.is_ok())
                        })
                    })
                    .collect();
                for write in writes {
                    let (client, version, accepted) = write.await.unwrap();
                    if accepted {
                        acknowledged.extend((0..each).map(|row| (client * 1_000 + row, version)));
                    }
                }
            }
            node.disk.set_faults(Faults::default());
            node = node.after_power_loss(short(), next(&mut chance)).await;
            for (key, version) in &acknowledged {
                let found = node.get(view, *key).unwrap_or(0);
                assert!(
                    found >= *version,
                    "seed {seed}, life {life}, key {key}: {version} acknowledged, {found} found"
                );
            }
            check_dense(&node).await;
        }
        node.stop().await;
    }
}

/// Verifies that the records from the oldest to the head are dense and chained.
async fn check_dense(node: &Running) {
    let head = node.leader.head().borrow().lsn;
    let (mut next, mut chain) = (Lsn(1), None);
    while next <= head {
        let block = match node.leader.records(next, 10_000).await {
            Ok(block) => block,
            // The log was trimmed before or during the loop.
            Err(FeedReadError::Trimmed { oldest, .. }) => {
                (next, chain) = (oldest, node.leader.chain_at(Lsn(oldest.0 - 1)));
                continue;
            }
            Err(error) => panic!("{error}"),
        };
        for record in littoral_wire::records::iter(&block.bytes) {
            let record = record.unwrap();
            assert_eq!(record.lsn, next);
            assert!(chain.is_none_or(|chain| record.chain == record.chain_after(chain)));
            (next, chain) = (next.next(), Some(record.chain));
        }
    }
    assert!(node.leader.records(next, 100).await.unwrap().bytes.is_empty());
}

#[tokio::test]
async fn a_snapshot_and_the_tail_yield_the_same_rows_at_a_subscriber() {
    let node = start(config()).await;
    let view = node.view("a").await;
    fill(&node, view, 1).await;
    let snapshot = node.leader.snapshot().unwrap();
    fill(&node, view, 2).await;
    assert_eq!(snapshot.as_of.lsn, Lsn(1_001));
    assert_eq!(node.leader.chain_at(snapshot.as_of.lsn), Some(snapshot.chain));
    let mut rows: HashMap<Vec<u8>, Option<i64>> = HashMap::new();
    for row in snapshot.chunks.flatten() {
        rows.insert(row.key().to_vec(), (!row.is_tombstone()).then(|| support::value(&row)));
    }
    assert_eq!(rows.len(), 1_000);
    let mut from = snapshot.as_of.lsn.next();
    while from <= node.leader.head().borrow().lsn {
        let block = node.leader.records(from, 1 << 20).await.unwrap();
        from = block.last.next();
    }
    assert_eq!(from, Lsn(2_002));
    node.stop().await;
}

#[tokio::test]
async fn tombstones_are_kept_as_long_as_configured() {
    let node = start(Config { tombstone_retention_s: 60, ..config() }).await;
    let view = node.view("a").await;
    node.leader.write(write(view, &[(1, Some(1)), (1, None)], 5_000)).await.unwrap();
    node.leader.snapshot_now();
    node.put(view, 1, 1, 1_000).await.unwrap();
    assert_eq!(node.get(view, 1), None, "the tombstone outranks a late write");
    node.clock.store(NOW_MS + 60_001, Relaxed);
    node.put(view, 2, 2, 1_000).await.unwrap();
    node.leader.snapshot_now();
    assert_eq!(node.leader.snapshot().unwrap().chunks.flatten().filter(|row| row.is_tombstone()).count(), 0);
    node.stop().await;
}
