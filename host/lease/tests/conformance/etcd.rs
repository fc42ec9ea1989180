//! A real etcd.

use crate::{
    claim,
    identity::{Place, a_lost_store_is_told_from_a_new_one},
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

const PATIENCE: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn etcd_keeps_every_promise() {
    let Some(mut server) = require("etcd_keeps_every_promise", etcd::Etcd::install_and_start()) else { return };
    let endpoints = [format!("http://{}", server.address)];
    let open = |name: &str| -> Arc<dyn LeaseStore> {
        Arc::new(Etcd::at(&endpoints, &format!("littoral/{name}"), PATIENCE).unwrap())
    };
    suite::every_promise_holds(&open).await;
    a_claim_opens_once_etcd_has_let_it_run_out(&open).await;
    a_renewal_keeps_it_from_running_out(&open).await;
    a_lost_store_is_told_from_a_new_one(&Keys { address: server.address.to_string(), aside: Mutex::default() }).await;
    what_lies_there_survives_a_crash_of_the_server(&open, &mut server).await;
    the_next_endpoint_is_asked_when_one_does_not_answer(&server).await;
}

/// Keys that are deleted, as in an etcd that was wiped, and put back.
struct Keys {
    address: String,
    /// What was deleted, by the lease's name: keys and values.
    aside: Mutex<HashMap<String, Vec<(String, String)>>>,
}

impl Keys {
    async fn call(&self, method: &str, request: Value) -> Value {
        let url = format!("http://{}/v3/kv/{method}", self.address);
        let answer = reqwest::Client::new().post(url).body(request.to_string()).send().await.unwrap();
        serde_json::from_slice(&answer.error_for_status().unwrap().bytes().await.unwrap()).unwrap()
    }

    /// Deletes what lies under a prefix, and returns it.
    async fn delete(&self, name: &str) -> Vec<(String, String)> {
        let (key, end) = (format!("littoral/{name}/"), format!("littoral/{name}0"));
        let range = json!({ "key": BASE64.encode(key), "range_end": BASE64.encode(end), "prev_kv": true });
        let deleted = self.call("deleterange", range).await;
        let kvs = deleted["prev_kvs"].as_array().cloned().unwrap_or_default();
        kvs.iter().map(|kv| (kv["key"].as_str().unwrap().into(), kv["value"].as_str().unwrap().into())).collect()
    }
}

impl Place for Keys {
    fn open(&self, name: &str, memory: Option<PathBuf>) -> Arc<dyn LeaseStore> {
        let address = format!("etcd://{}/littoral/{name}", self.address);
        let timing = Timing { patience: PATIENCE, term: PATIENCE * 3, ..Timing::DEFAULT };
        open::open(&address, &timing, clock::system(), Default::default(), memory).unwrap()
    }

    fn open_unguarded(&self, name: &str) -> Arc<dyn LeaseStore> {
        Arc::new(Etcd::at(&[format!("http://{}", self.address)], &format!("littoral/{name}"), PATIENCE).unwrap())
    }

    fn take_away<'a>(&'a self, name: &'a str) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let deleted = self.delete(name).await;
            self.aside.lock().insert(name.to_owned(), deleted);
        })
    }

    fn bring_back<'a>(&'a self, name: &'a str) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            self.delete(name).await;
            let aside = self.aside.lock().remove(name).unwrap();
            for (key, value) in aside {
                self.call("put", json!({ "key": key, "value": value })).await;
            }
        })
    }
}

async fn a_claim_opens_once_etcd_has_let_it_run_out(open: suite::Open<'_>) {
    let (holder, other) = (open("runs-out"), open("runs-out"));
    holder.read().await.unwrap();
    let claimed = Claim { term_ms: 500, ..claim("holder", 3, 1) };
    let Swap::Taken(_) = holder.swap(None, &claimed).await.unwrap() else { panic!("lost") };
    let begun = tokio::time::Instant::now();
    let seen = loop {
        let seen = other.read().await.unwrap().unwrap();
        if seen.claim.released {
            break seen;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "etcd's lease of 2 s has not run out");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert!(begun.elapsed() > Duration::from_millis(500), "a claim was opened within its term");
    assert_eq!(seen.claim, Claim { released: true, ..claimed });
    // Its epoch is not forgotten, and the next holder goes on from it.
    assert!(matches!(other.swap(Some(&seen.tag), &claim("other", 4, 1)).await.unwrap(), Swap::Taken(_)));
    assert!(!holder.read().await.unwrap().unwrap().claim.released);
}

async fn a_renewal_keeps_it_from_running_out(open: suite::Open<'_>) {
    let (holder, other) = (open("kept"), open("kept"));
    holder.read().await.unwrap();
    let mut tag = None;
    for attempt in 1..=20 {
        // Etcd's lease is of 5 s, and the renewals take 6 s.
        let claim = Claim { term_ms: 4_000, ..claim("holder", 3, attempt) };
        let Swap::Taken(new) = holder.swap(tag.as_ref(), &claim).await.unwrap() else { panic!("lost") };
        tag = Some(new);
        assert_eq!(other.read().await.unwrap().unwrap().claim, claim);
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

async fn what_lies_there_survives_a_crash_of_the_server(open: suite::Open<'_>, server: &mut etcd::Etcd) {
    let store = open("crash");
    store.read().await.unwrap();
    let claimed = Claim { term_ms: 60_000, ..claim("holder", 5, 1) };
    let Swap::Taken(tag) = store.swap(None, &claimed).await.unwrap() else { panic!("lost") };
    server.kill();
    let error = store.read().await.unwrap_err().to_string();
    assert!(error.contains("etcd at http://127.0.0.1:"), "{error}");
    server.start().unwrap();
    assert_eq!(store.read().await.unwrap().unwrap().claim, claimed);
    assert!(matches!(store.swap(Some(&tag), &claim("holder", 5, 2)).await.unwrap(), Swap::Taken(_)));
}

async fn the_next_endpoint_is_asked_when_one_does_not_answer(server: &etcd::Etcd) {
    // The first takes connections and says nothing.
    let mute = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = format!("etcd://{},{}/littoral/next", mute.local_addr().unwrap(), server.address);
    let store = open::open(&address, &Timing::DEFAULT, clock::system(), Default::default(), None).unwrap();
    assert!(store.read().await.unwrap().is_none());
    assert!(matches!(store.swap(None, &claim("one", 1, 1)).await.unwrap(), Swap::Taken(_)));
}
