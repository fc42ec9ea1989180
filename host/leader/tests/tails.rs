//! Merges rows that this log has lost and an edge has kept.

mod support;

use bytes::Bytes;
use littoral_feed::source::{FeedLog as _, RegionPeer as _};
use littoral_model::{
    hlc::Hlc,
    lineage::Lineage,
    ports::{FeatureReader, Node},
    position::{Epoch, Lsn},
    read::ReadAnswer,
    record::{ChainHash, Payload, Record},
    region::Region,
    tail::TailPiece,
    version::Version,
    view::ViewId,
    write::{WriteError, WriteReceipt},
};
use littoral_wire::records;
use support::{NOW_MS, Running, body, config, read, start};

/// A row or a deletion of a view as an edge has kept it: key, value, event time, clock reading.
type Lost = (i64, Option<i64>, i64, Hlc);

fn encoded(view: ViewId, origin: Region, lost: &[Lost]) -> Bytes {
    let mut bytes = Vec::new();
    for (number, (id, value, event_ms, hlc)) in lost.iter().enumerate() {
        let (key, lsn) = (id.to_le_bytes(), Lsn(900 + number as u64));
        let event_time = littoral_model::event_time::EventTime::from_ms(*event_ms);
        let values = value.map(body);
        let payload = match &values {
            Some(body) => Payload::Row { view, event_time, key: &key, body },
            None => Payload::Tombstone { view, event_time, key: &key },
        };
        let (epoch, chain) = (Epoch(1), ChainHash::GENESIS);
        let record = Record { lsn, epoch, origin, origin_lsn: lsn, hlc: *hlc, chain, payload };
        records::push(&mut bytes, &record).unwrap();
    }
    bytes.into()
}

/// A piece that this log accepts.
fn piece(node: &Running, name: &str, lost: &[Lost]) -> TailPiece {
    let region = node.leader.region();
    let view = node.leader.catalogue().view("a").unwrap().clone();
    let log = node.leader.lineages().get(region).map(Lineage::log).unwrap();
    let records = encoded(view.id, region, lost);
    TailPiece { name: name.to_owned(), region, log, view, records }
}

fn version(node: &Running, view: ViewId, id: i64) -> Version {
    let mut answer = ReadAnswer::default();
    assert!(node.leader.read_local(&read(view, &[id]), &mut answer));
    answer.rows[0][0].as_ref().unwrap().header().version
}

async fn merge(node: &Running, piece: TailPiece) -> Result<WriteReceipt, WriteError> {
    node.leader.merge(piece).await
}

#[tokio::test]
async fn lost_rows_are_merged_once_under_their_old_versions() {
    let node = start(config()).await;
    let view = node.view("a").await;
    for id in 1..=3 {
        node.put(view, id, 10, 1_000).await.unwrap();
    }
    node.put(view, 2, 11, 3_000).await.unwrap();
    let later = Hlc::new(NOW_MS + 1, 7);
    let lost =
        [(1, Some(20), 2_000, later), (2, Some(20), 2_000, later), (3, None, 2_000, later), (4, Some(40), 1, later)];
    let lost_piece = piece(&node, "tail/x", &lost);
    let receipt = merge(&node, lost_piece.clone()).await.unwrap();
    assert_eq!([1, 2, 3, 4].map(|id| node.get(view, id)), [Some(20), Some(11), None, Some(40)]);
    assert_eq!(version(&node, view, 4), Version { hlc: later, region: node.leader.region() });
    // A later write has a newer version, although the clock shows an earlier time.
    node.put(view, 1, 21, 2_000).await.unwrap();
    assert_eq!(node.get(view, 1), Some(21));

    let again = merge(&node, lost_piece.clone()).await.unwrap();
    assert_eq!((again.duplicate, again.position), (true, receipt.position));
    let node = node.after_power_loss(config(), 5).await;
    let head = node.leader.status().position;
    assert!(merge(&node, lost_piece).await.unwrap().duplicate);
    assert_eq!(node.leader.status().position, head, "nothing was written");
    assert_eq!([1, 2, 3, 4].map(|id| node.get(view, id)), [Some(21), Some(11), None, Some(40)]);
    node.stop().await;
}

#[tokio::test]
async fn rows_of_another_log_view_or_region_or_of_a_clock_far_ahead_are_rejected() {
    let node = start(config()).await;
    let view = node.view("a").await;
    let row = [(1, Some(1), 1_000, Hlc::new(NOW_MS, 0))];
    let valid = piece(&node, "tail/x", &row);
    let other: Region = "us".parse().unwrap();
    let mut unknown = valid.clone();
    unknown.view.name = "b".to_owned();
    assert_eq!(merge(&node, unknown).await, Err(WriteError::UnknownView("b".into())));
    let mut recreated = valid.clone();
    recreated.view.id = ViewId(77);
    let ahead = piece(&node, "tail/y", &[(1, Some(1), 1_000, Hlc::new(NOW_MS + 60_000, 0))]);
    let garbage = TailPiece { records: Bytes::from_static(b"\x05\0\0\0garbage"), ..valid.clone() };
    for (rejected, why) in [
        (TailPiece { region: other, ..valid.clone() }, "region 'us'"),
        (TailPiece { log: littoral_model::position::Incarnation(3), ..valid.clone() }, "0000000000000003"),
        (recreated, "was 77"),
        (ahead, "ahead"),
        (garbage, "cannot be merged"),
    ] {
        let error = merge(&node, rejected).await.unwrap_err();
        assert!(matches!(error, WriteError::Invalid(_)) && error.to_string().contains(why), "{error}");
    }
    assert_eq!(node.get(view, 1), None);
    // Another region's rows are ignored: they arrive with its feed.
    let theirs = TailPiece { records: encoded(view, other, &row), ..valid.clone() };
    merge(&node, theirs).await.unwrap();
    assert_eq!(node.get(view, 1), None);
    node.stop().await;
}
