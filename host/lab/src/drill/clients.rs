//! Clients that read and write through the router during the whole drill, and record the outcome of each request.

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
/// How long a client waits for a read, and for a write including its retries.
const READ_TIMEOUT: Duration = Duration::from_secs(2);
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);
const RETRY_AFTER: Duration = Duration::from_millis(20);
/// Reads draw from the writes that were acknowledged at least this long ago: the bench measures how fast writes arrive.
const READ_BEHIND: Duration = Duration::from_millis(1_000);
/// Rows that all writers update, so that writes of two regions can conflict.
const SHARED_ROWS: u64 = 8;

/// The state that all clients share.
pub struct Load {
    began: Instant,
    router: String,
    /// Where the clients are.
    region: String,
    concern: &'static str,
    next: AtomicU64,
    samples: Mutex<Vec<Sample>>,
    /// When each acknowledged write was acknowledged, by its number.
    acknowledged: Mutex<BTreeMap<u64, Instant>>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// What the clients have recorded.
pub struct Seen {
    pub samples: Vec<Sample>,
    /// When each acknowledged write was acknowledged, in milliseconds since the drill began, by its number.
    pub acknowledged: BTreeMap<u64, u64>,
}

impl Load {
    /// Starts the clients.
    pub fn start(began: Instant, router: String, region: String, concern: &'static str) -> Arc<Self> {
        let load = Arc::new(Self {
            began,
            router,
            region,
            concern,
            next: AtomicU64::new(1),
            samples: Mutex::default(),
            acknowledged: Mutex::default(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        for number in 0..READERS {
            load.tasks.spawn(load.clone().read_on(number as u64));
        }
        let router = load.router.clone();
        for _ in 0..WRITERS {
            load.tasks.spawn(load.clone().write_on(router.clone(), load.stop.clone()));
        }
        load
    }

    /// Starts one more writer, which sends to a leader directly until its token is cancelled.
    pub fn write_within(self: &Arc<Self>, leader: String) -> CancellationToken {
        let stop = self.stop.child_token();
        self.tasks.spawn(self.clone().write_on(leader, stop.clone()));
        stop
    }

    /// Stops the clients and returns what they have recorded.
    pub async fn finish(&self) -> Seen {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        let since = |at: &Instant| at.saturating_duration_since(self.began).as_millis() as u64;
        let acknowledged = self.acknowledged.lock().iter().map(|(number, at)| (*number, since(at))).collect();
        Seen { samples: std::mem::take(&mut *self.samples.lock()), acknowledged }
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
        let url = format!("{}/v1/read", self.router);
        while self.stop.run_until_cancelled(tokio::time::sleep(READ_EVERY)).await.is_some() {
            draw = draw.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let Some(number) = self.old_enough(draw >> 33) else { continue };
            let sent = Instant::now();
            let body = json!({ "features": [format!("{VIEW}:number")], "entities": { "id": [number] } });
            let headers = [("littoral-region", self.region.as_str())];
            let asked = tokio::time::timeout(READ_TIMEOUT, http.post(&url, &headers, &body)).await;
            let outcome = match asked {
                Ok(Ok(answer)) => match answer.json() {
                    Ok(json) if json["columns"][1]["values"][0] == json!(number) => {
                        Outcome::Good(answer.header("littoral-staleness-ms").and_then(|text| text.parse().ok()))
                    }
                    Ok(_) => Outcome::Behind,
                    Err(_) => Outcome::Failed,
                },
                _ => Outcome::Failed,
            };
            self.note(sent, false, outcome);
        }
    }

    /// Draws a write that was acknowledged some time ago.
    fn old_enough(&self, draw: u64) -> Option<u64> {
        let acknowledged = self.acknowledged.lock();
        let old = acknowledged.iter().take_while(|(_, at)| at.elapsed() >= READ_BEHIND).count();
        let at = draw.checked_rem(old as u64)?;
        acknowledged.keys().nth(at as usize).copied()
    }

    async fn write_on(self: Arc<Self>, base: String, stop: CancellationToken) {
        let http = Http::new();
        let url = format!("{base}/v1/views/{VIEW}/rows");
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
                ("littoral-timeout-ms", "500"),
            ];
            let sent = Instant::now();
            let mut outcome = Outcome::Failed;
            while sent.elapsed() < WRITE_TIMEOUT && !self.stop.is_cancelled() {
                let left = WRITE_TIMEOUT.saturating_sub(sent.elapsed());
                let asked = tokio::time::timeout(left, http.post(&url, &headers, &body)).await;
                if let Ok(Ok(answer)) = asked
                    && answer.status.is_success()
                {
                    self.acknowledged.lock().insert(number, Instant::now());
                    outcome = Outcome::Good(None);
                    break;
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
