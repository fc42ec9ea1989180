//! Detached tails at the door of a member or an edge, and at that of a node that keeps none.

use crate::{native::rejected, node::MemoryNode, stand::Door};
use bytes::Bytes;
use littoral_model::{
    entity_key,
    hlc::Hlc,
    merge::MergePolicy,
    ports::{BoxFuture, Tails},
    position::{Epoch, Incarnation, Lsn},
    row_body::BodyBuilder,
    tail::{TailMerged, TailRecord, TailStatus},
    value::ValueType,
    version::Version,
    view::{Feature, FeatureView, JoinKey, ViewId},
    write::WriteError,
};
use serde_json::json;
use std::sync::{Arc, Mutex};

const NAME: &str = "3-7-9.tail";

/// Keeps one tail of three records: a row, a deletion, and a row of a view that was dropped.
pub struct Kept {
    gone: Mutex<bool>,
    leaderless: bool,
    /// The view of its rows, which the node's catalogue does not need to have.
    view: Arc<FeatureView>,
}

impl Default for Kept {
    fn default() -> Self {
        let view = FeatureView {
            id: ViewId(1),
            name: "trips".into(),
            join_keys: vec![JoinKey {
                name: "driver_id".into(),
                entity: "driver".into(),
                value_type: ValueType::Int64,
            }],
            features: vec![Feature { name: "trips".into(), value_type: ValueType::Int64 }],
            ttl_ms: None,
            merge: MergePolicy::default(),
        };
        Self { gone: Mutex::new(false), leaderless: false, view: Arc::new(view) }
    }
}

impl Tails for Kept {
    fn list(&self) -> Result<Vec<TailStatus>, WriteError> {
        let tail = TailStatus {
            name: NAME.to_owned(),
            incarnation: Incarnation(0xabc),
            epoch: Epoch(3),
            first: Lsn(7),
            last: Lsn(9),
            bytes: 120,
        };
        Ok((!*self.gone.lock().unwrap()).then_some(tail).into_iter().collect())
    }

    fn show(&self, _name: &str, from: Lsn, limit: usize) -> Result<Vec<TailRecord>, WriteError> {
        let mut key = Vec::new();
        entity_key::push_i64(&mut key, 5);
        let mut body = BodyBuilder::new(1);
        body.push_i64(42);
        let body = Bytes::from(body.finish().unwrap());
        let record = |lsn, view: Option<&Arc<FeatureView>>, body: Option<&Bytes>| TailRecord {
            lsn: Lsn(lsn),
            view: view.cloned(),
            key: key.clone().into(),
            event_time: "2026-01-01T00:00:00Z".parse().unwrap(),
            version: Version { hlc: Hlc(9_007_199_254_740_993), region: "eu".parse().unwrap() },
            body: body.cloned(),
        };
        let view = Some(&self.view);
        let all = [record(7, view, Some(&body)), record(8, view, None), record(9, None, Some(&body))];
        Ok(all.into_iter().filter(|record| record.lsn >= from).take(limit).collect())
    }

    fn merge(&self, _name: String) -> BoxFuture<'_, Result<TailMerged, WriteError>> {
        Box::pin(async {
            if self.leaderless {
                return Err(WriteError::LeaderUnavailable("no member of the region leads now".to_owned()));
            }
            *self.gone.lock().unwrap() = true;
            Ok(TailMerged { rows: 3, last: Lsn(20), of_other_regions: 2, without_view: 1 })
        })
    }

    fn drop_tail(&self, _name: &str) -> Result<(), WriteError> {
        *self.gone.lock().unwrap() = true;
        Ok(())
    }
}

async fn member(kept: Kept) -> Door {
    Door::open(MemoryNode { tails: Some(Arc::new(kept)), ..MemoryNode::default() }).await
}

