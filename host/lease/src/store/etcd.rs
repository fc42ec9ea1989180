//! A lease in etcd: two keys under a prefix, changed together by transactions.
//!
//! The key `claim` is never deleted, so epochs always continue from it. Its modification revision and its value
//! together identify its state, because revisions start again in an etcd that was wiped. The key `alive` is bound to
//! one of etcd's own leases, which the holder keeps alive with each renewal. When that expires, etcd deletes `alive`,
//! and any process may claim the lease at once, even if it has not watched the claim for its term. Etcd's lease lasts a
//! second longer than the claim's term, so it never frees a claim on which the holder may still act.

mod gateway;

use super::{LeaseStore, Seen, StoreError, Swap, Tag};
use crate::claim::Claim;
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use gateway::Gateway;
pub use gateway::InvalidEndpoints;
use littoral_model::ports::BoxFuture;
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;

/// A lease in etcd.
pub struct Etcd {
    gateway: Gateway,
    alive: String,
    claim: String,
    name: String,
    /// The etcd lease that this process keeps alive.
    lease: Mutex<Option<Lease>>,
}

#[derive(Clone, Copy, Debug)]
struct Lease {
    id: i64,
    ttl_s: u64,
}

#[derive(Deserialize)]
struct Range {
    #[serde(default)]
    kvs: Vec<KeyValue>,
}

#[derive(Deserialize)]
struct KeyValue {
    key: String,
    value: String,
    mod_revision: String,
}

impl Etcd {
    /// Opens the lease under this prefix. `endpoints` are URLs of etcd's servers; if one does not answer within
    /// `timeout`, the next is used.
    ///
    /// # Errors
    /// When the endpoints are not URLs of servers.
    pub fn at(endpoints: &[String], prefix: &str, timeout: Duration) -> Result<Self, InvalidEndpoints> {
        let gateway = Gateway::new(endpoints, timeout)?;
        let name = format!("etcd at {} under {prefix}", endpoints.join(","));
        let key = |part: &str| format!("{}/{part}", prefix.trim_end_matches('/'));
        Ok(Self { gateway, alive: key("alive"), claim: key("claim"), name, lease: Mutex::default() })
    }

    async fn get(&self) -> Result<Option<Seen>, StoreError> {
        // Read both keys as of one revision, and no others: they are adjacent in key order.
        let end = format!("{}\0", self.claim);
        let request = json!({ "key": BASE64.encode(&self.alive), "range_end": BASE64.encode(end), "limit": "16" });
        let answer = self.call("kv/range", &request).await?;
        let range: Range = serde_json::from_value(answer).map_err(|error| self.unexpected(error))?;
        let find = |key: &str| {
            let key = BASE64.encode(key);
            range.kvs.iter().find(|kv| kv.key == key)
        };
        let Some(kv) = find(&self.claim) else { return Ok(None) };
        let bytes = BASE64.decode(&kv.value).map_err(|error| self.unexpected(error))?;
        let corrupt = |source| StoreError::Corrupt { at: format!("{}, key {}", self.name, self.claim), source };
        let mut claim = Claim::decode(&bytes).map_err(corrupt)?;
        claim.released |= find(&self.alive).is_none();
        Ok(Some(Seen { claim, tag: tag(&kv.mod_revision, &kv.value) }))
    }

    async fn put(&self, expected: Option<&Tag>, claim: &Claim) -> Result<Swap, StoreError> {
        let alive = match claim.released {
            true => json!({ "requestDeleteRange": { "key": BASE64.encode(&self.alive) } }),
            false => json!({ "requestPut": {
                "key": BASE64.encode(&self.alive),
                "value": BASE64.encode(claim.holder.to_string()),
                "lease": self.keep_alive(claim.term()).await?.to_string(),
            } }),
        };
        let (key, value) = (BASE64.encode(&self.claim), BASE64.encode(claim.encode()));
        let put = json!({ "requestPut": { "key": key, "value": value } });
        // A key that was never created has revision zero.
        let (revision, before) = expected.map_or(("0", None), parts);
        let mut compare = vec![json!({ "key": key, "target": "MOD", "result": "EQUAL", "mod_revision": revision })];
        compare.extend(before.map(|value| json!({ "key": key, "target": "VALUE", "result": "EQUAL", "value": value })));
        let answer = self.call("kv/txn", &json!({ "compare": compare, "success": [put, alive] })).await?;
        if answer.get("succeeded").and_then(Value::as_bool) != Some(true) {
            return Ok(Swap::Lost);
        }
        if claim.released {
            self.revoke().await;
        }
        match answer.pointer("/header/revision").and_then(Value::as_str) {
            Some(revision) => Ok(Swap::Done(tag(revision, &value))),
            None => Err(self.unexpected("a transaction without a revision")),
        }
    }

    /// Keeps this process's etcd lease alive, or creates one, for the term plus a second.
    async fn keep_alive(&self, term: Duration) -> Result<i64, StoreError> {
        let ttl_s = term.as_secs() + u64::from(term.subsec_nanos() > 0) + 1;
        let own = *self.lease.lock();
        if let Some(lease) = own.filter(|lease| lease.ttl_s >= ttl_s) {
            let answer = self.call("lease/keepalive", &json!({ "ID": lease.id.to_string() })).await?;
            // An expired lease has no time to live.
            if integer(answer.pointer("/result/TTL")).is_some_and(|ttl| ttl > 0) {
                return Ok(lease.id);
            }
            *self.lease.lock() = None;
        }
        let answer = self.call("lease/grant", &json!({ "TTL": ttl_s.to_string() })).await?;
        let id = integer(answer.get("ID")).ok_or_else(|| self.unexpected("a lease without an id"))?;
        *self.lease.lock() = Some(Lease { id, ttl_s });
        Ok(id)
    }

    /// Revokes this process's etcd lease. If that fails, it expires by itself.
    async fn revoke(&self) {
        let own = self.lease.lock().take();
        if let Some(lease) = own {
            let _ = self.call("lease/revoke", &json!({ "ID": lease.id.to_string() })).await;
        }
    }

    async fn call(&self, method: &str, request: &Value) -> Result<Value, StoreError> {
        let unavailable = |reason| StoreError::Unavailable { at: self.name.clone(), reason };
        self.gateway.call(method, request).await.map_err(unavailable)
    }

    fn unexpected(&self, what: impl std::fmt::Display) -> StoreError {
        StoreError::Unavailable { at: self.name.clone(), reason: format!("its response cannot be read: {what}") }
    }
}

/// Returns the tag of a state: the revision of the claim, and its bytes.
fn tag(revision: &str, value: &str) -> Tag {
    Tag(format!("{revision} {value}"))
}

fn parts(tag: &Tag) -> (&str, Option<&str>) {
    tag.0.split_once(' ').map_or((&*tag.0, None), |(revision, value)| (revision, Some(value)))
}

/// Reads a 64-bit number, which etcd encodes as text.
fn integer(value: Option<&Value>) -> Option<i64> {
    value?.as_str()?.parse().ok()
}

impl LeaseStore for Etcd {
    fn read(&self) -> BoxFuture<'_, Result<Option<Seen>, StoreError>> {
        Box::pin(self.get())
    }

    fn swap<'a>(&'a self, expected: Option<&'a Tag>, claim: &'a Claim) -> BoxFuture<'a, Result<Swap, StoreError>> {
        Box::pin(self.put(expected, claim))
    }

    fn name(&self) -> &str {
        &self.name
    }
}
