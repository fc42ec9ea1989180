//! Clients that read and write through the router during the whole drill, and record the outcome of each request.

use super::routers::Routers;
use crate::drill::report::{Outcome, Sample};
use crate::plain_http::Http;
use parking_lot::Mutex;
use serde_json::json;
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// The view that is written and read.
pub const VIEW: &str = "drill";
/// Readers and writers at once.
const READERS: usize = 4;
const WRITERS: usize = 2;
/// The pause of a client between two requests.
const READ_EVERY: Duration = Duration::from_millis(10);
const WRITE_EVERY: Duration = Duration::from_millis(20);
/// How long a writer waits before it repeats a write.
const RETRY_AFTER: Duration = Duration::from_millis(20);
/// Reads draw from the writes that were acknowledged at least this long ago: the bench measures how fast writes arrive.
const READ_BEHIND: Duration = Duration::from_millis(1_000);
/// Rows that all writers update, so that writes of two regions can conflict.
const SHARED_ROWS: u64 = 8;

/// How long a client waits.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For a read.
    pub read: Duration,
    /// For a write including its retries.
    pub write: Duration,
    /// For the router's answer to one attempt of a write, in milliseconds.
    pub attempt_ms: u64,
}

impl Default for Patience {
    fn default() -> Self {
        Self { read: Duration::from_secs(2), write: Duration::from_secs(5), attempt_ms: 500 }
    }
}

/// The state that all clients share.
pub struct Load {
    began: Instant,
    routers: Arc<Routers>,
    patience: Patience,
    /// Where the clients are.
    region: String,
    concern: &'static str,
    next: AtomicU64,
    samples: Mutex<Vec<Sample>>,
    /// When each acknowledged write was acknowledged, by its number.
    acknowledged: Mutex<BTreeMap<u64, Instant>>,
    /// The number of attempts of writes that failed and were repeated.
    repeated: AtomicU64,
    /// Why the first request failed.
    first_failure: Mutex<Option<String>>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// What the clients have recorded.
pub struct Seen {
    pub samples: Vec<Sample>,
    /// When each acknowledged write was acknowledged, in milliseconds since the drill began, by its number.
    pub acknowledged: BTreeMap<u64, u64>,
    /// The number of attempts of writes that failed and were repeated.
    pub repeated: u64,
    /// Why the first request, or attempt of a write, failed.
    pub first_failure: Option<String>,
}

impl Load {
    /// Starts the clients of one router.
    pub fn start(began: Instant, router: String, region: String, concern: &'static str) -> Arc<Self> {
        Self::start_at(began, Routers::new([router]), region, (concern, Patience::default()))
    }

