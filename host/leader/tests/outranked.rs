//! Receipts report the rows that were outranked; deletions without a time outrank the stored rows.

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

/// Rows and deletions without a time, through a door with the same clock as the leader's.
fn untimed(view: ViewId, rows: &[(i64, Option<i64>)]) -> WriteRequest {
    let mut request = write(view, rows, NOW_MS as i64);
    request.rows.stamp(EventTime::from_ms(NOW_MS as i64));
    request
}

fn rows(rows: &[u32]) -> Outranked {
    Outranked { count: rows.len() as u64, rows: rows.to_vec() }
}

async fn write_to(node: &Running, request: WriteRequest) -> WriteReceipt {
    node.leader.write(request).await.unwrap()
}

const AHEAD: i64 = NOW_MS as i64 + 50_000;

#[tokio::test]
async fn a_deletion_without_a_time_outranks_the_stored_row() {
    let node = start(config()).await;
    let view = node.view("a").await;
    node.put(view, 1, 7, AHEAD).await.unwrap();
    let receipt = write_to(&node, untimed(view, &[(1, None)])).await;
    assert_eq!((receipt.outranked, node.get(view, 1)), (Outranked::default(), None));
    // A row of the same write, and a row that the write does not delete.
    let mut request = write(view, &[(2, Some(1)), (3, Some(3))], AHEAD);
    let deletion = untimed(view, &[(2, None)]);
    deletion.rows.iter().for_each(|row| request.rows.push(row));
    request.rows.stamp(EventTime::from_ms(NOW_MS as i64));
    let receipt = write_to(&node, request).await;
    assert_eq!((receipt.outranked, node.get(view, 2), node.get(view, 3)), (Outranked::default(), None, Some(3)));
    node.stop().await;
}

#[tokio::test]
async fn receipts_name_the_outranked_rows_and_deletions() {
    let node = start(config()).await;
    let view = node.view("a").await;
    node.put(view, 1, 7, AHEAD).await.unwrap();
    let late = write_to(&node, write(view, &[(5, Some(1)), (1, None), (6, None), (1, Some(8))], AHEAD - 1)).await;
    assert_eq!((late.outranked, node.get(view, 1)), (rows(&[1, 3]), Some(7)));
    let untimed = write_to(&node, untimed(view, &[(1, Some(9))])).await;
    assert_eq!((untimed.outranked, node.get(view, 1)), (rows(&[0]), Some(7)));
    // Within one write the later event is kept, whatever the order.
    let both = write_to(&node, write(view, &[(8, Some(1)), (8, Some(2))], 2_000)).await;
    assert_eq!(both.outranked, Outranked::default());
    let many: Vec<_> = (0..500).map(|_| (1, Some(0))).collect();
    let many = write_to(&node, write(view, &many, 1_000)).await;
    assert_eq!((many.outranked.count, many.outranked.rows), (500, (0..100).collect()));
    node.stop().await;
}

#[tokio::test]
async fn the_merge_policy_of_the_view_decides() {
    let node = start(config()).await;
    let policy = FeatureView { merge: MergePolicy::LatestWrite, ..view("by_write") };
    node.leader.change(CatalogueChange::PutView(policy)).await.unwrap();
    let by_write = node.leader.catalogue().view("by_write").unwrap().id;
    node.put(by_write, 1, 7, AHEAD).await.unwrap();
    let receipt = write_to(&node, write(by_write, &[(1, None)], 1)).await;
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
        let late = write_to(&node, write(id, &[(2, Some(1)), (1, None)], 1)).await;
        assert_eq!((late.outranked, combined().await), (rows(&[1]), Some(7)), "{merge:?}");
        let untimed = write_to(&node, untimed(id, &[(1, None)])).await;
        assert_eq!((untimed.outranked, combined().await), (Outranked::default(), None), "{merge:?}");
    }
    node.stop().await;
}

#[tokio::test]
async fn a_retry_receives_the_same_receipt_also_after_a_restart_with_and_without_a_snapshot() {
    let mut node = start(config()).await;
    let view = node.view("a").await;
    node.put(view, 1, 7, AHEAD).await.unwrap();
    let request = || with_key(write(view, &[(2, Some(1)), (1, Some(2)), (1, None)], 1_000), "once");
    let first = write_to(&node, request()).await;
    assert_eq!(first.outranked, rows(&[1, 2]));
    for seed in 0..4 {
        let again = write_to(&node, request()).await;
        assert_eq!(again, WriteReceipt { duplicate: true, ..first.clone() }, "{seed}");
        if seed == 1 {
            assert!(node.leader.snapshot_now());
        }
        // A later write to the same rows does not change the receipt.
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