#[tokio::test]
async fn a_tail_is_listed_and_shown_with_its_values() {
    let door = member(Kept::default()).await;
    let tail =
        json!({"name": NAME, "incarnation": "0000000000000abc", "epoch": 3, "first": 7, "last": 9, "bytes": 120});
    assert_eq!(door.get("/v1/tails").await.json(), json!({ "tails": [tail] }));
    let shown = door.get("/v1/tails/3-7-9.tail?limit=2").await.json();
    assert_eq!((&shown["tail"], &shown["next"]), (&tail, &json!(9)));
    assert_eq!(
        shown["records"][0],
        json!({"lsn": 7, "view": "trips", "key": {"driver_id": 5}, "deleted": false, "region": "eu",
            "hlc": "9007199254740993", "written_at_ms": Hlc(9_007_199_254_740_993).physical_ms(),
            "event_timestamp": "2026-01-01T00:00:00Z", "values": {"trips": 42}})
    );
    let deletion = &shown["records"][1];
    assert_eq!((&deletion["deleted"], &deletion["values"]), (&json!(true), &json!(null)));
    let rest = door.get("/v1/tails/3-7-9.tail?from=9&limit=2").await.json();
    assert_eq!((rest["records"].as_array().unwrap().len(), &rest["next"]), (1, &json!(null)));
    let strange = &rest["records"][0];
    assert_eq!((&strange["view"], &strange["key"], &strange["deleted"]), (&json!(null), &json!({}), &json!(false)));
    let whole = door.get("/v1/tails/3-7-9.tail?limit=3").await.json();
    assert_eq!(whole["next"], json!(null), "nothing is behind its last record");
}

#[tokio::test]
async fn a_tail_is_merged_or_dropped_once() {
    let door = member(Kept::default()).await;
    let merged = door.send("POST", "/v1/tails/3-7-9.tail/merge", &[], "").await;
    assert_eq!(merged.json(), json!({"rows": 3, "last": 20, "of_other_regions": 2, "without_view": 1}));
    let again = door.send("POST", "/v1/tails/3-7-9.tail/merge", &[], "").await;
    rejected(&again, 404, "unknown_tail", &[NAME, "GET /v1/tails"]);
    assert_eq!(door.get("/v1/tails").await.json(), json!({"tails": []}));

    let door = member(Kept::default()).await;
    assert_eq!(door.send("DELETE", "/v1/tails/3-7-9.tail", &[], "").await.json()["last"], 9);
    rejected(&door.send("DELETE", "/v1/tails/3-7-9.tail", &[], "").await, 404, "unknown_tail", &[NAME]);

    let door = member(Kept { leaderless: true, ..Kept::default() }).await;
    let refusal = door.send("POST", "/v1/tails/3-7-9.tail/merge", &[], "").await;
    rejected(&refusal, 503, "leader_unavailable", &["leads"]);
    assert_eq!(door.get("/v1/tails").await.json()["tails"][0]["name"], NAME, "it is still there");
}

#[tokio::test]
async fn what_cannot_be_asked_is_rejected_and_other_nodes_say_who_keeps_tails() {
    let door = member(Kept::default()).await;
    for (query, code) in [("limit=0", "limit"), ("limit=1001", "limit"), ("limit=x", "limit"), ("from=-1", "from")] {
        let refusal = door.get(&format!("/v1/tails/3-7-9.tail?{query}")).await;
        rejected(&refusal, 400, &format!("invalid_{code}"), &[&format!("'{code}'")]);
    }
    rejected(&door.get("/v1/tails/nope").await, 404, "unknown_tail", &["'nope'"]);
    let other = Door::open(MemoryNode::default()).await;
    for (method, path) in [("GET", "/v1/tails"), ("GET", "/v1/tails/a"), ("DELETE", "/v1/tails/a")] {
        rejected(&other.send(method, path, &[], "").await, 404, "no_tails", &["[[members]]", "data directory"]);
    }
    rejected(&other.send("POST", "/v1/tails/a/merge", &[], "").await, 404, "no_tails", &["member"]);
}
