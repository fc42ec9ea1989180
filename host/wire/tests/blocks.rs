//! Blocks of records and rows.

use bytes::Bytes;
use littoral_model::{
    catalogue::{Catalogue, CatalogueChange},
    event_time::EventTime,
    hlc::Hlc,
    merge::MergePolicy,
    position::{Epoch, Lsn},
    record::{ChainHash, Payload, Record},
    row::{Row, RowMeta},
    value::ValueType,
    version::Version,
    view::{Feature, FeatureView, ViewId},
};
use littoral_protocol::frame::Views;
use littoral_wire::{
    Error,
    records::{self, ViewFilter},
    rows,
};

fn record(lsn: u64, payload: Payload<'_>) -> Record<'_> {
    Record {
        lsn: Lsn(lsn),
        epoch: Epoch(1),
        origin: "eu".parse().unwrap(),
        origin_lsn: Lsn(lsn),
        hlc: Hlc(lsn),
        chain: ChainHash(u128::from(lsn)),
        payload,
    }
}

fn in_view(view: u32) -> Payload<'static> {
    Payload::Row { view: ViewId(view), event_time: EventTime(0), key: b"k", body: b"b" }
}

fn put_view(name: &str, id: u32) -> Payload<'static> {
    Payload::Catalogue(Box::new(CatalogueChange::PutView(view(name, id))))
}

fn view(name: &str, id: u32) -> FeatureView {
    let features = vec![Feature { name: "f".into(), value_type: ValueType::Int64 }];
    let (join_keys, merge) = (Vec::new(), MergePolicy::default());
    FeatureView { id: ViewId(id), name: name.into(), join_keys, features, ttl_ms: None, merge }
}

fn block(records: &[Record<'_>]) -> Bytes {
    let mut block = Vec::new();
    records.iter().for_each(|record| records::push(&mut block, record).unwrap());
    block.into()
}

fn lsns(block: &[u8]) -> Vec<u64> {
    records::iter(block).map(|record| record.unwrap().lsn.0).collect()
}

#[test]
fn a_block_round_trips_and_iteration_ends_at_the_first_fault() {
    let sent = [record(5, in_view(1)), record(6, in_view(2))];
    let whole = block(&sent);
    let read: Vec<_> = records::iter(&whole).map(Result::unwrap).collect();
    assert_eq!(read, sent);
    assert_eq!(records::last_chain(&whole), Ok(Some(ChainHash(6))));
    assert_eq!(records::last_chain(&[]), Ok(None));
    for end in (1..whole.len()).filter(|end| *end != whole.len() / 2) {
        let read: Vec<_> = records::iter(&whole[..end]).collect();
        assert!(matches!(read.last(), Some(Err(Error::Truncated { .. }))), "{end}");
        assert_eq!(read.len(), 1 + end / (whole.len() / 2));
    }
    let mut garbage = 10u32.to_le_bytes().to_vec();
    garbage.extend_from_slice(&[0xff; 10]);
    assert!(matches!(records::iter(&garbage).next(), Some(Err(Error::Malformed { .. }))));
}

#[test]
fn a_gap_in_a_block_is_named() {
    let with_gap = block(&[record(5, in_view(1)), record(7, in_view(1))]);
    let error = records::check_dense(&with_gap, 5, 7).unwrap_err();
    assert!(error.to_string().contains("record 7 where 6 was expected"), "{error}");
    let dense = block(&[record(5, in_view(1)), record(6, in_view(1))]);
    assert_eq!(records::check_dense(&dense, 5, 6), Ok(()));
    assert!(records::check_dense(&dense, 5, 7).is_err());
    assert!(records::check_dense(&dense, 4, 6).is_err());
}

#[test]
fn a_filter_keeps_requested_rows_and_every_catalogue_change() {
    let receipt = Payload::Receipt { idempotency_key: "k", content: 0, first: Lsn(1), last: Lsn(1) };
    let tombstone = Payload::Tombstone { view: ViewId(1), event_time: EventTime(0), key: b"k" };
    let whole = block(&[
        record(1, in_view(1)),
        record(2, in_view(2)),
        record(3, tombstone),
        record(4, receipt),
        record(5, put_view("other", 3)),
        record(6, in_view(3)),
        record(7, put_view("later", 4)),
        record(8, in_view(4)),
    ]);
    let mut catalogue = Catalogue::default();
    catalogue.apply(&CatalogueChange::PutView(view("mine", 1)));
    catalogue.apply(&CatalogueChange::PutView(view("theirs", 2)));
    let own = "east".parse().unwrap();
    let mut all = ViewFilter::new(&Views::All, &catalogue, own);
    assert_eq!(all.apply(&whole).unwrap().as_ptr(), whole.as_ptr(), "nothing is copied");
    assert!(all.wants(ViewId(77)));
    let mut some = ViewFilter::new(&Views::Names(vec!["mine".into(), "later".into()]), &catalogue, own);
    assert_eq!(lsns(&some.apply(&whole).unwrap()), [1, 3, 5, 7, 8]);
    assert_eq!(lsns(&some.apply(&block(&[record(9, in_view(4))])).unwrap()), [9], "the filter has noted the new view");
    let mut none = ViewFilter::new(&Views::Names(Vec::new()), &catalogue, own);
    assert_eq!(lsns(&none.apply(&whole).unwrap()), [5, 7]);
}

#[test]
fn rows_that_are_withheld_leave_stubs_under_their_hashes() {
    let tombstone = Payload::Tombstone { view: ViewId(2), event_time: EventTime(0), key: b"k" };
    let sent = [record(1, in_view(1)), record(2, in_view(2)), record(3, tombstone), record(4, put_view("v", 2))];
    let withheld = records::withhold(&block(&sent), |view| view == ViewId(2)).unwrap();
    let read: Vec<_> = records::iter(&withheld).map(Result::unwrap).collect();
    assert_eq!(read, [sent[0].clone(), sent[1].withheld(), sent[2].withheld(), sent[3].clone()]);
    assert!(records::withhold(&withheld[..withheld.len() - 1], |_| true).is_err());
}

#[test]
fn rows_tombstones_and_missing_rows_round_trip() {
    let meta = RowMeta {
        view: ViewId(3),
        event_time: EventTime(i64::MIN),
        version: Version { hlc: Hlc(u64::MAX), region: "eu".parse().unwrap() },
        lsn: Lsn(9),
    };
    let mut block = Vec::new();
    let sent = [Some(Row::new(meta, b"key", Some(b"body"))), None, Some(Row::new(meta, b"", None))];
    sent.iter().for_each(|row| rows::push(&mut block, row.as_ref()).unwrap());
    let read: Vec<_> = rows::iter(&block).map(|row| row.unwrap().map(|row| row.to_row())).collect();
    assert_eq!(read.len(), 3);
    for (sent, read) in sent.iter().zip(&read) {
        match (sent, read) {
            (None, None) => {}
            (Some(sent), Some(read)) => {
                assert_eq!((sent.header(), sent.key(), sent.body()), (read.header(), read.key(), read.body()));
            }
            other => panic!("{other:?}"),
        }
    }
    block.truncate(block.len() - 1);
    assert!(matches!(rows::iter(&block).last(), Some(Err(Error::Truncated { .. }))));
}
