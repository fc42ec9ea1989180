//! Modules reach an edge, and new releases replace old ones when they can be called.

use crate::{leader::*, support::*};
use bytes::Bytes;
use littoral_model::ports::*;
use std::sync::Arc;

fn version(node: &littoral_edge::Handle) -> Option<String> {
    node.catalogue().module("m").map(|module| module.version.clone())
}

#[tokio::test]
async fn the_old_release_is_served_until_the_new_one_is_ready() {
    let directory = tempfile::tempdir().unwrap();
    let leader = Leader::new(7);
    let served = serve(&leader).await;
    let edge = start(stored(&served.address, directory.path())).await;
    leader.release("m", "1", b"one");
    edge.eventually("ready", |node| node.status().modules.iter().any(|module| module.ready)).await;
    assert_eq!(version(&edge.node).as_deref(), Some("1"));

    *edge.runtime.refused.lock() = Some(Bytes::from_static(b"two"));
    leader.release("m", "2", b"two");
    let token = leader.put(1, 1, 1);
    edge.values(1, &[1], &token).await;
    assert_eq!(version(&edge.node).as_deref(), Some("1"), "the working release stays");
    *edge.runtime.refused.lock() = None;
    edge.eventually("swapped", |node| version(node).as_deref() == Some("2")).await;
    assert!(edge.node.status().modules[0].ready);
    assert_eq!(*edge.node.catalogue(), *leader.catalogue());

    edge.stop().await;
    let address = served.address.clone();
    served.stop().await;
    let edge = start_with(stored(&address, directory.path()), Arc::default()).await;
    edge.eventually("ready without a leader", |node| node.status().modules.iter().any(|module| module.ready)).await;
}
