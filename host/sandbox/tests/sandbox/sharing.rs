//! Requests that share a call, and requests that must not.

use crate::{
    rows::{Answers, NOW, Rows},
    support::{Module, config, present},
};
use littoral_model::{
    column::{Column, ColumnData},
    freshness::ReadDemand,
    module::ModuleManifest,
    ports::{ModuleCall, ModuleError, ModuleRuntime as _},
};
use littoral_sandbox::{Config, Instances};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::task::JoinHandle;

/// The misbehaving guest, declared as row-wise although some of its deeds use the first row only. This shows which
/// requests shared a call.
struct Shared {
    module: Module,
    manifest: Arc<ModuleManifest>,
    rows: Arc<Rows>,
}

impl Shared {
    async fn with(row_wise: bool, config: Config) -> Self {
        let module = Module::start("misbehaving/deeds", config).await;
        let manifest = Arc::new(ModuleManifest { row_wise, ..(*module.manifest).clone() });
        Self { module, manifest, rows: Rows::new(Answers::Now) }
    }

    async fn warm() -> Self {
        Self::with(true, Config { instances: Instances::Warm, ..config() }).await
    }

    /// Sends a request of two rows as its own task, under a name and a freshness demand.
    fn named(&self, name: &str, deed: &str, n: i64, demand: ReadDemand) -> JoinHandle<Result<Vec<f64>, ModuleError>> {
        let runtime = self.module.runtime.clone();
        let deed = present(ColumnData::String(vec![deed.to_owned(); 2]));
        let mut call = ModuleCall {
            digest: self.module.digest,
            name: name.into(),
            rows: 2,
            inputs: Vec::new(),
            params: vec![deed, present(ColumnData::Int64(vec![n, n + 1]))],
            reader: self.rows.clone(),
            demand,
            manifest: self.manifest.clone(),
            now: NOW,
        };
        tokio::spawn(async move {
            match &runtime.transform(&mut call).await?.into_columns()[..] {
                [Column { data: ColumnData::Double(values), statuses }] if statuses.len() == 2 => Ok(values.clone()),
                columns => panic!("the sandbox let through {columns:?}"),
            }
        })
    }

    fn request(&self, deed: &str, n: i64) -> JoinHandle<Result<Vec<f64>, ModuleError>> {
        self.named(&self.module.name, deed, n, ReadDemand::default())
    }

    /// Sends `requests` requests at once. Returns how many got each count of calls.
    async fn counts(&self, requests: usize) -> BTreeMap<u64, usize> {
        let requests: Vec<_> = (0..requests).map(|_| self.request("count", 0)).collect();
        let mut counts = BTreeMap::new();
        for request in requests {
            *counts.entry(request.await.unwrap().unwrap()[0] as u64).or_default() += 1;
        }
        counts
    }
}

#[tokio::test]
async fn a_rejection_of_one_request_does_not_show_in_anothers_answer() {
    let shared = Shared::warm().await;
    for deed in ["lookup refused, and continues", "memory, and continues"] {
        let alone = shared.request(deed, 0).await.unwrap().unwrap();
        let requests: Vec<_> = (0..8).map(|_| shared.request(deed, 0)).collect();
        for request in requests {
            assert_eq!(request.await.unwrap().as_ref(), Ok(&alone), "{deed}");
        }
    }
}

#[tokio::test]
async fn requests_that_arrive_together_share_a_call_and_each_gets_its_own_rows() {
    let shared = Shared::warm().await;
    assert_eq!(shared.counts(10).await, BTreeMap::from([(1, 10)]));
    let requests: Vec<_> = (0..50).map(|n| shared.request("each", n)).collect();
    for (n, request) in (0..).map(f64::from).zip(requests) {
        assert_eq!(request.await.unwrap(), Ok(vec![n, n + 1.0]));
    }
    assert_eq!(shared.counts(10).await, BTreeMap::from([(2, 10)]));
}

#[tokio::test]
async fn a_shared_call_has_a_bounded_number_of_rows() {
    let shared = Shared::with(true, Config { joined_rows: 8, ..config() }).await;
    let counts = shared.counts(100).await;
    assert_eq!(counts.values().sum::<usize>(), 100);
    assert_eq!(counts.values().max(), Some(&4), "two rows each: {counts:?}");
}

