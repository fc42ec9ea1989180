//! What receipts say of rows that changed nothing, and deletions without a time.

mod support;

use littoral_model::{
    catalogue::CatalogueChange,
    event_time::EventTime,
    merge::MergePolicy,
    outranked::Outranked,
    parts,
    ports::{FeatureReader as _, FeatureWriter as _},
    read::ReadAnswer,
    view::{FeatureView, ViewId},
    write::{WriteReceipt, WriteRequest},
};
use support::{NOW_MS, Running, config, read, start, view, with_key, write};

/// Rows and deletions without a time, through a door whose clock is the leader's.
fn untimed(view: ViewId, rows: &[(i64, Option<i64>)]) -> WriteRequest {
    let mut request = write(view, rows, NOW_MS as i64);
    request.rows.stamp(EventTime::from_ms(NOW_MS as i64));
    request
}

fn rows(rows: &[u32]) -> Outranked {
    Outranked { count: rows.len() as u64, rows: rows.to_vec() }
}

async fn taken(node: &Running, request: WriteRequest) -> WriteReceipt {
    node.leader.write(request).await.unwrap()
}

const AHEAD: i64 = NOW_MS as i64 + 50_000;

#[tokio::test]
async fn a_deletion_without_a_time_outranks_the_row_that_it_can_see() {
    let node = start(config()).await;
    let view = node.view("a").await;
    node.put(view, 1, 7, AHEAD).await.unwrap();
    let receipt = taken(&node, untimed(view, &[(1, None)])).await;
    assert_eq!((receipt.outranked, node.get(view, 1)), (Outranked::default(), None));
    // The row of the same write, and one that it does not delete.
    let mut request = write(view, &[(2, Some(1)), (3, Some(3))], AHEAD);
    let deletion = untimed(view, &[(2, None)]);
    deletion.rows.iter().for_each(|row| request.rows.push(row));
    request.rows.stamp(EventTime::from_ms(NOW_MS as i64));
    let receipt = taken(&node, request).await;
    assert_eq!((receipt.outranked, node.get(view, 2), node.get(view, 3)), (Outranked::default(), None, Some(3)));
    node.stop().await;
}

#[tokio::test]
async fn rows_and_deletions_that_change_nothing_are_named() {
    let node = start(config()).await;
    let view = node.view("a").await;
    node.put(view, 1, 7, AHEAD).await.unwrap();
    let late = taken(&node, write(view, &[(5, Some(1)), (1, None), (6, None), (1, Some(8))], AHEAD - 1)).await;
    assert_eq!((late.outranked, node.get(view, 1)), (rows(&[1, 3]), Some(7)));
    let untimed = taken(&node, untimed(view, &[(1, Some(9))])).await;
    assert_eq!((untimed.outranked, node.get(view, 1)), (rows(&[0]), Some(7)));
    // Within one write the later event stays, whatever the order.
    let both = taken(&node, write(view, &[(8, Some(1)), (8, Some(2))], 2_000)).await;
    assert_eq!(both.outranked, Outranked::default());
    let many: Vec<_> = (0..500).map(|_| (1, Some(0))).collect();
    let many = taken(&node, write(view, &many, 1_000)).await;
    assert_eq!((many.outranked.count, many.outranked.rows), (500, (0..100).collect()));
    node.stop().await;
}

#[tokio::test]
async fn the_policy_of_the_view_decides() {
    let node = start(config()).await;
    let policy = FeatureView { merge: MergePolicy::LatestWrite, ..view("by_write") };
    node.leader.change(CatalogueChange::PutView(policy)).await.unwrap();
    let by_write = node.leader.catalogue().view("by_write").unwrap().id;
    node.put(by_write, 1, 7, AHEAD).await.unwrap();
    let receipt = taken(&node, write(by_write, &[(1, None)], 1)).await;
    assert_eq!((receipt.outranked, node.get(by_write, 1)), (Outranked::default(), None));
    for merge in [MergePolicy::Sum, MergePolicy::Max, MergePolicy::Min] {
        let combining = FeatureView { merge, ..view(merge.name()) };
        node.leader.change(CatalogueChange::PutView(combining)).await.unwrap();
        let id = node.leader.catalogue().view(merge.name()).unwrap().id;
        let combined = async || {
            let mut answer = ReadAnswer::default();
            parts::read(&node.leader, &read(id, &[1]), EventTime(0), &mut answer).await.unwrap();
            answer.rows[0][0].as_ref().map(support::value)
        };
        node.put(id, 1, 7, AHEAD).await.unwrap();
        let late = taken(&node, write(id, &[(2, Some(1)), (1, None)], 1)).await;
        assert_eq!((late.outranked, combined().await), (rows(&[1]), Some(7)), "{merge:?}");
        let untimed = taken(&node, untimed(id, &[(1, None)])).await;
        assert_eq!((untimed.outranked, combined().await), (Outranked::default(), None), "{merge:?}");
    }
    node.stop().await;
}

#[tokio::test]
async fn a_retry_is_told_the_same_also_after_a_restart_with_and_without_a_snapshot() {
    let mut node = start(config()).await;
    let view = node.view("a").await;
    node.put(view, 1, 7, AHEAD).await.unwrap();
    let request = || with_key(write(view, &[(2, Some(1)), (1, Some(2)), (1, None)], 1_000), "once");
    let first = taken(&node, request()).await;
    assert_eq!(first.outranked, rows(&[1, 2]));
    for seed in 0..4 {
        let again = taken(&node, request()).await;
        assert_eq!(again, WriteReceipt { duplicate: true, ..first.clone() }, "{seed}");
        if seed == 1 {
            assert!(node.leader.snapshot_now());
        }
        // What another write does to the rows later changes nothing of it.
        node.put(view, 1, seed as i64, AHEAD + 1 + seed as i64).await.unwrap();
        node = node.after_power_loss(config(), seed).await;
    }
    node.stop().await;
}

#[tokio::test]
async fn the_first_of_two_writes_in_one_batch_outranks_the_second() {
    let node = start(config()).await;
    let view = node.view("a").await;
    let (first, second) =
        tokio::join!(node.leader.write(write(view, &[(1, Some(1))], 2_000)), node.put(view, 1, 2, 1_000));
    assert_eq!((first.unwrap().outranked, second.unwrap().outranked), (Outranked::default(), rows(&[0])));
    assert_eq!(node.get(view, 1), Some(1));
    node.stop().await;
}
