//! An edge in a process of its user: awaited until ready, closed explicitly.

use crate::{leader::*, support::*};
use littoral_edge::Closed;
use littoral_model::{freshness::ReadDemand, ports::FeatureReader, read::ReadAnswer};
use std::time::Duration;
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(60);

#[tokio::test]
async fn ready_waits_for_the_first_data() {
    let leader = Leader::new(7);
    leader.put(1, 1, 11);
    let served = serve(&leader).await;
    let address = served.address.clone();
    served.stop().await;
    let edge = start(config(&address)).await;
    assert!(timeout(Duration::from_millis(200), edge.node.ready()).await.is_err(), "there is no data yet");

    let _served = serve_at(&leader, &address).await;
    timeout(SOON, edge.node.ready()).await.expect("it becomes ready").unwrap();
    let mut answer = ReadAnswer::default();
    assert!(edge.node.read_local(&request(1, [1], ReadDemand::default()), &mut answer));
    assert_eq!(values(&answer), [Some(11)]);
}

#[tokio::test]
async fn close_ends_the_edge_and_the_next_one_begins_with_its_data() {
    let directory = tempfile::tempdir().unwrap();
    let leader = Leader::new(7);
    leader.put(1, 1, 11);
    let served = serve(&leader).await;
    let address = served.address.clone();
    let edge = start(stored(&address, directory.path())).await;
    timeout(SOON, edge.node.ready()).await.expect("it becomes ready").unwrap();
    let waiting = edge.node.clone();
    timeout(SOON, edge.node.close()).await.expect("it closes");
    assert_eq!(waiting.ready().await, Err(Closed));
    timeout(SOON, edge.node.close()).await.expect("a second call returns at once");
    served.stop().await;

    let next = start(stored(&address, directory.path())).await;
    timeout(SOON, next.node.ready()).await.expect("it has the data of the one before").unwrap();
    assert_eq!(values(&next.read(1, &[1], ReadDemand::default()).await), [Some(11)]);
}

#[tokio::test]
async fn an_edge_that_closes_before_it_is_ready_reports_that() {
    let leader = Leader::new(7);
    let served = serve(&leader).await;
    let address = served.address.clone();
    served.stop().await;
    let edge = start(config(&address)).await;
    let waiting = edge.node.clone();
    let ready = tokio::spawn(async move { waiting.ready().await });
    timeout(SOON, edge.node.close()).await.expect("it closes");
    assert_eq!(timeout(SOON, ready).await.expect("the wait ends").unwrap(), Err(Closed));
}
