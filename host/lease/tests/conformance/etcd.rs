//! A real etcd server.

use crate::{
    claim,
    identity::{ReplaceableStore, a_lost_store_is_distinguished_from_a_new_one},
    suite,
};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use littoral_lease::{
    Claim, LeaseStore, Swap, Timing, clock,
    store::{etcd::Etcd, open},
};
use littoral_model::ports::BoxFuture;
use littoral_provision::{etcd, missing::require};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::{collections::HashMap, path::PathBuf, sync::Arc, time::Duration};

const TIMEOUT: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn etcd_meets_every_requirement() {
    let Some(mut server) = require("etcd_meets_every_requirement", etcd::Etcd::install_and_start()) else { return };
    let endpoints = [format!("http://{}", server.address)];
    let open = |name: &str| -> Arc<dyn LeaseStore> {
        Arc::new(Etcd::at(&endpoints, &format!("littoral/{name}"), TIMEOUT).unwrap())
    };
    suite::every_requirement_holds(&open).await;
    a_claim_can_be_replaced_once_it_expired_in_etcd(&open).await;
    a_renewed_claim_does_not_expire(&open).await;
    a_lost_store_is_distinguished_from_a_new_one(&Keys {
        address: server.address.to_string(),
        aside: Mutex::default(),
    })
    .await;
    a_claim_survives_a_crash_of_the_server(&open, &mut server).await;
    the_next_endpoint_is_used_if_one_does_not_answer(&server).await;
}

/// Keys that are deleted, as in an etcd that was wiped, and restored.
struct Keys {
    address: String,
    /// The deleted keys and values, by the lease's name.
    aside: Mutex<HashMap<String, Vec<(String, String)>>>,
}

impl Keys {
    async fn call(&self, method: &str, request: Value) -> Value {
        let url = format!("http://{}/v3/kv/{method}", self.address);
        let answer = reqwest::Client::new().post(url).body(request.to_string()).send().await.unwrap();
        serde_json::from_slice(&answer.error_for_status().unwrap().bytes().await.unwrap()).unwrap()
    }

    /// Deletes the keys under a prefix, and returns them.
    async fn delete(&self, name: &str) -> Vec<(String, String)> {
        let (key, end) = (format!("littoral/{name}/"), format!("littoral/{name}0"));
        let range = json!({ "key": BASE64.encode(key), "range_end": BASE64.encode(end), "prev_kv": true });
        let deleted = self.call("deleterange", range).await;
        let kvs = deleted["prev_kvs"].as_array().cloned().unwrap_or_default();
        kvs.iter().map(|kv| (kv["key"].as_str().unwrap().into(), kv["value"].as_str().unwrap().into())).collect()
    }
}

impl ReplaceableStore for Keys {
    fn open(&self, name: &str, memory: Option<PathBuf>) -> Arc<dyn LeaseStore> {
        let address = format!("etcd://{}/littoral/{name}", self.address);
        let timing = Timing { request_timeout: TIMEOUT, term: TIMEOUT * 3, ..Timing::DEFAULT };
        open::open(&address, &timing, clock::system(), Default::default(), memory).unwrap()
    }

    fn open_unguarded(&self, name: &str) -> Arc<dyn LeaseStore> {
        Arc::new(Etcd::at(&[format!("http://{}", self.address)], &format!("littoral/{name}"), TIMEOUT).unwrap())
    }

    fn take_away<'a>(&'a self, name: &'a str) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let deleted = self.delete(name).await;
            self.aside.lock().insert(name.to_owned(), deleted);
        })
    }

    fn restore<'a>(&'a self, name: &'a str) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            self.delete(name).await;
            let aside = self.aside.lock().remove(name).unwrap();
            for (key, value) in aside {
                self.call("put", json!({ "key": key, "value": value })).await;
            }
        })
    }
}

async fn a_claim_can_be_replaced_once_it_expired_in_etcd(open: suite::Open<'_>) {
    let (holder, other) = (open("runs-out"), open("runs-out"));
    holder.read().await.unwrap();
    let claimed = Claim { term_ms: 500, ..claim("holder", 3, 1) };
    let Swap::Done(_) = holder.swap(None, &claimed).await.unwrap() else { panic!("lost") };
    let begun = tokio::time::Instant::now();
    let seen = loop {
        let seen = other.read().await.unwrap().unwrap();
        if seen.claim.released {
            break seen;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "etcd's lease of 2 s has not expired");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert!(begun.elapsed() > Duration::from_millis(500), "the claim could be replaced within its term");
    assert_eq!(seen.claim, Claim { released: true, ..claimed });
    // Its epoch remains, and the next holder continues from it.
    assert!(matches!(other.swap(Some(&seen.tag), &claim("other", 4, 1)).await.unwrap(), Swap::Done(_)));
    assert!(!holder.read().await.unwrap().unwrap().claim.released);
}

async fn a_renewed_claim_does_not_expire(open: suite::Open<'_>) {
    let (holder, other) = (open("kept"), open("kept"));
    holder.read().await.unwrap();
    let mut tag = None;
    for attempt in 1..=20 {
        // Etcd's lease lasts 5 s, and the renewals take 6 s.
        let claim = Claim { term_ms: 4_000, ..claim("holder", 3, attempt) };
        let Swap::Done(new) = holder.swap(tag.as_ref(), &claim).await.unwrap() else { panic!("lost") };
        tag = Some(new);
        assert_eq!(other.read().await.unwrap().unwrap().claim, claim);
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

async fn a_claim_survives_a_crash_of_the_server(open: suite::Open<'_>, server: &mut etcd::Etcd) {
    let store = open("crash");
    store.read().await.unwrap();
    let claimed = Claim { term_ms: 60_000, ..claim("holder", 5, 1) };
    let Swap::Done(tag) = store.swap(None, &claimed).await.unwrap() else { panic!("lost") };
    server.kill();
    let error = store.read().await.unwrap_err().to_string();
    assert!(error.contains("etcd at http://127.0.0.1:"), "{error}");
    server.start().unwrap();
    assert_eq!(store.read().await.unwrap().unwrap().claim, claimed);
    assert!(matches!(store.swap(Some(&tag), &claim("holder", 5, 2)).await.unwrap(), Swap::Done(_)));
}

async fn the_next_endpoint_is_used_if_one_does_not_answer(server: &etcd::Etcd) {
    // The first endpoint accepts connections and sends nothing.
    let silent = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = format!("etcd://{},{}/littoral/next", silent.local_addr().unwrap(), server.address);
    let store = open::open(&address, &Timing::DEFAULT, clock::system(), Default::default(), None).unwrap();
    assert!(store.read().await.unwrap().is_none());
    assert!(matches!(store.swap(None, &claim("one", 1, 1)).await.unwrap(), Swap::Done(_)));
}