    /// Starts the clients of these routers.
    pub fn start_at(
        began: Instant,
        routers: Arc<Routers>,
        region: String,
        (concern, patience): (&'static str, Patience),
    ) -> Arc<Self> {
        let load = Arc::new(Self {
            began,
            routers,
            patience,
            region,
            concern,
            next: AtomicU64::new(1),
            samples: Mutex::default(),
            acknowledged: Mutex::default(),
            repeated: AtomicU64::new(0),
            first_failure: Mutex::default(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        for number in 0..READERS {
            load.tasks.spawn(load.clone().read_on(number as u64));
        }
        for _ in 0..WRITERS {
            load.tasks.spawn(load.clone().write_on(load.routers.clone(), load.stop.clone()));
        }
        let (routers, stop) = (load.routers.clone(), load.stop.clone());
        load.tasks.spawn(async move { stop.run_until_cancelled(routers.watch()).await });
        load
    }

    /// Starts one more writer, which sends to a leader directly until its token is cancelled.
    pub fn write_within(self: &Arc<Self>, leader: String) -> CancellationToken {
        let stop = self.stop.child_token();
        self.tasks.spawn(self.clone().write_on(Routers::new([leader]), stop.clone()));
        stop
    }

    /// Stops the clients and returns what they have recorded.
    pub async fn finish(&self) -> Seen {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        let since = |at: &Instant| at.saturating_duration_since(self.began).as_millis() as u64;
        let acknowledged = self.acknowledged.lock().iter().map(|(number, at)| (*number, since(at))).collect();
        Seen {
            samples: std::mem::take(&mut *self.samples.lock()),
            acknowledged,
            repeated: self.repeated.load(Relaxed),
            first_failure: self.first_failure.lock().take(),
        }
    }

    /// Returns the numbers of the writes that are acknowledged so far.
    pub fn acknowledged(&self) -> Vec<u64> {
        self.acknowledged.lock().keys().copied().collect()
    }

    fn note(&self, sent: Instant, write: bool, outcome: Outcome) {
        let sample = Sample {
            sent_ms: sent.saturating_duration_since(self.began).as_millis() as u64,
            took_us: sent.elapsed().as_micros() as u64,
            write,
            outcome,
        };
        self.samples.lock().push(sample);
    }

    async fn read_on(self: Arc<Self>, mut draw: u64) {
        let http = Http::new();
        while self.stop.run_until_cancelled(tokio::time::sleep(READ_EVERY)).await.is_some() {
            draw = draw.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let Some(number) = self.old_enough(draw >> 33) else { continue };
            let sent = Instant::now();
            let url = format!("{}/v1/read", self.routers.url(draw >> 33));
            let body = json!({ "features": [format!("{VIEW}:number")], "entities": { "id": [number] } });
            let headers = [("littoral-region", self.region.as_str())];
            let asked = tokio::time::timeout(self.patience.read, http.post(&url, &headers, &body)).await;
            let outcome = match asked {
                Ok(Ok(answer)) => match answer.json() {
                    Ok(json) if json["columns"][1]["values"][0] == json!(number) => {
                        Outcome::Good(answer.header("littoral-staleness-ms").and_then(|text| text.parse().ok()))
                    }
                    Ok(_) => Outcome::Behind,
                    Err(failure) => self.failed(&url, failure.message),
                },
                Ok(Err(failure)) => self.failed(&url, failure.message),
                Err(_) => self.failed(&url, "no answer in time".to_owned()),
            };
            self.note(sent, false, outcome);
        }
    }

    fn failed(&self, url: &str, why: String) -> Outcome {
        self.first_failure.lock().get_or_insert_with(|| format!("{url}: {why}"));
        Outcome::Failed
    }

    /// Draws a write that was acknowledged some time ago.
    fn old_enough(&self, draw: u64) -> Option<u64> {
        let acknowledged = self.acknowledged.lock();
        let old = acknowledged.iter().take_while(|(_, at)| at.elapsed() >= READ_BEHIND).count();
        let at = draw.checked_rem(old as u64)?;
        acknowledged.keys().nth(at as usize).copied()
    }

    async fn write_on(self: Arc<Self>, routers: Arc<Routers>, stop: CancellationToken) {
        let (http, timeout) = (Http::new(), self.patience.attempt_ms.to_string());
        while stop.run_until_cancelled(tokio::time::sleep(WRITE_EVERY)).await.is_some() {
            let number = self.next.fetch_add(1, Relaxed);
            let shared = -1 - (number % SHARED_ROWS) as i64;
            // Explicit, so that a retry carries the same event time as the first attempt.
            let at = littoral_runtime::clock::wall().0 as f64 / 1e9;
            let row = |id: i64| json!({ "key": { "id": id }, "values": { "number": number }, "event_timestamp": at });
            let body = json!({ "rows": [row(number as i64), row(shared)] });
            let key = format!("write-{number}");
            let headers = [
                ("littoral-region", self.region.as_str()),
                ("idempotency-key", key.as_str()),
                ("littoral-concern", self.concern),
                ("littoral-timeout-ms", timeout.as_str()),
            ];
            let sent = Instant::now();
            let mut outcome = Outcome::Failed;
            while sent.elapsed() < self.patience.write && !self.stop.is_cancelled() {
                let left = self.patience.write.saturating_sub(sent.elapsed());
                let url = format!("{}/v1/views/{VIEW}/rows", routers.url(number));
                let why = match tokio::time::timeout(left, http.post(&url, &headers, &body)).await {
                    Ok(Ok(answer)) if answer.status.is_success() => {
                        self.acknowledged.lock().insert(number, Instant::now());
                        outcome = Outcome::Good(None);
                        break;
                    }
                    Ok(Ok(answer)) => format!("answered {}: {}", answer.status, answer.text()),
                    Ok(Err(failure)) => failure.message,
                    Err(_) => "no answer in time".to_owned(),
                };
                if !self.stop.is_cancelled() {
                    self.repeated.fetch_add(1, Relaxed);
                    self.failed(&url, why);
                }
                tokio::time::sleep(RETRY_AFTER).await;
            }
            // A write that the end of the drill has interrupted has no outcome.
            if outcome != Outcome::Failed || !self.stop.is_cancelled() {
                self.note(sent, true, outcome);
            }
        }
    }
}
