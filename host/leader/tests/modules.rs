//! Modules: stored before they are logged, ready again after a restart, and collected once the catalogue does not name
//! them.

mod support;

use bytes::Bytes;
use littoral_feed::source::FeedLog as _;
use littoral_leader::Config;
use littoral_log::storage::{Faults, Storage};
use littoral_model::{
    catalogue::CatalogueChange,
    module::ModuleDigest,
    ports::{FeatureReader, FeatureWriter, ModuleRuntime, Node},
    write::WriteError,
};
use std::time::Duration;
use support::{config, start};

#[tokio::test]
async fn a_module_is_durable_callable_and_fetched_by_edges() {
    let node = start(config()).await;
    let component = Bytes::from_static(b"a component");
    let put = node.leader.put_module("m".into(), "1.0.0".into(), component.clone()).await.unwrap();
    assert_eq!(put.digest, ModuleDigest::of(&component));
    assert!(node.modules.is_ready(put.digest));
    assert_eq!(node.leader.component(put.digest).await, Some(component.clone()));
    let node = node.after_power_loss(config(), 0).await;
    assert_eq!(node.leader.catalogue().module("m").unwrap().digest, put.digest);
    assert_eq!(node.leader.component(put.digest).await, Some(component));
    for _ in 0..200 {
        if node.modules.is_ready(put.digest) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(node.leader.status().modules[0].ready);
    node.stop().await;
}

#[tokio::test]
async fn a_rejected_module_leaves_nothing_behind() {
    let node = start(Config { module_bytes_max: 1_024, ..config() }).await;
    let put = |component: &'static [u8]| node.leader.put_module("m".into(), "1".into(), Bytes::from_static(component));
    let error = put(b"bad").await.unwrap_err();
    assert!(matches!(error, WriteError::Invalid(_)) && error.to_string().contains("it is bad"), "{error}");
    let error = put(&[7; 1_025]).await.unwrap_err().to_string();
    assert!(error.contains("has 1025 bytes, the largest is 1024"), "{error}");
    node.view("m").await;
    let error = put(b"good").await.unwrap_err().to_string();
    assert!(error.contains("'m' already names a view"), "{error}");
    assert!(node.components.list().unwrap().is_empty());
    node.components.set_faults(Faults { capacity: Some(0), ..Faults::default() });
    let error = node.leader.put_module("n".into(), "1".into(), Bytes::from_static(b"good")).await.unwrap_err();
    assert!(matches!(error, WriteError::NotDurable(_)), "{error}");
    assert!(node.leader.catalogue().module("n").is_none());
    node.stop().await;
}

#[tokio::test]
async fn a_release_that_the_catalogue_does_not_name_is_retired_and_its_file_collected() {
    let node = start(config()).await;
    let put = |name: &str, release: &str, component: &'static [u8]| {
        node.leader.put_module(name.into(), release.into(), Bytes::from_static(component))
    };
    let old = put("m", "1", b"old").await.unwrap().digest;
    let shared = put("n", "1", b"shared").await.unwrap().digest;
    put("o", "1", b"shared").await.unwrap();
    let new = put("m", "2", b"new").await.unwrap().digest;
    node.leader.change(CatalogueChange::DropModule("n".into())).await.unwrap();
    // After a further change, the effects of the previous one are complete.
    node.view("a").await;
    assert!(!node.modules.is_ready(old) && node.modules.is_ready(shared) && node.modules.is_ready(new));
    assert!(node.leader.component(old).await.is_some(), "an edge that lags may still fetch it");
    assert!(node.leader.snapshot_now());
    assert!(node.leader.component(old).await.is_none());
    assert!(node.leader.component(shared).await.is_some() && node.leader.component(new).await.is_some());
    let release =
        littoral_model::module::ModuleRelease { digest: old, ..node.leader.catalogue().module("m").unwrap().clone() };
    let error = node.leader.change(CatalogueChange::PutModule(release)).await.unwrap_err().to_string();
    assert!(error.contains("the component of module 'm' is not stored here"), "{error}");
    node.stop().await;
}

#[tokio::test]
async fn one_release_is_one_component() {
    let node = start(config()).await;
    let put = |release: &str, component: &'static [u8]| {
        node.leader.put_module("m".into(), release.into(), Bytes::from_static(component))
    };
    let first = put("1.0.0", b"first").await.unwrap();
    let error = put("1.0.0", b"other").await.unwrap_err().to_string();
    assert!(error.contains("release '1.0.0' of module 'm' already exists with different contents"), "{error}");
    assert_eq!(node.leader.catalogue().module("m").unwrap().digest, first.digest);
    assert_eq!(put("1.0.0", b"first").await.unwrap().digest, first.digest, "an identical release changes nothing");
    assert_ne!(put("1.0.1", b"other").await.unwrap().digest, first.digest);
    node.stop().await;
}