#[tokio::test]
async fn a_single_request_is_answered_alone() {
    let shared = Shared::warm().await;
    for n in 0..100_i32 {
        let n = f64::from(n);
        assert_eq!(shared.request("each", n as i64).await.unwrap(), Ok(vec![n, n + 1.0]));
    }
}

#[tokio::test]
async fn nothing_is_shared_that_must_not_be() {
    let cases = [
        ("not row-wise", false, config()),
        ("fresh", true, Config { instances: Instances::Fresh, ..config() }),
        ("turned off", true, Config { joined_rows: 0, ..config() }),
    ];
    for (case, row_wise, config) in cases {
        let alone = Shared::with(row_wise, config).await;
        // Its answer is the first row's.
        let requests: Vec<_> = (0..10).map(|n| alone.request("behave", n)).collect();
        for (n, request) in (0..).map(f64::from).zip(requests) {
            assert_eq!(request.await.unwrap(), Ok(vec![n, n]), "{case}");
        }
    }
    let shared = Shared::warm().await;
    let demand = |seconds| ReadDemand { max_staleness: Some(Duration::from_secs(seconds)), ..ReadDemand::default() };
    let requests: Vec<_> = (0..10).map(|n| shared.named("module", "behave", n, demand(n as u64 % 2))).collect();
    for (n, request) in (0..).zip(requests) {
        let first = if n % 2 == 0 { 0 } else { n };
        assert_eq!(
            request.await.unwrap(),
            Ok(vec![f64::from(first); 2]),
            "request {n}: a demand other than the first's"
        );
    }
    let shared = Shared::warm().await;
    let [one, other] = ["one", "other"].map(|name| shared.named(name, "count", 0, ReadDemand::default()));
    // Its errors and log lines name the module as it was called.
    assert_ne!(one.await.unwrap(), other.await.unwrap(), "one release under two names");
}

#[tokio::test]
async fn a_request_that_fails_a_shared_call_fails_alone() {
    for (deed, expected) in [("panic", "trapped"), ("two columns", "2 columns"), ("invalid input", "wrong")] {
        let shared = Shared::warm().await;
        let guilty = shared.request(deed, 0);
        let others: Vec<_> = (1..20).map(|n| shared.request("each", n)).collect();
        let error = guilty.await.unwrap().unwrap_err().to_string();
        assert!(error.contains(expected), "{deed}: {error}");
        for (n, other) in (1..).map(f64::from).zip(others) {
            assert_eq!(other.await.unwrap(), Ok(vec![n, n + 1.0]), "next to '{deed}'");
        }
    }
}

#[tokio::test]
async fn a_request_that_is_dropped_leaves_the_others_their_call() {
    let shared = Shared::warm().await;
    let requests: Vec<_> = (0..10).map(|n| shared.request("each", n)).collect();
    // After one yield, all of them wait.
    tokio::task::yield_now().await;
    [0, 4].into_iter().for_each(|gone: usize| requests[gone].abort());
    for (n, request) in (0..).zip(requests) {
        match request.await {
            Ok(answer) => assert_eq!(answer, Ok(vec![f64::from(n), f64::from(n + 1)])),
            Err(gone) => assert!(gone.is_cancelled() && [0, 4].contains(&n), "{n}: {gone}"),
        }
    }
}

#[tokio::test]
async fn a_busy_release_rejects_every_request_that_would_share() {
    let shared = Shared::with(true, Config { calls_per_module: 1, ..config() }).await;
    let mut never = ModuleCall {
        digest: shared.module.digest,
        name: "other".into(),
        rows: 2,
        inputs: Vec::new(),
        params: vec![present(ColumnData::String(vec!["lookup".into(); 2])), present(ColumnData::Int64(vec![0; 2]))],
        reader: Rows::new(Answers::Never),
        demand: ReadDemand::default(),
        manifest: shared.module.manifest.clone(),
        now: NOW,
    };
    let runtime = shared.module.runtime.clone();
    let holding = tokio::spawn(async move { runtime.transform(&mut never).await });
    tokio::task::yield_now().await;
    let requests: Vec<_> = (0..10).map(|n| shared.request("each", n)).collect();
    for request in requests {
        let busy = ModuleError::Busy { module: shared.module.name.to_string(), limit: 1 };
        assert_eq!(request.await.unwrap(), Err(busy));
    }
    holding.abort();
}
