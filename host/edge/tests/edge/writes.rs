//! Writes at an edge are forwarded to its leader.

use crate::{leader::*, support::*};
use bytes::Bytes;
use littoral_model::{
    catalogue::CatalogueChange,
    event_time::EventTime,
    ports::*,
    view::ViewId,
    write::{RowBatch, RowWrite, WriteError, WriteRequest},
};

fn write(key: u64, value: i64) -> WriteRequest {
    let mut rows = RowBatch::default();
    let body = body(value);
    rows.push(RowWrite { view: ViewId(1), event_time: EventTime(1), key: &key.to_le_bytes(), body: Some(&body) });
    WriteRequest { rows, ..WriteRequest::default() }
}

#[tokio::test]
async fn writes_are_forwarded_and_read_back_by_their_token() {
    let leader = Leader::new(7);
    let served = serve(&leader).await;
    let edge = start(config(&served.address)).await;
    edge.bootstrapped().await;
    for n in 0..50 {
        let receipt = edge.node.write(write(n, 5)).await.unwrap();
        assert_eq!(edge.values(1, &[n], &receipt.token).await, [Some(5)]);
    }
    let receipt = edge.node.change(CatalogueChange::PutView(view("c"))).await.unwrap();
    edge.values(1, &[1], &receipt.token).await;
    assert!(edge.node.catalogue().view("c").is_some());
    assert!(edge.node.put_module("m".into(), "1".into(), Bytes::from_static(b"x")).await.is_ok());
    served.stop().await;
    edge.eventually("lost", |node| !node.status().writable).await;
    let refused = edge.node.write(write(1, 6)).await;
    assert!(matches!(refused, Err(WriteError::LeaderUnavailable(_))), "{refused:?}");
}
